"""Laws of the lineage of weights."""

from __future__ import annotations

import dataclasses

import pytest

from graphstore.contract import GraphStore
from graphstore.errors import NotFoundError, StoreInputError
from graphstore.records import LineageRecord
from graphstore.testing.query_laws import put


class LineageLaws:
    """Lineage of weights."""

    def test_lineage(self, store: GraphStore) -> None:
        """All of it by run; of an architecture upstream by distance, each once, even in a circle."""
        put(store, a=[], b=[], d=[], e=[])
        first = LineageRecord("r1", "a", "r2", "b", "ordered", 0.5)
        records = [
            LineageRecord("r3", "d", "r1", "a", "ordered", 1),
            LineageRecord("r2", "b", "r3", "d", "ordered", 0.25),
            first,
            LineageRecord("r1", "a", "r0", "e", "random"),
            LineageRecord("r9", "e", "r3", "d", "ordered", 0),
        ]
        before = store.revision("scores")
        assert store.add_lineage(records) == 5
        assert store.revision("scores") == before + 1
        assert store.add_lineage([dataclasses.replace(first, method="other"), first]) == 0
        assert store.revision("scores") == before + 1
        ordered = sorted(records, key=lambda record: (record.run, record.donor_run))
        assert store.lineage() == ordered
        assert store.lineage("a") == [ordered[0], ordered[1], ordered[2], ordered[3]]
        assert store.lineage("d") == [ordered[3], ordered[0], ordered[1], ordered[2]]
        assert store.lineage("e") == [ordered[4], ordered[3], ordered[0], ordered[1], ordered[2]]
        assert store.lineage("unknown") == []
        assert store.add_lineage([]) == 0

    def test_first_of_a_batch_is_kept(self, store: GraphStore) -> None:
        """The same run and donor run twice in one call."""
        put(store, a=[], b=[])
        records = [LineageRecord("r1", "a", "r0", "b", method) for method in ("one", "two")]
        assert store.add_lineage(records) == 1
        assert store.lineage("a") == records[:1]

    def test_lineage_rules(self, store: GraphStore) -> None:
        """Nothing is written of a batch with an error."""
        put(store, a=[], b=[])
        good = LineageRecord("r1", "a", "r0", "b", "ordered")
        wrong = [
            dataclasses.replace(good, donor_run="r1"),
            dataclasses.replace(good, share=1.01),
            dataclasses.replace(good, share=float("nan")),
            dataclasses.replace(good, run=""),
        ]
        for record in wrong:
            with pytest.raises(StoreInputError, match="run"):
                store.add_lineage([good, record])
        for unknown in (dataclasses.replace(good, architecture="?"), dataclasses.replace(good, donor="?")):
            with pytest.raises(NotFoundError, match="architecture"):
                store.add_lineage([good, unknown])
        assert store.lineage() == []
