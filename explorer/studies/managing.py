"""Operations on a stored study: open, resume, extend, tighten, and queue an architecture by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from explorer.errors import InputError
from explorer.studies.budgets import check_budget, check_hours
from explorer.studies.checks import check_same
from explorer.studies.driver import may_choose
from explorer.studies.objectives import read_constraints, read_objectives
from explorer.studies.spec import (
    DEFAULT_BATCH,
    EvaluationKind,
    External,
    Known,
    StudySpec,
    default_budget,
    initial_design,
)
from graphstore import GraphStore
from graphstore.errors import NotFoundError
from graphstore.records import StudyRecord, StudyState, TrialRecord

SETTINGS = ("initial", "objectives", "policy_settings", "batch", "patience", "stop_when_converged")
"""Keys of the ``settings`` of ``explorer.study.Study.open``."""
MANUAL = "manual"
"""Origin of a trial that a person has queued."""


def external_spec(
    name: str,
    space: str,
    policy: str,
    objective: str,
    seed: int,
    budget: int | None,
    hours: float | None,
    constraints: Sequence[str],
    settings: Mapping[str, Any],
) -> StudySpec:
    """Return the spec of a study whose trials the user evaluates; see ``explorer.study.Study.open``.

    Raises:
        InputError: a key of the settings is unknown, or an objective or constraint cannot be read.
    """
    unknown = sorted(set(settings) - set(SETTINGS))
    if unknown:
        raise InputError("settings", f"be among {', '.join(SETTINGS)}", unknown, "Leave the others out.")
    objectives = read_objectives(settings.get("objectives") or [objective])
    if objectives[0].name != objective:
        rule = f"have the score {objective!r}"
        raise InputError("objectives", rule, objectives[0].name, "Give the same one as objective=.")
    return StudySpec(
        name=name,
        space=space,
        evaluation=External(),
        policy=policy,
        policy_settings={**settings.get("policy_settings", {}), **initial_design(policy, settings.get("initial"))},
        objectives=objectives,
        constraints=read_constraints(constraints),
        budget=default_budget(EvaluationKind.EXTERNAL, hours) if budget is None else budget,
        hours=hours,
        seed=seed,
        batch=settings.get("batch") or DEFAULT_BATCH,
        stop_when_converged=settings.get("stop_when_converged", False),
        patience=settings.get("patience"),
    )


def open_study(store: GraphStore, spec: StudySpec) -> StudyRecord:
    """Create a study, or open the stored one; a larger budget extends it, constraints are added to its own.

    Raises:
        InputError: a study of this name was started with other choices, or no architecture satisfies all constraints.
    """
    store.create_study(spec.record())
    stored = check_same(store, spec)
    assert stored is not None
    constraints = read_constraints([*stored.constraints, *spec.constraints])
    hours = max(spec.hours, stored.hours or 0.0) if spec.hours else stored.hours
    grown = replace(stored, budget=max(spec.budget, stored.budget), hours=hours, constraints=constraints)
    if constraints != stored.constraints:
        may_choose(store, grown)  # Constraints are never removed again, so check before they are stored.
    return store.update_study(spec.name, state=StudyState.OPEN, spec=grown.to_json())


def find_study(store: GraphStore, name: str) -> StudyRecord:
    """Return a study. Raises InputError that lists the studies of the store."""
    try:
        return store.study(name)
    except NotFoundError:
        known = ", ".join(study.name for study in store.studies()) or "none yet"
        raise InputError("study", f"be one of the store's: {known}", name, "Check the name.") from None


def can_resume(study: StudyRecord) -> bool:
    """Return whether a study can be run here: its trials are not evaluated elsewhere, and something is left to do.

    A study that is done can be resumed if it has stages: the next one may not have ended.
    """
    spec = StudySpec.of(study)
    return not isinstance(spec.evaluation, External) and (study.state is not StudyState.DONE or bool(spec.stages))


def check_resumable(study: StudyRecord) -> None:
    """Raise InputError, with the remedy, where ``can_resume`` is false."""
    if can_resume(study):
        return
    if isinstance(StudySpec.of(study).evaluation, External):
        remedy = "Its trials are evaluated elsewhere, by explorer.study.Study."
        raise InputError("study", "be evaluated here", study.name, remedy)
    remedy = f"Extend it first: `archex search extend {study.name} --budget N`."
    raise InputError("study", "have something left to do", f"{study.name} is done", remedy)


def extend_study(
    store: GraphStore, study: StudyRecord, budget: int | None = None, hours: float | None = None
) -> StudyRecord:
    """Give a study more trials or hours; a running study continues with them, a done one can be resumed.

    Raises:
        InputError: neither is given, or a value is below the present one.
    """
    spec = StudySpec.of(study)
    if budget is None and hours is None:
        raise InputError("extension", "be --budget or --hours", "neither", "Give the number of trials or hours.")
    if budget is not None:
        check_budget(budget)
        if budget < spec.budget:
            raise InputError("budget", f"be at least the present {spec.budget}", budget, "A budget only grows.")
    if hours is not None:
        check_hours(hours)
        if spec.hours is None or hours < spec.hours:
            rule = "belong to a study with hours" if spec.hours is None else f"be at least the present {spec.hours:g}"
            raise InputError("hours", rule, hours, "Hours only grow; a study without them has no time limit.")
    grown = replace(spec, budget=budget or spec.budget, hours=hours or spec.hours)
    state = StudyState.STOPPED if grown != spec and study.state is StudyState.DONE else None
    return store.update_study(study.name, state=state, spec=grown.to_json())


def tighten_study(store: GraphStore, study: StudyRecord, constraints: Sequence[str]) -> StudyRecord:
    """Add constraints to a study. Trials that violate them stay in its history, and the policy learns from them.

    Raises:
        InputError: a constraint cannot be read, or no architecture satisfies all; nothing is changed then.
    """
    if not constraints:
        return study
    spec = StudySpec.of(study)
    tightened = replace(spec, constraints=read_constraints([*spec.constraints, *constraints]))
    may_choose(store, tightened)
    return store.update_study(study.name, spec=tightened.to_json())


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
    spec = StudySpec.of(record)
    candidates, trials = may_choose(store, spec), store.trials(study)
    if id not in candidates.index:
        what = "a scored architecture" if isinstance(spec.evaluation, Known) else "an embedded architecture"
        raise InputError("architecture", f"be {what} of space {spec.space}", id, "Choose one of the study's space.")
    if not candidates.allowed[candidates.index[id]]:
        rule = f"satisfy the study's constraints: {', '.join(spec.constraints)}"
        raise InputError("architecture", rule, id, "Choose another one, or start a study without them.")
    number = next((trial.number for trial in trials if trial.architecture == id), None)
    if number is not None:
        raise InputError("architecture", "be new to the study", f"{id} is trial {number}", "Choose another one.")
    if len(trials) >= spec.budget:
        remedy = f"Run `archex search extend {study} --budget {spec.budget + 1}` first."
        raise InputError("budget", "leave a trial", f"all {spec.budget} are used or queued", remedy)
    added = store.add_trials(study, [(id, {"origin": MANUAL, "acquisition": {}})])
    if not added:
        raise InputError("architecture", "be new to the study", id, "Another process has just queued it.")
    if record.state is StudyState.DONE:
        store.update_study(study, state=StudyState.STOPPED)
    return added[0]
