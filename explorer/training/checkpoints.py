"""Checkpoints of a pre-training: ``transformers``' own folders, sealed when all of their files are on disk.

A process can be killed while it writes. A checkpoint without a seal is never resumed from, and an older checkpoint is
deleted only after a newer one is sealed, so there is always one to resume from.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from explorer.errors import InputError
from explorer.training.files import intact, write_array, write_json

PREFIX = "checkpoint-"
"""Prefix of folder names of ``transformers.Trainer``, followed by the number of finished steps."""
SEAL = "complete.json"
LOSSES = "losses.npy"
REMOVE = "Remove it: the training restarts, or resumes from an older checkpoint."
"""Remedy for a damaged checkpoint."""


@dataclass(frozen=True)
class Checkpoint:
    """A sealed checkpoint.

    Attributes:
        folder: its folder.
        losses: the loss of every step so far, ``[steps]``.
        seconds: time that the steps took.
    """

    folder: Path
    losses: NDArray[np.float64]
    seconds: float


def seal(folder: Path, run: str, losses: Sequence[float], seconds: float) -> None:
    """Seal a checkpoint and delete older and incomplete ones.

    Args:
        folder: the folder that ``transformers`` has written.
        run: digest of everything that the training depends on.
        losses: the loss of every step so far.
        seconds: time that the steps took.
    """
    write_array(folder / LOSSES, np.asarray(losses, dtype=np.float64))
    for path in folder.iterdir():
        _to_disk(path)
    write_json(folder / SEAL, {"run": run, "steps": len(losses), "seconds": seconds})
    _to_disk(folder)
    _to_disk(folder.parent)
    for other in folder.parent.glob(f"{PREFIX}*"):
        if other != folder:
            discard(other)


def latest(folder: Path, run: str) -> Checkpoint | None:
    """Return the newest sealed checkpoint in a folder, or ``None``.

    Args:
        folder: folder of the checkpoints; it need not exist.
        run: digest of everything that the training depends on.

    Raises:
        InputError: it belongs to another training; DataError: it is damaged.
    """
    sealed = [path for path in folder.glob(f"{PREFIX}*") if (path / SEAL).is_file()]
    if not sealed:
        return None
    newest = max(sealed, key=lambda path: int(path.name.removeprefix(PREFIX)))
    with intact(newest, REMOVE):
        document = json.loads((newest / SEAL).read_text(encoding="utf-8"))
        losses, seconds = np.load(newest / LOSSES, allow_pickle=False), float(document["seconds"])
    if document["run"] != run:
        rule = "belong to the same architecture, text, recipe and seed"
        raise InputError("checkpoint", rule, str(newest), "Delete it, or choose another folder.")
    return Checkpoint(newest, losses, seconds)


def discard(folder: Path) -> None:
    """Delete a checkpoint, or all; the seal is removed first, so a partial deletion is never taken for a checkpoint."""
    for path in folder.rglob(SEAL):
        path.unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def _to_disk(path: Path) -> None:
    """Flush a file or folder to disk, so that a power failure cannot undo it."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
