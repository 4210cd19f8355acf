"""Connections and transactions of the SQLite file, and its errors as errors of the store."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import threading
import time
import weakref
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from graphstore.embedded import schema
from graphstore.errors import Code, ForeignFileError, StoreError, StoreInputError

BUSY_SECONDS = 60.0
"""Maximum seconds that a writer waits for another one."""

FULL_BYTES = 2**16
"""If a write fails and the disk has fewer free bytes, the disk is considered full."""

OLDEST_SQLITE = (3, 38, 0)
"""The first SQLite with STRICT tables and JSON functions in every build."""


class Database:
    """A pool of connections; a thread has one exclusively while it reads or writes.

    A store whose file or folder is not writable can be read, and refuses the first write.

    Args:
        path: the file; its folder must exist.
        create: whether a missing file is created.
        any_version: for maintenance: whether a file of an older version is opened.

    Raises:
        StoreInputError: the file is missing and ``create`` is false, or its folder is missing or not writable.
        ForeignFileError: the file is not a store, or is damaged; it is not changed.
        StoreVersionError: the file has a newer version, or an older one that must be migrated; it is not changed.
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
        self._announced = False
        self.lacks_log = False
        try:
            self._check_place(create)
        except OSError as error:
            shown = str(self.path) if len(str(self.path)) <= 200 else f"{str(self.path)[:197]}..."
            raise StoreInputError(
                f"store file must have a path that can be looked up, but got {shown!r} ({error.strerror}). "
                "Name another."
            ) from None
        with self._errors():
            self._open_file(any_version)
            self._number = schema.file_number(self.path)
        # Also when the process ends without closing the store.
        self._release = weakref.finalize(self, _release, self._idle, self._number, self._pid)

    def _check_place(self, create: bool) -> None:
        shown = str(self.path)
        if self.path.is_dir():
            raise StoreInputError(f"store file must be a file, but got the folder {shown!r}. Name a file in it.")
        if not self.path.parent.is_dir():
            raise StoreInputError(
                f"store file must lie in an existing folder, but got {shown!r}. Make the folder first."
            )
        if not create and (not self.path.exists() or not self.path.stat().st_size):
            raise StoreInputError(f"store file must exist, but got {shown!r}.", Code.NO_STORE)

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
        """Check the file before anything could change it or create files next to it; return its version."""
        log = schema.log_of(self.path)
        while True:
            shared, before = log.exists(), self.path.stat().st_mtime_ns
            # Without a write-ahead log nobody else has the file open, so it can be read as immutable.
            looker = self._connect(reading_options(self.path) if shared else "immutable=1")
            try:
                version = schema.verify(self.path, looker)
                self.lacks_log = schema.lacks_log(self.path, looker)
                return version
            except ForeignFileError:
                # Somebody may have opened it in between and moved pages during the check: then check again.
                if shared or not (log.exists() or self.path.stat().st_mtime_ns != before):
                    raise
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
        # Changing the journal mode needs an exclusive lock, and SQLite does not wait for that.
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
        """Convert SQLite's errors to errors of the store."""
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
            # The low byte is the primary result code: https://www.sqlite.org/rescode.html, section 2.
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN):
                raise StoreInputError(_not_writable(self.path, error)) from error
            if self._is_full(error):
                raise StoreError(
                    f"the disk is full under the store {str(self.path)!r} ({error}); this transaction wrote "
                    "nothing. Free some space and try again."
                ) from error
            raise StoreError(
                f"the store {str(self.path)!r} failed: {error}. Try again, or check disk and rights."
            ) from error
        except OSError as error:
            raise StoreError(f"the store {str(self.path)!r} cannot be reached: {error}. Check its rights.") from error

    def _is_full(self, error: sqlite3.Error) -> bool:
        kind = getattr(error, "sqlite_errorcode", 0) & 0xFF
        # For its journal files SQLite reports only an I/O error.
        return kind == sqlite3.SQLITE_FULL or (
            kind == sqlite3.SQLITE_IOERR and shutil.disk_usage(self.path.parent).free < FULL_BYTES
        )

    @contextlib.contextmanager
    def _borrowed(self) -> Iterator[sqlite3.Connection]:
        """A connection that nobody else uses meanwhile."""
        if self._closed or os.getpid() != self._pid:
            reason = "closed" if self._closed else "carried over a fork"
            raise StoreError(f"a store must be open in this process, but got one that was {reason}. Open it again.")
        with self._lock:
            connection = self._idle.pop() if self._idle else None
        with self._errors():
            # Reopen a file that is not writable each time, because another user may have started or stopped writing.
            connection = connection or self._connect(reading_options(self.path) if self._readable_only else "mode=rwc")
            try:
                yield connection
            finally:
                self._give_back(connection)

    def _give_back(self, connection: sqlite3.Connection) -> None:
        with self._lock:
            if not self._closed and not self._readable_only:
                self._idle.append(connection)
                return
        connection.close()

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A reading transaction, which sees one state of the store."""
        with self._borrowed() as connection, _transaction(connection, "BEGIN"):
            yield connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A writing transaction; it is rolled back if the block raises."""
        if self._readable_only:
            raise StoreInputError(_not_writable(self.path, "it was opened for reading"))
        # Threads of one process queue here; processes wait for each other in SQLite's busy handler.
        with self._writer, self._borrowed() as connection:
            with _transaction(connection, "BEGIN IMMEDIATE"):
                before = connection.total_changes
                yield connection
                changed = connection.total_changes > before
                if changed and schema.entry(connection, schema.LOG) != self._number:
                    self._announced = False
                    schema.set_entry(connection, schema.LOG, self._number)
            if changed and not self._announced:
                self._announced = _checkpoint(connection, "PASSIVE")

    def close(self) -> None:
        """Close the idle connections; connections in use are closed when they are returned."""
        with self._lock:
            self._closed = True
        self._release()


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection, begin: str) -> Iterator[None]:
    try:
        connection.execute(begin)
        yield
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _checkpoint(connection: sqlite3.Connection, mode: str) -> bool:
    """Write the log into the file; return whether all of it is there now, which readers of old states prevent."""
    with contextlib.suppress(sqlite3.Error):  # on a full disk it stays in the log
        busy, logged, written = connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
        return not busy and logged == written
    return False


def _release(idle: list[sqlite3.Connection], number: int, pid: int) -> None:
    """Close the connections of a file, and leave it complete unless somebody else is writing to it."""
    if os.getpid() != pid:
        return
    while len(idle) > 1:
        idle.pop().close()
    for connection in idle:
        with contextlib.suppress(sqlite3.Error):
            if schema.entry(connection, schema.LOG) == number:
                connection.execute("PRAGMA busy_timeout = 0")
                with _transaction(connection, "BEGIN IMMEDIATE"):
                    schema.set_entry(connection, schema.LOG, 0)
                _checkpoint(connection, "TRUNCATE")
        connection.close()
    idle.clear()


def is_writable(path: Path) -> bool:
    """Return whether a store's file can be written, and files can be created next to it."""
    effective = os.access in os.supports_effective_ids
    return all(os.access(place, os.W_OK, effective_ids=effective) for place in (path, path.parent))


def reading_options(path: Path) -> str:
    """Return the URI parameters to read a store's file whose folder is not writable.

    Without a write-ahead log nobody has the file open, so it is read as immutable. With one, SQLite uses the files that
    its writer keeps next to it.
    """
    log = schema.log_of(path)
    return "mode=ro" if log.exists() and log.stat().st_size else "mode=ro&immutable=1"


def _not_writable(path: Path, why: object) -> str:
    return (
        f"store file must be writable, and so must its folder, but got {str(path)!r} ({why}). "
        "Copy it to a folder of your own, or change the permissions."
    )


def bump(connection: sqlite3.Connection, topic: str) -> None:
    """Count a change of a topic, inside the transaction that changes it."""
    connection.execute(
        "INSERT INTO revision VALUES (?, 1) ON CONFLICT (topic) DO UPDATE SET value = value + 1", (topic,)
    )


def revision_of(connection: sqlite3.Connection, topic: str) -> int:
    """Return the number of changes of a topic, or of all topics if it is empty."""
    where, values = (" WHERE topic = ?", (topic,)) if topic else ("", ())
    row: tuple[int] = connection.execute(f"SELECT coalesce(sum(value), 0) FROM revision{where}", values).fetchone()
    return row[0]


def write_many(connection: sqlite3.Connection, statement: str, rows: Iterable[tuple[Any, ...]]) -> int:
    """Run a statement for each row; returns how many rows of the table changed."""
    before = connection.total_changes
    connection.executemany(statement, rows)
    return connection.total_changes - before
