"""The rules of a study that its description alone can break, in one order; every ``StudySpec`` keeps them.

Rules that need a store are in ``explorer.studies.checks``.
"""

from __future__ import annotations

from explorer.analysis.quantities import Direction
from explorer.errors import InputError
from explorer.library.library import MAX_LIBRARY
from explorer.search import POLICIES, Capability, policies_with, policy_class
from explorer.studies.budgets import check_budget, check_hours
from explorer.studies.objectives import read_constraints, read_objectives
from explorer.studies.spec import MAX_SEED, NAME, StudySpec, Trained

MAX_BATCH = 100
MAX_INITIAL = 1000
MAX_PATIENCE = 1000
MOST_LEVELS = 9
LEAST_LEVEL = 10
"""Fewest candidates of a level."""
MOST_QUERIES = 10


def check_rules(spec: StudySpec) -> None:
    """Raise InputError if a spec, whose fields have the right types, breaks a rule."""
    _check_name(spec)
    if spec.policy not in POLICIES:
        raise InputError("policy", f"be one of {', '.join(POLICIES)}", spec.policy, "Choose one of them.")
    _check_objectives(spec)
    check_budget(spec.budget)
    if spec.hours is not None:
        check_hours(spec.hours)
    _within("seed", spec.seed, 0, MAX_SEED)
    _within("batch", spec.batch, 1, MAX_BATCH)
    _check_policy(spec)
    _check_convergence(spec)
    _check_stages(spec)


def _check_name(spec: StudySpec) -> None:
    if not NAME.fullmatch(spec.name):
        rule = "be 1 to 80 letters, digits, '.', '_' or '-', starting with a letter or digit"
        raise InputError("study name", rule, spec.name, "Choose another name.")
    stages, first = spec.stages, spec.level.of if spec.level else spec.name
    last = (f".level{MOST_LEVELS}" if stages.levels > 1 else "") + (".tuned" if stages.requeries else "")
    if not NAME.fullmatch(first + last):
        rule = f"leave room for {last!r} within 80 characters"
        raise InputError("study name", rule, first, "Choose a shorter name.")


def _check_objectives(spec: StudySpec) -> None:
    texts = [str(objective) for objective in spec.objectives]
    if sum(one.direction is Direction.MAXIMISE for one in spec.objectives) != 1:
        raise InputError("objectives", "hold exactly one score to maximise", texts, "Name one task, or mean.")
    read_objectives(texts)
    if spec.costs and spec.policy not in (able := policies_with(Capability.COSTS)):
        rule = f"be {', '.join(able)} where there are costs among the objectives"
        raise InputError("policy", rule, spec.policy, "Choose one of them, or make the costs constraints.")
    read_constraints(spec.constraints)


def _check_policy(spec: StudySpec) -> None:
    initial = spec.policy_settings.get("initial")
    if initial is not None:
        _needs(spec, "initial", Capability.INITIAL_DESIGN)
    if isinstance(initial, int) and not isinstance(initial, bool):
        _within("initial", initial, 1, MAX_INITIAL)
    policy_class(spec.policy).read_settings(spec.settings_of_policy(0))


def _check_convergence(spec: StudySpec) -> None:
    converges = spec.stop_when_converged or spec.stages.levels > 1
    if spec.patience is not None:
        _within("patience", spec.patience, 1, MAX_PATIENCE)
        _with("patience", spec.patience, converges, "stop_when_converged or levels")
    if spec.stop_when_converged:
        _needs(spec, "stop_when_converged", Capability.CONVERGENCE)
        _one_objective(spec, "stop_when_converged")


def _check_stages(spec: StudySpec) -> None:
    stages = spec.stages
    _within("levels", stages.levels, 1, MOST_LEVELS)
    if stages.level_size is not None:
        _within("level size", stages.level_size, LEAST_LEVEL, MAX_LIBRARY // 2)
        _with("level size", stages.level_size, stages.levels > 1, "levels")
    if stages.levels > 1:
        _one_objective(spec, "levels")
    if stages.requeries:
        _within("requeries", stages.requeries, 1, MOST_QUERIES)
        if not isinstance(spec.evaluation, Trained):
            raise InputError("requeries", "belong to a study that trains", stages.requeries, "Leave them out.")
        _needs(spec, "requeries", Capability.CONVERGENCE)
        _one_objective(spec, "requeries")


def _within(field: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise InputError(field, f"be from {least} to {most}", value, "Choose another number.")


def _with(field: str, value: int, given: bool, other: str) -> None:
    if not given:
        raise InputError(field, f"come with {other}", value, "Leave it out.")


def _needs(spec: StudySpec, field: str, capability: Capability) -> None:
    if capability not in policy_class(spec.policy).capabilities:
        able = " or ".join(policies_with(capability))
        raise InputError(field, f"come with policy {able}", spec.policy, "Leave it out, or choose such a policy.")


def _one_objective(spec: StudySpec, field: str) -> None:
    if spec.costs:
        texts = [str(objective) for objective in spec.objectives]
        raise InputError(field, "come with one objective", texts, "Leave it out, or search for the score alone.")
