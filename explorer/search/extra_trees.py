"""Extremely randomised trees on one-hot design choices, with an upper confidence bound.

Source: the trees are those of Geurts et al. (2006). Their predictions' mean and spread stand for belief and doubt. Each
tree sees all scores; their splits are random, so they differ where scores are few.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from explorer.errors import InputError
from explorer.search.modelled import Choice, Indices, ModelledPolicy, figures_at, one_hot
from explorer.search.settings import read_settings


@dataclass(frozen=True)
class ExtraTreesSettings:
    """Settings of the search by trees.

    Attributes:
        initial: trials drawn at random before any is learned from (failed ones not counted).
        trees: how many.
        k: weight of the trees' spread in the upper confidence bound.
    """

    initial: int = 10
    trees: int = 200
    k: float = 1.0

    def __post_init__(self) -> None:
        if self.trees < 2:
            raise InputError("extra_trees setting trees", "be at least 2", self.trees, "The default is 200.")


class ExtraTrees(ModelledPolicy):
    """Proposes the candidates with the highest mean plus k deviations of the trees."""

    name: ClassVar[str] = "extra_trees"
    _settings: ExtraTreesSettings

    def _configure(self, settings: Mapping[str, Any]) -> None:
        self._settings = read_settings(ExtraTreesSettings, settings, self.name)
        self._features = one_hot(self.candidates.choices).astype(np.float32)

    def _choose(self, count: int, free: Indices) -> list[Choice]:
        from sklearn.ensemble import ExtraTreesRegressor

        observed, values = self._observed()
        state = int(self._generator(1, self._next_number()).integers(2**31))
        forest = ExtraTreesRegressor(self._settings.trees, random_state=state, n_jobs=1)
        forest.fit(self._features[observed], values)
        guesses = np.array([tree.predict(self._features[free], check_input=False) for tree in forest.estimators_])
        mean, spread = guesses.mean(axis=0), guesses.std(axis=0)
        bound = mean + self._settings.k * spread
        # Equal features have equal bounds; the seed's order decides between them, not the candidates' order.
        order = np.lexsort((self._generator(2, self._next_number()).random(len(free)), -bound))[:count]
        return [Choice(int(free[i]), "optimise", figures_at(i, mean=mean, spread=spread, ucb=bound)) for i in order]
