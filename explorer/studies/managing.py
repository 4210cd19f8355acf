"""Operations on a stored study: open, resume, tighten and extend."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from explorer.errors import Advice, InputError, Remedy
from explorer.studies.budgets import check_budget, check_hours
from explorer.studies.checks import check_same
from explorer.studies.driver import may_choose
from explorer.studies.jobs import require_free
from explorer.studies.objectives import read_constraints, read_objectives
from explorer.studies.spec import (
    DEFAULT_BATCH,
    EvaluationKind,
    External,
    StudySpec,
    default_budget,
)
from graphstore import GraphStore
from graphstore.errors import NotFoundError
from graphstore.records import StudyRecord, StudyState

EXAMPLES = {"objectives": "mean", "constraints": "parameters<=200K"}
FORMER_SETTINGS = ("initial", "objectives", "policy_settings", "batch", "patience", "stop_when_converged")
"""Keys of the deprecated argument ``settings``, arguments of ``external_spec`` now."""
MORE_TRIALS = 8
"""Trials that a finished study is extended by where a message names a number."""


def external_spec(
    name: str,
    space: str,
    *,
    policy: str = "boshnas",
    objective: str = "mean",
    objectives: Sequence[str] = (),
    seed: int = 0,
    budget: int | None = None,
    hours: float | None = None,
    constraints: Sequence[str] = (),
    initial: int | None = None,
    policy_settings: Mapping[str, Any] | None = None,
    batch: int | None = None,
    patience: int | None = None,
    stop_when_converged: bool = False,
) -> StudySpec:
    """Return the spec of a study whose trials the user evaluates; ``explorer.study.Study.open`` has the arguments.

    Raises:
        InputError: a choice breaks a rule, or an objective or constraint cannot be read.
    """
    for name_of, texts in (("objectives", objectives), ("constraints", constraints)):
        if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
            raise InputError(name_of, "be a list of texts", texts, f"Write for example ['{EXAMPLES[name_of]}'].")
    if policy_settings is not None and not isinstance(policy_settings, Mapping):
        raise InputError("policy_settings", "be a mapping of names to values", policy_settings, "Give a dict.")
    read = read_objectives(objectives or [objective])
    if read[0].name != objective:
        rule = f"have the score {objective!r}"
        raise InputError("objectives", rule, read[0].name, "Give the same one as objective=.")
    return StudySpec(
        name=name,
        space=space,
        evaluation=External(),
        policy=policy,
        policy_settings={**(policy_settings or {}), **({} if initial is None else {"initial": initial})},
        objectives=read,
        constraints=read_constraints(constraints),
        budget=default_budget(EvaluationKind.EXTERNAL, hours) if budget is None else budget,
        hours=hours,
        seed=seed,
        batch=DEFAULT_BATCH if batch is None else batch,
        stop_when_converged=stop_when_converged,
        patience=patience,
    )


def former_settings(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the deprecated argument ``settings`` of ``explorer.study.Study.open``, as arguments of its own.

    Raises:
        InputError: a key is unknown.
    """
    warnings.warn(
        "the argument settings of Study.open is deprecated: give its entries as arguments",
        DeprecationWarning,
        stacklevel=3,
    )
    if unknown := sorted(set(settings) - set(FORMER_SETTINGS)):
        raise InputError("settings", f"be among {', '.join(FORMER_SETTINGS)}", unknown, "Leave the others out.")
    return settings


def open_study(store: GraphStore, spec: StudySpec) -> StudyRecord:
    """Check a study, then create it or open the stored one, which grows by what the spec has more of.

    Raises:
        InputError: a choice breaks a rule, a study of this name was started with other choices, or no architecture
            satisfies all constraints. Nothing is changed then.
        DataError: the space has no library, or data or scores are missing or malformed.
    """
    return open_studies(store, [spec])[0]


def open_studies(store: GraphStore, specs: Sequence[StudySpec]) -> list[StudyRecord]:
    """Open several studies as ``open_study`` does; all are checked before anything is written."""
    for spec in specs:
        spec.check(store)
    return [_opened(store, spec) for spec in specs]


def _opened(store: GraphStore, spec: StudySpec) -> StudyRecord:
    store.create_study(spec.record())
    stored = check_same(store, spec)  # Again: another process may have created the study since the first check.
    assert stored is not None
    grown = stored.grown(spec.budget, spec.hours, spec.constraints)
    if grown.constraints != stored.constraints:
        may_choose(store, grown)  # Constraints are never removed again, so check before they are stored.
    return store.update_study(spec.name, state=StudyState.OPEN, spec=grown.to_json())


def new_study(store: GraphStore, spec: StudySpec) -> StudyRecord:
    """Check and store a study of a new name; it is not run.

    Raises:
        InputError: a choice breaks a rule, or a study of this name exists.
        DataError: the space has no library, or data or scores are missing.
    """
    try:
        store.study(spec.name)
    except NotFoundError:
        return open_study(store, spec)
    raise InputError("study name", "be new", spec.name, "Choose another name, or resume that study.")


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
        raise evaluated_elsewhere(study)
    budget = StudySpec.of(study).budget + MORE_TRIALS
    remedy = Advice(Remedy.EXTEND, study=study.name, budget=budget)
    raise InputError("study", "have something left to do", f"{study.name} is done", remedy)


def evaluated_elsewhere(study: StudyRecord) -> InputError:
    """Return the error for a study that cannot be run, because the user evaluates its trials."""
    remedy = "Its trials are evaluated elsewhere, by explorer.study.Study."
    return InputError("study", "be evaluated here", study.name, remedy)


def prepare_resume(
    store: GraphStore, names: Sequence[str], constraints: Sequence[str] = (), own_job: str = ""
) -> list[StudyRecord]:
    """Check that stored studies may be run here now, and tighten them; nothing is changed unless all may.

    Args:
        store: where the studies are.
        names: names of the studies; of more than one, those that are done are left out.
        constraints: are added to those of each study.
        own_job: the job that is to run them, if it has begun.

    Returns:
        The studies to run, in the given order.

    Raises:
        InputError: a study does not exist, its trials are evaluated elsewhere, another job runs it, none has anything
            left to do, or no architecture satisfies all constraints.
    """
    studies = [find_study(store, name) for name in dict.fromkeys(names)]
    left = [study for study in studies if can_resume(study)]
    for study in studies:
        if not left or isinstance(StudySpec.of(study).evaluation, External):
            check_resumable(study)
    require_free(store, [study.name for study in left], own_job)
    if not constraints:
        return left
    specs = [_tightened(store, study, constraints) for study in left]
    return [store.update_study(study.name, spec=spec) for study, spec in zip(left, specs, strict=True)]


def extend_study(
    store: GraphStore, study: StudyRecord, budget: int | None = None, hours: float | None = None
) -> StudyRecord:
    """Give a study more trials or hours; a running study continues with them, a done one can be resumed.

    Raises:
        InputError: neither is given, or a value is below the present one.
    """
    spec = StudySpec.of(study)
    if budget is None and hours is None:
        raise InputError("extension", "be a budget or hours", "neither", "Give the number of trials or hours.")
    if budget is not None:
        check_budget(budget)
        if budget < spec.budget:
            raise InputError("budget", f"be at least the present {spec.budget}", budget, "A budget only grows.")
    if hours is not None:
        check_hours(hours)
        if spec.hours is None or hours < spec.hours:
            rule = "belong to a study with hours" if spec.hours is None else f"be at least the present {spec.hours:g}"
            raise InputError("hours", rule, hours, "Hours only grow; a study without them has no time limit.")
    grown = spec.grown(budget, hours)
    state = StudyState.STOPPED if grown != spec and study.state is StudyState.DONE else None
    return store.update_study(study.name, state=state, spec=grown.to_json())


def _tightened(store: GraphStore, study: StudyRecord, constraints: Sequence[str]) -> dict[str, Any]:
    spec = StudySpec.of(study).grown(constraints=constraints)
    may_choose(store, spec)
    return spec.to_json()
