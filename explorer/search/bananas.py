"""BANANAS: an ensemble of small networks on encoded architectures, mutants of the best, independent Thompson sampling.

Source: White, Neiswanger and Savani (arXiv 1910.11858). Differences: architectures here are chains of layers, so the
paper's path encoding adds nothing to one-hot design choices, which are used instead; the members are trained together
by batched matrix products, on standardised values with the squared error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field, NonNegativeInt, PositiveInt
from pydantic.dataclasses import dataclass

from explorer.records import Proposal
from explorer.search.candidates import Candidates
from explorer.search.initial_design import Array, Indices, InitialDesignPolicy, differences, figures_at, one_hot
from explorer.surrogate.settings import STRICT


@dataclass(frozen=True, config=STRICT)
class BananasSettings:
    """Settings of BANANAS.

    Attributes:
        initial: random trials before the first fit (failed ones not counted).
        members: networks of the ensemble.
        epochs: full-batch training steps.
        parents: number of best completed trials that are mutated.
        mutants: untried candidates nearest to each parent that may be proposed.
        strangers: random untried candidates that may be proposed in addition.
    """

    initial: NonNegativeInt = 10
    members: Annotated[int, Field(ge=2)] = 5
    epochs: PositiveInt = 200
    parents: PositiveInt = 10
    mutants: PositiveInt = 20
    strangers: NonNegativeInt = 50


class Bananas(InitialDesignPolicy):
    """Proposes the mutants with the highest values drawn from the ensemble's posterior.

    Args:
        candidates: the architectures it chooses from.
        seed: seed of all random choices.
        settings: the policy's own settings.
        predict: trains the ensemble and predicts; ``explorer.surrogate.ensemble.ensemble_predictions`` by default.
    """

    name: ClassVar[str] = "bananas"
    settings_type: ClassVar[type[Any]] = BananasSettings
    uses_torch: ClassVar[bool] = True
    settings: BananasSettings

    def __init__(
        self,
        candidates: Candidates,
        seed: int,
        settings: Mapping[str, Any] | None = None,
        predict: Callable[..., Array] | None = None,
    ) -> None:
        super().__init__(candidates, seed, settings)
        self._predict = predict or _ensemble_predictions
        self._features = one_hot(candidates.choices)

    def _choose(self, count: int, free: Indices, number: int) -> list[Proposal]:
        observed, values = self._observed()
        generator = self._generator(1, self._next_number())
        pool = self._pool(observed, values, count, free, generator)
        mean, spread = self._posterior(observed, values, pool)
        drawn = mean + spread * generator.standard_normal(len(pool))
        return [
            self._proposal(int(pool[i]), "optimise", figures_at(i, mean=mean, spread=spread, draw=drawn))
            for i in np.argsort(-drawn, kind="stable")[:count]
        ]

    def _pool(
        self, observed: Indices, values: Array, count: int, free: Indices, generator: np.random.Generator
    ) -> Indices:
        """Return what may be proposed: the untried candidates nearest to each of the best, and random ones."""
        s, choices = self.settings, self.candidates.choices
        ties = generator.random(len(free))
        chosen: list[Indices] = []
        for parent in observed[np.argsort(-values, kind="stable")][: s.parents]:
            apart = differences(choices[free], choices[parent])
            chosen.append(free[np.lexsort((ties, apart))[: s.mutants]])
        shuffled = generator.permutation(free)
        pool = np.unique(np.concatenate([*chosen, shuffled[: s.strangers]]))
        if len(pool) < count:
            pool = np.unique(np.concatenate([pool, shuffled]))
        return pool

    def _posterior(self, observed: Indices, values: Array, pool: Indices) -> tuple[Array, Array]:
        """Return mean and standard deviation ``[P]`` of the members' predictions."""
        seed = int(self._generator(2, self._next_number()).integers(2**31))
        guesses = self._predict(
            self._features[observed], values, self._features[pool], self.settings.members, self.settings.epochs, seed
        )
        return guesses.mean(axis=0), guesses.std(axis=0, ddof=1)


def _ensemble_predictions(*arguments: Any) -> Array:
    from explorer.surrogate.ensemble import ensemble_predictions

    return ensemble_predictions(*arguments)
