"""Typed questions about architectures, and their answers. Both engines answer them alike.

A question names quantities: facts of the architecture itself, its scores, its measurements. The value of a score is
the mean over all scores of its kind: the values added up in ascending order, divided by their number. If a question
names a task by a kind with open fields, all of the task's scores that it covers, over the whole space (or store) and
irrespective of the question's other conditions, must be of one kind. Scores of different kinds are never averaged.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from graphstore.errors import StoreInputError
from graphstore.records import ArchitectureSummary, ScoreKind

Ends = tuple[float | None, float | None]
"""Both ends of a range; ``None`` where it is open."""


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
        """Whether a value fits."""
        above = self.at_least is None or value >= self.at_least
        return above and (self.at_most is None or value <= self.at_most)

    @property
    def whole_ends(self) -> Ends:
        """The ends that say the same of whole numbers as whole numbers, which every engine compares exactly."""
        low = None if self.at_least is None else math.ceil(self.at_least)
        high = None if self.at_most is None else math.floor(self.at_most)
        return _storable(low), _storable(high)

    @property
    def real_ends(self) -> Ends:
        """The ends as floats; zero is never negative, as one engine tells the two zeros apart."""
        low, high = (None if side is None else float(side) + 0.0 for side in (self.at_least, self.at_most))
        return low, high


ANY = Range()
SOME = Range(at_least=1)


@dataclass(frozen=True)
class LayerRule:
    """What layers must be like.

    Attributes:
        position: the layer it is about, from 0, or from the end if negative (-1 is the last); an architecture without
            such a layer does not fit. ``None``: every layer is looked at and those that fit are counted.
        family: the layer has all these parts, in whatever order: ``c`` fits the families ``c`` and ``c+sa``, ``c+sa``
            fits ``c+sa`` and ``c+l+sa``, and ``s`` fits none of them.
        parameter: likewise, of its parameter.
        pure: what is named of family and parameter is all there is: the layer's has each of those parts once and no
            other.
        hidden, heads: hidden size, number of heads.
        feed_forward: every width of the feed-forward stack lies in this range; so does every width of an empty one.
        feed_forward_depth: how many widths the stack has.
        count: how many layers must fit; only where ``position`` is ``None``.
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
    """How many operations of a kind the computational graph must have.

    Attributes:
        kind: ``head``, ``add_norm``, ``feed_forward``, …; ``None`` for any.
        label: the whole label, or its beginning if it ends with ``*``: ``c_*`` for every convolution head. Upper and
            lower case differ; no other character has a meaning of its own.
        count: how many must fit.
    """

    kind: str | None = None
    label: str | None = None
    count: Range = SOME


class Fact(StrEnum):
    """A number every architecture has."""

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
    """The quantity is known and lies in the range."""

    quantity: Quantity
    range: Range = ANY


@dataclass(frozen=True)
class Sort:
    """An order: ascending, or ``descending``; architectures of unknown value come last either way."""

    quantity: Quantity
    descending: bool = False


@dataclass(frozen=True)
class ArchitectureQuery:
    """Which architectures, in which order, how many.

    Attributes:
        space: name of a space, or ``None`` for the whole store.
        layers, ops, conditions: all of them must hold.
        sort: the first decides, the next breaks its ties; the id, ascending by code points, breaks what is left.
        limit: at most so many, or ``None`` for all.
        offset: so many are passed over first.
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
        """Scores and measurements that conditions and order name, each once, in this order."""
        named = [condition.quantity for condition in self.conditions] + [sort.quantity for sort in self.sort]
        return tuple(dict.fromkeys(quantity for quantity in named if not isinstance(quantity, Fact)))


@dataclass(frozen=True)
class Found:
    """An architecture a query found, with its values of the query's ``quantities`` (``None``: not known)."""

    summary: ArchitectureSummary
    values: tuple[float | None, ...]


@dataclass(frozen=True)
class Page:
    """``total`` architectures fit; these are the ones asked for, in order."""

    total: int
    rows: tuple[Found, ...]


@dataclass(frozen=True)
class Best:
    """The best architecture of one score kind.

    Attributes:
        kind: the score kind.
        architecture: id of the architecture with the best mean of its values; of equal ones the first by id.
        value: that mean.
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
    """The ends of a condition's range, of the type that its quantity is stored as."""
    whole = isinstance(condition.quantity, Fact) and condition.quantity is not Fact.HETEROGENEITY
    return condition.range.whole_ends if whole else condition.range.real_ends


def mean_value(values: Sequence[float]) -> float:
    """Mean of comparable values as every engine computes it: added up in ascending order."""
    total = 0.0
    for value in sorted(values):
        total += value
    return total / len(values)


def parts_of(text: str) -> list[str]:
    """The distinct parts of a mixed family or parameter, in order: ``c`` and ``sa`` of ``sa+c``."""
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
    # A whole number that 64 bits cannot hold lies outside of all that is stored; a float says so as well.
    return float(end) if end is not None and not -(2**63) <= end < 2**63 else end
