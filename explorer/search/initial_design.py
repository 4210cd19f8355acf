"""Policies that learn from scores: an initial design first, then choices based on the observations."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from itertools import islice
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from explorer.records import Proposal
from explorer.search.policy import Capability, Policy

Array = NDArray[np.float64]
Indices = NDArray[np.int64]


class InitialDesignPolicy(Policy):
    """Proposes an initial design, then calls ``_choose``.

    The initial design covers the first ``settings.initial`` trials that did not fail, and continues until
    ``min_observed`` trials are complete. By default it is the order of random search, with the same candidates for the
    same seed.
    """

    capabilities: ClassVar[frozenset[Capability]] = frozenset({Capability.INITIAL_DESIGN})
    min_observed: ClassVar[int] = 2
    """Completed trials that ``_choose`` needs."""

    def _propose(self, count: int, untried: Indices) -> list[Proposal]:
        not_failed = sum(not trial.failed for trial in self.trials)
        size = min(count, max(0, self.settings.initial - not_failed))
        if len(self.completed) < self.min_observed:
            size = count
        design = list(islice(self._initial_design(untried), size))
        proposals = [self._proposal(i, "initial") for i in design]
        if size < count:
            free = np.setdiff1d(untried, np.array(design, dtype=np.int64))
            proposals += self._choose(count - size, free, self._next_number() + size)
        return proposals

    def _initial_design(self, untried: Indices) -> Iterable[int]:
        """Yield the untried candidates in the order of the initial design, which does not depend on the history."""
        return self._in_random_order(untried)

    @abstractmethod
    def _choose(self, count: int, free: Indices, number: int) -> list[Proposal]:
        """Choose candidates by the observations.

        Args:
            count: how many, at least 1.
            free: indices of the candidates to choose from, ascending, at least ``count``.
            number: trial number of the first one. It differs from ``_next_number()`` where the batch begins with the
                end of the initial design.

        Returns:
            Distinct proposals.
        """

    def _observed(self) -> tuple[Indices, Array]:
        """Return index ``[n]`` and standardised value ``[n]`` of the completed trials, by number."""
        values = np.array([trial.value for trial in self.completed], dtype=np.float64)
        return self._indices(self.completed), standardised(values)


def figures_at(place: int, **figures: Any) -> dict[str, float]:
    """Return one entry of each of several arrays ``[N]``, by name."""
    return {name: float(values[place]) for name, values in figures.items()}


def standardised(values: Array) -> Array:
    """Scale values ``[n]`` to mean 0 and deviation 1, without overflow; all 0 where they are equal."""
    largest = float(np.abs(values).max(initial=0.0)) or 1.0
    scaled = values / largest
    spread = float(scaled.std())
    return np.asarray((scaled - scaled.mean()) / spread if spread > 1e-12 else np.zeros(len(values)))


def one_hot(choices: Indices) -> Array:
    """Encode each value of each choice that varies over the candidates as a column of 0 and 1, ``[N, F]``, F ≥ 1."""
    columns = [choices[:, [c]] == np.unique(choices[:, c]) for c in range(choices.shape[1])]
    several = [block for block in columns if block.shape[1] > 1]
    return np.concatenate(several or [np.ones((len(choices), 1))], axis=1).astype(np.float64)


def differences(choices: Indices, one: Indices) -> Indices:
    """Count the choices in which each candidate ``[N, c]`` differs from one ``[c]``; ``[N]``."""
    return np.asarray((choices != one).sum(axis=1), dtype=np.int64)
