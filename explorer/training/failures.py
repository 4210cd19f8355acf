"""What goes wrong in a training, as one error that says what to do about it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch

from explorer.errors import TrainingFailed

T = TypeVar("T")
MEMORY = ("out of memory", "can't allocate memory", "cannot allocate memory", "not enough memory", "alloc_failed")
"""What torch's messages say when the GPU's or the machine's memory is used up."""


def guarded(what: str, remedies: str, work: Callable[[], T]) -> T:
    """Do a piece of a training.

    Args:
        what: what it is, for the error.
        remedies: which settings make it need less memory, for the error.
        work: the piece.

    Raises:
        TrainingFailed: it ran out of memory, or failed by itself; ``what`` stands before the reason.
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
    # Raised out here, where nothing holds the frames of the failed work, and with them its tensors, any more.
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    raise TrainingFailed(f"{what}: {reason}")


def is_memory(error: BaseException) -> bool:
    """Whether an error says that memory is used up, on a GPU or on the machine."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(one in text for one in MEMORY)
