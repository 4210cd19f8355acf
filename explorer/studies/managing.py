"""What people do with a study besides running it: look at it, extend it, tighten it, queue an architecture by hand."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from explorer.analysis.score_kinds import known_objective
from explorer.analysis.tables import escape_formula
from explorer.errors import InputError
from explorer.search import Candidates
from explorer.studies.budgets import check_budget, check_hours, hours_used
from explorer.studies.driver import best_trial
from explorer.studies.jobs import job_of
from explorer.studies.objectives import merged_constraints, study_candidates
from explorer.studies.requeries import allowed_trials, best_with_tuned
from graphstore import GraphStore
from graphstore.errors import NotFoundError
from graphstore.records import StudyRecord, StudyState, TrialRecord, TrialStatus

MANUAL = "manual"
"""Origin of a trial that a person has queued."""
EXPORTED = (
    *("study", "trial", "state", "value", "architecture", "origin", "acquisition"),
    *("attempt", "owner", "created", "started", "finished", "seconds", "reason"),
)
"""What an export says of every trial, in this order."""


def find_study(store: GraphStore, name: str) -> StudyRecord:
    """One study. Raises InputError that lists the studies there are."""
    try:
        return store.study(name)
    except NotFoundError:
        known = ", ".join(study.name for study in store.studies()) or "none yet"
        raise InputError("study", f"be one of the store's: {known}", name, "Check the name.") from None


def may_choose(store: GraphStore, study: StudyRecord) -> Candidates:
    """What a study chooses from: of its space, on known scores what has one, with its costs and constraints.

    Raises:
        DataError: the space has no library, or there are no scores.
    """
    if not study.settings.get("from_scores"):
        return study_candidates(store, study)
    known = known_objective(store, study.space, study.objective, study.settings.get("fidelity"))
    return study_candidates(store, study, known)


def best_allowed(store: GraphStore, study: StudyRecord, trials: Sequence[TrialRecord]) -> TrialRecord | None:
    """The best of a study's trials among those that keep its constraints; ``None`` if none has a value."""
    return best_trial(allowed_trials(store, study, trials))


def study_facts(store: GraphStore, study: StudyRecord, trials: Sequence[TrialRecord]) -> dict[str, Any]:
    """What a study is and the best it has found, as one JSON-able document.

    Args:
        store: where it is.
        study: the study.
        trials: all of its trials.

    Returns:
        ``best`` is the best trial that keeps the constraints; ``tuned`` what re-queries by tuned recipes reached, where
        that is more than the study's own best. Both are ``None`` where there is no such trial.
    """
    best = best_allowed(store, study, trials)
    reached, variation = best_with_tuned(store, study, trials) or (None, "")
    tuned = reached if reached is not None and variation and reached.study != study.name else None
    return {
        "study": study.name,
        "space": study.space,
        "policy": study.policy,
        "objective": study.objective,
        "state": study.state.value,
        "budget": study.budget,
        "best": {"id": best.architecture, "value": best.value, "trial": best.number} if best else None,
        "tuned": {"study": tuned.study, "id": tuned.architecture, "value": tuned.value, "recipe": variation}
        if tuned
        else None,
    }


def study_status(store: GraphStore, study: StudyRecord, now: float | None = None) -> dict[str, Any]:
    """How a study is getting on, as one JSON-able document.

    Args:
        store: where it is.
        study: the study.
        now: seconds since the epoch.
    """
    now = time.time() if now is None else now
    trials, job = store.trials(study.name), job_of(store, study.name, now)
    return {
        **study_facts(store, study, trials),
        "objectives": list(study.settings.get("objectives", ())),
        "constraints": list(study.settings.get("constraints", ())),
        "hours": {"used": hours_used(trials, now), "limit": study.settings.get("hours")},
        "trials": {state.value: sum(trial.state is state for trial in trials) for state in TrialStatus},
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
                "lease_s": trial.lease_expires - now,
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


def extend_study(
    store: GraphStore, study: StudyRecord, budget: int | None = None, hours: float | None = None
) -> StudyRecord:
    """Give a study more trials or hours; one that is being run goes on with them, one that was done can be resumed.

    Raises:
        InputError: nothing is given, or not more than it has.
    """
    settings, limit = dict(study.settings), study.settings.get("hours")
    if budget is None and hours is None:
        raise InputError("extension", "be --budget or --hours", "neither", "Say how far the study shall go.")
    if budget is not None:
        check_budget(budget)
        if budget < study.budget:
            raise InputError("budget", f"be at least the present {study.budget}", budget, "A budget only grows.")
    if hours is not None:
        check_hours(hours)
        if limit is None or hours < limit:
            rule = "belong to a study with hours" if limit is None else f"be at least the present {limit:g}"
            raise InputError("hours", rule, hours, "Hours only grow; a study without them has no limit of time.")
        settings["hours"] = hours
    grown = (budget or study.budget) > study.budget or settings.get("hours") != limit
    state = StudyState.STOPPED if grown and study.state is StudyState.DONE else None
    return store.update_study(study.name, state=state, budget=budget, settings=settings)


def tighten_study(store: GraphStore, study: StudyRecord, constraints: Sequence[str]) -> StudyRecord:
    """Add constraints to those that a study has. What breaks them stays in its history and is learned from.

    Raises:
        InputError: one cannot be read, or no architecture keeps them all; nothing is changed then.
    """
    if not constraints:
        return study
    changed = StudyRecord(**{**vars(study), "settings": merged_constraints(study.settings, constraints)})
    may_choose(store, changed)
    return store.update_study(study.name, settings=changed.settings)


def enqueue(store: GraphStore, study: str, architecture: str) -> TrialRecord:
    """Queue an architecture by hand: it is the next trial to begin, and counts in the budget.

    Args:
        store: where the study is.
        study: its name; it may be running.
        architecture: an id, or a unique prefix of one.

    Returns:
        The waiting trial; its origin is ``manual``.

    Raises:
        InputError: no such study, the study may not choose this architecture or has it already, or its budget is used
            up. NotFoundError: no such architecture.
        DataError: the study's space has no library.
    """
    record, id = find_study(store, study), store.architecture(architecture).id
    candidates, trials = may_choose(store, record), store.trials(study)
    if id not in candidates.index:
        what = "a scored architecture" if record.settings.get("from_scores") else "an embedded architecture"
        raise InputError("architecture", f"be {what} of space {record.space}", id, "Choose one of the study's space.")
    if not candidates.allowed[candidates.index[id]]:
        rule = f"keep the study's constraints: {', '.join(record.settings['constraints'])}"
        raise InputError("architecture", rule, id, "Choose another one, or start a study without them.")
    number = next((trial.number for trial in trials if trial.architecture == id), None)
    if number is not None:
        raise InputError("architecture", "be new to the study", f"{id} is trial {number}", "Choose another one.")
    if len(trials) >= record.budget:
        remedy = f"Run `archex search extend {study} --budget {record.budget + 1}` first."
        raise InputError("budget", "leave a trial", f"all {record.budget} are used or queued", remedy)
    added = store.add_trials(study, [(id, {"origin": MANUAL, "acquisition": {}})])
    if not added:
        raise InputError("architecture", "be new to the study", id, "Somebody has just queued it.")
    if record.state is StudyState.DONE:
        store.update_study(study, state=StudyState.STOPPED)
    return added[0]


def trial_rows(store: GraphStore, study: StudyRecord) -> list[dict[str, Any]]:
    """Every trial with all that is known of it, keyed by ``EXPORTED``; times in seconds since the epoch."""
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
    """The trials as CSV with a header; figures of the acquisition as a JSON object, what reads as a formula quoted."""
    text = io.StringIO()
    writer = csv.DictWriter(text, EXPORTED, lineterminator="\n")
    writer.writeheader()
    for row in trial_rows(store, study):
        row |= {"acquisition": json.dumps(row["acquisition"])}
        writer.writerow({name: escape_formula(cell) for name, cell in row.items()})
    return text.getvalue()


def exported_json(store: GraphStore, study: StudyRecord) -> str:
    """The study's choices, its status and its trials as one JSON document."""
    choices = {"seed": study.seed, "created": study.created, "settings": study.settings}
    document = {**study_status(store, study), **choices, "all_trials": trial_rows(store, study)}
    return json.dumps(document, indent=1, allow_nan=False) + "\n"
