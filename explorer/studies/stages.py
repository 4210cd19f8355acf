"""What follows a study when it has ended: the next finer level of its space, then re-queries of its best.

Every stage is a study of its own in the store, made from what is stored, so a chain of stages that was cut anywhere
goes on by running it again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from explorer.errors import InputError
from explorer.library.build import MAX_LIBRARY
from explorer.progress import Reporter
from explorer.search import Capability, policies_with
from explorer.space.hierarchy import levels as levels_of
from explorer.studies.driver import NAME
from explorer.studies.levels import grammar, is_closed, next_study
from explorer.studies.requeries import MOST_QUERIES, tuned_study
from graphstore import GraphStore
from graphstore.records import StudyRecord, StudyState

RunStudy = Callable[[StudyRecord], StudyRecord]
"""Runs one study until it ends or is stopped."""
MOST_LEVELS = 9
LEAST_LEVEL = 10
"""Fewest candidates of a level."""


def stage_settings(
    store: GraphStore,
    space: str,
    *,
    coarse_to_fine: bool = False,
    levels: int | None = None,
    level_size: int | None = None,
    stop_when_converged: bool = False,
    patience: int | None = None,
    requeries: int = 0,
) -> dict[str, Any]:
    """A user's choices of stages as a study keeps them; what is off is left out.

    Args:
        store: where the space is.
        space: that the study begins in.
        coarse_to_fine: whether to go through all levels that the space has.
        levels: how many levels to go through instead; those beyond the finest search that one again.
        level_size: candidates of each finer level; 2,000 by default.
        stop_when_converged: whether to end before the budget; levels end so in any case.
        patience: iterations without a better architecture until then; 5 by default.
        requeries: most trainings by tuned recipes afterwards.

    Raises:
        InputError: a number is out of range, the space has no grammar, or a choice lacks what it belongs to.
    """
    settings: dict[str, Any] = {}
    if coarse_to_fine or levels is not None:
        had = len(levels_of(grammar(store, space)))
        chosen = had if levels is None else levels
        if not 2 <= chosen <= MOST_LEVELS:
            rule = f"be from 2 to {MOST_LEVELS}; space {space} has {had}, and more go on at the finest"
            raise InputError("levels", rule, chosen, "Give a number of levels.")
        settings["levels"] = chosen
    if level_size is not None:
        _check_range("level size", level_size, LEAST_LEVEL, MAX_LIBRARY // 2)
        _check_with("level size", level_size, "levels" in settings, "levels")
        settings["level_size"] = level_size
    if stop_when_converged:
        settings["stop_when_converged"] = True
    if patience is not None:
        _check_range("patience", patience, 1, 1000)
        _check_with("patience", patience, bool(settings), "stop_when_converged or levels")
        settings["patience"] = patience
    if requeries:
        _check_range("requeries", requeries, 1, MOST_QUERIES)
        settings["requeries"] = requeries
    return settings


def _check_range(field: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise InputError(field, f"be from {least} to {most}", value, "Choose another number.")


def _check_with(field: str, value: int, given: bool, other: str) -> None:
    if not given:
        raise InputError(field, f"come with {other}", value, "Leave it out.")


def check_stages(name: str, policy: str, settings: Mapping[str, Any]) -> None:
    """Check a new study's stages against its other choices, before anything is written.

    Raises:
        InputError: the policy cannot do what the stages need, or a stage's name would be too long.
    """
    if settings.get("requeries") and (settings.get("from_scores") or settings.get("supernet")):
        raise InputError("requeries", "be of a study that trains", settings["requeries"], "Leave them out.")
    for field in ("stop_when_converged", "requeries"):
        if settings.get(field) and policy not in (able := policies_with(Capability.CONVERGENCE)):
            raise InputError(field, f"come with policy {' or '.join(able)}", policy, "Leave it out.")
    for field in ("stop_when_converged", "levels", "requeries"):
        if settings.get(field) and settings.get("objectives"):
            rule = "come with one objective"
            raise InputError(field, rule, settings["objectives"], "Leave it out, or search for the score alone.")
    last = (f".level{MOST_LEVELS}" if settings.get("levels") else "") + (".tuned" if settings.get("requeries") else "")
    if last and not NAME.fullmatch(name + last):
        rule = f"leave room for {last!r} within 80 letters"
        raise InputError("study name", rule, name, "Choose a shorter name.")


def run_stages(
    store: GraphStore, study: StudyRecord, run: RunStudy, reporter: Reporter, stop: Callable[[], bool]
) -> list[StudyRecord]:
    """Run a study, then what its settings say follows it.

    A level ends when the policy has converged or the level's budget is used up; each has the same budget. Once the
    next level was begun, a larger budget counts for the levels that are left, and so do tighter constraints.

    Args:
        store: where it is.
        study: the first level's, or one of a finer level.
        run: runs each study.
        reporter: told of the making of levels.
        stop: asked between stages.

    Returns:
        The studies that there are, the given one first.

    Raises:
        What ``run`` raises.
    """
    studies: list[StudyRecord] = []
    following: StudyRecord | None = study
    while following is not None:
        present = following
        if is_closed(store, present):
            present = store.update_study(present.name, state=StudyState.DONE)
        else:
            present = run(_extended(store, present, study))
        studies.append(present)
        if present.state is not StudyState.DONE or stop():
            return studies
        following = next_study(store, present, reporter)
    tuned = tuned_study(store, studies[-1])
    return [*studies, run(tuned)] if tuned is not None else studies


def _extended(store: GraphStore, level: StudyRecord, first: StudyRecord) -> StudyRecord:
    """A level with the budget and the limits that the study it was asked for has by now."""
    limits = {name: first.settings[name] for name in ("constraints", "hours") if name in first.settings}
    budget, settings = max(first.budget, level.budget), {**level.settings, **limits}
    return store.update_study(level.name, budget=budget, state=StudyState.OPEN, settings=settings)
