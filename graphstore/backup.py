"""Backups of any store as a new SQLite store file. To restore one, copy it back (``graphstore.copying``)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from graphstore.copying import copy_store
from graphstore.digests import SectionProgress
from graphstore.errors import StoreInputError
from graphstore.url import SQLITE_PREFIX, check_name, open_store, quiet, sqlite_path, without_password


@dataclass(frozen=True)
class BackupReport:
    """A finished backup.

    Attributes:
        url: what was backed up, without a password.
        path: the new file.
        size_bytes: its size.
        moving: sections of a server that changed until the end, see CopyReport. The backup of an embedded store is
            always the state of one moment.
    """

    url: str
    path: Path
    size_bytes: int
    moving: tuple[str, ...]


def backup(
    url: str,
    path: Path,
    progress: SectionProgress | None = None,
    overwrite: bool = False,
    say: Callable[[str], None] = quiet,
) -> BackupReport:
    """Save a store as a new file, complete or not at all, while others continue to write to it.

    The backup contains everything that was acknowledged before the call. SQLite's online backup copies an embedded
    store of any version; a server is copied record by record into a new store file.

    Args:
        url: of the store.
        path: of the new file, in an existing folder.
        progress: called with (section, done, total).
        overwrite: whether an existing file is replaced.
        say: receives a line for each step in which the managed server starts.

    Raises:
        StoreInputError: the URL names no store, or the path may not be used.
        StoreError: a store failed, or the backup is incomplete; no file was kept.
    """
    from graphstore.embedded.backup import backup_file, new_file

    moving: tuple[str, ...] = ()
    source = sqlite_path(url) if url.startswith(SQLITE_PREFIX) else None
    if not path.name:
        raise StoreInputError(f"backup must be the name of a new file, but got {str(path)!r}. Name one.")
    check_name(path, "backup")
    if path.is_symlink() and not path.exists() and not overwrite:
        raise StoreInputError(
            f"backup must have a name that is free, but got {str(path)!r}, a link to nothing. Name another file, or "
            "allow to overwrite it."
        )
    if source is not None and path.exists() and source.exists() and path.samefile(source):
        raise StoreInputError(f"backup must be another file than the store, but got {str(path)!r}. Name another file.")
    with new_file(path, overwrite) as temporary:
        if source is not None:
            backup_file(source, temporary, lambda done, total: progress and progress("pages", done, total))
        else:
            with (
                open_store(url, create=False, say=say) as server,
                open_store(f"{SQLITE_PREFIX}{temporary.absolute()}") as copy,
            ):
                moving = copy_store(server, copy, progress).moving
    return BackupReport(without_password(url), path, path.stat().st_size, moving)
