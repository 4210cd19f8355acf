"""NSGA-II on the design choices, by Optuna; what it breeds is moved to the nearest untried candidate.

Source: Deb et al., 2002, as Optuna (arXiv 1907.10902) has it. A generation is so many completed trials in the order of
their numbers; parents are the elite of all generations before. The score is maximised and the candidates' costs are
minimised; without costs it is a genetic algorithm for the score alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from explorer.errors import InputError
from explorer.search.costs import CostedCandidates, costs_of
from explorer.search.optuna_policy import OptunaPolicy
from explorer.search.settings import read_settings

if TYPE_CHECKING:
    from optuna.study import Study


@dataclass(frozen=True)
class Nsga2Settings:
    """Settings of NSGA-II.

    Attributes:
        initial: trials drawn at random before any is bred (failed ones not counted).
        population: completed trials of a generation; half as many as are known, where that is fewer.
    """

    initial: int = 10
    population: int = 20

    def __post_init__(self) -> None:
        if self.population < 2:
            raise InputError("nsga2 setting population", "be at least 2", self.population, "The default is 20.")


class Nsga2(OptunaPolicy):
    """Proposes what crossover and mutation make of the best trade-offs."""

    name: ClassVar[str] = "nsga2"
    _origin: ClassVar[str] = "mutation"
    _settings: Nsga2Settings

    def _configure(self, settings: Mapping[str, Any]) -> None:
        self._settings = read_settings(Nsga2Settings, settings, self.name)
        self._costs = costs_of(self.candidates)
        super()._configure(settings)

    def _figures(self, index: int) -> dict[str, float]:
        return self.candidates.figures(index) if isinstance(self.candidates, CostedCandidates) else {}

    def _study(self, seed: int) -> Study:
        """Optuna's picture of the history: completed trials, so many a generation, of which the last one is whole."""
        optuna = self._optuna
        observed, values = self._observed()
        size = min(self._settings.population, max(2, len(observed) // 2))
        sampler = optuna.samplers.NSGAIISampler(population_size=size, seed=seed)
        directions = ["maximize", *["minimize"] * self._costs.shape[1]]
        study: Study = optuna.create_study(directions=directions, sampler=sampler)
        for place, (index, value) in enumerate(zip(observed.tolist(), values.tolist(), strict=True)):
            # The sampler knows a generation by this attribute; the youngest trials complete the last generation.
            generation = max(0, place - len(observed) % size) // size
            study.add_trial(
                optuna.trial.create_trial(
                    params=self._params(index),
                    distributions=self._space,
                    values=[value, *self._costs[index].tolist()],
                    system_attrs={"NSGAIISampler:generation": generation},
                )
            )
        return study
