"""Local search: evaluate the neighbours of the incumbent, move to a better one, restart where there is none.

Source: White et al. (arXiv 2005.02960), the variant that moves to the first better neighbour. Neighbours are the
candidates that differ in the fewest design choices, so the search also works on a sparse pool of architectures. The
walk is replayed from the trials by number.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from pydantic import NonNegativeInt, PositiveInt
from pydantic.dataclasses import dataclass

from explorer.records import Proposal, Trial
from explorer.search.candidates import Candidates
from explorer.search.initial_design import Indices, InitialDesignPolicy, differences
from explorer.surrogate.settings import STRICT


@dataclass(frozen=True, config=STRICT)
class LocalSearchSettings:
    """Settings of local search.

    Attributes:
        initial: random trials; the first walk starts from the best of them (failed ones not counted).
        neighbors: number of candidates that count as the neighbours of an architecture.
    """

    initial: NonNegativeInt = 10
    neighbors: PositiveInt = 20


class LocalSearch(InitialDesignPolicy):
    """Proposes the untried neighbours of the incumbent, nearest first, then random candidates to restart from."""

    name: ClassVar[str] = "local_search"
    settings_type: ClassVar[type[Any]] = LocalSearchSettings
    settings: LocalSearchSettings

    def __init__(self, candidates: Candidates, seed: int, settings: Mapping[str, Any] | None = None) -> None:
        super().__init__(candidates, seed, settings)
        self._ties = self._generator(1).random(len(candidates))
        self._near: dict[int, list[int]] = {}

    def _choose(self, count: int, free: Indices, number: int) -> list[Proposal]:
        untried = set(free.tolist())
        incumbent = self._incumbent()
        near = [i for i in self._neighbors(self.candidates.index[incumbent.architecture]) if i in untried][:count]
        figures = {"from": float(incumbent.value or 0.0)}
        starts = [i for i in self._in_random_order(free) if i not in set(near)][: count - len(near)]
        return [self._proposal(i, "mutation", figures) for i in near] + [self._proposal(i, "random") for i in starts]

    def _incumbent(self) -> Trial:
        """Return the completed trial where the walk stands."""
        here: Trial | None = None
        tried: set[int] = set()
        designed = 0
        for trial in self.trials:
            ended = here is not None and designed > self.settings.initial and self._surrounded(here, tried)
            if trial.completed and (here is None or ended or float(trial.value or 0.0) > float(here.value or 0.0)):
                here = trial
            tried.add(self.candidates.index[trial.architecture])
            designed += not trial.failed
        assert here is not None
        return here

    def _surrounded(self, trial: Trial, tried: set[int]) -> bool:
        return all(i in tried for i in self._neighbors(self.candidates.index[trial.architecture]))

    def _neighbors(self, index: int) -> list[int]:
        """Return the neighbours, nearest first; the seed breaks ties."""
        if index not in self._near:
            apart = differences(self.candidates.choices, self.candidates.choices[index])
            order = np.lexsort((self._ties, apart))
            self._near[index] = order[order != index][: self.settings.neighbors].tolist()
        return self._near[index]
