"""Constraints for sampling: a quantity of an architecture, and the range it must lie in.

A quantity is a function that the caller passes (``explorer.measure.size`` has parameters and FLOPs). If it is a sum
over layers, sampling is direct for any range (``explorer.space.sampling``); other functions need rejection sampling.
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
    """An integer quantity that is a sum over layers and over links between layers.

    Attributes:
        layer: cost of a layer, not negative; the sum of a function of hidden size and heads, and one of hidden size and
            feed-forward stack.
        link: cost between two layers of these hidden sizes, not negative; ``None`` means the input of the first layer
            or the output of the last one.
    """

    layer: Callable[[LayerSpec], int]
    link: Callable[[int | None, int | None], int]

    def __call__(self, spec: ArchitectureSpec) -> int:
        """Return the sum over an architecture."""
        sizes = [None, *(layer.hidden for layer in spec.layers), None]
        return sum(map(self.layer, spec.layers)) + sum(self.link(a, b) for a, b in pairwise(sizes))


@dataclass(frozen=True)
class Constraint:
    """A range for a quantity, both ends included.

    Attributes:
        name: name of the quantity, with its unit if it has one.
        quantity: returns the quantity of an architecture.
        at_least, at_most: bounds; infinite by default.

    Raises:
        SpecError: the range is empty or a bound is NaN.
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
        """Return whether a value lies in the range."""
        return self.at_least <= value <= self.at_most

    def __str__(self) -> str:
        if self.at_least == -math.inf:
            return f"{self.name} at most {self.at_most:,.10g}"
        if self.at_most == math.inf:
            return f"{self.name} at least {self.at_least:,.10g}"
        return f"{self.name} from {self.at_least:,.10g} to {self.at_most:,.10g}"
