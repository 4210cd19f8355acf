"""Typed queries over architectures, and their results, which are equal on both engines.

A query names quantities: facts of the architecture itself, its scores, its measurements. The value of a score is
the mean over all scores of its kind: the values added up in ascending order, divided by their number. If a query
names a task by a kind with open fields, all of the task's scores that it covers, over the whole space (or store) and
irrespective of the query's other conditions, must be of one kind. Scores of different kinds, and so of different
origins, are never averaged.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from graphstore.errors import StoreInputError
from graphstore.records import ArchitectureSummary, ScoreKind

Ends = tuple[float | None, float | None]
"""Both ends of a range; ``None`` for an open end."""


@dataclass(frozen=True)
class Range:
    """From ``at_least`` to ``at_most``, both included; ``None`` leaves a side open."""

    at_least: float | None = None
    at_most: float | None = None

    def __post_init__(self) -> None:
        for side in (self.at_least, self.at_most):
            if side is not None and not math.isfinite(side):
                raise StoreInputError(f"range must have finite ends, but got {side!r}. Leave an open end out.")
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise StoreInputError(
                f"range must begin below its end, but got {self.at_least} to {self.at_most}. Swap them."
            )

    def holds(self, value: float) -> bool:
        """Return whether a value is in the range."""
        above = self.at_least is None or value >= self.at_least
        return above and (self.at_most is None or value <= self.at_most)

    @property
    def whole_ends(self) -> Ends:
        """The ends rounded to integers with the same meaning for integers, which every engine compares exactly."""
        low = None if self.at_least is None else math.ceil(self.at_least)
        high = None if self.at_most is None else math.floor(self.at_most)
        return _storable(low), _storable(high)

    @property
    def real_ends(self) -> Ends:
        """The ends as floats; never -0.0, because one engine distinguishes it from 0.0."""
        low, high = (None if side is None else float(side) + 0.0 for side in (self.at_least, self.at_most))
        return low, high


ANY = Range()
SOME = Range(at_least=1)


@dataclass(frozen=True)
class LayerRule:
    """A rule for layers.

    Attributes:
        position: index of the layer, from 0, or from the end if negative (-1 is the last); an architecture without
            this layer does not fit. ``None``: all layers that fit are counted.
        family: the layer has all these parts, in any order: ``c`` fits the families ``c`` and ``c+sa``, ``c+sa``
            fits ``c+sa`` and ``c+l+sa``, and ``s`` fits none of them.
        parameter: the same for its parameter.
        pure: the layer's family and parameter have each of these parts once and no others.
        hidden, heads: hidden size, number of heads.
        feed_forward: every width of the feed-forward stack is in this range; an empty stack fits.
        feed_forward_depth: number of widths in the stack.
        count: number of layers that must fit; only if ``position`` is ``None``.
    """

    position: int | None = None
    family: str | None = None
    parameter: str | None = None
    pure: bool = False
    hidden: Range = ANY
    heads: Range = ANY
    feed_forward: Range = ANY
    feed_forward_depth: Range = ANY
    count: Range = SOME


@dataclass(frozen=True)
class OpRule:
    """A rule for the number of operations in the computational graph.

    Attributes:
        kind: ``head``, ``add_norm``, ``feed_forward``, …; ``None`` for any.
        label: the whole label, or a prefix that ends with ``*``: ``c_*`` for every convolution head. Case matters; no
            other character is special.
        count: number of operations that must fit.
    """

    kind: str | None = None
    label: str | None = None
    count: Range = SOME


class Fact(StrEnum):
    """A number that every architecture has."""

    PARAMETERS = "parameters"
    FLOPS = "flops"
    HETEROGENEITY = "heterogeneity"
    DEPTH = "depth"


@dataclass(frozen=True)
class MeasurementKey:
    """A measured quantity on a device."""

    device: str
    quantity: str


Quantity = Fact | ScoreKind | MeasurementKey


@dataclass(frozen=True)
class Condition:
    """The condition that a quantity is known and in the range."""

    quantity: Quantity
    range: Range = ANY


@dataclass(frozen=True)
class Sort:
    """An order: ascending or ``descending``; unknown values come last in both."""

    quantity: Quantity
    descending: bool = False


@dataclass(frozen=True)
class ArchitectureQuery:
    """A query over architectures.

    Attributes:
        space: name of a space, or ``None`` for the whole store.
        layers, ops, conditions: all must be fulfilled.
        sort: keys, most important first; remaining ties are broken by id, ascending by code points.
        limit: maximum number of architectures, or ``None`` for all.
        offset: number of architectures to skip.
    """

    space: str | None = None
    layers: tuple[LayerRule, ...] = ()
    ops: tuple[OpRule, ...] = ()
    conditions: tuple[Condition, ...] = ()
    sort: tuple[Sort, ...] = ()
    limit: int | None = 50
    offset: int = 0

    def __post_init__(self) -> None:
        for name, value in (("limit", self.limit), ("offset", self.offset)):
            if value is not None and value < 0:
                raise StoreInputError(f"{name} of a query must be 0 or more, but got {value}. Correct it.")
        for rule in self.layers:
            if rule.position is not None and rule.count != SOME:
                raise StoreInputError(
                    f"count of a layer rule must be left out where a position is given, but got {rule.count} for "
                    f"position {rule.position}. Leave one of them out."
                )

    @property
    def quantities(self) -> tuple[ScoreKind | MeasurementKey, ...]:
        """Scores and measurements in conditions and order, each once, in this order."""
        named = [condition.quantity for condition in self.conditions] + [sort.quantity for sort in self.sort]
        return tuple(dict.fromkeys(quantity for quantity in named if not isinstance(quantity, Fact)))


@dataclass(frozen=True)
class Found:
    """An architecture that a query found, with its values of the query's ``quantities`` (``None``: unknown)."""

    summary: ArchitectureSummary
    values: tuple[float | None, ...]


@dataclass(frozen=True)
class Page:
    """A page of results, in order; ``total`` architectures fit in all."""

    total: int
    rows: tuple[Found, ...]


@dataclass(frozen=True)
class Best:
    """The best architecture of one score kind.

    Attributes:
        kind: the score kind.
        architecture: id of the architecture with the best mean of its values; ties by id.
        value: this mean.
        scored: number of architectures that have such a score.
    """

    kind: ScoreKind
    architecture: str
    value: float
    scored: int


def quantity_value(found: Found, quantities: Sequence[Quantity], quantity: Quantity) -> float | None:
    """Return an architecture's value of a quantity, given the query's ``quantities``; ``None`` if it is unknown."""
    if isinstance(quantity, Fact):
        # Keep the integer: as floats, different facts above 2**53 would become equal.
        value: float = getattr(found.summary, quantity.value)
        return value
    return found.values[list(quantities).index(quantity)]


def ends_of(condition: Condition) -> Ends:
    """Return the ends of a condition's range, in the type of its stored quantity."""
    whole = isinstance(condition.quantity, Fact) and condition.quantity is not Fact.HETEROGENEITY
    return condition.range.whole_ends if whole else condition.range.real_ends


def mean_value(values: Sequence[float]) -> float:
    """Return the mean of comparable values as every engine computes it: summed in ascending order."""
    total = 0.0
    for value in sorted(values):
        total += value
    return total / len(values)


def parts_of(text: str) -> list[str]:
    """Return the distinct parts of a mixed family or parameter, in order: ``c`` and ``sa`` of ``sa+c``."""
    return sorted(set(text.split("+")))


def check_comparable(key: ScoreKind, kinds: Iterable[ScoreKind]) -> None:
    """Raise StoreInputError if the distinct ``kinds`` that ``key`` covers are more than one."""
    found = sorted(kinds, key=lambda kind: tuple(kind.fields.values()))
    if len(found) > 1:
        differing = [name for name in ScoreKind.OPEN if len({getattr(kind, name) for kind in found}) > 1]
        listed = "; ".join(", ".join(f"{name}={getattr(kind, name)!r}" for name in ScoreKind.OPEN) for kind in found)
        raise StoreInputError(
            f"scores of task {key.task!r} must be comparable to be averaged and compared, but got {len(found)} kinds: "
            f"{listed}. Name one of them by {' and '.join(differing)}."
        )


def _storable(end: int | None) -> float | None:
    # An integer beyond 64 bits is outside of all stored values; a float compares the same.
    return float(end) if end is not None and not -(2**63) <= end < 2**63 else end
