"""Faults of the machine that a trial meets: a full disk, a lost mount, memory that other programs hold.

Such a fault says nothing about the trial's architecture, so the trial waits again and its attempt does not count. The
study stops with one line, because the next trial would meet the same fault. Who runs out of memory is less certain: a
trial that does so again and again fails at last, so it never holds up its study for ever.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from explorer.errors import DiskError, MachineFault
from explorer.studies.budgets import MAX_ATTEMPTS
from graphstore import GraphStore
from graphstore.errors import StoreError
from graphstore.records import TrialRecord, TrialStatus

MACHINE = frozenset(
    getattr(errno, name)
    for name in (
        *("ENOSPC", "EDQUOT", "EROFS", "EACCES", "EPERM", "EMFILE", "ENFILE"),
        *("EIO", "ESTALE", "ENOTCONN", "ENODEV", "ENXIO", "EREMOTEIO", "ETIMEDOUT"),
        *("ECONNREFUSED", "ECONNRESET", "ECONNABORTED", "EHOSTDOWN", "EHOSTUNREACH", "ENETDOWN", "ENETUNREACH"),
    )
    if hasattr(errno, name)
)
"""Numbers of system errors that no architecture causes: of disks, then of mounts and devices, then of the network."""
FAULTS = "faults"
"""Key of a trial's info: how many faults of a machine it has met."""
FAULT = "fault"
"""Key of a trial's info: the last of them."""
HOLD_S = 60.0


@dataclass(frozen=True)
class Fault:
    """A fault of the machine.

    Attributes:
        text: the error.
        certain: whether the trial cannot be the cause.
    """

    text: str
    certain: bool


def machine_fault(error: BaseException, folder: Path | None = None) -> Fault | None:
    """Return the fault of the machine that an error reports; ``None`` if the trial itself is to blame.

    Args:
        error: raised by the evaluation of a trial.
        folder: the trial's folder; a missing file is a lost mount if the folder around it is missing as well.
    """
    lost = folder is not None and isinstance(error, FileNotFoundError) and not folder.parent.is_dir()
    system = isinstance(error, OSError) and (error.errno in MACHINE or lost)
    if not (system or isinstance(error, MachineFault | DiskError | StoreError | MemoryError)):
        return None
    memory = isinstance(error, MachineFault | MemoryError)
    return Fault(" ".join(f"{type(error).__name__}: {error}".split())[:500], certain=not memory)


def give_back(store: GraphStore, trial: TrialRecord, fault: Fault) -> TrialRecord:
    """Let a trial wait again after a fault; it fails if its memory was too little ``MAX_ATTEMPTS`` times.

    Args:
        store: where the trial is.
        trial: as claimed.
        fault: what happened to it.

    Raises:
        LeaseLostError: another process has the trial.
    """
    now, met = time.time(), int(trial.info.get(FAULTS, 0)) + 1
    if not fault.certain and met >= MAX_ATTEMPTS:
        return store.finish_trial(trial, TrialStatus.FAILED, now, reason=fault.text)
    store.renew_lease(trial, HOLD_S, now, {FAULTS: met, FAULT: fault.text})
    return store.finish_trial(trial, TrialStatus.WAITING, now, reason=fault.text)


class FaultWatch:
    """Notices that trials of a study have met faults of a machine.

    Args:
        before: the study's trials so far; their faults are over.
    """

    def __init__(self, before: Iterable[TrialRecord]) -> None:
        self._met = {trial.number: trial.info.get(FAULTS, 0) for trial in before}

    def check(self, trials: Iterable[TrialRecord]) -> None:
        """Raise MachineFault if one of the study's trials has met a fault since."""
        for trial in trials:
            if trial.info.get(FAULTS, 0) > self._met.get(trial.number, 0):
                place = f" on {trial.info['host']}" if trial.info.get("host") else ""
                raise MachineFault(
                    f"study {trial.study} stopped: trial {trial.number} met a fault of the machine{place}, not of its "
                    f"architecture ({trial.info.get(FAULT)}). It waits again: correct the fault, and resume."
                )
