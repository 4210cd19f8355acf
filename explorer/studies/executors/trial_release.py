"""Take back the trials of workers that are known to have ended, without waiting for their leases."""

from __future__ import annotations

import socket
import time
from collections.abc import Collection, Iterable

import psutil

from explorer.studies.budgets import MAX_ATTEMPTS
from graphstore import GraphStore
from graphstore.errors import LeaseLostError
from graphstore.records import TrialRecord, TrialStatus

CLOCK_S = 1.0
"""Precision of a process's start time."""


def release(store: GraphStore, study: str, owners: Collection[str], count_attempt: bool) -> None:
    """Take back the running trials of these owners.

    Args:
        store: where the study is.
        study: name of the study.
        owners: owners of leases; empty names are ignored.
        count_attempt: whether the trial may be the cause: its worker died without being stopped.
    """
    gone = {owner for owner in owners if owner}
    if not gone:
        return
    for trial in store.trials(study):
        if trial.state is TrialStatus.RUNNING and trial.owner in gone:
            release_trial(store, trial, count_attempt)


def release_dead(store: GraphStore, trials: Iterable[TrialRecord]) -> None:
    """Take back those trials whose holder was a process of this host that has ended; the attempts count."""
    for trial in trials:
        if trial.state is TrialStatus.RUNNING and _holder_ended(trial):
            release_trial(store, trial, count_attempt=True)


def _holder_ended(trial: TrialRecord) -> bool:
    """Return whether a trial's holder was a process of this host, and has ended."""
    host, _, pid = trial.owner.rpartition(":")
    if host != socket.gethostname() or not pid.isdecimal():
        return False
    try:
        process = psutil.Process(int(pid))
        # A process that began after the claim has only got the same number; in a container it is always 1.
        return process.status() == psutil.STATUS_ZOMBIE or process.create_time() > trial.started + CLOCK_S
    except (psutil.NoSuchProcess, OverflowError):
        return True
    except psutil.AccessDenied:
        return False


def release_trial(store: GraphStore, trial: TrialRecord, count_attempt: bool) -> None:
    """Let a running trial be given out again; it fails if the attempt counts and was the last one."""
    exhausted = trial.attempt >= MAX_ATTEMPTS
    state = TrialStatus.FAILED if exhausted else TrialStatus.STALE
    try:
        if count_attempt:
            reason = f"its process died before its outcome was known, {trial.attempt} times so far"
            store.finish_trial(trial, state, time.time(), reason=reason)
        else:
            store.finish_trial(trial, TrialStatus.WAITING, time.time())
    except LeaseLostError:
        return  # Another process has the trial by now.
