"""Extremely randomised trees (Geurts et al., 2006) on one-hot design choices, with an upper confidence bound.

The mean of the trees' predictions is the posterior mean, their standard deviation the epistemic uncertainty. Each tree
sees all scores; its splits are random, so the trees differ where scores are few.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field, NonNegativeFloat, NonNegativeInt
from pydantic.dataclasses import dataclass

from explorer.records import Proposal
from explorer.search.candidates import Candidates
from explorer.search.initial_design import Indices, InitialDesignPolicy, figures_at, one_hot
from explorer.surrogate.settings import STRICT


@dataclass(frozen=True, config=STRICT)
class ExtraTreesSettings:
    """Settings of the search with trees.

    Attributes:
        initial: random trials before the first fit (failed ones not counted).
        trees: number of trees.
        k: weight of the trees' standard deviation in the upper confidence bound.
    """

    initial: NonNegativeInt = 10
    trees: Annotated[int, Field(ge=2)] = 200
    k: NonNegativeFloat = 1.0


class ExtraTrees(InitialDesignPolicy):
    """Proposes the candidates with the highest upper confidence bound of the trees."""

    name: ClassVar[str] = "extra_trees"
    settings_type: ClassVar[type[Any]] = ExtraTreesSettings
    settings: ExtraTreesSettings

    def __init__(self, candidates: Candidates, seed: int, settings: Mapping[str, Any] | None = None) -> None:
        super().__init__(candidates, seed, settings)
        self._features = one_hot(candidates.choices).astype(np.float32)

    def _choose(self, count: int, free: Indices, number: int) -> list[Proposal]:
        from sklearn.ensemble import ExtraTreesRegressor

        observed, values = self._observed()
        state = int(self._generator(1, self._next_number()).integers(2**31))
        forest = ExtraTreesRegressor(self.settings.trees, random_state=state, n_jobs=1)
        forest.fit(self._features[observed], values)
        guesses = np.array([tree.predict(self._features[free], check_input=False) for tree in forest.estimators_])
        mean, spread = guesses.mean(axis=0), guesses.std(axis=0)
        bound = mean + self.settings.k * spread
        # Equal features have equal bounds; break ties by the seed, not by the order of the candidates.
        order = np.lexsort((self._generator(2, self._next_number()).random(len(free)), -bound))[:count]
        return [
            self._proposal(int(free[i]), "optimise", figures_at(i, mean=mean, spread=spread, ucb=bound)) for i in order
        ]
