"""Layouts of the SQLite file, one migration after the other; a new file is made by running all of them.

A migration that was published never changes: what is to be different becomes the next one. Each one must keep what
the file holds. A program of the version before that has the file open may get an error, but damages nothing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

_FIRST = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE revision (topic TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE space (key INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, info TEXT NOT NULL) STRICT;
CREATE TABLE architecture (
    key INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, spec TEXT NOT NULL, name TEXT NOT NULL,
    parameters INTEGER NOT NULL, flops INTEGER NOT NULL, heterogeneity REAL NOT NULL,
    profile TEXT NOT NULL -- JSON: families, operations, hidden sizes, one entry per layer each
) STRICT;
CREATE TABLE layer (
    architecture INTEGER NOT NULL REFERENCES architecture, position INTEGER NOT NULL, family TEXT NOT NULL,
    parameter TEXT NOT NULL, hidden INTEGER NOT NULL, heads INTEGER NOT NULL, feed_forward TEXT NOT NULL,
    PRIMARY KEY (architecture, position)
) STRICT, WITHOUT ROWID;
CREATE TABLE op (
    architecture INTEGER NOT NULL REFERENCES architecture, position INTEGER NOT NULL, kind TEXT NOT NULL,
    label TEXT NOT NULL, layer INTEGER NOT NULL, PRIMARY KEY (architecture, position)
) STRICT, WITHOUT ROWID;
CREATE TABLE feeds (
    architecture INTEGER NOT NULL REFERENCES architecture, position INTEGER NOT NULL, source INTEGER NOT NULL,
    target INTEGER NOT NULL, PRIMARY KEY (architecture, position)
) STRICT, WITHOUT ROWID;
CREATE TABLE holds (
    space INTEGER NOT NULL REFERENCES space, position INTEGER NOT NULL,
    architecture INTEGER NOT NULL REFERENCES architecture, embedding BLOB, -- little-endian float32
    PRIMARY KEY (space, position), UNIQUE (space, architecture)
) STRICT, WITHOUT ROWID;
CREATE TABLE similar (
    space INTEGER NOT NULL REFERENCES space, kernel TEXT NOT NULL, source INTEGER NOT NULL REFERENCES architecture,
    rank INTEGER NOT NULL, target INTEGER NOT NULL REFERENCES architecture, dissimilarity REAL NOT NULL,
    PRIMARY KEY (space, kernel, source, rank)
) STRICT, WITHOUT ROWID;

CREATE TABLE score (
    id TEXT PRIMARY KEY, architecture INTEGER NOT NULL REFERENCES architecture, task TEXT NOT NULL,
    metric TEXT NOT NULL, value REAL NOT NULL, dataset TEXT NOT NULL, fidelity TEXT NOT NULL, recipe TEXT NOT NULL,
    seed INTEGER NOT NULL, source TEXT NOT NULL, seconds REAL NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX score_architecture ON score (architecture, task);
CREATE INDEX score_task ON score (task, value);
CREATE TABLE measurement (
    architecture INTEGER NOT NULL REFERENCES architecture, device TEXT NOT NULL, quantity TEXT NOT NULL,
    value REAL NOT NULL, unit TEXT NOT NULL, PRIMARY KEY (architecture, device, quantity)
) STRICT, WITHOUT ROWID;

CREATE TABLE study (
    key INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, space INTEGER NOT NULL REFERENCES space,
    policy TEXT NOT NULL, objective TEXT NOT NULL, seed INTEGER NOT NULL, budget INTEGER NOT NULL,
    settings TEXT NOT NULL, state TEXT NOT NULL, created REAL NOT NULL
) STRICT;
CREATE TABLE trial (
    study INTEGER NOT NULL REFERENCES study, number INTEGER NOT NULL,
    architecture INTEGER NOT NULL REFERENCES architecture, state TEXT NOT NULL, attempt INTEGER NOT NULL,
    token INTEGER NOT NULL, owner TEXT NOT NULL, lease_expires REAL NOT NULL, value REAL, reason TEXT NOT NULL,
    info TEXT NOT NULL, created REAL NOT NULL, started REAL NOT NULL, finished REAL NOT NULL,
    PRIMARY KEY (study, number), UNIQUE (study, architecture)
) STRICT, WITHOUT ROWID;
CREATE TABLE job (
    id TEXT PRIMARY KEY, kind TEXT NOT NULL, state TEXT NOT NULL, pid INTEGER NOT NULL, host TEXT NOT NULL,
    heartbeat REAL NOT NULL, progress REAL NOT NULL, message TEXT NOT NULL, log TEXT NOT NULL, info TEXT NOT NULL,
    created REAL NOT NULL
) STRICT, WITHOUT ROWID;
"""

_SECOND = """
CREATE TABLE lineage (
    run TEXT NOT NULL, donor_run TEXT NOT NULL, architecture INTEGER NOT NULL REFERENCES architecture,
    donor INTEGER NOT NULL REFERENCES architecture, method TEXT NOT NULL, share REAL NOT NULL,
    PRIMARY KEY (run, donor_run)
) STRICT, WITHOUT ROWID;
CREATE INDEX lineage_architecture ON lineage (architecture);
CREATE INDEX architecture_parameters ON architecture (parameters);
CREATE INDEX layer_family ON layer (family, parameter);
CREATE INDEX score_kind ON score (task, metric, dataset, fidelity, recipe, architecture, value);
"""

_THIRD = """
CREATE TABLE kernel (
    space INTEGER NOT NULL REFERENCES space, name TEXT NOT NULL, digest TEXT NOT NULL, parameters TEXT NOT NULL,
    state BLOB NOT NULL, PRIMARY KEY (space, name)
) STRICT;
"""

_FOURTH = """
ALTER TABLE score ADD COLUMN origin TEXT AS (substr(source, 1, instr(source || ':', ':') - 1)) VIRTUAL;
DROP INDEX score_kind;
CREATE INDEX score_kind ON score (task, metric, dataset, fidelity, recipe, origin, architecture, value);
"""
"""``origin`` is ``ScoreRecord.origin``."""

_FIFTH = """
ALTER TABLE score ADD COLUMN majority REAL;
ALTER TABLE score ADD COLUMN chance REAL;
"""
"""The scores that earlier versions wrote have neither."""

MIGRATIONS = (_FIRST, _SECOND, _THIRD, _FOURTH, _FIFTH)
"""The first lays out version 1 in an empty file; each further one leads from the version before it to the next."""


_STUDY_COLUMNS = ("policy", "objective", "seed", "budget", "settings")
"""Columns of version 2 that version 3 joins into one document."""


def _third(database: sqlite3.Connection) -> None:
    """Move what describes a study into one JSON document, version 1 of that document: the old columns as they were."""
    database.execute("ALTER TABLE study ADD COLUMN spec TEXT NOT NULL DEFAULT '{}'")
    database.execute(
        "UPDATE study SET spec = json_object('version', 1, 'name', name, "
        "'space', (SELECT p.name FROM space p WHERE p.key = study.space), 'policy', policy, 'objective', objective, "
        "'seed', seed, 'budget', budget, 'settings', json(settings))"
    )
    for column in _STUDY_COLUMNS:
        database.execute(f"ALTER TABLE study DROP COLUMN {column}")


_CONVERSIONS: dict[int, Callable[[sqlite3.Connection], None]] = {3: _third}
"""Changes of the rows after the statements of a migration, by the version it leads to; part of the migration."""


def statements(version: int) -> list[str]:
    """The SQL statements that lead from the version before to ``version`` (from 1)."""
    return [statement for statement in MIGRATIONS[version - 1].split(";\n") if statement.strip()]


def parts(version: int) -> dict[str, set[str]]:
    """Names of the tables and the indexes that a file of ``version`` holds, as ``{"table": …, "index": …}``."""
    found: dict[str, set[str]] = {"table": set(), "index": set()}
    for step in range(1, version + 1):
        for statement in statements(step):
            _, kind, name, *_ = statement.split()
            found[kind.lower()].add(name)
    return found


def apply(database: sqlite3.Connection, version: int) -> None:
    """Lead a file from the version before to ``version``, inside the caller's transaction."""
    for statement in statements(version):
        database.execute(statement)
    if version in _CONVERSIONS:
        _CONVERSIONS[version](database)
    database.execute("INSERT OR REPLACE INTO meta VALUES ('schema_version', ?)", (version,))
    database.execute(f"PRAGMA user_version = {version}")
