"""The work folder of a store: prepared data, trained models and logs; its paths, its size, and copying it.

Store URLs are without a password, as ``GraphStore.url`` gives them.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from explorer.progress import Reporter
from explorer.training.files import new_folder, write_atomically
from graphstore.url import MANAGED, SQLITE_PREFIX, without_password

DEFAULT_STORE = "sqlite:///explorer.db"
STORE_VARIABLE = "EXPLORER_STORE"
"""Environment variable with the URL of the store to use instead of the default one."""
PHASE = "files"
"""Phase reported while files are copied."""
CONTAINER_DEPTHS = {"runs": 3}
"""Folders up to this depth only group others (``runs/study/run``); elsewhere the first level does."""


def store_is_missing(store_url: str) -> bool:
    """Return whether a store is a file that does not exist."""
    return store_url.startswith(SQLITE_PREFIX) and not Path(store_url.removeprefix(SQLITE_PREFIX)).exists()


def work_folder(store_url: str) -> Path:
    """Return the folder that belongs to a store: next to an embedded one, in the user's data folder for a server.

    The managed server has one folder for all ports it may listen on.
    """
    if store_url.startswith(SQLITE_PREFIX):
        return Path(f"{store_url.removeprefix(SQLITE_PREFIX)}.files").resolve()
    base = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    if store_url == MANAGED:
        return base / "archex" / f"{MANAGED}.files"
    return base / "archex" / hashlib.blake2b(store_url.encode(), digest_size=8).hexdigest()


def data_cache(store_url: str) -> Path:
    """Return the folder of prepared text, tokenizers and tasks."""
    return work_folder(store_url) / "data"


def models_folder(store_url: str) -> Path:
    """Return the folder of the checkpoints and trained models of all trials."""
    return work_folder(store_url) / "runs"


def run_folder(store_url: str, study: str, run: str) -> Path:
    """Return the folder of the checkpoints and trained models of one trial."""
    return models_folder(store_url) / study / run


def log_folder(store_url: str) -> Path:
    """Return the folder of the logs of jobs and workers."""
    return work_folder(store_url) / "logs"


def workers_log(store_url: str, study: str) -> Path:
    """Return the log file of a study's workers on this machine."""
    return log_folder(store_url) / f"{study}.workers.log"


def work_size(store_url: str) -> int:
    """Return the bytes in a store's work folder."""
    return _size(work_folder(without_password(store_url)))


def models_size(store_url: str) -> int:
    """Return the bytes of a store's trained models and checkpoints, which backups do not include."""
    return _size(models_folder(without_password(store_url)))


def _size(root: Path) -> int:
    total = 0
    for folder, _, names in os.walk(root):
        for name in names:
            try:
                total += os.lstat(os.path.join(folder, name)).st_size
            except OSError:
                continue  # Deleted by a running job since os.walk() listed it.
    return total


@dataclass(frozen=True)
class FilesReport:
    """Result of copying a work folder.

    Attributes:
        copied: folders and loose files that were copied.
        size_bytes: total size of these.
        kept: folders and loose files that the target already had.
    """

    copied: int
    size_bytes: int
    kept: int


def copy_files(source_url: str, target_url: str, reporter: Reporter) -> FilesReport:
    """Copy the work folder of one store into that of another.

    A trial's or a prepared text's folder appears in the target complete or not at all: it is copied under a temporary
    name and then renamed. Entries that the target already has are kept, so an interrupted copy is resumed by calling
    this again. Symbolic links and temporary files of running jobs are skipped.
    """
    source, target = work_folder(source_url), work_folder(target_url)
    if source == target or not source.is_dir():
        return FilesReport(0, 0, 0)
    units = sorted(_units(source, Path()), key=lambda unit: _order(source, unit))
    size = copied = 0
    for index, unit in enumerate(units):
        reporter.update(PHASE, index, len(units), unit.name)
        path = target / unit
        if path.exists():
            continue
        _copy(source / unit, path)
        copied += 1
        size += sum(file.stat().st_size for file in [path, *path.rglob("*")] if file.is_file())
    reporter.update(PHASE, len(units), len(units))
    return FilesReport(copied, size, len(units) - copied)


def _units(root: Path, folder: Path) -> Iterator[Path]:
    """Yield the relative paths that are copied as a whole: loose files, and the folders below grouping folders."""
    for entry in (root / folder).iterdir():
        relative = folder / entry.name
        if entry.is_symlink() or entry.name.startswith("."):
            continue
        if entry.is_dir() and len(relative.parts) <= CONTAINER_DEPTHS.get(relative.parts[0], 1):
            yield from _units(root, relative)
        elif entry.is_dir() or entry.is_file():
            yield relative


def _order(root: Path, unit: Path) -> tuple[str, bool, str]:
    # Files sort after folders: a trial's summary file marks its folders as complete, so it must be copied last.
    return str(unit.parent), (root / unit).is_file(), unit.name


def _copy(source: Path, path: Path) -> None:
    if source.is_dir():
        with new_folder(path) as temporary:
            shutil.copytree(source, temporary, dirs_exist_ok=True, ignore=_skipped)
        return
    with source.open("rb") as file:
        write_atomically(path, lambda stream: shutil.copyfileobj(file, stream))


def _skipped(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if name.startswith(".") or Path(folder, name).is_symlink()]
