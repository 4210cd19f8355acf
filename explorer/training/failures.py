"""Failures of a training as one error type with a remedy."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch

from explorer.errors import TrainingFailed

T = TypeVar("T")
MEMORY = ("out of memory", "can't allocate memory", "cannot allocate memory", "not enough memory", "alloc_failed")
"""Parts of torch's messages for exhausted GPU or host memory."""


def guarded(what: str, remedies: str, work: Callable[[], T]) -> T:
    """Run a piece of a training.

    Args:
        what: its name in the error.
        remedies: settings that reduce its memory, for the error.
        work: the piece.

    Raises:
        TrainingFailed: memory is exhausted, or the work failed; ``what`` precedes the reason.
    """
    try:
        return work()
    except TrainingFailed as error:
        reason = str(error)
    except (RuntimeError, MemoryError) as error:
        if not is_memory(error):
            raise
        first = (str(error).strip() or type(error).__name__).split("\n")[0]
        reason = f"out of memory ({first[:300]}). Lower {remedies}, or choose a smaller architecture."
    # Raise outside the except block, where no traceback keeps the frames of the failed work and their tensors alive.
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    raise TrainingFailed(f"{what}: {reason}")


def is_memory(error: BaseException) -> bool:
    """Return whether an error means exhausted GPU or host memory."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(one in text for one in MEMORY)
