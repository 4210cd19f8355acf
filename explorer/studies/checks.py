"""The rules of a study that need a store, in one order: what ``StudySpec.check`` applies."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from explorer.errors import InputError
from explorer.library.library import MAX_LIBRARY
from explorer.library.spaces import is_ready
from explorer.search import Capability, policies_with, policy_class
from explorer.studies.driver import known_values
from explorer.studies.levels import grammar
from explorer.studies.objectives import check_objectives
from explorer.studies.requeries import MOST_QUERIES
from explorer.studies.spec import MAX_BATCH, NAME, Inside, Known, StudySpec, Trained
from explorer.studies.supernet import check_supernet
from explorer.studies.trained import check_training
from graphstore import GraphStore
from graphstore.errors import NotFoundError

MOST_LEVELS = 9
LEAST_LEVEL = 10
"""Fewest candidates of a level."""
MAX_INITIAL = 1000
MAX_PATIENCE = 1000


def check_spec(store: GraphStore, spec: StudySpec) -> None:
    """Apply the rules of a study to be started or resumed: name, space, policy, objectives, evaluation, stages.

    Raises:
        InputError, DataError: see ``StudySpec.check``.
    """
    _check_name(spec)
    if not is_ready(store, spec.space):
        known = ", ".join(one.name for one in store.spaces()) or "none yet"
        raise InputError("space", f"be a built space ({known})", spec.space, f"Run `archex space build {spec.space}`.")
    _check_policy(spec)
    _check_evaluation(store, spec)
    check_objectives(store, spec)
    _check_stages(store, spec)
    check_same(store, spec)


def _check_name(spec: StudySpec) -> None:
    stages = spec.stages
    last = (f".level{MOST_LEVELS}" if stages.levels > 1 else "") + (".tuned" if stages.requeries else "")
    if last and not NAME.fullmatch(spec.name + last):
        rule = f"leave room for {last!r} within 80 characters"
        raise InputError("study name", rule, spec.name, "Choose a shorter name.")


def _check_policy(spec: StudySpec) -> None:
    _within("batch", spec.batch, 1, MAX_BATCH)
    initial = spec.policy_settings.get("initial")
    if isinstance(initial, int) and not isinstance(initial, bool):
        _within("initial", initial, 1, MAX_INITIAL)
    policy_class(spec.policy).read_settings(spec.settings_of_policy(0))


def _check_evaluation(store: GraphStore, spec: StudySpec) -> None:
    match spec.evaluation:
        case Known():
            known_values(store, spec)
        case Trained():
            check_training(spec.evaluation, spec.objective)
        case Inside(supernet=folder):
            check_supernet(store, spec.space, Path(folder), spec.objective)


def _check_stages(store: GraphStore, spec: StudySpec) -> None:
    stages = spec.stages
    if stages.levels > 1:
        grammar(store, spec.space)
        _within("levels", stages.levels, 2, MOST_LEVELS)
    if stages.level_size is not None:
        _within("level size", stages.level_size, LEAST_LEVEL, MAX_LIBRARY // 2)
        _with("level size", stages.level_size, stages.levels > 1, "levels")
    if spec.patience is not None:
        _within("patience", spec.patience, 1, MAX_PATIENCE)
        _with("patience", spec.patience, spec.stop_when_converged or stages.levels > 1, "stop_when_converged or levels")
    if stages.requeries:
        _within("requeries", stages.requeries, 1, MOST_QUERIES)
        if not isinstance(spec.evaluation, Trained):
            raise InputError("requeries", "belong to a study that trains", stages.requeries, "Leave them out.")
    wanted = {
        "stop_when_converged": spec.stop_when_converged,
        "levels": stages.levels > 1,
        "requeries": stages.requeries > 0,
    }
    for field, given in wanted.items():
        if given and field != "levels" and spec.policy not in (able := policies_with(Capability.CONVERGENCE)):
            raise InputError(field, f"come with policy {' or '.join(able)}", spec.policy, "Leave it out.")
        if given and spec.costs:
            texts = [str(objective) for objective in spec.objectives]
            raise InputError(field, "come with one objective", texts, "Leave it out, or search for the score alone.")


def check_same(store: GraphStore, spec: StudySpec) -> StudySpec | None:
    """Compare a spec with the stored study of its name; budget, hours and constraints may differ.

    Returns:
        The stored spec, or ``None`` for a new name.

    Raises:
        InputError: the stored study was started with other choices.
    """
    try:
        stored = StudySpec.of(store.study(spec.name))
    except NotFoundError:
        return None
    mine, kept = spec.without_changes(), stored.without_changes()
    for one in fields(StudySpec):
        given, before = getattr(mine, one.name), getattr(kept, one.name)
        if given != before:
            rule = f"have the {one.name.replace('_', ' ')} that it was started with ({before!r})"
            raise InputError(f"study {spec.name}", rule, given, "Use the same choices, or choose another study name.")
    return stored


def _within(field: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise InputError(field, f"be from {least} to {most}", value, "Choose another number.")


def _with(field: str, value: int, given: bool, other: str) -> None:
    if not given:
        raise InputError(field, f"come with {other}", value, "Leave it out.")
