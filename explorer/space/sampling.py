"""Uniform sampling under constraints.

Plain rejection sampling is uniform but too slow for a narrow range, because the sizes of a space's architectures
concentrate around their mean. Therefore a constraint on a sum over layers (``AdditiveCost``) is sampled from its
distribution within the range. With several such constraints the rarest one is sampled, and the others are rejected by.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from explorer.errors import SpecError
from explorer.space.constraints import AdditiveCost, Constraint
from explorer.space.distribution import MAX_SHARES, CostDistribution, shares_to_measure
from explorer.space.grammar import DesignSpace
from explorer.space.spec import ArchitectureSpec

TRIES = 1000


def _source(
    space: DesignSpace, constraints: Sequence[Constraint], rng: np.random.Generator
) -> Callable[[], ArchitectureSpec]:
    """Return a uniform sampler of a set that contains all valid architectures and as few others as possible."""
    rarest, smallest = None, math.inf
    if shares_to_measure(space) <= MAX_SHARES:
        for constraint in constraints:
            if not isinstance(constraint.quantity, AdditiveCost):
                continue
            distribution = CostDistribution(space, constraint.quantity, constraint)
            low, high = distribution.extent
            if constraint.at_most < low or constraint.at_least > high:
                rule = f"overlap those of space {space.name}, from {low:,} to {high:,}"
                remedy = "Widen the range, or use another space."
                raise SpecError(f"range of {constraint.name}", rule, str(constraint), remedy)
            # A probability that underflows to 0 is skipped; rejection sampling then reports the values it saw.
            if -math.inf < distribution.log_count < smallest:
                rarest, smallest = distribution, distribution.log_count
    if rarest is None:
        return lambda: space.sample(1, rng)[0]
    return lambda: rarest.draw(rng)


def sample_within(
    space: DesignSpace,
    count: int,
    rng: np.random.Generator,
    constraints: Sequence[Constraint] = (),
    tries: int = TRIES,
) -> list[ArchitectureSpec]:
    """Draw architectures uniformly, with replacement, from those of a space that satisfy all constraints.

    For a constraint on depth use ``space.with_depths`` instead.

    Args:
        space: the space.
        count: number of architectures.
        rng: random generator.
        constraints: constraints that each architecture satisfies.
        tries: maximum number of draws per architecture, on average.

    Raises:
        SpecError: the space has no such architecture, or ``count * tries`` draws were not enough; the message has the
            number of draws and the range of values seen.
    """
    draw = _source(space, constraints, rng)
    seen = [(math.inf, -math.inf)] * len(constraints)
    found: list[ArchitectureSpec] = []
    drawn = 0
    while len(found) < count:
        if drawn == count * tries:
            rule = f"be met by {count:,} architectures within {drawn:,} tries ({_shown(constraints, seen)})"
            remedy = "Widen the range, or use another space or level."
            raise SpecError(f"constraints on space {space.name}", rule, f"{len(found)} found", remedy)
        drawn += 1
        spec = draw()
        values = [float(constraint.quantity(spec)) for constraint in constraints]
        seen = [(min(low, value), max(high, value)) for (low, high), value in zip(seen, values, strict=True)]
        if all(constraint.holds(value) for constraint, value in zip(constraints, values, strict=True)):
            found.append(spec)
    return found


def _shown(constraints: Sequence[Constraint], seen: Sequence[tuple[float, float]]) -> str:
    pairs = zip(constraints, seen, strict=True)
    return "; ".join(f"{constraint}, seen {low:,.10g} to {high:,.10g}" for constraint, (low, high) in pairs)
