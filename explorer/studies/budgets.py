"""How much a study may spend: trials, and hours in which at least one of them was being evaluated.

Hours are computed from the trials themselves, so they do not depend on which processes ran the study: they are the
union of the intervals from the start of a trial's last attempt to its end. Trials that ran at the same time count once.
Pauses do not count, and neither do attempts that a stop or a crash interrupted, because their training is resumed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from numbers import Integral, Real
from typing import TYPE_CHECKING

from explorer.errors import InputError
from graphstore.records import TrialRecord, TrialStatus

if TYPE_CHECKING:
    from explorer.studies.spec import StudySpec

MAX_ATTEMPTS = 3
"""Number of attempts after which a trial fails."""
MAX_TRIALS = 10_000
MAX_HOURS = 100_000.0


def check_budget(budget: int) -> None:
    """Raise InputError unless a study may have this number of trials."""
    if isinstance(budget, bool) or not isinstance(budget, Integral) or not 1 <= budget <= MAX_TRIALS:
        raise InputError("budget", f"be a whole number from 1 to {MAX_TRIALS}", budget, "Choose a number of trials.")


def check_hours(hours: float) -> None:
    """Raise InputError unless a study may have this number of hours."""
    if isinstance(hours, bool) or not isinstance(hours, Real) or not 0 < hours <= MAX_HOURS:
        raise InputError("hours", f"be a number above 0, up to {MAX_HOURS:g}", hours, "Write for example 1.5.")


def hours_used(trials: Iterable[TrialRecord], now: float) -> float:
    """Return the hours in which at least one of these trials was being evaluated.

    Args:
        trials: of one study.
        now: end of the running trials, in seconds since the epoch.
    """
    spans = sorted(
        (trial.started, now if trial.state is TrialStatus.RUNNING else trial.finished)
        for trial in trials
        if trial.started and trial.state in (TrialStatus.RUNNING, TrialStatus.COMPLETE, TrialStatus.FAILED)
    )
    seconds, until = 0.0, -math.inf
    for start, end in spans:
        seconds += max(0.0, end - max(start, until))
        until = max(until, end)
    return seconds / 3600.0


def time_is_up(spec: StudySpec, trials: Iterable[TrialRecord], now: float) -> bool:
    """Return whether the study's hours are used up, so that no further trial begins; running trials are finished."""
    return spec.hours is not None and hours_used(trials, now) >= spec.hours
