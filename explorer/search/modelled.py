"""What policies that learn from scores share: a random first design, then choices by whatever they learned."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from explorer.records import Proposal
from explorer.search.policy import Policy

Array = NDArray[np.float64]
Indices = NDArray[np.int64]
LEAST_VALUES = 2
"""Completed trials below which there is nothing to learn from, so the first design goes on."""


class WithInitial(Protocol):
    """Settings with the size of the first design."""

    @property
    def initial(self) -> int:
        """Trials drawn at random before anything is learned from them (failed ones not counted)."""


@dataclass(frozen=True)
class Choice:
    """One candidate chosen by a model.

    Attributes:
        index: which candidate.
        origin: how it was chosen, as ``Proposal`` has it.
        figures: what the model says of it.
    """

    index: int
    origin: str
    figures: dict[str, float]


class ModelledPolicy(Policy):
    """Starts as random search does, with the same candidates for the same seed, then asks ``_choose``."""

    _settings: WithInitial

    def _propose(self, count: int, untried: Indices) -> list[Proposal]:
        alive = sum(not trial.failed for trial in self.trials)
        wanted = max(0, self._settings.initial - alive)
        designed = count if len(self.completed) < LEAST_VALUES else min(count, wanted)
        first = self._in_random_order(untried)[:designed]
        choices = [Choice(i, "initial", {}) for i in first]
        if designed < count:
            choices += self._choose(count - designed, np.setdiff1d(untried, np.array(first, dtype=np.int64)))
        return [Proposal(self.candidates.ids[c.index], c.origin, c.figures) for c in choices]

    @abstractmethod
    def _choose(self, count: int, free: Indices) -> list[Choice]:
        """``count`` distinct candidates among ``free`` (ascending, at least ``count``); two or more are completed."""

    def _observed(self) -> tuple[Indices, Array]:
        """Index ``[n]`` and standardised value ``[n]`` of the completed trials, by number."""
        index = np.array([self.candidates.index[trial.architecture] for trial in self.completed], dtype=np.int64)
        return index, standardised(np.array([trial.value for trial in self.completed], dtype=np.float64))

    def _pending(self) -> Indices:
        """Candidates that are waited for ``[p]``, by number."""
        ids = [trial.architecture for trial in self.trials if trial.pending]
        return np.array([self.candidates.index[id] for id in ids], dtype=np.int64)


def figures_at(place: int, **figures: Array) -> dict[str, float]:
    """What each of several figures ``[N]`` is at one place."""
    return {name: float(values[place]) for name, values in figures.items()}


def standardised(values: Array) -> Array:
    """Values ``[n]`` with mean 0 and deviation 1, or all 0 where they are equal; huge ones do not overflow."""
    largest = float(np.abs(values).max(initial=0.0)) or 1.0
    scaled = values / largest
    spread = float(scaled.std())
    return np.asarray((scaled - scaled.mean()) / spread if spread > 1e-12 else np.zeros(len(values)))


def one_hot(choices: Indices) -> Array:
    """A column for each value of each choice that not all candidates share, 0 or 1, ``[N, F]``; F is at least 1."""
    columns = [choices[:, [c]] == np.unique(choices[:, c]) for c in range(choices.shape[1])]
    several = [block for block in columns if block.shape[1] > 1]
    return np.concatenate(several or [np.ones((len(choices), 1))], axis=1).astype(np.float64)


def differences(choices: Indices, one: Indices) -> Indices:
    """In how many choices each candidate ``[N, c]`` differs from one ``[c]``; ``[N]``."""
    return np.asarray((choices != one).sum(axis=1), dtype=np.int64)
