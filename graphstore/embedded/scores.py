"""Scores and measurements in the SQLite file."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

from graphstore.checks import check_measurements, check_scores
from graphstore.embedded.database import bump, write_many
from graphstore.embedded.part import Part, known_architecture_keys, space_key
from graphstore.records import MeasurementRecord, ScoreRecord


class ScoresPart(Part):
    """What is known of how well architectures do, and of what they cost."""

    def add_scores(self, scores: Iterable[ScoreRecord]) -> int:
        """Add scores; returns how many were new. Raises NotFoundError if an architecture is unknown."""
        scores = list(scores)
        check_scores(scores)
        with self._database.writing() as db:
            return insert_scores(db, scores)

    def scores(
        self, space: str | None = None, architecture: str | None = None, task: str | None = None
    ) -> list[ScoreRecord]:
        """Scores that fit, ordered by architecture, task, metric, source, seed, id."""
        query = (
            "SELECT a.id, s.task, s.metric, s.value, s.dataset, s.fidelity, s.recipe, s.seed, s.source, s.seconds "
            "FROM score s JOIN architecture a ON a.key = s.architecture"
        )
        with self._database.reading() as db:
            where, values = _filter(db, space, architecture)
            if task is not None:
                where.append("s.task = ?")
                values.append(task)
            order = " ORDER BY a.id, s.task, s.metric, s.source, s.seed, s.id"
            rows = db.execute(query + _where(where) + order, values).fetchall()
        return [ScoreRecord(*row) for row in rows]

    def add_measurements(self, measurements: Iterable[MeasurementRecord]) -> int:
        """Add or replace measurements; returns how many were new. Raises NotFoundError."""
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
        """Measurements that fit, ordered by architecture, device, quantity."""
        query = (
            "SELECT a.id, s.device, s.quantity, s.value, s.unit "
            "FROM measurement s JOIN architecture a ON a.key = s.architecture"
        )
        with self._database.reading() as db:
            where, values = _filter(db, space, architecture)
            order = " ORDER BY a.id, s.device, s.quantity"
            rows = db.execute(query + _where(where) + order, values).fetchall()
        return [MeasurementRecord(*row) for row in rows]


def insert_scores(db: sqlite3.Connection, scores: Sequence[ScoreRecord]) -> int:
    """Add scores inside a writing transaction; returns how many were new. Raises NotFoundError."""
    keys = known_architecture_keys(db, {score.architecture for score in scores})
    new = write_many(
        db,
        # A plain OR IGNORE would also pass over values the table refuses.
        "INSERT INTO score VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
        (
            (s.id, keys[s.architecture], s.task, s.metric, s.value, s.dataset, s.fidelity, s.recipe, s.seed, s.source,
             s.seconds)
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
