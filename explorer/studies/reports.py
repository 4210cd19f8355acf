"""Reports on a study: JSON-able documents and tables."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from explorer.analysis.tables import escape_formula
from explorer.errors import ExplorerError
from explorer.studies.budgets import hours_used
from explorer.studies.driver import best_so_far, best_trial
from explorer.studies.jobs import job_of
from explorer.studies.requeries import allowed_trials, best_with_tuned
from explorer.studies.spec import StudySpec
from graphstore import GraphStore
from graphstore.records import StudyRecord, TrialRecord, TrialStatus

EXPORTED = (
    *("study", "trial", "state", "value", "architecture", "origin", "acquisition"),
    *("attempt", "owner", "created", "started", "finished", "seconds", "reason"),
)
"""Columns of an export, in this order."""


def best_allowed(store: GraphStore, study: StudyRecord, trials: Sequence[TrialRecord]) -> TrialRecord | None:
    """Return the best of a study's trials that satisfy its constraints; ``None`` if none has a value."""
    return best_trial(allowed_trials(store, StudySpec.of(study), trials))


def study_facts(store: GraphStore, study: StudyRecord, trials: Sequence[TrialRecord]) -> dict[str, Any]:
    """Return what a study is and the best it has found.

    Args:
        store: where it is.
        study: the study.
        trials: all of its trials.

    Returns:
        A JSON-able document. ``best`` is the best trial that satisfies the constraints; ``tuned`` is the best re-query
        by a tuned recipe, if it exceeds the study's own best. Both are ``None`` without such a trial.
    """
    spec = StudySpec.of(study)
    best = best_allowed(store, study, trials)
    reached, variation = best_with_tuned(store, study, trials) or (None, "")
    tuned = reached if reached is not None and variation and reached.study != study.name else None
    return {
        "study": study.name,
        "space": study.space,
        "policy": spec.policy,
        "objective": spec.objective,
        "state": study.state.value,
        "budget": spec.budget,
        "best": {"id": best.architecture, "value": best.value, "trial": best.number} if best else None,
        "tuned": {"study": tuned.study, "id": tuned.architecture, "value": tuned.value, "recipe": variation}
        if tuned
        else None,
    }


def trial_counts(trials: Sequence[TrialRecord]) -> dict[TrialStatus, int]:
    """Return the number of trials in each state."""
    return {state: sum(trial.state is state for trial in trials) for state in TrialStatus}


def study_report(store: GraphStore, study: StudyRecord) -> dict[str, Any]:
    """Return the results of a study as a JSON-able document."""
    trials = store.trials(study.name)
    counts = trial_counts(trials)
    shown = (TrialStatus.COMPLETE, TrialStatus.FAILED, TrialStatus.STALE, TrialStatus.RUNNING)
    return {
        **study_facts(store, study, trials),
        **{state.value: counts[state] for state in shown},
        "curve": best_so_far(trials),
    }


def finished_report(store: GraphStore, study: StudyRecord) -> dict[str, Any]:
    """Return the report of a study that has just been run.

    Raises:
        ExplorerError: all trials failed; it shows the reason of the first one.
    """
    report = study_report(store, study)
    if report["failed"] and not report["complete"]:
        reason = next(trial.reason for trial in store.trials(study.name) if trial.state is TrialStatus.FAILED)
        raise ExplorerError(f"all {report['failed']} trials of study {study.name} failed, the first because: {reason}")
    return report


def study_status(store: GraphStore, study: StudyRecord, now: float | None = None) -> dict[str, Any]:
    """Return the state of a study as a JSON-able document.

    Args:
        store: where it is.
        study: the study.
        now: seconds since the epoch.
    """
    now = time.time() if now is None else now
    trials, job, spec = store.trials(study.name), job_of(store, study.name, now), StudySpec.of(study)
    return {
        **study_facts(store, study, trials),
        "objectives": [str(objective) for objective in spec.objectives] if spec.costs else [],
        "constraints": list(spec.constraints),
        "hours": {"used": hours_used(trials, now), "limit": spec.hours},
        "trials": {state.value: count for state, count in trial_counts(trials).items()},
        "job": None
        if job is None
        else {
            "id": job.id,
            "state": job.state.value,
            "host": job.host,
            "process": job.pid,
            "heartbeat_s": max(0.0, now - job.heartbeat) if job.heartbeat else None,
            "message": job.message,
            "log": job.log,
        },
        "running": [
            {
                "trial": trial.number,
                "architecture": trial.architecture,
                "owner": trial.owner,
                "attempt": trial.attempt,
                "progress": float(trial.info.get("progress", 0.0)),
                "message": str(trial.info.get("message", "")),
                "lease_s": max(0.0, trial.lease_expires - now),
            }
            for trial in trials
            if trial.state is TrialStatus.RUNNING
        ],
        "failures": [
            {
                "trial": trial.number,
                "architecture": trial.architecture,
                "state": trial.state.value,
                "attempt": trial.attempt,
                "reason": trial.reason,
            }
            for trial in trials
            if trial.state in (TrialStatus.FAILED, TrialStatus.STALE)
        ],
    }


def trial_rows(store: GraphStore, study: StudyRecord) -> list[dict[str, Any]]:
    """Return one row per trial, keyed by ``EXPORTED``; times in seconds since the epoch."""
    return [_row(trial) for trial in store.trials(study.name)]


def _row(trial: TrialRecord) -> dict[str, Any]:
    acquisition: Mapping[str, float] = trial.info.get("acquisition") or {}
    ended = trial.finished and trial.started
    values = (
        *(trial.study, trial.number, trial.state.value, trial.value, trial.architecture),
        *(str(trial.info.get("origin", "")), dict(acquisition), trial.attempt, trial.owner),
        *(trial.created, trial.started or None, trial.finished or None),
        *(trial.finished - trial.started if ended else None, trial.reason),
    )
    return dict(zip(EXPORTED, values, strict=True))


def exported_csv(store: GraphStore, study: StudyRecord) -> str:
    """Return the trials as CSV with a header.

    Acquisition figures are JSON objects; texts that a spreadsheet would take for formulas are quoted.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, EXPORTED, lineterminator="\n")
    writer.writeheader()
    for row in trial_rows(store, study):
        row |= {"acquisition": json.dumps(row["acquisition"])}
        writer.writerow({name: escape_formula(cell) for name, cell in row.items()})
    return text.getvalue()


def exported_json(store: GraphStore, study: StudyRecord) -> str:
    """Return the study's description, its status and its trials as one JSON document."""
    choices = {"seed": StudySpec.of(study).seed, "created": study.created, "spec": study.spec}
    document = {**study_status(store, study), **choices, "all_trials": trial_rows(store, study)}
    return json.dumps(document, indent=1, allow_nan=False) + "\n"
