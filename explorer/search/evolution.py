"""Regularised evolution (arXiv 1802.01548) over a finite set of candidates.

The population is the newest P completed trials by number (all while there are fewer than P), so the oldest die,
whether good or not. The winner of a random tournament of S distinct members is mutated: the mutant is an untried
candidate that differs from it in as few design choices as possible, drawn uniformly among those.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from pydantic import NonNegativeInt, PositiveInt
from pydantic.dataclasses import dataclass

from explorer.records import Proposal, Trial
from explorer.search.initial_design import Indices, InitialDesignPolicy, differences
from explorer.surrogate.settings import STRICT


@dataclass(frozen=True, config=STRICT)
class EvolutionSettings:
    """Settings of regularised evolution.

    Attributes:
        initial: random trials before mutation begins (failed ones not counted).
        population: newest completed trials that may become parents.
        tournament: members drawn for each tournament.
    """

    initial: NonNegativeInt = 10
    population: PositiveInt = 20
    tournament: PositiveInt = 5


class Evolution(InitialDesignPolicy):
    """Proposes mutants of recent good architectures."""

    name: ClassVar[str] = "evolution"
    settings_type: ClassVar[type[Any]] = EvolutionSettings
    min_observed: ClassVar[int] = 1
    settings: EvolutionSettings

    def _choose(self, count: int, free: Indices, number: int) -> list[Proposal]:
        parents = self.completed[-self.settings.population :]
        proposals: list[Proposal] = []
        for place in range(count):
            generator = self._generator(1, number + place)
            winner = self._winner(parents, generator)
            mutant = self._mutant(winner, free, generator)
            free = free[free != mutant]
            proposals.append(self._proposal(mutant, "mutation", {"parent": float(winner.value or 0.0)}))
        return proposals

    def _winner(self, parents: list[Trial], generator: np.random.Generator) -> Trial:
        size = min(self.settings.tournament, len(parents))
        drawn = [parents[i] for i in generator.choice(len(parents), size=size, replace=False)]
        return max(drawn, key=lambda trial: (trial.value, -trial.number))

    def _mutant(self, parent: Trial, free: Indices, generator: np.random.Generator) -> int:
        choices = self.candidates.choices
        distances = differences(choices[free], choices[self.candidates.index[parent.architecture]])
        # A candidate with the same choices as its parent is not a mutant, so it comes last.
        distances = np.where(distances == 0, choices.shape[1] + 1, distances)
        return int(generator.choice(free[distances == distances.min()]))
