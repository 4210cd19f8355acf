"""Reading and restoring whole catalogues in Neo4j: few round trips, each of a bounded size."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from graphstore.checks import missing, to_json
from graphstore.neo4j.graph import Statements
from graphstore.neo4j.library import WHOLE, whole_of
from graphstore.neo4j.part import Part, members, need_architectures, need_space
from graphstore.records import (
    ArchitectureRecord,
    NeighborRecord,
    TrialRecord,
    TrialStatus,
)
from graphstore.restoring import to_restore

BATCH = 500
"""Architectures a round trip."""

STEP = 20_000
"""Neighbours a round trip."""

_WHOLE = f"MATCH (a:Architecture) WHERE a.id IN $ids {WHOLE}"


class BulkPart(Part):
    """What copies and backups read and write; see the contract's section on whole catalogues."""

    def architecture_ids(self, space: str | None = None) -> list[str]:
        """Ids of a space in its order, or of the store in theirs."""

        def work(db: Statements) -> list[str]:
            if space is None:
                return sorted(row["id"] for row in db.rows("MATCH (a:Architecture) RETURN a.id AS id"))
            need_space(db, space)
            return members(db, space)

        return self._graph.read(work)

    def architectures(self, ids: Sequence[str]) -> list[ArchitectureRecord]:
        """The known architectures among ``ids``, whole, in their order."""
        found: dict[str, ArchitectureRecord] = {}
        wanted = sorted(set(ids))
        for start in range(0, len(wanted), BATCH):
            batch = wanted[start : start + BATCH]
            for row in self._graph.read(lambda db, batch=batch: db.values(_WHOLE, ids=batch)):  # type: ignore[misc]
                record = whole_of(*row)
                found[record.id] = record
        return [found[id] for id in ids if id in found]

    def kernels(self, space: str) -> list[str]:
        """Names of the kernels the space has neighbours of, sorted."""

        def work(db: Statements) -> list[str]:
            need_space(db, space)
            query = "MATCH ()-[r:SIMILAR {space: $space}]->() RETURN DISTINCT r.kernel AS kernel"
            return sorted(row["kernel"] for row in db.rows(query, space=space))

        return self._graph.read(work)

    def neighbor_table(self, space: str, kernel: str) -> list[NeighborRecord]:
        """All stored neighbours of a space by a kernel, by source id and rank."""

        def work(db: Statements) -> list[NeighborRecord]:
            need_space(db, space)
            ids = sorted(members(db, space))
            query = (
                "MATCH (a:Architecture)-[r:SIMILAR {space: $space, kernel: $kernel}]->(b) WHERE a.id IN $ids "
                "RETURN a.id, b.id, r.rank, r.dissimilarity"
            )
            found: list[NeighborRecord] = []
            for start in range(0, len(ids), STEP):
                rows = db.values(query, space=space, kernel=kernel, ids=ids[start : start + STEP])
                found += [NeighborRecord(one, other, kernel, rank, value) for one, other, rank, value in rows]
            return sorted(found, key=lambda n: (n.source, n.rank))

        return self._graph.read(work)

    def restore_trials(self, study: str, trials: Sequence[TrialRecord]) -> int:
        """Write trials exactly as given; returns how many changed. See the contract."""

        def work(db: Statements) -> int:
            if not db.rows("MATCH (s:Study {name: $study}) RETURN 1 AS found", study=study):
                raise missing("study", study, "Create it first.")
            rows = db.rows("MATCH (:Study {name: $study})-[:RAN]->(t) RETURN properties(t) AS facts", study=study)
            changed = to_restore(study, trials, [_trial(row["facts"]) for row in rows])
            need_architectures(db, {trial.architecture for trial in changed})
            if changed:
                facts = sorted((_facts(trial) for trial in changed), key=lambda row: str(row["architecture"]))
                db.rows(
                    "MATCH (s:Study {name: $study}) UNWIND $rows AS row MATCH (a:Architecture {id: row.architecture}) "
                    "MERGE (t:Trial {study: $study, number: row.number}) SET t = row "
                    "MERGE (s)-[:RAN]->(t) MERGE (t)-[:EVALUATES]->(a)",
                    study=study,
                    rows=facts,
                )
                db.bump("studies")
            return len(changed)

        return self._graph.write(["studies"], work)


_FLOATS = ("lease_expires", "value", "created", "started", "finished")


def _facts(trial: TrialRecord) -> dict[str, Any]:
    # The server keeps whole numbers apart from floats, and no property without a value.
    floats = {name: None if getattr(trial, name) is None else float(getattr(trial, name)) for name in _FLOATS}
    return {**vars(trial), **floats, "state": trial.state.value, "info": to_json("trial info", trial.info)}


def _trial(facts: dict[str, Any]) -> TrialRecord:
    known = {**facts, "info": json.loads(facts["info"]), "state": TrialStatus(facts["state"])}
    return TrialRecord(**{"value": None, **known})
