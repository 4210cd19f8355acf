"""Layout of the SQLite file, and how a file is recognised before anything is written to it.

The header of every SQLite file (https://www.sqlite.org/fileformat.html, section 1.3) holds an application id and a user
version: both are read as plain bytes first, so that a foreign, damaged or newer file stays as it is, byte for byte.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from graphstore.contract import SCHEMA_VERSION
from graphstore.errors import ForeignFileError, StoreVersionError

APPLICATION_ID = 0x41524358
"""``ARCX``: marks a SQLite file as one of our stores."""

_MAGIC = b"SQLite format 3\x00"
_HEADER_BYTES = 100

_TABLES = """
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

_STATEMENTS = [statement for statement in _TABLES.split(";\n") if statement.strip()]
_REMEDY = "Name another file, or restore this one from a copy."


def recognise(path: Path) -> bool:
    """Look at a file's header without opening it as a database.

    Returns:
        Whether it holds a store; ``False`` if it is missing or empty.

    Raises:
        ForeignFileError: it is something else, or is cut short.
        StoreVersionError: its layout is newer than this software knows.
    """
    if not path.exists():
        return False
    with path.open("rb") as file:
        header = file.read(_HEADER_BYTES)
    if not header:
        return False
    if len(header) < _HEADER_BYTES or not header.startswith(_MAGIC):
        raise ForeignFileError(f"store file must be a SQLite database, but got {str(path)!r}, which is none. {_REMEDY}")
    application = int.from_bytes(header[68:72], "big")
    if application != APPLICATION_ID:
        raise ForeignFileError(
            f"store file must be marked as an architecture store (application id {APPLICATION_ID}), but got "
            f"{str(path)!r} with {application}. {_REMEDY}"
        )
    check_version(path, int.from_bytes(header[60:64], "big"))
    page_bytes = int.from_bytes(header[16:18], "big")
    page_bytes = 65536 if page_bytes == 1 else page_bytes
    stated = page_bytes * int.from_bytes(header[28:32], "big")
    journals = [path.with_name(path.name + suffix) for suffix in ("-wal", "-journal")]
    unfinished = any(journal.exists() and journal.stat().st_size for journal in journals)
    if not unfinished and path.stat().st_size < stated:
        raise ForeignFileError(
            f"store file must be whole ({stated} bytes by its header), but got {path.stat().st_size} bytes in "
            f"{str(path)!r}: it is damaged. {_REMEDY}"
        )
    return True


def check_version(path: Path, version: int) -> None:
    """Raise StoreVersionError if a store's layout is newer than this software knows."""
    if version > SCHEMA_VERSION:
        raise StoreVersionError(
            f"version of the store must be at most {SCHEMA_VERSION}, but got {version} in {str(path)!r}. "
            "Update this software, or name another store; the file was left as it is."
        )


def verify(path: Path, database: sqlite3.Connection) -> None:
    """Check an opened store: its version, its tables and the structure of its pages.

    Raises:
        ForeignFileError: tables are missing, or the file is damaged.
        StoreVersionError: its layout is newer than this software knows.
    """
    try:
        found = {name for (name,) in database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
        expected = {statement.split()[2] for statement in _STATEMENTS if "CREATE TABLE" in statement}
        if not expected <= found:
            raise ForeignFileError(
                f"store file must hold the tables of a store, but got {str(path)!r} without "
                f"{', '.join(sorted(expected - found))}. {_REMEDY}"
            )
        (version,) = database.execute("SELECT value FROM meta WHERE key = 'schema_version'").fetchone() or (0,)
        check_version(path, version)
        (verdict,) = database.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):
            raise
        verdict = str(error)
    if verdict != "ok":
        raise ForeignFileError(f"store file must be undamaged, but got {str(path)!r} ({verdict}). {_REMEDY}")


def create(database: sqlite3.Connection) -> None:
    """Lay out a new store in one transaction, unless another process just did."""
    database.execute("BEGIN EXCLUSIVE")
    try:
        if not database.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone():
            for statement in _STATEMENTS:
                database.execute(statement)
            database.execute("INSERT INTO meta VALUES ('schema_version', ?)", (SCHEMA_VERSION,))
            database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        database.execute("COMMIT")
    except BaseException:
        database.execute("ROLLBACK")
        raise
