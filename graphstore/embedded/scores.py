"""Scores, measurements and lineage in the SQLite file."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

from graphstore.checks import check_lineage, check_measurements, check_scores
from graphstore.contract import ScoreStore
from graphstore.embedded.database import bump, write_many
from graphstore.embedded.part import Part, known_architecture_keys, space_key
from graphstore.records import LineageRecord, MeasurementRecord, ScoreRecord

_RECORDS = (
    "SELECT n.run, a.id, n.donor_run, d.id, n.method, n.share FROM lineage n "
    "JOIN architecture a ON a.key = n.architecture JOIN architecture d ON d.key = n.donor "
)


class Scores(Part, ScoreStore):
    """The score protocol: scores, measurements and lineage."""

    def add_scores(self, scores: Iterable[ScoreRecord]) -> int:
        """Add scores, in one transaction; a score that is stored already stays as it is."""
        scores = list(scores)
        check_scores(scores)
        with self._database.writing() as db:
            return insert_scores(db, scores)

    def scores(
        self, space: str | None = None, architecture: str | None = None, task: str | None = None
    ) -> list[ScoreRecord]:
        """Return the scores that fit, ordered by architecture, task, metric, source, seed, id."""
        query = (
            "SELECT a.id, s.task, s.metric, s.value, s.dataset, s.fidelity, s.recipe, s.seed, s.source, s.seconds, "
            "s.majority, s.chance FROM score s JOIN architecture a ON a.key = s.architecture"
        )
        with self._database.reading() as db:
            where, values = _filter(db, space, architecture)
            if task is not None:
                where.append("s.task = ?")
                values.append(task)
            order = " ORDER BY a.id, s.task, s.metric, s.source, s.seed, s.id"
            rows = db.execute(query + _where(where) + order, values).fetchall()
        return [ScoreRecord(*row) for row in rows]

    def remove_scores(self, origin: str) -> int:
        """Delete all scores of an origin, in one transaction."""
        return self._delete("score WHERE origin = ?", origin)

    def _delete(self, which: str, *values: str) -> int:
        with self._database.writing() as db:
            gone = db.execute(f"DELETE FROM {which}", values).rowcount
            if gone:
                bump(db, "scores")
            return gone

    def add_measurements(self, measurements: Iterable[MeasurementRecord]) -> int:
        """Add or replace measurements, in one transaction."""
        measurements = list(measurements)
        check_measurements(measurements)
        with self._database.writing() as db:
            keys = known_architecture_keys(db, {m.architecture for m in measurements})
            rows = [(keys[m.architecture], m.device, m.quantity, m.value, m.unit) for m in measurements]
            new = write_many(db, "INSERT INTO measurement VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", rows)
            changed = write_many(
                db,
                "INSERT INTO measurement VALUES (?, ?, ?, ?, ?) ON CONFLICT (architecture, device, quantity) "
                "DO UPDATE SET value = excluded.value, unit = excluded.unit "
                "WHERE value <> excluded.value OR unit <> excluded.unit",
                rows,
            )
            if new or changed:
                bump(db, "scores")
            return new

    def measurements(self, space: str | None = None, architecture: str | None = None) -> list[MeasurementRecord]:
        """Return the measurements that fit, ordered by architecture, device, quantity."""
        query = (
            "SELECT a.id, s.device, s.quantity, s.value, s.unit "
            "FROM measurement s JOIN architecture a ON a.key = s.architecture"
        )
        with self._database.reading() as db:
            where, values = _filter(db, space, architecture)
            order = " ORDER BY a.id, s.device, s.quantity"
            rows = db.execute(query + _where(where) + order, values).fetchall()
        return [MeasurementRecord(*row) for row in rows]

    def remove_measurements(self, device: str, quantity: str | None = None) -> int:
        """Delete the measurements of a device, or only those of a quantity, in one transaction."""
        if quantity is None:
            return self._delete("measurement WHERE device = ?", device)
        return self._delete("measurement WHERE device = ? AND quantity = ?", device, quantity)

    def add_lineage(self, records: Sequence[LineageRecord]) -> int:
        """Add which runs inherited weights from which, in one transaction."""
        check_lineage(records)
        with self._database.writing() as db:
            keys = known_architecture_keys(db, {id for record in records for id in (record.architecture, record.donor)})
            new = write_many(
                db,
                "INSERT INTO lineage (run, donor_run, architecture, donor, method, share) VALUES (?, ?, ?, ?, ?, ?) "
                "ON CONFLICT (run, donor_run) DO NOTHING",
                ((r.run, r.donor_run, keys[r.architecture], keys[r.donor], r.method, r.share) for r in records),
            )
            if new:
                bump(db, "scores")
            return new

    def lineage(self, architecture: str | None = None) -> list[LineageRecord]:
        """Return the records upstream of an architecture's runs: its own, then its donors', and so on; each once."""
        order = "ORDER BY n.run, n.donor_run"
        with self._database.reading() as db:
            if architecture is None:
                return [LineageRecord(*row) for row in db.execute(_RECORDS + order)]
            runs = {
                row[0]
                for row in db.execute(
                    "SELECT n.run FROM lineage n JOIN architecture a ON a.key = n.architecture WHERE a.id = ?",
                    (architecture,),
                )
            }
            found: list[LineageRecord] = []
            seen: set[str] = set()
            while runs:
                seen |= runs
                query = f"{_RECORDS} WHERE n.run IN (SELECT value FROM json_each(?)) {order}"
                step = [LineageRecord(*row) for row in db.execute(query, (json.dumps(sorted(runs)),))]
                found += step
                runs = {record.donor_run for record in step} - seen
        return found


def insert_scores(db: sqlite3.Connection, scores: Sequence[ScoreRecord]) -> int:
    """Add scores inside a writing transaction; return the number of new ones. Raises NotFoundError."""
    keys = known_architecture_keys(db, {score.architecture for score in scores})
    new = write_many(
        db,
        # OR IGNORE would also ignore values that violate other constraints.
        "INSERT INTO score VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
        (
            (s.id, keys[s.architecture], s.task, s.metric, s.value, s.dataset, s.fidelity, s.recipe, s.seed, s.source,
             s.seconds, s.majority, s.chance)
            for s in scores
        ),
    )  # fmt: skip
    if new:
        bump(db, "scores")
    return new


def _filter(db: sqlite3.Connection, space: str | None, architecture: str | None) -> tuple[list[str], list[Any]]:
    where: list[str] = []
    values: list[Any] = []
    if space is not None:
        where.append("s.architecture IN (SELECT architecture FROM holds WHERE space = ?)")
        values.append(space_key(db, space))
    if architecture is not None:
        where.append("a.id = ?")
        values.append(architecture)
    return where, values


def _where(conditions: Sequence[str]) -> str:
    return " WHERE " + " AND ".join(conditions) if conditions else ""
