"""Regularised evolution (arXiv 1802.01548) over a finite set of candidates.

The population is the newest P completed trials by number, so the oldest die whatever their value; until there are P
of them it is all. The best of a random tournament (S distinct members) is mutated: into an untried candidate
that differs from it in as few design choices as possible, drawn uniformly among those.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from explorer.errors import InputError
from explorer.records import Proposal, Trial
from explorer.search.policy import Policy
from explorer.search.settings import read_settings


@dataclass(frozen=True)
class EvolutionSettings:
    """Settings of regularised evolution.

    Attributes:
        initial: trials drawn at random before mutation begins (failed ones not counted).
        population: newest completed trials that may be parents.
        tournament: how many of them compete to be one.
    """

    initial: int = 10
    population: int = 20
    tournament: int = 5

    def __post_init__(self) -> None:
        for name in ("population", "tournament"):
            if getattr(self, name) < 1:
                raise InputError(f"evolution setting {name}", "be at least 1", getattr(self, name), "Use more.")


class Evolution(Policy):
    """Proposes mutants of recent good architectures."""

    name: ClassVar[str] = "evolution"

    def _configure(self, settings: Mapping[str, Any]) -> None:
        self._settings = read_settings(EvolutionSettings, settings, self.name)

    def _propose(self, count: int, untried: NDArray[np.int64]) -> list[Proposal]:
        parents = self.completed[-self._settings.population :]
        alive = sum(not trial.failed for trial in self.trials)
        shuffled = iter(self._in_random_order(untried))
        free = np.zeros(len(self.candidates), dtype=bool)
        free[untried] = True
        proposals: list[Proposal] = []
        for place in range(count):
            if not parents or alive + place < self._settings.initial:
                chosen, proposal_origin, figures = next(i for i in shuffled if free[i]), "initial", {}
            else:
                generator = self._generator(1, self._next_number() + place)
                winner = self._winner(parents, generator)
                chosen = self._mutant(winner, free, generator)
                proposal_origin, figures = "mutation", {"parent": float(winner.value or 0.0)}
            free[chosen] = False
            proposals.append(Proposal(self.candidates.ids[chosen], proposal_origin, figures))
        return proposals

    def _winner(self, parents: list[Trial], generator: np.random.Generator) -> Trial:
        size = min(self._settings.tournament, len(parents))
        drawn = [parents[i] for i in generator.choice(len(parents), size=size, replace=False)]
        return max(drawn, key=lambda trial: (trial.value, -trial.number))

    def _mutant(self, parent: Trial, free: NDArray[np.bool_], generator: np.random.Generator) -> int:
        choices = self.candidates.choices
        open_indices = np.flatnonzero(free)
        distances = (choices[open_indices] != choices[self.candidates.index[parent.architecture]]).sum(1)
        # Candidates without any difference in their choices are no mutants; they come last.
        distances = np.where(distances == 0, choices.shape[1] + 1, distances)
        nearest = open_indices[distances == distances.min()]
        return int(generator.choice(nearest))
