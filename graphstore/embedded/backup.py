"""Online backups of the SQLite file, and their atomic creation."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from graphstore.embedded import schema
from graphstore.embedded.database import BUSY_SECONDS, is_writable, reading_options
from graphstore.errors import Code, StoreError, StoreInputError

PAGES = 1024
"""Pages between two reports of progress."""


def backup_file(source: Path, path: Path, progress: Callable[[int, int], None] | None = None) -> None:
    """Copy the state of a store's file at one moment, by SQLite's online backup.

    One reading transaction covers the whole copy. In WAL mode writers continue undisturbed, and SQLite does not restart
    the copy when they change pages that were copied already (https://www.sqlite.org/backup.html).

    Args:
        source: file of a store, of this version or an older one.
        path: a new or empty file.
        progress: called with (pages done, total pages).

    Raises:
        StoreInputError: the source is missing or is not a store.
        StoreError: it is damaged, or the disk is full.
    """
    if not source.is_file() or not schema.recognise(source):
        raise StoreInputError(f"store file must exist, but got {str(source)!r}. Name another.")

    options = "mode=rw" if is_writable(source) else reading_options(source)

    def tell(status: int, remaining: int, total: int) -> None:
        if progress is not None:
            progress(total - remaining, total)

    try:
        with (
            contextlib.closing(_connect(source, options)) as reader,
            contextlib.closing(_connect(path, "mode=rwc")) as writer,
        ):
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            reader.backup(writer, pages=PAGES, progress=tell)
            if schema.entry(writer, schema.LOG):
                schema.set_entry(writer, schema.LOG, 0)  # it has what the source's log holds
    except sqlite3.Error as error:
        raise StoreError(
            f"the store {str(source)!r} could not be backed up: {error}. Check disk and rights."
        ) from error


@contextlib.contextmanager
def new_file(path: Path, overwrite: bool) -> Iterator[Path]:
    """A temporary path next to ``path``, which is checked, synced and renamed to it if the block succeeds.

    Args:
        path: path of the backup.
        overwrite: whether an existing file is replaced.

    Raises:
        StoreInputError: the file exists, or its folder is missing or not writable.
        StoreError: the written file is incomplete.
    """
    check_free(path, overwrite)
    try:
        folder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    except OSError as error:
        raise StoreInputError(
            f"backup must lie in a folder that exists and is writable, but got {str(path)!r} ({error.strerror}). "
            "Name another place."
        ) from None
    try:
        temporary = folder / path.name
        yield temporary
        _verify(temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        _publish(temporary, path, overwrite)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def check_free(path: Path, overwrite: bool) -> None:
    """Raise StoreInputError if ``path`` may not become a backup."""
    for suffix in ("-wal", "-journal"):
        if path.with_name(path.name + suffix).exists():
            raise StoreInputError(
                f"backup must have a name that no store in use has, but got {str(path)!r}. Name another file."
            )
    if path.is_dir() or (path.exists() and not overwrite):
        raise StoreInputError(
            f"backup must have a name that is free, but got {str(path)!r}. Name another file, or allow to overwrite it."
        )


def _verify(path: Path) -> None:
    if not path.exists() or not schema.recognise(path):
        raise StoreError(f"the backup {str(path)!r} is empty. Try again.")
    orphans: list[object] = []
    try:
        with contextlib.closing(_connect(path, "mode=ro&immutable=1")) as database:
            verdicts = [row[0] for row in database.execute("PRAGMA integrity_check(5)")]
            orphans = database.execute("PRAGMA foreign_key_check").fetchall()
    except sqlite3.DatabaseError as error:
        verdicts = [str(error)]
    if verdicts != ["ok"] or orphans:
        raise StoreError(
            f"the backup must be undamaged, but got {'; '.join(verdicts)} and {len(orphans)} rows that refer to "
            "nothing; it was not kept.",
            Code.INCONSISTENT,
        )


def _publish(temporary: Path, path: Path, overwrite: bool) -> None:
    check_free(path, overwrite)
    try:
        if overwrite:
            os.replace(temporary, path)
        else:
            os.link(temporary, path)  # unlike rename, link never replaces a file that was created in between
    except FileExistsError:
        check_free(path, overwrite)
        raise
    except OSError:
        os.replace(temporary, path)  # a file system without links
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _connect(path: Path, options: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?{options}", uri=True, timeout=BUSY_SECONDS, isolation_level=None
    )
