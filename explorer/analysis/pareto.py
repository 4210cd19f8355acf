"""The Pareto set of the architectures that a query finds."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from explorer.analysis.devices import known_devices
from explorer.analysis.quantities import Direction, natural_direction, parse_quantity, split_direction
from explorer.analysis.questions import resolve_quantities
from explorer.errors import InputError
from explorer.pareto import pareto_set
from graphstore import GraphStore
from graphstore.queries import (
    ArchitectureQuery,
    Condition,
    Found,
    MeasurementKey,
    Sort,
    quantity_value,
)
from graphstore.records import ScoreKind


@dataclass(frozen=True)
class ParetoFront:
    """Architectures weighed by several objectives.

    Attributes:
        rows: all that have a value for each objective, in the order of the objectives.
        values: the objectives of each row.
        front: positions in ``rows`` of the non-dominated ones.
        quantities: the quantities of ``Found.values`` in the rows, in the same order.
    """

    rows: tuple[Found, ...]
    values: tuple[tuple[float, ...], ...]
    front: tuple[int, ...]
    quantities: tuple[ScoreKind | MeasurementKey, ...]

    @property
    def members(self) -> list[Found]:
        """The architectures of the Pareto set."""
        return [self.rows[position] for position in self.front]


def pareto_objectives(
    store: GraphStore, space: str | None, texts: Sequence[str], kind: Mapping[str, str]
) -> tuple[Sort, ...]:
    """Read the objectives of a Pareto set; see ``explorer.analysis.quantities``. A leading minus maximises.

    Args:
        store: the store to ask.
        space: name of the space; ``None`` for the whole store.
        texts: the objectives.
        kind: fields of the score kind (metric, dataset, …) of all scores.

    Returns:
        Minimised quantities ascending, maximised ones descending.

    Raises:
        InputError: a text cannot be read, or the store does not have the quantity.
    """
    read = [split_direction(text, minus=Direction.MAXIMISE) for text in texts]
    quantities = [parse_quantity(name, kind) for name, _ in read]
    resolved = resolve_quantities(store, space, quantities)
    units = {MeasurementKey(one.device, one.quantity): one.unit for one in known_devices(store, space)}
    objectives = []
    for quantity, (_, given) in zip(quantities, read, strict=True):
        found = resolved.get(quantity, quantity)
        unit = units[found] if isinstance(found, MeasurementKey) else ""
        objectives.append(Sort(found, (given or natural_direction(found, unit)) is Direction.MAXIMISE))
    return tuple(objectives)


def pareto_front(store: GraphStore, query: ArchitectureQuery, objectives: Sequence[Sort]) -> ParetoFront:
    """Find the architectures that no other architecture of the query dominates.

    Args:
        store: the store to ask.
        query: which architectures; its order, limit and offset do not matter.
        objectives: each is minimised, or maximised if it is ``descending``. Architectures without one of the values
            are left out; of equal ones all are in the set.

    Raises:
        InputError: objectives are empty.
        StoreInputError: as ``GraphStore.find``.
    """
    if not objectives:
        raise InputError("objectives", "name one quantity or more", [], "Name for example parameters.")
    known = tuple(Condition(objective.quantity) for objective in objectives)
    asked = dataclasses.replace(
        query, conditions=(*query.conditions, *known), sort=tuple(objectives), limit=None, offset=0
    )
    rows = store.find(asked).rows
    columns = [[_value(row, asked, one) for row in rows] for one in objectives]
    # Ranks, because as floats different integers above 2**53 would become equal.
    ranks = np.empty((len(rows), len(objectives)))
    for column, (values, objective) in enumerate(zip(columns, objectives, strict=True)):
        place = {value: rank for rank, value in enumerate(sorted(set(values), reverse=not objective.descending))}
        ranks[:, column] = [place[value] for value in values]
    front = tuple(pareto_set(ranks).tolist())
    return ParetoFront(rows, tuple(zip(*columns, strict=True)), front, asked.quantities)


def _value(row: Found, query: ArchitectureQuery, objective: Sort) -> float:
    value = quantity_value(row, query.quantities, objective.quantity)
    assert value is not None  # the query asks that the value is known
    return value
