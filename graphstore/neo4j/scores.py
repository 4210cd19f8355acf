"""Scores and measurements in Neo4j: (:Score)-[:OF]->(:Architecture), (:Measurement)-[:OF]->(:Architecture)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

from graphstore.checks import check_known_architectures, check_measurements, check_scores
from graphstore.neo4j.graph import LOCK, Statements
from graphstore.neo4j.part import Part, need_architectures, need_space
from graphstore.records import MeasurementRecord, ScoreRecord

# What is new is created and counted as a change, unless an architecture is unknown. Scores that come by themselves are
# locked and added in one round trip: the lines run in their order, so nobody else's scores are missed.
_ADD = """
UNWIND $rows AS row
OPTIONAL MATCH (a:Architecture {id: row[0]})
OPTIONAL MATCH (s:Score {id: row[1]})
WITH m, new, collect(CASE WHEN a IS NULL THEN row[0] END) AS unknown,
    collect(CASE WHEN s IS NULL THEN {architecture: a, row: row} END) AS fresh
CALL (unknown, fresh) {
    UNWIND CASE WHEN size(unknown) = 0 THEN fresh ELSE [] END AS one
    WITH one.architecture AS a, one.row AS row
    CREATE (:Score {
        architecture: row[0], id: row[1], task: row[2], metric: row[3], value: row[4], dataset: row[5],
        fidelity: row[6], recipe: row[7], seed: row[8], source: row[9], seconds: row[10]
    })-[:OF]->(a)
    RETURN count(*) AS added
}
SET m.revision = m.revision + CASE WHEN added > 0 THEN 1 ELSE 0 END
RETURN new, m.revision IS NOT NULL AS counted, unknown, added
"""

_ADD_LOCKED = "MATCH (m:Meta {topic: 'scores'}) WITH m, true AS new " + _ADD


class ScoresPart(Part):
    """What is known of how well architectures do, and of what they cost."""

    def add_scores(self, scores: Iterable[ScoreRecord]) -> int:
        """Add scores; returns how many were new. Raises NotFoundError if an architecture is unknown."""
        scores = list(scores)
        check_scores(scores)
        rows = _rows(scores)
        return self._graph.write_at_once("scores", LOCK + _ADD, _added, rows=rows) if rows else 0

    def scores(
        self, space: str | None = None, architecture: str | None = None, task: str | None = None
    ) -> list[ScoreRecord]:
        """Scores that fit, ordered by architecture, task, metric, source, seed, id."""

        def work(db: Statements) -> list[ScoreRecord]:
            if space is not None:
                need_space(db, space)
            rows = db.rows(
                _found("Score", space, architecture, "s.task = $task" if task is not None else ""),
                space=space,
                architecture=architecture,
                task=task,
            )
            return [ScoreRecord(**{key: value for key, value in row["facts"].items() if key != "id"}) for row in rows]

        found = self._graph.read(work)
        return sorted(found, key=lambda s: (s.architecture, s.task, s.metric, s.source, s.seed, s.id))

    def add_measurements(self, measurements: Iterable[MeasurementRecord]) -> int:
        """Add or replace measurements; returns how many were new. Raises NotFoundError."""
        measurements = list(measurements)
        check_measurements(measurements)
        newest = {(m.architecture, m.device, m.quantity): m for m in measurements}

        def work(db: Statements) -> int:
            need_architectures(db, {m.architecture for m in measurements})
            stored = {
                (row["facts"]["architecture"], row["facts"]["device"], row["facts"]["quantity"]): row["facts"]
                for row in db.rows(
                    "UNWIND $keys AS key "
                    "MATCH (m:Measurement {architecture: key[0], device: key[1], quantity: key[2]}) "
                    "RETURN properties(m) AS facts",
                    keys=sorted(newest),
                )
            }
            rows = [dataclasses.asdict(newest[key]) for key in sorted(newest)]
            changed = [row for key, row in zip(sorted(newest), rows, strict=True) if stored.get(key) != row]
            if changed:
                db.rows(
                    "UNWIND $rows AS row MATCH (a:Architecture {id: row.architecture}) "
                    "MERGE (m:Measurement "
                    "{architecture: row.architecture, device: row.device, quantity: row.quantity}) "
                    "SET m = row MERGE (m)-[:OF]->(a)",
                    rows=changed,
                )
                db.bump("scores")
            return len(newest) - len(stored)

        return self._graph.write(["scores"], work)

    def measurements(self, space: str | None = None, architecture: str | None = None) -> list[MeasurementRecord]:
        """Measurements that fit, ordered by architecture, device, quantity."""

        def work(db: Statements) -> list[MeasurementRecord]:
            if space is not None:
                need_space(db, space)
            rows = db.rows(_found("Measurement", space, architecture, ""), space=space, architecture=architecture)
            return [MeasurementRecord(**row["facts"]) for row in rows]

        return sorted(self._graph.read(work), key=lambda m: (m.architecture, m.device, m.quantity))


def insert_scores(db: Statements, scores: Sequence[ScoreRecord]) -> int:
    """Add scores inside a writing transaction; returns how many were new. Raises NotFoundError."""
    rows = _rows(scores)
    return _added(db.rows(_ADD_LOCKED, rows=rows)[0]) if rows else 0


def _rows(scores: Sequence[ScoreRecord]) -> list[list[Any]]:
    """What _ADD takes: each score once, as first given, in an order in which no two writers deadlock."""
    first = {score.id: score for score in reversed(scores)}
    rows = [
        [s.architecture, id, s.task, s.metric, s.value, s.dataset, s.fidelity, s.recipe, s.seed, s.source, s.seconds]
        for id, s in first.items()
    ]
    return sorted(rows, key=lambda values: values[:2])


def _added(row: dict[str, Any]) -> int:
    """How many scores _ADD wrote. Raises NotFoundError if an architecture is unknown."""
    if row["unknown"]:
        check_known_architectures(row["unknown"], ())
    added: int = row["added"]
    return added


def _found(label: str, space: str | None, architecture: str | None, condition: str) -> str:
    """A query for the nodes of a label that belong to a space, an architecture, or anything."""
    start = "(a:Architecture {id: $architecture})" if architecture is not None else "(a:Architecture)"
    pattern = f"MATCH {start}<-[:OF]-(s:{label})"
    conditions = [condition] if condition else []
    if space is not None:
        conditions.append("EXISTS {(:Space {name: $space})-[:HOLDS]->(a)}")
    where = " WHERE " + " AND ".join(conditions) if conditions else ""
    return f"{pattern}{where} RETURN properties(s) AS facts"
