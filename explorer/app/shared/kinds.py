"""Names for people of the kinds of a task's scores: what was trained, by which metric, and how much of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from explorer.training.recipe import name_of_recipe

FEWEST = 4
"""Least digits of a digest that are shown; more where these do not tell two apart."""
WHOLE = 8
"""Texts up to this length are shown whole."""


class Kind(NamedTuple):
    """What two scores of a task must share to be comparable; texts as in ``graphstore.records.ScoreRecord``."""

    metric: str
    dataset: str
    fidelity: str
    recipe: str


def training_title(fidelity: str, recipe: str) -> str:
    """Name of an amount of training: that of its recipe where it is a known one, else the fidelity."""
    name = name_of_recipe(fidelity, recipe)
    return f"recipe {name}" if name else fidelity


def kind_titles(kinds: Sequence[Kind]) -> dict[Kind, str]:
    """A short text for each kind, different for each; empty where there is only one.

    Args:
        kinds: the distinct kinds of one task's scores.

    Returns:
        Kind → the name of its training, and after it whatever else is needed to tell it from the others.
    """
    if len(kinds) < 2:
        return dict.fromkeys(kinds, "")
    alike: dict[str, list[Kind]] = defaultdict(list)
    for kind in kinds:
        alike[training_title(kind.fidelity, kind.recipe)].append(kind)
    titles = {
        kind: " · ".join(([training] if training and len(alike) > 1 else []) + details)
        for training, group in alike.items()
        for kind, details in _details(group).items()
    }
    if len(set(titles.values())) < len(kinds) or not all(titles.values()):
        # Odd texts of an import can read like each other's; then only the whole kind is sure to differ.
        return {kind: " · ".join(repr(part) for part in kind) for kind in kinds}
    return titles


def _details(group: Sequence[Kind]) -> dict[Kind, list[str]]:
    """What tells kinds with the same training from each other; nothing where there is only one."""
    found: dict[Kind, list[str]] = {kind: [] for kind in group}
    for field, prefix in (("metric", ""), ("dataset", "data "), ("recipe", "recipe ")):
        values = {getattr(kind, field) for kind in group}
        if len(values) > 1:
            short = _shortened(values)
            for kind, parts in found.items():
                parts.append(prefix + short[getattr(kind, field)])
    return found


def _shortened(values: set[str]) -> dict[str, str]:
    """The fewest first characters that tell the values apart; short values whole."""
    for length in range(FEWEST, max(map(len, values), default=0)):
        short = {value: value if len(value) <= WHOLE else value[:length] for value in values}
        if len(set(short.values())) == len(values):
            return short
    return {value: value for value in values}
