"""Checkpoints of a pre-training: ``transformers``' own folders, sealed when all of their files are on disk.

A process can be killed while it writes. Whatever has no seal is never resumed from, and an older checkpoint is deleted
only after a newer one has got its seal, so there is always one to go on from.
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
"""How ``transformers.Trainer`` names the folders; the number of finished steps follows."""
SEAL = "complete.json"
LOSSES = "losses.npy"
REMOVE = "Remove it: the training begins anew, or from an older checkpoint."
"""What to do about a damaged checkpoint."""


@dataclass(frozen=True)
class Checkpoint:
    """A sealed checkpoint.

    Attributes:
        folder: where it is.
        losses: the loss of every step so far, ``[steps]``.
        seconds: time that the steps took.
    """

    folder: Path
    losses: NDArray[np.float64]
    seconds: float


def seal(folder: Path, run: str, losses: Sequence[float], seconds: float) -> None:
    """Declare a checkpoint complete, and delete all older ones and remains.

    Args:
        folder: what ``transformers`` has written.
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
    """The newest sealed checkpoint in a folder, or ``None``.

    Args:
        folder: folder of the checkpoints; need not exist.
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
    """Delete a checkpoint, or all of them; its seal goes first, so that half of one is never taken for a whole one."""
    for path in folder.rglob(SEAL):
        path.unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def _to_disk(path: Path) -> None:
    """Wait until a file's or folder's contents are on disk, so that a power cut cannot undo them."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
