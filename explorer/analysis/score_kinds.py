"""Which scores of a task a user means, where they are of several kinds that do not compare.

A kind is metric, dataset, fidelity and recipe. Scores name a recipe by its digest; people say ``nano`` or ``quick``,
which means its digest and its fidelity.
"""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping, Sequence

from explorer.errors import InputError
from explorer.training.recipe import RECIPES, name_of_recipe
from graphstore.queries import KIND, Best, Fact, ScoreKey


def settle_score(key: ScoreKey, best: Sequence[Best], where: str) -> ScoreKey:
    """The scores that a user's words mean.

    Args:
        key: as the user says it; its recipe may be a name.
        best: one of every kind of scores there is, of all tasks.
        where: the space or the store they are of, for people.

    Returns:
        The same with the recipe as the scores have it.

    Raises:
        InputError: there are no such scores, or they are of several kinds.
    """
    kinds = [one for one in best if one.task == key.task]
    if not kinds:
        tasks = ", ".join(sorted({one.task for one in best})) or "none yet"
        rule = f"be a fact ({', '.join(Fact)}) or a task with scores in {where}: {tasks}"
        raise InputError("score", rule, key.task, "Choose one of them, or import scores first.")
    settled = _with_digest(key, kinds)
    fitting = [kind for kind in kinds if _fits(kind, settled.fields)]
    if len(fitting) == 1:
        return settled
    shown = {kind: _shown(kind, kinds) for kind in fitting or kinds}
    listed = "; ".join(" / ".join(fields.values()) for fields in shown.values())
    if not fitting:
        rule = f"be of a kind ({' / '.join(KIND)}) that {key.task} has in {where}: {listed}"
        given = {name: value for name, value in key.fields.items() if name != "task"}
        raise InputError("score", rule, given, "Choose one of them.")
    rule = f"be of one kind ({' / '.join(KIND)}) to be compared, of those in {where}: {listed}"
    ways = "; or ".join(_options(kind, shown) for kind in fitting)
    # No full stop, which would be copied with the last option.
    raise InputError("score", rule, key.task, f"Add {ways}")


def _with_digest(key: ScoreKey, kinds: Sequence[Best]) -> ScoreKey:
    recipe = RECIPES.get(key.recipe or "")
    # Imported scores may say such a name themselves.
    if recipe is None or any(kind.recipe == key.recipe for kind in kinds):
        return key
    exact = any((kind.fidelity, kind.recipe) == (recipe.fidelity, recipe.digest) for kind in kinds)
    # Where there is none of just this training, what else was trained by its settings is meant: with weight transfer.
    fidelity = recipe.fidelity if exact and key.fidelity is None else key.fidelity
    return dataclasses.replace(key, recipe=recipe.digest, fidelity=fidelity)


def _fits(kind: Best, fields: Mapping[str, str]) -> bool:
    return all(getattr(kind, name) == value for name, value in fields.items())


def _shown(kind: Best, kinds: Sequence[Best]) -> dict[str, str]:
    """A kind with its recipe as the options take it: by name, unless other scores say that name themselves."""
    fields = {name: str(getattr(kind, name)) for name in KIND}
    name = name_of_recipe(kind.fidelity, kind.recipe)
    if name and all(one.recipe != name for one in kinds):
        fields["recipe"] = name
    return fields


def _options(kind: Best, shown: Mapping[Best, Mapping[str, str]]) -> str:
    """Options that tell a kind from the others: of all four the first that each tell it from more of them."""
    words, others = [], [one for one in shown if one != kind]
    for name in ("recipe", "fidelity", "dataset", "metric"):
        chosen = {name: getattr(kind, name)}
        text = shown[kind][name]
        if name == "recipe" and text != kind.recipe:
            chosen["fidelity"] = kind.fidelity
        left = [one for one in others if _fits(one, chosen)]
        if len(left) < len(others):
            words.append(f"--{name} {shlex.quote(text)}")
            others = left
    return " ".join(words)
