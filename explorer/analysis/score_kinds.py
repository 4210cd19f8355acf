"""Score kinds: which one a user means, what to call them, and the known scores of one kind.

Scores of different kinds (task, metric, dataset, fidelity, recipe, origin) are not comparable. Scores name their recipe
by its digest; users write ``nano`` or ``quick``, which means that recipe's digest and fidelity.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from explorer.errors import Advice, DataError, InputError, Remedy, Ways
from explorer.training.recipe import RECIPES, name_of_recipe
from graphstore import GraphStore
from graphstore.queries import Fact
from graphstore.records import ScoreKind, ScoreRecord

FEWEST = 4
"""Fewest digits of a digest to show; more are shown if these are not unique."""
WHOLE = 8
"""Texts of at most this length are not shortened."""


# The kind a user means --------------------------------------------------------------------------------------------


def resolve_kind(asked: ScoreKind, known: Sequence[ScoreKind], where: str) -> ScoreKind:
    """Return the score kind that a user means, without open fields.

    Args:
        asked: the kind in the user's words; its recipe may be a name.
        known: all kinds that there are scores of, of all tasks.
        where: the space or the store of these scores, for messages.

    Raises:
        InputError: such scores do not exist, or they are of several kinds.
    """
    kinds = [kind for kind in known if kind.task == asked.task]
    if not kinds:
        tasks = ", ".join(sorted({kind.task for kind in known})) or "none yet"
        rule = f"be a fact ({', '.join(Fact)}) or a task with scores in {where}: {tasks}"
        raise InputError("score", rule, asked.task, "Choose one of them, or import scores first.")
    resolved = _with_digest(asked, kinds)
    fitting = [kind for kind in kinds if resolved.covers(kind)]
    if len(fitting) == 1:
        return fitting[0]
    shown = {kind: _shown(kind, kinds) for kind in fitting or kinds}
    listed = "; ".join(" / ".join(fields.values()) for fields in shown.values())
    if not fitting:
        rule = f"be of a kind ({' / '.join(ScoreKind.OPEN)}) that {asked.task} has in {where}: {listed}"
        given = {name: value for name, value in asked.fields.items() if name != "task"}
        raise InputError("score", rule, given, "Choose one of them.")
    rule = f"be of one kind ({' / '.join(ScoreKind.OPEN)}) to be compared, of those in {where}: {listed}"
    ways = Ways(_telling_apart(kind, shown) for kind in fitting)
    # Without a full stop, which users would copy with the last option.
    raise InputError("score", rule, asked.task, Advice(Remedy.ONE_KIND, ways=ways))


def _with_digest(asked: ScoreKind, kinds: Sequence[ScoreKind]) -> ScoreKind:
    recipe = RECIPES.get(asked.recipe or "")
    # Imported scores may use such a name as their recipe.
    if recipe is None or any(kind.recipe == asked.recipe for kind in kinds):
        return asked
    exact = any((kind.fidelity, kind.recipe) == (recipe.fidelity, recipe.digest) for kind in kinds)
    # If no score has exactly this fidelity, match any with the same recipe digest (e.g. trained with weight transfer).
    fidelity = recipe.fidelity if exact and asked.fidelity is None else asked.fidelity
    return dataclasses.replace(asked, recipe=recipe.digest, fidelity=fidelity)


def _shown(kind: ScoreKind, kinds: Sequence[ScoreKind]) -> dict[str, str]:
    """Return the kind's fields as the options take them: the recipe by name, unless other scores use that name."""
    fields = {name: value for name, value in kind.fields.items() if name != "task"}
    name = name_of_recipe(kind.fidelity or "", kind.recipe or "")
    if name and all(other.recipe != name for other in kinds):
        fields["recipe"] = name
    return fields


def _telling_apart(kind: ScoreKind, shown: Mapping[ScoreKind, Mapping[str, str]]) -> dict[str, str]:
    """Return fields that select a kind: greedily, the first ones that each exclude more of the other kinds."""
    fields: dict[str, str] = {}
    others = [other for other in shown if other != kind]
    for name in ("recipe", "fidelity", "dataset", "metric", "origin"):
        chosen = ScoreKind(kind.task, **{name: getattr(kind, name)})
        text = shown[kind][name]
        if name == "recipe" and text != kind.recipe:
            chosen = dataclasses.replace(chosen, fidelity=kind.fidelity)
        left = [other for other in others if chosen.covers(other)]
        if len(left) < len(others):
            fields[name] = text
            others = left
    return fields


# Titles -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TitledKind:
    """A score kind without open fields, and its title among the others of its space; see ``kind_titles``."""

    kind: ScoreKind
    title: str


def kind_titles(kinds: Iterable[ScoreKind]) -> dict[ScoreKind, str]:
    """Return a short title for each kind: its task, and the least that distinguishes it from the task's other kinds.

    Args:
        kinds: kinds without open fields, of any tasks.
    """
    by_task: dict[str, list[ScoreKind]] = defaultdict(list)
    for kind in dict.fromkeys(kinds):
        by_task[kind.task].append(kind)
    titles = {}
    for task, group in by_task.items():
        for kind, detail in _distinguished(group).items():
            titles[kind] = f"{task} ({detail})" if detail else task
    return titles


def training_title(fidelity: str, recipe: str) -> str:
    """Return the name of a training: that of its recipe if it is a known one, else the fidelity."""
    name = name_of_recipe(fidelity, recipe)
    return f"recipe {name}" if name else fidelity


def _distinguished(kinds: Sequence[ScoreKind]) -> dict[ScoreKind, str]:
    """Return a different text for each kind of one task; empty if there is only one kind."""
    if len(kinds) < 2:
        return dict.fromkeys(kinds, "")
    alike: dict[str, list[ScoreKind]] = defaultdict(list)
    for kind in kinds:
        alike[training_title(kind.fidelity or "", kind.recipe or "")].append(kind)
    titles = {
        kind: " · ".join(([training] if training and len(alike) > 1 else []) + details)
        for training, group in alike.items()
        for kind, details in _details(group).items()
    }
    if len(set(titles.values())) < len(kinds) or not all(titles.values()):
        # Imported texts may make two titles equal; only the whole kind is certain to differ.
        return {kind: " · ".join(repr(getattr(kind, name)) for name in ScoreKind.OPEN) for kind in kinds}
    return titles


def _details(group: Sequence[ScoreKind]) -> dict[ScoreKind, list[str]]:
    """Return what distinguishes kinds with the same training; nothing if there is only one."""
    found: dict[ScoreKind, list[str]] = {kind: [] for kind in group}
    for field, prefix in (("metric", ""), ("dataset", "data "), ("recipe", "recipe "), ("origin", "from ")):
        values = {getattr(kind, field) for kind in group}
        if len(values) > 1:
            # Digests may be shortened, but an origin is a name, by which users select or remove its scores.
            short = {value: value for value in values} if field == "origin" else _shortened(values)
            for kind, parts in found.items():
                parts.append(prefix + short[getattr(kind, field)])
    return found


def _shortened(values: set[str]) -> dict[str, str]:
    """Return the shortest prefixes that distinguish the values; short values are kept whole."""
    for length in range(FEWEST, max(map(len, values), default=0)):
        short = {value: value if len(value) <= WHOLE else value[:length] for value in values}
        if len(set(short.values())) == len(values):
            return short
    return {value: value for value in values}


# Known scores -----------------------------------------------------------------------------------------------------


def known_objective(
    store: GraphStore, space: str, task: str, fidelity: str | None = None, origin: str | None = None
) -> dict[str, float]:
    """Return the mean known score of each architecture of a space, for studies that do not train.

    Args:
        store: the store with the scores.
        space: name of the space.
        task: the objective; ``TASK:METRIC`` if the task was scored by several metrics.
        fidelity: take only scores of this fidelity; required if there are several.
        origin: take only scores of this origin; required if there are several.

    Raises:
        DataError: scores do not exist, they are of several kinds, or lower is better, as for a perplexity.
    """
    found = store.scores(space=space, task=task)
    if not found and ":" in task:
        name, metric = (part.strip() for part in task.rsplit(":", 1))
        found = [score for score in store.scores(space=space, task=name) if score.metric == metric]
    if not found:
        tasks = sorted({score.task for score in store.scores(space=space)})
        rule = f"be a task with scores in space {space}: {', '.join(tasks) or 'none yet'}"
        raise DataError("objective", rule, task, "Choose one of them, or import scores first.")
    for name, wanted in (("fidelity", fidelity), ("origin", origin)):
        if wanted is not None:
            known = sorted({getattr(score, name) for score in found})
            found = [score for score in found if getattr(score, name) == wanted]
            if not found:
                raise DataError(name, f"be one of: {'; '.join(known)}", wanted, "Choose one of them.")
    kinds = {score.kind for score in found}
    if len(kinds) > 1:
        shown = sorted(" / ".join([*kind.fields.values()][1:]) for kind in kinds)
        rule = "have comparable scores (one metric, dataset, fidelity, recipe and origin)"
        raise DataError(f"objective {task}", rule, "; ".join(shown), _choice_remedy(task, kinds))
    (kind,) = kinds
    if kind.lower_is_better:
        rule = "have scores for which higher is better, because a search maximises them"
        raise DataError(f"objective {task}", rule, f"metric {kind.metric}", "Choose another, or import it negated.")
    return mean_values(found)


def _choice_remedy(task: str, kinds: Collection[ScoreKind]) -> str:
    """Return the remedy for an objective whose scores are of several kinds."""
    metrics = sorted({kind.metric or "" for kind in kinds})
    if len(metrics) > 1:
        return Advice(Remedy.ONE_METRIC, task=task, metric=metrics[0])
    if len({kind.fidelity for kind in kinds}) > 1:
        return Advice(Remedy.ONE_FIDELITY)
    if len({kind.origin for kind in kinds}) > 1:
        return Advice(Remedy.ONE_ORIGIN)
    return "Import one kind into another store, and search there."


def mean_values(scores: Iterable[ScoreRecord]) -> dict[str, float]:
    """Return the mean value of each architecture over scores of one kind."""
    values: dict[str, list[float]] = defaultdict(list)
    for score in scores:
        values[score.architecture].append(score.value)
    return {architecture: float(np.mean(group)) for architecture, group in values.items()}


def known_levels(scores: Iterable[ScoreRecord]) -> dict[ScoreKind, ScoreRecord]:
    """Return a score that has a majority or a chance level, for each kind that has one; they are equal in a kind."""
    found: dict[ScoreKind, ScoreRecord] = {}
    for score in scores:
        if score.majority is not None or score.chance is not None:
            found.setdefault(score.kind, score)
    return found
