"""NSGA-II on the design choices, by Optuna; each offspring is moved to the nearest untried candidate.

Source: Deb et al., 2002, as in Optuna (arXiv 1907.10902). A generation is a fixed number of completed trials in the
order of their numbers; parents are the elite of all earlier generations. The score is maximised and the candidates'
costs are minimised; without costs it is a genetic algorithm for the score alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from pydantic import Field, NonNegativeInt
from pydantic.dataclasses import dataclass

from explorer.search.optuna_policy import OptunaPolicy
from explorer.search.policy import Capability
from explorer.surrogate.settings import STRICT

if TYPE_CHECKING:
    from optuna.study import Study


@dataclass(frozen=True, config=STRICT)
class Nsga2Settings:
    """Settings of NSGA-II.

    Attributes:
        initial: random trials before the first offspring (failed ones not counted).
        population: completed trials of a generation; half of the known ones where that is fewer.
    """

    initial: NonNegativeInt = 10
    population: Annotated[int, Field(ge=2)] = 20


class Nsga2(OptunaPolicy):
    """Proposes offspring of the best trade-offs by crossover and mutation."""

    name: ClassVar[str] = "nsga2"
    settings_type: ClassVar[type[Any]] = Nsga2Settings
    capabilities: ClassVar[frozenset[Capability]] = frozenset({Capability.INITIAL_DESIGN, Capability.COSTS})
    origin: ClassVar[str] = "mutation"
    settings: Nsga2Settings

    def _study(self, seed: int) -> Study:
        """Return an Optuna study of the completed trials in generations, the last of which is whole."""
        optuna = self._optuna
        observed, values = self._observed()
        size = min(self.settings.population, max(2, len(observed) // 2))
        sampler = optuna.samplers.NSGAIISampler(population_size=size, seed=seed)
        # Without costs a constant second objective keeps the proposals those of studies already stored.
        costs = self.candidates.costs if self.candidates.cost_names else np.zeros((len(self.candidates), 1))
        study: Study = optuna.create_study(directions=["maximize", *["minimize"] * costs.shape[1]], sampler=sampler)
        for place, (index, value) in enumerate(zip(observed.tolist(), values.tolist(), strict=True)):
            # The sampler knows a generation by this attribute; the youngest trials complete the last generation.
            generation = max(0, place - len(observed) % size) // size
            study.add_trial(
                optuna.trial.create_trial(
                    params=self._params(index),
                    distributions=self._space,
                    values=[value, *costs[index].tolist()],
                    system_attrs={"NSGAIISampler:generation": generation},
                )
            )
        return study
