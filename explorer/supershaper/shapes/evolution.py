"""Evolutionary search over all shapes of a grid: minimise one quantity within limits of others.

Truncation selection, uniform crossover and per-layer mutation, as in hardware-aware searches inside super-networks
(arXiv 2005.14187, 2110.04711). Feasible shapes rank before infeasible ones, which rank by their violation (Deb, 2000),
so narrow feasible regions are reached from anywhere. Nothing is enumerated; the same seed gives the same result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import numpy as np

from explorer.errors import InputError
from explorer.supershaper.shapes.grid import Array, ShapeGrid, Shapes

Quantity = Callable[[Shapes], Array]
"""A function from shapes ``[N, L]`` to values ``[N]``, deterministic per shape."""


@dataclass(frozen=True)
class Limit:
    """A quantity with a positive upper limit."""

    name: str
    quantity: Quantity
    at_most: float

    def __post_init__(self) -> None:
        if not 0 < self.at_most < np.inf:
            raise InputError(f"limit of {self.name}", "be finite and above 0", self.at_most, "Give a larger one.")


@dataclass(frozen=True)
class EvolutionSettings:
    """Settings of the search.

    Attributes:
        generations: number of populations after the first.
        population: shapes per population.
        parents: number of best shapes so far that are parents of the next population.
        crossover: share of children with two parents; the others have one.
        mutation: probability that a layer of a child changes, and that two of its layers are swapped.
    """

    generations: int = 60
    population: int = 120
    parents: int = 30
    crossover: float = 0.5
    mutation: float = 0.1

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in ("crossover", "mutation"):
                if not 0 <= value <= 1:
                    raise InputError(f"evolution setting {field.name}", "be from 0 to 1", value, "Use for example 0.2.")
            elif value < 1:
                raise InputError(f"evolution setting {field.name}", "be at least 1", value, "Use more.")


@dataclass(frozen=True, eq=False)
class EvolutionResult:
    """The outcome of a search.

    Attributes:
        shapes: best first, all distinct and within the limits, ``[K, L]``.
        values: their objective ``[K]``.
        evaluated: number of distinct shapes evaluated.
        history: the best feasible value after each generation; infinite while there is none.
    """

    shapes: Shapes
    values: Array
    evaluated: int
    history: tuple[float, ...]


class _Seen:
    """The distinct shapes evaluated so far, with their values."""

    def __init__(self, objective: Quantity, limits: Sequence[Limit]) -> None:
        self._objective, self._limits = objective, limits
        self._known: dict[bytes, int] = {}
        self._shapes: list[Shapes] = []
        self.values, self.excess = np.zeros(0), np.zeros(0)

    def add(self, shapes: Shapes) -> None:
        fresh = []
        for shape in shapes:
            if (key := shape.tobytes()) not in self._known:
                self._known[key] = len(self._known)
                fresh.append(shape)
        if not fresh:
            return
        rows = np.array(fresh)
        excess = [np.maximum(limit.quantity(rows) / limit.at_most - 1.0, 0.0) for limit in self._limits]
        self._shapes.append(rows)
        self.values = np.append(self.values, self._objective(rows))
        self.excess = np.append(self.excess, np.sum(excess, axis=0) if excess else np.zeros(len(rows)))

    @property
    def shapes(self) -> Shapes:
        return np.concatenate(self._shapes)

    def ranked(self) -> np.ndarray:
        """Return indices, best first; ties keep the order of evaluation."""
        return np.lexsort((self.values, self.excess))


def _children(grid: ShapeGrid, parents: Shapes, settings: EvolutionSettings, rng: np.random.Generator) -> Shapes:
    """Return one population of children of parents ``[P, L]``."""
    count, layers, widths = settings.population, grid.layers, len(grid.widths)
    drawn = rng.integers(len(parents), size=(2, count))
    mixed = rng.random(count) < settings.crossover
    second = mixed[:, None] & (rng.random((count, layers)) < 0.5)
    places = np.where(second, grid.places(parents[drawn[1]]), grid.places(parents[drawn[0]]))
    changed = rng.random((count, layers)) < settings.mutation
    # Children of one parent change at least one layer, so that they differ from it.
    forced = rng.integers(layers, size=count)
    changed[np.flatnonzero(~mixed), forced[~mixed]] = True
    stepped = np.clip(places + rng.choice([-1, 1], size=places.shape), 0, widths - 1)
    moved = np.where(rng.random(places.shape) < 0.5, stepped, rng.integers(widths, size=places.shape))
    places = np.where(changed, moved, places)
    swapped = np.flatnonzero(rng.random(count) < 0.5)
    pairs = rng.integers(layers, size=(2, len(swapped)))
    one, other = places[swapped, pairs[0]], places[swapped, pairs[1]]
    places[swapped, pairs[0]], places[swapped, pairs[1]] = other, one
    return grid.at(places)


def search_shapes(
    grid: ShapeGrid,
    objective: Quantity,
    limits: Sequence[Limit] = (),
    seed: int = 0,
    settings: EvolutionSettings | None = None,
    keep: int = 10,
    start: Shapes | None = None,
) -> EvolutionResult:
    """Find the shapes with the smallest objective within the limits.

    Args:
        grid: grid of shapes.
        objective: function to minimise.
        limits: limits that must hold.
        seed: seed of all random choices.
        settings: settings of the evolution.
        keep: number of best shapes to return.
        start: shapes of the first population in addition to random ones, ``[S, L]``.

    Raises:
        InputError: no feasible shape was found; the message names the smallest violation.
    """
    settings, rng = settings or EvolutionSettings(), np.random.default_rng(seed)
    seen = _Seen(objective, limits)
    ends = np.array([[grid.widths[0]] * grid.layers, [grid.widths[-1]] * grid.layers])
    seen.add(np.concatenate([ends, *([] if start is None else [grid.check(start)])]))
    seen.add(grid.random(settings.population, rng))
    history = []
    for _ in range(settings.generations):
        order = seen.ranked()
        seen.add(_children(grid, seen.shapes[order[: settings.parents]], settings, rng))
        history.append(float(np.min(seen.values, initial=np.inf, where=seen.excess == 0)))
    order = seen.ranked()
    fitting = order[seen.excess[order] == 0][:keep]
    if not len(fitting):
        nearest = seen.shapes[order[0]]
        listed = ", ".join(f"{one.name} at most {one.at_most:,.6g}" for one in limits)
        reached = ", ".join(f"{one.name} {float(one.quantity(nearest[None])[0]):,.6g}" for one in limits)
        raise InputError("limits", f"leave a shape ({listed})", f"nearest found: {reached}", "Relax a limit.")
    return EvolutionResult(seen.shapes[fitting], seen.values[fitting], len(seen.values), tuple(history))
