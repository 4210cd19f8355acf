"""Connections and transactions of the SQLite file, and its errors in the store's own words."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from graphstore.embedded import schema
from graphstore.errors import ForeignFileError, StoreError, StoreInputError

BUSY_SECONDS = 60.0
"""How long a writer waits for another before it gives up."""

FULL_BYTES = 2**16
"""A disk with less room than this is full when writing fails."""

OLDEST_SQLITE = (3, 38, 0)
"""The first SQLite with STRICT tables and JSON functions in every build."""


class Database:
    """A pool of connections: each thread has one to itself while it reads or writes.

    A store whose file or folder is not writable can be read, and refuses the first write.

    Args:
        path: the file; its folder must exist.
        create: whether a missing file is made.
        any_version: for maintenance: whether a file of an older version is opened too.

    Raises:
        StoreInputError: the file is missing and ``create`` is false, or is to be made in a folder that is missing or
            not writable.
        ForeignFileError: the file is no store, or is damaged; it is left as it is.
        StoreVersionError: the file is newer, or older and to be migrated first; it is left as it is.
        StoreError: SQLite is too old, or the file cannot be opened.
    """

    def __init__(self, path: Path, create: bool, any_version: bool = False) -> None:
        if sqlite3.sqlite_version_info < OLDEST_SQLITE:
            raise StoreError(f"SQLite must be 3.38 or newer, but got {sqlite3.sqlite_version}. Use a newer Python.")
        self.path = path.absolute()
        self._idle: list[sqlite3.Connection] = []
        self._lock = threading.Lock()
        self._writer = threading.Lock()
        self._closed = False
        self._pid = os.getpid()
        self._readable_only = False
        try:
            self._check_place(create)
        except OSError as error:
            shown = str(self.path) if len(str(self.path)) <= 200 else f"{str(self.path)[:197]}..."
            raise StoreInputError(
                f"store file must have a path that can be looked up, but got {shown!r} ({error.strerror}). "
                "Name another with --store."
            ) from None
        with self._errors():
            self._open_file(any_version)

    def _check_place(self, create: bool) -> None:
        shown = str(self.path)
        if self.path.is_dir():
            raise StoreInputError(f"store file must be a file, but got the folder {shown!r}. Name a file in it.")
        if not self.path.parent.is_dir():
            raise StoreInputError(
                f"store file must lie in an existing folder, but got {shown!r}. Make the folder first."
            )
        if not create and (not self.path.exists() or not self.path.stat().st_size):
            raise StoreInputError(
                f"store file must exist, but got {shown!r}. "
                "Make one with `archex demo` or `archex space build nano`, or name another with --store."
            )

    def _open_file(self, any_version: bool) -> None:
        if schema.recognise(self.path):
            version = self._look()
            if not any_version:
                schema.check_newest(self.path, version)
        else:
            maker = self._connect()
            try:
                schema.create(maker)
            finally:
                maker.close()
            schema.recognise(self.path)
        self._readable_only = not is_writable(self.path)
        if self._readable_only:
            return
        first = self._connect()
        try:
            self._use_wal(first)
        except BaseException:
            first.close()
            raise
        self._idle.append(first)

    def _look(self) -> int:
        """Check the file before anything that could change it, or leave files beside it; returns its version."""
        log = self.path.with_name(self.path.name + "-wal")
        shared = log.exists()
        # Without a log nobody else has the file open, so it may be read as if it never changed.
        looker = self._connect(reading_options(self.path) if shared else "immutable=1")
        try:
            return schema.verify(self.path, looker)
        except ForeignFileError:
            if shared or not log.exists():
                raise
            # Somebody opened it meanwhile and may have moved pages under our eyes: look again, with locks.
            looker.close()
            looker = self._connect("mode=ro")
            return schema.verify(self.path, looker)
        finally:
            looker.close()

    def _connect(self, options: str = "mode=rwc") -> sqlite3.Connection:
        place = f"{self.path.as_uri()}?{options}"
        connection = sqlite3.connect(
            place, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        return connection

    def _use_wal(self, connection: sqlite3.Connection) -> None:
        # Changing the journal mode needs the file alone for a moment, and SQLite does not wait for that by itself.
        deadline = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.02)

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        """Turn SQLite's errors into the store's."""
        try:
            yield
        except (OverflowError, UnicodeEncodeError, sqlite3.IntegrityError, sqlite3.InterfaceError) as error:
            raise StoreInputError(
                f"values must be plain texts, floats and integers of 64 bits, but got one that is not ({error}). "
                "Convert numpy scalars with int() and float()."
            ) from error
        except sqlite3.Error as error:
            if type(error) is sqlite3.DatabaseError:
                raise ForeignFileError(
                    f"store file must be undamaged, but got {str(self.path)!r} ({error}). Restore it from a copy."
                ) from error
            # The low byte tells the kind of error: https://www.sqlite.org/rescode.html, section 2.
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN):
                raise StoreInputError(_not_writable(self.path, error)) from error
            if self._is_full(error):
                raise StoreError(
                    f"the disk is full under the store {str(self.path)!r} ({error}); of this transaction nothing was "
                    "written. Make space there and try again."
                ) from error
            raise StoreError(
                f"the store {str(self.path)!r} failed: {error}. Try again, or check disk and rights."
            ) from error
        except OSError as error:
            raise StoreError(f"the store {str(self.path)!r} cannot be reached: {error}. Check its rights.") from error

    def _is_full(self, error: sqlite3.Error) -> bool:
        kind = getattr(error, "sqlite_errorcode", 0) & 0xFF
        # Of the files beside the store SQLite only says that they could not be written.
        return kind == sqlite3.SQLITE_FULL or (
            kind == sqlite3.SQLITE_IOERR and shutil.disk_usage(self.path.parent).free < FULL_BYTES
        )

    @contextlib.contextmanager
    def _transaction(self, begin: str) -> Iterator[sqlite3.Connection]:
        if self._closed or os.getpid() != self._pid:
            reason = "closed" if self._closed else "carried over a fork"
            raise StoreError(f"a store must be open in this process, but got one that was {reason}. Open it again.")
        with self._lock:
            connection = self._idle.pop() if self._idle else None
        with self._errors():
            # What cannot be written is looked at anew each time: somebody who may write to it may have come or gone.
            connection = connection or self._connect(reading_options(self.path) if self._readable_only else "mode=rwc")
            try:
                connection.execute(begin)
                yield connection
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                self._give_back(connection)

    def _give_back(self, connection: sqlite3.Connection) -> None:
        with self._lock:
            if not self._closed and not self._readable_only:
                self._idle.append(connection)
                return
        connection.close()

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A transaction that sees one state of the store."""
        with self._transaction("BEGIN") as connection:
            yield connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction that writes; it is taken back if the block raises."""
        if self._readable_only:
            raise StoreInputError(_not_writable(self.path, "it was opened for reading"))
        # Threads of one process queue here in order; processes wait for each other in SQLite's busy handler.
        with self._writer, self._transaction("BEGIN IMMEDIATE") as connection:
            yield connection

    def close(self) -> None:
        """Close the idle connections; those in use are closed when they come back."""
        with self._lock:
            idle, self._idle, self._closed = self._idle, [], True
        if os.getpid() == self._pid:
            for connection in idle:
                connection.close()


def is_writable(path: Path) -> bool:
    """Whether a store's file can be written, and files beside it."""
    effective = os.access in os.supports_effective_ids
    return all(os.access(place, os.W_OK, effective_ids=effective) for place in (path, path.parent))


def reading_options(path: Path) -> str:
    """How to open a store's file to read it where files beside it cannot be made, as a part of SQLite's URI.

    Without a log nobody has the file open, so that it may be read as if it never changed; with one, SQLite reads it by
    the files that its writer keeps beside it.
    """
    log = path.with_name(path.name + "-wal")
    return "mode=ro" if log.exists() and log.stat().st_size else "mode=ro&immutable=1"


def _not_writable(path: Path, why: object) -> str:
    return (
        f"store file must be writable, and so must its folder, but got {str(path)!r} ({why}). "
        "Copy it to a place of your own, or change the rights."
    )


def bump(connection: sqlite3.Connection, topic: str) -> None:
    """Count a change of a topic, inside the transaction that changes it."""
    connection.execute(
        "INSERT INTO revision VALUES (?, 1) ON CONFLICT (topic) DO UPDATE SET value = value + 1", (topic,)
    )


def revision_of(connection: sqlite3.Connection, topic: str) -> int:
    """The number of changes of a topic, or of all if it is empty."""
    where, values = (" WHERE topic = ?", (topic,)) if topic else ("", ())
    row: tuple[int] = connection.execute(f"SELECT coalesce(sum(value), 0) FROM revision{where}", values).fetchone()
    return row[0]


def write_many(connection: sqlite3.Connection, statement: str, rows: Iterable[tuple[Any, ...]]) -> int:
    """Run a statement for each row; returns how many rows of the table changed."""
    before = connection.total_changes
    connection.executemany(statement, rows)
    return connection.total_changes - before
