"""The rules of a study that need a store, in one order: what ``StudySpec.check`` applies."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

from explorer.errors import InputError
from explorer.library.settings import build_remedy, finishing
from explorer.library.spaces import is_ready
from explorer.studies.driver import known_values
from explorer.studies.levels import grammar
from explorer.studies.objectives import check_objectives
from explorer.studies.spec import Inside, Known, StudySpec, Trained
from explorer.studies.supernet import check_supernet
from explorer.studies.trained import check_training
from explorer.studies.upgrade import BEFORE
from graphstore import GraphStore
from graphstore.errors import NotFoundError


def check_spec(store: GraphStore, spec: StudySpec) -> None:
    """Apply the rules of a study to be started or resumed: earlier choices, space, evaluation, objectives, levels.

    Raises:
        InputError, DataError: see ``StudySpec.check``.
    """
    check_same(store, spec)
    if not is_ready(store, spec.space):
        spaces = {space.name: space for space in store.spaces()}
        rule = f"be a built space ({', '.join(spaces) or 'none yet'})"
        stored = spaces.get(spec.space)
        remedy = build_remedy(spec.space) if stored is None else finishing(stored)
        raise InputError("space", rule, spec.space, remedy)
    match spec.evaluation:
        case Known():
            known_values(store, spec)
        case Trained():
            check_training(spec.evaluation, spec.objective)
        case Inside(supernet=folder):
            check_supernet(store, spec.space, Path(folder), spec.objective)
    check_objectives(store, spec)
    if spec.stages.levels > 1:
        grammar(store, spec.space)


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
    # Values that an upgrade added to the settings were not chosen by the user.
    older = {n: v for n, v in BEFORE.get(kept.policy, {}).items() if n not in mine.policy_settings}
    kept = replace(kept, policy_settings={n: v for n, v in kept.policy_settings.items() if (n, v) not in older.items()})
    for one in fields(StudySpec):
        given, before = getattr(mine, one.name), getattr(kept, one.name)
        if given != before:
            rule = f"have the {one.name.replace('_', ' ')} that it was started with ({before!r})"
            raise InputError(f"study {spec.name}", rule, given, "Use the same choices, or choose another study name.")
    return stored
