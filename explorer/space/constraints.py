"""What sampling can be asked to respect: a quantity of an architecture, and the range it must lie in.

This package measures nothing itself: a quantity is a function given by the caller (``explorer.measure.size`` has
parameters and FLOPs). Any function will do; one that is a sum over layers can be sampled from directly however narrow
the range (``explorer.space.sampling``), others are tried until they fit.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from explorer.errors import SpecError
from explorer.space.spec import ArchitectureSpec, LayerSpec


@dataclass(frozen=True)
class AdditiveCost:
    """A whole-numbered quantity that is a sum over layers and over what lies between them.

    Attributes:
        layer: share of a layer, not negative; itself a sum of a share that its hidden size and heads decide and one
            that its hidden size and feed-forward stack decide.
        link: share between two layers of these hidden sizes, not negative; ``None`` stands for what comes before the
            first layer and after the last.
    """

    layer: Callable[[LayerSpec], int]
    link: Callable[[int | None, int | None], int]

    def __call__(self, spec: ArchitectureSpec) -> int:
        """The sum over an architecture."""
        sizes = [None, *(layer.hidden for layer in spec.layers), None]
        return sum(map(self.layer, spec.layers)) + sum(self.link(a, b) for a, b in pairwise(sizes))


@dataclass(frozen=True)
class Constraint:
    """A range for a quantity, both ends included.

    Attributes:
        name: of the quantity, with its unit if it has one.
        quantity: measures an architecture.
        at_least, at_most: the ends; open by default.

    Raises:
        SpecError: the range is empty or an end is no number.
    """

    name: str
    quantity: Callable[[ArchitectureSpec], float]
    at_least: float = -math.inf
    at_most: float = math.inf

    def __post_init__(self) -> None:
        if not self.at_least <= self.at_most:
            ends = (self.at_least, self.at_most)
            raise SpecError(f"range of {self.name}", "begin below its end", ends, "Swap or correct the ends.")

    def holds(self, value: float) -> bool:
        """Whether a value lies in the range."""
        return self.at_least <= value <= self.at_most

    def __str__(self) -> str:
        if self.at_least == -math.inf:
            return f"{self.name} at most {self.at_most:,.10g}"
        if self.at_most == math.inf:
            return f"{self.name} at least {self.at_least:,.10g}"
        return f"{self.name} from {self.at_least:,.10g} to {self.at_most:,.10g}"
