"""Backups that the app makes: files in one fixed folder of the store's work folder, named by date and time.

Nobody chooses a path. There are at most ``MOST``, because a visitor may start them; older ones are never deleted here.
Sizes are bytes.
"""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from explorer.errors import InputError
from explorer.library.workplace import models_folder, work_folder
from graphstore.backup import BackupReport, backup
from graphstore.url import SQLITE_PREFIX, without_password

MOST = 10
ENDING = ".db"
ROOM = 2.0
"""How many times the store's size must be free on the disk before a backup is begun."""


@dataclass(frozen=True)
class Backup:
    """A backup that is there.

    Attributes:
        path: of the file.
        size: bytes.
        made: seconds since the epoch.
    """

    path: Path
    size: int
    made: float


def backup_folder(store_url: str) -> Path:
    """Where the backups of a store are; ``store_url`` without a password."""
    return work_folder(store_url) / "backups"


def list_backups(store_url: str) -> list[Backup]:
    """The backups of a store, newest first; ``store_url`` without a password."""
    found = []
    folder = backup_folder(store_url)
    for path in folder.glob(f"*{ENDING}") if folder.is_dir() else ():
        try:
            state = path.stat()
        except OSError:
            continue  # Somebody has just taken it away.
        found.append(Backup(path, state.st_size, state.st_mtime))
    return sorted(found, key=lambda one: (-one.made, one.path.name))


def make_backup(url: str, store_url: str, now: float | None = None) -> BackupReport:
    """Save a store in its folder of backups.

    Args:
        url: of the store, as ``open_store`` takes it.
        store_url: the same without a password, as ``GraphStore.url`` gives it.
        now: seconds since the epoch, which name the file.

    Raises:
        InputError: there are too many backups, or too little room on the disk.
        StoreError: the store or the folder failed; nothing was kept.
    """
    folder = backup_folder(store_url)
    there = len(list_backups(store_url))
    if there >= MOST:
        raise InputError("backups", f"be at most {MOST}", there, f"Move old ones out of {folder}.")
    size = file_size(store_url)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
    except OSError as error:
        reason = f"be a folder that can be written ({error.strerror})"
        raise InputError("backups", reason, str(folder), "Make room for it.") from None
    if size is not None and free < ROOM * size:
        remedy = "Make room, or save elsewhere with `archex store backup FILE`."
        raise InputError("free disk space", f"be {ROOM:g} times the store's size", f"{free:,} bytes", remedy)
    moment = time.strftime("%Y%m%d-%H%M%S", time.localtime(now))
    return backup(url, folder / f"{moment}{ENDING}")


def file_size(store_url: str) -> int | None:
    """Bytes of an embedded store's file and its journal; ``None`` for a server, or where the file is gone."""
    if not store_url.startswith(SQLITE_PREFIX):
        return None
    file = Path(store_url.removeprefix(SQLITE_PREFIX))
    try:
        size = file.stat().st_size
    except OSError:
        return None
    journal = file.with_name(f"{file.name}-wal")
    return size + (journal.stat().st_size if journal.exists() else 0)


def work_size(store_url: str) -> int:
    """Bytes of what lies in a store's work folder: prepared data, trained models, logs, backups."""
    return _size(work_folder(without_password(store_url)))


def models_size(store_url: str) -> int:
    """Bytes of the trained models and checkpoints of a store, which no backup holds."""
    return _size(models_folder(without_password(store_url)))


def _size(root: Path) -> int:
    total = 0
    for folder, _, names in os.walk(root):
        for name in names:
            try:
                total += os.lstat(os.path.join(folder, name)).st_size
            except OSError:
                continue  # A running job has just taken it away.
    return total
