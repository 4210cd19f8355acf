"""How much a study may spend: trials, and hours in which at least one of them was being evaluated.

Hours are counted from the trials themselves, so they survive whoever runs the study: the union of the times from the
start of a trial's last attempt to its end. Trials that ran side by side count once, a pause does not count, and neither
does an attempt that a stop or a crash cut off, as what it trained is taken up again.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from explorer.errors import InputError
from graphstore.records import StudyRecord, TrialRecord, TrialStatus

MAX_ATTEMPTS = 3
"""How often a trial is given out before it counts as failed."""
MAX_TRIALS = 10_000
MAX_HOURS = 100_000.0


def check_budget(budget: int) -> None:
    """Raises InputError for a number of trials that no study may have."""
    if not 1 <= budget <= MAX_TRIALS:
        raise InputError("budget", f"be from 1 to {MAX_TRIALS}", budget, "Choose a number of trials.")


def check_hours(hours: float) -> None:
    """Raises InputError for a number of hours that no study may have."""
    if not (math.isfinite(hours) and 0 < hours <= MAX_HOURS):
        raise InputError("hours", f"be above 0, up to {MAX_HOURS:g}", hours, "Write for example 1.5.")


def hours_used(trials: Iterable[TrialRecord], now: float) -> float:
    """Hours in which at least one of these trials was being evaluated.

    Args:
        trials: of one study.
        now: end of those that still run, in seconds since the epoch.
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


def time_is_up(study: StudyRecord, trials: Iterable[TrialRecord], now: float) -> bool:
    """Whether the study may begin no further trial because its hours are used up; those under way are finished."""
    hours = study.settings.get("hours")
    return hours is not None and hours_used(trials, now) >= float(hours)
