"""Local search: try the neighbours of the best architecture, move to a better one, start anew when there is none.

Source: White et al. (arXiv 2005.02960), the variant that moves at the first better neighbour. Neighbours are the
candidates that differ in the fewest design choices, so it works on a sparse pool of architectures too. The walk
is replayed from the trials by number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from explorer.errors import InputError
from explorer.records import Trial
from explorer.search.modelled import Choice, Indices, ModelledPolicy, differences
from explorer.search.settings import read_settings


@dataclass(frozen=True)
class LocalSearchSettings:
    """Settings of local search.

    Attributes:
        initial: random trials, the best of which the first walk starts from (failed ones not counted).
        neighbors: how many candidates count as an architecture's neighbours.
    """

    initial: int = 10
    neighbors: int = 20

    def __post_init__(self) -> None:
        if self.neighbors < 1:
            raise InputError("local_search setting neighbors", "be at least 1", self.neighbors, "The default is 20.")


class LocalSearch(ModelledPolicy):
    """Proposes untried neighbours of where the walk stands, nearest first, then random places to start from."""

    name: ClassVar[str] = "local_search"
    _settings: LocalSearchSettings

    def _configure(self, settings: Mapping[str, Any]) -> None:
        self._settings = read_settings(LocalSearchSettings, settings, self.name)
        self._ties = self._generator(1).random(len(self.candidates))
        self._near: dict[int, list[int]] = {}

    def _choose(self, count: int, free: Indices) -> list[Choice]:
        open_ = set(free.tolist())
        here = self._stand()
        near = [i for i in self._neighbors(self.candidates.index[here.architecture]) if i in open_][:count]
        figures = {"from": float(here.value or 0.0)}
        starts = [i for i in self._in_random_order(free) if i not in set(near)][: count - len(near)]
        return [Choice(i, "mutation", figures) for i in near] + [Choice(i, "random", {}) for i in starts]

    def _stand(self) -> Trial:
        """The completed trial the walk has come to."""
        here: Trial | None = None
        tried: set[int] = set()
        designed = 0
        for trial in self.trials:
            ended = here is not None and designed > self._settings.initial
            ended = ended and here is not None and self._surrounded(here, tried)
            if trial.completed and (here is None or ended or float(trial.value or 0.0) > float(here.value or 0.0)):
                here = trial
            tried.add(self.candidates.index[trial.architecture])
            designed += not trial.failed
        assert here is not None
        return here

    def _surrounded(self, trial: Trial, tried: set[int]) -> bool:
        return all(i in tried for i in self._neighbors(self.candidates.index[trial.architecture]))

    def _neighbors(self, index: int) -> list[int]:
        """Nearest first; equally near ones in an order of the seed."""
        if index not in self._near:
            apart = differences(self.candidates.choices, self.candidates.choices[index])
            order = np.lexsort((self._ties, apart))
            self._near[index] = order[order != index][: self._settings.neighbors].tolist()
        return self._near[index]
