"""Quantities of architectures and objectives: the one grammar of their texts, and their titles.

A **quantity** is

* a **fact**: ``parameters``, ``flops``, ``depth`` or ``heterogeneity``;
* a **measurement**: ``QUANTITY@DEVICE``, for example ``latency@raspberry pi``; a unique part of the device's name and
  the quantity without its load suffice. Questions also read the older spelling ``raspberry pi latency``;
* a **score**: the name of its task.

``score:NAME`` and ``measurement:NAME`` state which of them a name is.

An **objective** is a quantity with its direction: ``maximise:SST-2``, ``minimise:parameters``. Without one, a score is
maximised and any other quantity minimised; a loss or perplexity is minimised, and a rate (a unit that ends with
``/s``) maximised.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from explorer.analysis.ranges import normalised
from explorer.errors import InputError
from graphstore.queries import Fact, MeasurementKey, Quantity
from graphstore.records import ScoreKind

FACT_TITLES = {
    Fact.PARAMETERS: "parameters",
    Fact.FLOPS: "FLOPs",
    Fact.DEPTH: "layers",
    Fact.HETEROGENEITY: "heterogeneity",
}
"""All facts, in display order, with their titles."""
COST_FACTS = (Fact.PARAMETERS, Fact.FLOPS, Fact.DEPTH)
"""Facts that are costs of an architecture."""
_MEASUREMENT = ("measurement", "measured")
"""Prefixes of a measurement; the second one is that of addresses of the app."""


class Direction(StrEnum):
    """Whether an objective is maximised or minimised."""

    MAXIMISE = "maximise"
    MINIMISE = "minimise"


@dataclass(frozen=True)
class Objective:
    """A quantity to maximise or to minimise.

    Attributes:
        name: text of the quantity, such as ``mean``, ``SST-2``, ``parameters`` or ``latency@raspberry``.
        direction: whether it is maximised or minimised.
    """

    name: str
    direction: Direction = Direction.MAXIMISE

    def __str__(self) -> str:
        return f"{self.direction}:{self.name}"


def split_direction(text: str, minus: Direction) -> tuple[str, Direction | None]:
    """Split the text of an objective into the quantity and the direction; ``None`` if none is given.

    Args:
        text: the objective.
        minus: the direction that a leading minus means: an older spelling with several meanings.

    Raises:
        InputError: the quantity is missing or begins with another minus.
    """
    given = normalised(text)
    word, _, name = (part.strip() for part in given.partition(":"))
    direction = Direction(word) if word in set(Direction) else None
    if direction is None:
        name, direction = (given[1:].strip(), minus) if given.startswith("-") else (given, None)
    if not name or name.startswith("-"):
        rule = "be the name of a quantity, with or without maximise: or minimise: before it"
        raise InputError("objective", rule, text, "Write for example minimise:parameters.")
    return name, direction


def natural_direction(quantity: Quantity, unit: str = "") -> Direction:
    """Return the direction of an objective for which none is given.

    Args:
        quantity: the quantity; a score kind should name its metric.
        unit: unit of a measurement.
    """
    if isinstance(quantity, ScoreKind):
        return Direction.MINIMISE if quantity.lower_is_better else Direction.MAXIMISE
    return Direction.MAXIMISE if unit.endswith("/s") else Direction.MINIMISE


def parse_quantity(text: str, kind: Mapping[str, str] | None = None) -> Quantity:
    """Read a quantity.

    Args:
        text: the quantity.
        kind: fields of the score kind (metric, dataset, …) of a score.

    Raises:
        InputError: the text is not a quantity.
    """
    name = normalised(text)
    prefix, colon, rest = (part.strip() for part in name.partition(":"))
    if colon and rest and prefix == "score":
        return ScoreKind(rest, **(kind or {}))
    if colon and prefix in _MEASUREMENT:
        return parse_measurement_key(rest)
    if name in set(Fact):
        return Fact(name)
    if "@" in name or " " in name:
        return parse_measurement_key(name)
    if not name:
        rule = "be a fact, the name of a task, or QUANTITY@DEVICE"
        raise InputError("quantity", rule, text, "Write for example latency@cpu.")
    return ScoreKind(name, **(kind or {}))


def parse_measurement_key(text: str) -> MeasurementKey:
    """Read ``QUANTITY@DEVICE`` or ``DEVICE QUANTITY``. Raises InputError if the text is neither."""
    name = normalised(text)
    quantity, at, device = (part.strip() for part in name.partition("@"))
    if not at:
        device, _, quantity = name.rpartition(" ")
    if not device or not quantity:
        raise InputError("measurement", "be QUANTITY@DEVICE", text, "Write for example latency@cpu.")
    return MeasurementKey(device, quantity)


def quantity_text(quantity: Quantity) -> str:
    """Return the text of a quantity, which ``parse_quantity`` reads back; of a score kind it has the task only."""
    if isinstance(quantity, Fact):
        return quantity.value
    if isinstance(quantity, MeasurementKey):
        return f"{quantity.quantity}@{quantity.device}"
    return quantity.task


def quantity_title(quantity: Quantity, unit: str = "") -> str:
    """Return a quantity as tables and figures show it, with its unit if there is one."""
    if isinstance(quantity, MeasurementKey):
        return f"{quantity.device} {quantity.quantity}" + (f" ({unit})" if unit else "")
    return quantity_text(quantity)
