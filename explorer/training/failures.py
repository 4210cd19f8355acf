"""Failures of a training as one error type with a remedy."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

import psutil
import torch

from explorer.errors import MachineFault, TrainingFailed

T = TypeVar("T")
MEMORY = ("out of memory", "can't allocate memory", "cannot allocate memory", "not enough memory", "alloc_failed")
"""Parts of torch's messages for exhausted GPU or host memory."""
ASKED = re.compile(r"allocate ([\d.]+) ?(bytes|[KMGTPE]iB)")
"""The amount in messages of torch and numpy; neither has it as an attribute."""
MUCH = 0.15
"""Share of the memory above which what other programs hold counts; a GPU's context takes less."""
UNITS = {unit: 1024.0**power for power, unit in enumerate(("bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"))}


def guarded(what: str, remedies: str, work: Callable[[], T]) -> T:
    """Run a piece of a training.

    Args:
        what: its name in the error.
        remedies: settings that reduce its memory, for the error.
        work: the piece.

    Raises:
        TrainingFailed: the work failed, or needs more memory than there is; ``what`` is its part.
        MachineFault: the memory would be enough, but other programs hold a part of it.
    """
    kind: type[TrainingFailed | MachineFault] = TrainingFailed
    try:
        return work()
    except TrainingFailed as error:
        reason = error.reason
    except (RuntimeError, MemoryError) as error:
        if not is_memory(error):
            raise
        first = (str(error).strip() or type(error).__name__).split("\n")[0]
        if fits_alone(error):
            kind, remedy = MachineFault, "Other programs hold a part of it: end them, or take fewer workers."
        else:
            remedy = f"Lower {remedies}, or choose a smaller architecture."
        reason = f"out of memory ({first[:300]}). {remedy}"
    # Raise outside the except block, where no traceback keeps the frames of the failed work and their tensors alive.
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    raise kind(reason, what)


def is_memory(error: BaseException) -> bool:
    """Return whether an error means exhausted GPU or host memory."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(one in text for one in MEMORY)


def fits_alone(error: BaseException) -> bool:
    """Return whether other programs hold the memory that a training lacked, which is enough for the training alone.

    Call it while the error is handled: its frames still hold the memory of the failed work.
    """
    found = ASKED.search(str(error))
    asked = float(found[1]) * UNITS[found[2]] if found else 0.0
    if isinstance(error, torch.OutOfMemoryError) and torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        mine = torch.cuda.memory_reserved()
    else:
        memory = psutil.virtual_memory()
        free, total, mine = memory.available, memory.total, psutil.Process().memory_info().rss
    return total - free - mine > MUCH * total and mine + asked <= total
