"""Answers worked out from other answers, the same for every engine."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

from graphstore.errors import StoreInputError
from graphstore.queries import ArchitectureQuery, Condition, Fact, Found, Quantity, Sort

if TYPE_CHECKING:
    from graphstore.contract import GraphStore


def quantity_value(found: Found, quantities: Sequence[Quantity], quantity: Quantity) -> float | None:
    """An architecture's value of a quantity, given the query's ``quantities``; ``None`` if it is not known."""
    if isinstance(quantity, Fact):
        # Not as a float: facts beyond 2**53 that differ must stay different.
        value: float = getattr(found.summary, quantity.value)
        return value
    return found.values[list(quantities).index(quantity)]


def pareto_front(store: GraphStore, query: ArchitectureQuery, objectives: Sequence[Sort]) -> list[Found]:
    """See ``GraphStore.pareto``."""
    if not objectives:
        raise StoreInputError("objectives must name one quantity or more, but got none. Name for example parameters.")
    known = tuple(Condition(objective.quantity) for objective in objectives)
    asked = dataclasses.replace(
        query, conditions=(*query.conditions, *known), sort=tuple(objectives), limit=None, offset=0
    )
    front: list[tuple[list[float], Found]] = []
    for found in store.find(asked).rows:
        costs = []
        for objective in objectives:
            value = quantity_value(found, asked.quantities, objective.quantity)
            assert value is not None
            costs.append(-value if objective.descending else value)
        # In this order only an earlier one can beat a later one, and what beats a beaten one is on the front itself.
        if not any(_beats(other, costs) for other, _ in front):
            front.append((costs, found))
    return [found for _, found in front]


def _beats(first: Sequence[float], second: Sequence[float]) -> bool:
    return first != second and all(one <= two for one, two in zip(first, second, strict=True))
