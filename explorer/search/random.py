"""Random search: the candidates in the seed's random order. The baseline every policy must beat."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from explorer.records import Proposal
from explorer.search.policy import Policy
from explorer.search.settings import read_settings


@dataclass(frozen=True)
class RandomSettings:
    """Random search has no settings."""


class RandomSearch(Policy):
    """Proposes untried candidates uniformly at random, without replacement."""

    name: ClassVar[str] = "random"

    def _configure(self, settings: Mapping[str, Any]) -> None:
        read_settings(RandomSettings, settings, self.name)

    def _propose(self, count: int, untried: NDArray[np.int64]) -> list[Proposal]:
        chosen = self._in_random_order(untried)[:count]
        return [Proposal(self.candidates.ids[i], "random") for i in chosen]
