"""Backups made by the app: files named by date and time in one fixed folder of the store's work folder.

Visitors can start a backup but not choose its path. At most ``MOST`` backups are kept; none is ever deleted
automatically. Sizes are in bytes.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from explorer.errors import InputError
from explorer.library.workplace import work_folder
from graphstore.backup import BackupReport, backup
from graphstore.url import SQLITE_PREFIX

MOST = 10
ENDING = ".db"
ROOM = 2.0
"""A backup needs free disk space of at least this many times the store's size."""


@dataclass(frozen=True)
class Backup:
    """An existing backup.

    Attributes:
        path: path of the file.
        size: size in bytes.
        made: modification time in seconds since the epoch.
    """

    path: Path
    size: int
    made: float


def backup_folder(store_url: str) -> Path:
    """Return the folder of a store's backups; ``store_url`` without a password."""
    return work_folder(store_url) / "backups"


def list_backups(store_url: str) -> list[Backup]:
    """List the backups of a store, newest first; ``store_url`` without a password."""
    found = []
    folder = backup_folder(store_url)
    for path in folder.glob(f"*{ENDING}") if folder.is_dir() else ():
        try:
            state = path.stat()
        except OSError:
            continue  # Deleted since glob() listed it.
        found.append(Backup(path, state.st_size, state.st_mtime))
    return sorted(found, key=lambda backup: (-backup.made, backup.path.name))


def make_backup(url: str, store_url: str, now: float | None = None) -> BackupReport:
    """Back a store up into its folder of backups.

    Args:
        url: URL of the store, as ``open_store`` takes it.
        store_url: the same URL without a password, as ``GraphStore.url`` gives it.
        now: seconds since the epoch, for the name of the file; the current time by default.

    Raises:
        InputError: there are too many backups, or too little free disk space.
        StoreError: the store cannot be read or the file cannot be written; no partial file is left.
    """
    folder = backup_folder(store_url)
    count = len(list_backups(store_url))
    if count >= MOST:
        rule = f"be less than {MOST} to make another one"
        raise InputError("number of backups", rule, count, f"Move old ones out of {folder}.")
    size = file_size(store_url)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
    except OSError as error:
        rule = f"be a writable folder ({error.strerror})"
        remedy = "Check its permissions and the free disk space."
        raise InputError("folder of the backups", rule, str(folder), remedy) from None
    if size is not None and free < ROOM * size:
        remedy = "Free some space, or write elsewhere with `archex store backup FILE`."
        raise InputError("free disk space", f"be {ROOM:g} times the store's size", f"{free:,} bytes", remedy)
    moment = time.strftime("%Y%m%d-%H%M%S", time.localtime(now))
    return backup(url, folder / f"{moment}{ENDING}")


def file_size(store_url: str) -> int | None:
    """Return the bytes of an embedded store's file and journal; ``None`` for a server or a missing file."""
    if not store_url.startswith(SQLITE_PREFIX):
        return None
    file = Path(store_url.removeprefix(SQLITE_PREFIX))
    try:
        size = file.stat().st_size
    except OSError:
        return None
    journal = file.with_name(f"{file.name}-wal")
    return size + (journal.stat().st_size if journal.exists() else 0)
