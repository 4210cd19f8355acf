"""Scores, measurements and lineage in Neo4j.

(:Score)-[:OF]->(:Architecture), (:Measurement)-[:OF]->(:Architecture) and
(:Architecture)-[:INHERITED {run, donor_run, …}]->(:Architecture).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

from graphstore.checks import check_known_architectures, check_lineage, check_measurements, check_scores
from graphstore.contract import ScoreStore
from graphstore.neo4j.graph import LOCK, Statements
from graphstore.neo4j.part import Part, need_architectures, need_space
from graphstore.records import LineageRecord, MeasurementRecord, ScoreRecord

# Create the new scores and count the change, unless an architecture is unknown. Scores without a trial are locked and
# added in one round trip; the clauses run in order, so scores of other writers are not missed.
_ADD = """
UNWIND $rows AS row
OPTIONAL MATCH (a:ArchexArchitecture {id: row[0]})
OPTIONAL MATCH (s:ArchexScore {id: row[1]})
WITH m, new, collect(CASE WHEN a IS NULL THEN row[0] END) AS unknown,
    collect(CASE WHEN s IS NULL THEN {architecture: a, row: row} END) AS fresh
CALL (unknown, fresh) {
    UNWIND CASE WHEN size(unknown) = 0 THEN fresh ELSE [] END AS one
    WITH one.architecture AS a, one.row AS row
    CREATE (:ArchexScore:Score {
        architecture: row[0], id: row[1], task: row[2], metric: row[3], value: row[4], dataset: row[5],
        fidelity: row[6], recipe: row[7], seed: row[8], source: row[9], seconds: row[10], majority: row[11],
        chance: row[12]
    })-[:OF]->(a)
    RETURN count(*) AS added
}
SET m.revision = m.revision + CASE WHEN added > 0 THEN 1 ELSE 0 END
RETURN new, m.revision IS NOT NULL AS counted, unknown, added
"""

_ADD_LOCKED = "MATCH (m:ArchexMeta {topic: 'scores'}) WITH m, true AS new " + _ADD


_RECORDS = (
    "RETURN r.run AS run, a.id AS architecture, r.donor_run AS donor_run, d.id AS donor, r.method AS method, "
    "r.share AS share"
)


class Scores(Part, ScoreStore):
    """The score protocol: scores, measurements and lineage."""

    def add_scores(self, scores: Iterable[ScoreRecord]) -> int:
        """Add scores, in one transaction; a score that is stored already stays as it is."""
        scores = list(scores)
        check_scores(scores)
        rows = _rows(scores)
        return self._graph.write_at_once("scores", LOCK + _ADD, _added, rows=rows) if rows else 0

    def scores(
        self, space: str | None = None, architecture: str | None = None, task: str | None = None
    ) -> list[ScoreRecord]:
        """Return the scores that fit, ordered by architecture, task, metric, source, seed, id."""

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

    def remove_scores(self, origin: str) -> int:
        """Delete all scores of an origin, in one transaction."""
        return self._delete("(n:ArchexScore) WHERE split(n.source, ':')[0] = $origin", origin=origin)

    def _delete(self, which: str, **parameters: str | None) -> int:
        def work(db: Statements) -> int:
            (row,) = db.rows(f"MATCH {which} DETACH DELETE n RETURN count(*) AS gone", **parameters)
            gone: int = row["gone"]
            if gone:
                db.bump("scores")
            return gone

        return self._graph.write(["scores"], work)

    def add_measurements(self, measurements: Iterable[MeasurementRecord]) -> int:
        """Add or replace measurements, in one transaction."""
        measurements = list(measurements)
        check_measurements(measurements)
        newest = {(m.architecture, m.device, m.quantity): m for m in measurements}

        def work(db: Statements) -> int:
            need_architectures(db, {m.architecture for m in measurements})
            stored = {
                (row["facts"]["architecture"], row["facts"]["device"], row["facts"]["quantity"]): row["facts"]
                for row in db.rows(
                    "UNWIND $keys AS key "
                    "MATCH (m:ArchexMeasurement {architecture: key[0], device: key[1], quantity: key[2]}) "
                    "RETURN properties(m) AS facts",
                    keys=sorted(newest),
                )
            }
            rows = [dataclasses.asdict(newest[key]) for key in sorted(newest)]
            changed = [row for key, row in zip(sorted(newest), rows, strict=True) if stored.get(key) != row]
            if changed:
                db.rows(
                    "UNWIND $rows AS row MATCH (a:ArchexArchitecture {id: row.architecture}) "
                    "MERGE (m:ArchexMeasurement "
                    "{architecture: row.architecture, device: row.device, quantity: row.quantity}) "
                    "SET m:Measurement, m = row MERGE (m)-[:OF]->(a)",
                    rows=changed,
                )
                db.bump("scores")
            return len(newest) - len(stored)

        return self._graph.write(["scores"], work)

    def measurements(self, space: str | None = None, architecture: str | None = None) -> list[MeasurementRecord]:
        """Return the measurements that fit, ordered by architecture, device, quantity."""

        def work(db: Statements) -> list[MeasurementRecord]:
            if space is not None:
                need_space(db, space)
            rows = db.rows(_found("Measurement", space, architecture, ""), space=space, architecture=architecture)
            return [MeasurementRecord(**row["facts"]) for row in rows]

        return sorted(self._graph.read(work), key=lambda m: (m.architecture, m.device, m.quantity))

    def remove_measurements(self, device: str, quantity: str | None = None) -> int:
        """Delete the measurements of a device, or only those of a quantity, in one transaction."""
        which = "(n:ArchexMeasurement {device: $device}) WHERE coalesce($quantity, n.quantity) = n.quantity"
        return self._delete(which, device=device, quantity=quantity)

    def add_lineage(self, records: Sequence[LineageRecord]) -> int:
        """Add which runs inherited weights from which, in one transaction."""
        check_lineage(records)
        first = {(record.run, record.donor_run): record for record in reversed(records)}

        def work(db: Statements) -> int:
            need_architectures(db, {id for record in records for id in (record.architecture, record.donor)})
            stored = {
                (row["run"], row["donor_run"])
                for row in db.rows(
                    "MATCH (:ArchexArchitecture)-[r:INHERITED]->() WHERE r.run IN $runs "
                    "RETURN r.run AS run, r.donor_run AS donor_run",
                    runs=sorted({run for run, _ in first}),
                )
            }
            new = [first[key] for key in sorted(first.keys() - stored)]
            if new:
                db.rows(
                    "UNWIND $rows AS row MATCH (a:ArchexArchitecture {id: row.architecture}) "
                    "MATCH (d:ArchexArchitecture {id: row.donor}) CREATE (a)-[:INHERITED {run: row.run, "
                    "donor_run: row.donor_run, method: row.method, share: row.share}]->(d)",
                    rows=[{**vars(record), "share": float(record.share)} for record in new],
                )
                db.bump("scores")
            return len(new)

        return self._graph.write(["scores"], work)

    def lineage(self, architecture: str | None = None) -> list[LineageRecord]:
        """Return the records upstream of an architecture's runs: its own, then its donors', and so on; each once."""

        def work(db: Statements) -> list[LineageRecord]:
            if architecture is None:
                return _records(db.rows(f"MATCH (a:ArchexArchitecture)-[r:INHERITED]->(d) {_RECORDS}"))
            query = "MATCH (:ArchexArchitecture {id: $id})-[r:INHERITED]->() RETURN DISTINCT r.run AS run"
            runs = {row["run"] for row in db.rows(query, id=architecture)}
            found: list[LineageRecord] = []
            seen: set[str] = set()
            while runs:
                seen |= runs
                query = f"MATCH (a:ArchexArchitecture)-[r:INHERITED]->(d) WHERE r.run IN $runs {_RECORDS}"
                step = _records(db.rows(query, runs=sorted(runs)))
                found += step
                runs = {record.donor_run for record in step} - seen
            return found

        return self._graph.read(work)


def insert_scores(db: Statements, scores: Sequence[ScoreRecord]) -> int:
    """Add scores inside a writing transaction; return the number of new ones. Raises NotFoundError."""
    rows = _rows(scores)
    return _added(db.rows(_ADD_LOCKED, rows=rows)[0]) if rows else 0


def _rows(scores: Sequence[ScoreRecord]) -> list[list[Any]]:
    """Return the rows for _ADD: each score once, as first given, in an order that prevents deadlocks."""
    first = {score.id: score for score in reversed(scores)}
    rows = [
        [s.architecture, id, s.task, s.metric, s.value, s.dataset, s.fidelity, s.recipe, s.seed, s.source, s.seconds,
         s.majority, s.chance]
        for id, s in first.items()
    ]  # fmt: skip
    return sorted(rows, key=lambda values: values[:2])


def _added(row: dict[str, Any]) -> int:
    """Return the number of scores that _ADD wrote. Raises NotFoundError if an architecture is unknown."""
    if row["unknown"]:
        check_known_architectures(row["unknown"], ())
    added: int = row["added"]
    return added


def _found(label: str, space: str | None, architecture: str | None, condition: str) -> str:
    """Return a query for the nodes of a label, optionally only of a space or an architecture."""
    start = "(a:ArchexArchitecture {id: $architecture})" if architecture is not None else "(a:ArchexArchitecture)"
    pattern = f"MATCH {start}<-[:OF]-(s:{label})"
    conditions = [condition] if condition else []
    if space is not None:
        conditions.append("EXISTS {(:ArchexSpace {name: $space})-[:HOLDS]->(a)}")
    where = " WHERE " + " AND ".join(conditions) if conditions else ""
    return f"{pattern}{where} RETURN properties(s) AS facts"


def _records(rows: Sequence[dict[str, Any]]) -> list[LineageRecord]:
    records = (LineageRecord(**row) for row in rows)
    return sorted(records, key=lambda record: (record.run, record.donor_run))
