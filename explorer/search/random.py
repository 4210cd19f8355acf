"""Random search: the candidates in the seed's random order. The baseline of every comparison."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass

from explorer.records import Proposal
from explorer.search.policy import Capability, Policy


@dataclass(frozen=True)
class RandomSettings:
    """Random search has no settings."""


class RandomSearch(Policy):
    """Proposes untried candidates uniformly at random, without replacement."""

    name: ClassVar[str] = "random"
    settings_type: ClassVar[type[Any]] = RandomSettings
    capabilities: ClassVar[frozenset[Capability]] = frozenset({Capability.COSTS})

    def _propose(self, count: int, untried: NDArray[np.int64]) -> list[Proposal]:
        return [self._proposal(i, "random") for i in self._in_random_order(untried)[:count]]
