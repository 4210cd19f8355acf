"""Takes the files of a store's work (prepared data, trained models, logs) along to another store's work folder.

The folders that make up a trial or a prepared text are there whole or not at all, as in the work folder itself: each is
copied under a temporary name and renamed. What the target has already is left as it is, so that an interrupted copy is
simply run again.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from explorer.library.workplace import work_folder
from explorer.progress import Reporter
from explorer.training.files import new_folder, write_atomically

PHASE = "files"
CONTAINER_DEPTHS = {"runs": 3}
"""Down to which depth folders only gather others: ``runs/study/run``; elsewhere one level."""


@dataclass(frozen=True)
class FilesReport:
    """Folders and loose files that were copied, their size in all, and how many the target had already."""

    copied: int
    size_bytes: int
    kept: int


def copy_files(source_url: str, target_url: str, reporter: Reporter) -> FilesReport:
    """Copy the work folder of one store into that of another; URLs as ``GraphStore.url`` gives them.

    Links, and temporary files of work that still goes on, are left out.
    """
    source, target = work_folder(source_url), work_folder(target_url)
    if source == target or not source.is_dir():
        return FilesReport(0, 0, 0)
    units = sorted(_units(source, Path()), key=lambda unit: _order(source, unit))
    size = copied = 0
    for turn, unit in enumerate(units):
        reporter.update(PHASE, turn, len(units), unit.name)
        place = target / unit
        if place.exists():
            continue
        _copy(source / unit, place)
        copied += 1
        size += sum(file.stat().st_size for file in [place, *place.rglob("*")] if file.is_file())
    reporter.update(PHASE, len(units), len(units))
    return FilesReport(copied, size, len(units) - copied)


def _units(root: Path, folder: Path) -> Iterator[Path]:
    """Relative paths of what is copied whole: loose files, and folders below those that only gather others."""
    for entry in (root / folder).iterdir():
        relative = folder / entry.name
        if entry.is_symlink() or entry.name.startswith("."):
            continue
        if entry.is_dir() and len(relative.parts) <= CONTAINER_DEPTHS.get(relative.parts[0], 1):
            yield from _units(root, relative)
        elif entry.is_dir() or entry.is_file():
            yield relative


def _order(root: Path, unit: Path) -> tuple[str, bool, str]:
    # A trial's summary says that its folders are complete, so it comes after them.
    return str(unit.parent), (root / unit).is_file(), unit.name


def _copy(source: Path, place: Path) -> None:
    if source.is_dir():
        with new_folder(place) as temporary:
            shutil.copytree(source, temporary, dirs_exist_ok=True, ignore=_skipped)
        return
    with source.open("rb") as file:
        write_atomically(place, lambda stream: shutil.copyfileobj(file, stream))


def _skipped(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if name.startswith(".") or Path(folder, name).is_symlink()]
