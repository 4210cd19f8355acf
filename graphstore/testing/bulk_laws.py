"""Laws of reading and restoring whole catalogues."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from graphstore.contract import GraphStore
from graphstore.errors import NotFoundError, StoreInputError
from graphstore.records import NeighborRecord, TrialRecord, TrialStatus
from graphstore.testing import samples

Reopen = Callable[[], GraphStore]


def trial(number: int, architecture: str, **changes: object) -> TrialRecord:
    """A waiting trial of the study ``first``."""
    plain = TrialRecord(
        "first", number, architecture, TrialStatus.WAITING, 0, 0, "", 0.0, None, "", {"origin": "ask"}, 5.0, 0.0, 0.0
    )
    return dataclasses.replace(plain, **changes)  # type: ignore[arg-type]


class BulkLaws:
    """Whole catalogues."""

    def test_architectures_come_whole_in_the_order_asked_for(self, store: GraphStore, reopen: Reopen) -> None:
        """Unknown ids are left out, repeated ones repeated, prefixes not followed."""
        records = samples.architectures(30, seed=3)
        store.put_space(samples.space())
        store.add_architectures("nano", records)
        wanted = [records[20], records[3], records[11], records[3]]
        ids = ["unknown", *(record.id for record in wanted), records[0].id[:8]]
        assert reopen().architectures(ids) == wanted
        assert store.architectures([]) == []

    def test_ids_come_in_the_order_of_space_and_store(self, store: GraphStore) -> None:
        """By membership within a space, sorted without one."""
        records = samples.architectures(9, seed=1)
        for name, part in (("nano", records[4:]), ("tiny", records[:6])):
            store.put_space(samples.space(name))
            store.add_architectures(name, part)
        assert store.architecture_ids("nano") == [record.id for record in records[4:]]
        assert store.architecture_ids("tiny") == [record.id for record in records[:6]]
        assert store.architecture_ids() == sorted(record.id for record in records)
        with pytest.raises(NotFoundError):
            store.architecture_ids("unknown")

    def test_neighbor_tables(self, store: GraphStore) -> None:
        """Every kernel's relations of a space, whole and apart from the others'."""
        ids = [record.id for record in samples.architectures(5, seed=2)]
        for name in ("nano", "tiny"):
            store.put_space(samples.space(name))
            store.add_architectures(name, samples.architectures(5, seed=2))
        assert store.kernels("nano") == []
        tables = {
            kernel: [
                NeighborRecord(source, ids[(place + rank) % 5], kernel, rank, step * rank / 3)
                for place, source in enumerate(ids)
                for rank in (2, 1)
            ]
            for kernel, step in (("wl", 0.1), ("nh", 0.7))
        }
        for kernel, table in tables.items():
            store.put_neighbors("nano", kernel, table)
        store.put_neighbors("tiny", "wl", tables["wl"][:1])
        assert store.kernels("nano") == ["nh", "wl"]
        for kernel, table in tables.items():
            assert store.neighbor_table("nano", kernel) == sorted(table, key=lambda n: (n.source, n.rank))
        assert store.neighbor_table("tiny", "wl") == tables["wl"][:1]
        assert store.neighbor_table("tiny", "nh") == []
        for call in (store.kernels, lambda name: store.neighbor_table(name, "wl")):
            with pytest.raises(NotFoundError):
                call("unknown")

    def test_trials_are_restored_exactly(self, store: GraphStore, reopen: Reopen) -> None:
        """Gaps, tokens, leases and values are kept; repeating changes nothing; the study continues from there."""
        ids = self._study(store, 4)
        trials = [
            trial(0, ids[1], state=TrialStatus.COMPLETE, attempt=2, token=3, value=1 / 3, started=6.5, finished=7.5),
            trial(
                2, ids[0], state=TrialStatus.RUNNING, attempt=1, token=1, owner="me", lease_expires=90.0, started=8.0
            ),
            trial(5, ids[2], state=TrialStatus.STALE, attempt=1, token=1, reason="lease ran out"),
        ]
        assert store.restore_trials("first", trials[1:]) == 2
        assert store.restore_trials("first", list(reversed(trials))) == 1
        assert reopen().trials("first") == trials
        before = store.revision()
        assert store.restore_trials("first", trials) == 0
        assert store.revision() == before
        store.renew_lease(trials[1], 100.0, 50.0)
        store.finish_trial(trials[1], TrialStatus.COMPLETE, 60.0, 0.5)
        (added,) = store.add_trials("first", [(id, {}) for id in ids])
        assert (added.number, added.architecture) == (6, ids[3])
        claimed = store.claim_trial("first", "you", 10.0, 70.0)
        assert claimed is not None
        assert (claimed.number, claimed.token) == (5, 2)

    def test_restored_trial_follows_its_former_states_only(self, store: GraphStore) -> None:
        """A later state replaces a former one; never the reverse."""
        ids = self._study(store, 2)
        running = trial(0, ids[0], state=TrialStatus.RUNNING, attempt=1, token=1, owner="me", lease_expires=9.0)
        states = [
            trial(0, ids[0]),
            running,
            dataclasses.replace(running, lease_expires=19.0, info={"step": 3}),
            dataclasses.replace(running, state=TrialStatus.STALE, owner="", lease_expires=0.0),
            dataclasses.replace(running, token=2, attempt=2, lease_expires=4.0),
            dataclasses.replace(running, state=TrialStatus.COMPLETE, token=2, lease_expires=0.0, value=1.0),
        ]
        for turn, state in enumerate(states):
            assert store.restore_trials("first", [state]) == 1
            for former in states[:turn]:
                with pytest.raises(StoreInputError, match="not be in a later state"):
                    store.restore_trials("first", [trial(1, ids[1]), former])
            assert store.trials("first") == [state]
        with pytest.raises(StoreInputError, match="not be in a later state"):
            store.restore_trials("first", [dataclasses.replace(states[-1], value=2.0)])

    def test_restored_trials_must_not_collide(self, store: GraphStore) -> None:
        """A taken number or architecture, a foreign study or a value not finite is refused, and nothing is written."""
        ids = self._study(store, 3)
        store.restore_trials("first", [trial(0, ids[0])])
        new = trial(1, ids[1])
        wrong = {
            "no other trial": [
                [new, trial(0, ids[2])],
                [new, trial(2, ids[0])],
                [new, trial(1, ids[2])],
                [new, trial(2, ids[1])],
            ],
            "study": [[new, dataclasses.replace(trial(2, ids[2]), study="second")]],
            "number": [[new, trial(-1, ids[2])]],
            "finite": [[new, trial(2, ids[2], state=TrialStatus.COMPLETE, value=float("nan"))]],
            "unknown": [[new, trial(2, "unknown")]],
        }
        for message, batches in wrong.items():
            for batch in batches:
                with pytest.raises(StoreInputError, match=message):
                    store.restore_trials("first", batch)
        with pytest.raises(NotFoundError, match="study"):
            store.restore_trials("unknown", [])
        assert store.trials("first") == [trial(0, ids[0])]

    def _study(self, store: GraphStore, count: int) -> list[str]:
        records = samples.architectures(count, seed=6)
        store.put_space(samples.space())
        store.add_architectures("nano", records)
        store.create_study(samples.study())
        return [record.id for record in records]
