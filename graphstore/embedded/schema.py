"""Recognise a store's SQLite file before anything is written to it, and create its layout.

The header of every SQLite file (https://www.sqlite.org/fileformat.html, section 1.3) contains an application id and a
user version. Both are read as plain bytes first, so that a foreign, damaged or newer file stays unchanged.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from graphstore.contract import SCHEMA_VERSION
from graphstore.embedded import migrations
from graphstore.errors import Code, ForeignFileError, StoreVersionError

APPLICATION_ID = 0x41524358
"""``ARCX``: marks a SQLite file as a store."""

LOG = "log"
"""Entry of ``meta``: the number of the file whose log may hold transactions that the file itself lacks; 0 if none.

A program writes it into the file before it leaves anything in the log, and 0 when the file is complete again. A copy of
the file has another number, so a copy that was made in between, without the log, is recognised (``lacks_log``).
"""

COPYING = "copying"
"""Entry of ``meta``: 1 while a copy into this store is not finished."""

_MAGIC = b"SQLite format 3\x00"
_HEADER_BYTES = 100

_REMEDY = "Name another file, or restore this one from a copy."


def recognise(path: Path) -> bool:
    """Read a file's header without opening it as a database.

    Returns:
        Whether the file is a store; ``False`` if it is missing or empty.

    Raises:
        ForeignFileError: the file is not a store, or is truncated.
        StoreVersionError: its layout is newer than this software knows.
    """
    if not path.exists():
        return False
    with path.open("rb") as file:
        header = file.read(_HEADER_BYTES)
    if not header:
        return False
    if len(header) < _HEADER_BYTES or not header.startswith(_MAGIC):
        raise ForeignFileError(f"store file must be a SQLite database, but got {str(path)!r}, which is not. {_REMEDY}")
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
    journals = [log_of(path), path.with_name(path.name + "-journal")]
    unfinished = any(journal.exists() and journal.stat().st_size for journal in journals)
    if not unfinished and path.stat().st_size < stated:
        raise ForeignFileError(
            f"store file must be complete ({stated} bytes by its header), but got {path.stat().st_size} bytes in "
            f"{str(path)!r}: it is damaged. {_REMEDY}"
        )
    return True


def check_version(path: Path, version: int) -> None:
    """Raise StoreVersionError if a store's layout is newer than this software knows."""
    if version > SCHEMA_VERSION:
        raise StoreVersionError(
            f"version of the store must be at most {SCHEMA_VERSION}, but got {version} in {str(path)!r}. "
            "Update this software, or name another store; the file was not changed."
        )


def check_newest(path: Path, version: int) -> None:
    """Raise StoreVersionError if a store's layout is older than what this software writes."""
    if version < SCHEMA_VERSION:
        raise StoreVersionError(
            f"version of the store must be {SCHEMA_VERSION}, but got {version} in {str(path)!r}. Migrate it; the file "
            "was not changed.",
            Code.OLD_LAYOUT,
            f"sqlite:///{path}",
        )


def verify(path: Path, database: sqlite3.Connection) -> int:
    """Check the version, the tables and the page structure of an open store.

    Returns:
        The version, at most SCHEMA_VERSION.

    Raises:
        ForeignFileError: tables are missing, or the file is damaged.
        StoreVersionError: its layout is newer than this software knows.
    """
    try:
        found = {name for (name,) in database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
        version = version_of(database) if "meta" in found else 0
        check_version(path, version)
        expected = migrations.parts(max(version, 1))["table"]
        if not expected <= found:
            raise ForeignFileError(
                f"store file must hold the tables of a store, but got {str(path)!r} without "
                f"{', '.join(sorted(expected - found))}. {_REMEDY}"
            )
        (verdict,) = database.execute("PRAGMA quick_check(1)").fetchone()
        if version < 1 and verdict == "ok":
            verdict = "its version is missing"
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):
            raise
        verdict = str(error)
    if verdict != "ok":
        raise ForeignFileError(f"store file must be undamaged, but got {str(path)!r} ({verdict}). {_REMEDY}")
    return version


def version_of(database: sqlite3.Connection) -> int:
    """Return the version in a store's ``meta`` table; 0 if there is none."""
    return entry(database, "schema_version")


def entry(database: sqlite3.Connection, key: str) -> int:
    """Return an entry of a store's ``meta`` table; 0 if it is missing."""
    row: tuple[int] | None = database.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    return row[0] if row else 0


def set_entry(database: sqlite3.Connection, key: str, value: int) -> None:
    """Write an entry of a store's ``meta`` table."""
    database.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))


def log_of(path: Path) -> Path:
    """Return the path of a file's write-ahead log (https://www.sqlite.org/wal.html), which may be missing."""
    return path.with_name(path.name + "-wal")


def file_number(path: Path) -> int:
    """Return a number above 0 that differs from that of a copy of the file which exists at the same time."""
    return path.stat().st_ino % 2**63 or 1


def lacks_log(path: Path, database: sqlite3.Connection) -> bool:
    """Return whether a file is a copy that was made while a program wrote to the original, without its log."""
    log, number = log_of(path), entry(database, LOG)
    return number not in (0, file_number(path)) and not (log.exists() and log.stat().st_size)


def create(database: sqlite3.Connection) -> None:
    """Create the layout of a new store in one transaction, unless another process just did."""
    database.execute("BEGIN EXCLUSIVE")
    try:
        if not database.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone():
            for version in range(1, SCHEMA_VERSION + 1):
                migrations.apply(database, version)
            database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        database.execute("COMMIT")
    except BaseException:
        # If the disk is full, SQLite has rolled back already.
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise
