"""Take back the trials of workers that are known to have ended, without waiting for their leases."""

from __future__ import annotations

import socket
import time
from collections.abc import Collection

import psutil

from explorer.studies.budgets import MAX_ATTEMPTS
from graphstore import GraphStore
from graphstore.errors import LeaseLostError
from graphstore.records import TrialRecord, TrialStatus


def release(store: GraphStore, study: str, owners: Collection[str], count_attempt: bool) -> None:
    """Take back the running trials of these owners.

    Args:
        store: where the study is.
        study: name of the study.
        owners: owners of leases; empty names are ignored.
        count_attempt: whether the trial may be the cause: its worker died by itself, and was not stopped.
    """
    gone = {owner for owner in owners if owner}
    if not gone:
        return
    for trial in store.trials(study):
        if trial.state is TrialStatus.RUNNING and trial.owner in gone:
            _release(store, trial, count_attempt)


def release_dead(store: GraphStore, study: str) -> None:
    """Take back trials whose owner was a process of this host that has ended; the attempts do not count."""
    here = socket.gethostname()
    gone = set()
    for trial in store.trials(study):
        host, _, pid = trial.owner.rpartition(":")
        if host == here and not psutil.pid_exists(int(pid)):
            gone.add(trial.owner)
    release(store, study, gone, count_attempt=False)


def _release(store: GraphStore, trial: TrialRecord, count_attempt: bool) -> None:
    exhausted = trial.attempt >= MAX_ATTEMPTS
    state = TrialStatus.FAILED if exhausted else TrialStatus.STALE
    try:
        if count_attempt:
            store.finish_trial(trial, state, time.time(), reason=f"its worker died, {trial.attempt} times so far")
        else:
            store.finish_trial(trial, TrialStatus.WAITING, time.time())
    except LeaseLostError:
        return  # Another process has the trial by now.
