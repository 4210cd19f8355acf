"""The measured shapes of a space, as the table that shape predictors are fitted to."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from statistics import geometric_mean

from explorer.measure.settings import quantity_name
from explorer.space.backbones import BERT_BASE, WIDTHS, Backbone, backbone_of, is_shape, shape_widths
from explorer.space.formats import from_json
from explorer.space.imports.rows import FoundMeasurement, FoundRow, FoundScore
from explorer.space.imports.supershaper import LATENCY, METRIC, TASK
from explorer.space.spec import ArchitectureSpec
from explorer.supershaper.scores import INSIDE_METRIC, INSIDE_TASK
from explorer.supershaper.shapes.grid import ShapeGrid
from explorer.supershaper.shapes.tables import ShapeTable
from graphstore import GraphStore
from graphstore.records import MeasurementRecord, ScoreRecord


def has_shapes(store: GraphStore, space: str) -> bool:
    """Return whether the first architecture of a space is a shape."""
    ids = store.architecture_ids(space)[:1]
    return any(is_shape(from_json(one.spec)) for one in store.summaries(ids=ids))


def stored_shapes(store: GraphStore, space: str) -> tuple[ShapeGrid, ShapeTable] | None:
    """Return the shapes of a space with their scores and latencies.

    Only scores of one kind are used: of several score kinds the one with the most scores.

    Args:
        store: the store.
        space: name of the space.

    Returns:
        The grid and the table of the shapes with the most common backbone; ``None`` if the space contains no shapes.
    """
    specs = {one.id: from_json(one.spec) for one in store.summaries(space)}
    shapes = {id: spec for id, spec in specs.items() if is_shape(spec)}
    if not shapes:
        return None
    backbone = Counter(backbone_of(spec) for spec in shapes.values()).most_common(1)[0][0]
    shapes = {id: spec for id, spec in shapes.items() if backbone_of(spec) == backbone}
    scores = _scores([score for task in (TASK, INSIDE_TASK) for score in store.scores(space=space, task=task)])
    latency: dict[str, list[FoundMeasurement]] = {}
    for one in store.measurements(space=space):
        if quantity_name(one.quantity) == LATENCY:
            found = FoundMeasurement(_machine(one), LATENCY, one.value, one.unit)
            latency.setdefault(one.architecture, []).append(found)
    rows = [FoundRow(spec, scores.get(id, ()), tuple(latency.get(id, ()))) for id, spec in shapes.items()]
    grid = ShapeGrid(_widths(backbone, list(shapes.values())), backbone)
    return grid, ShapeTable.of(grid, rows)


def _machine(one: MeasurementRecord) -> str:
    """Return the name of the machine: a published one, or one measured by ``archex measure`` under one load."""
    load = one.quantity.removeprefix(LATENCY).strip("_").replace("_", " ")
    return f"{one.device} ({load})" if load else one.device


def _widths(backbone: Backbone, specs: list[ArchitectureSpec]) -> tuple[int, ...]:
    """Return the paper's widths if they contain all widths that occur, else those that occur."""
    found = sorted({width for spec in specs for width in shape_widths(spec)})
    return WIDTHS if backbone == BERT_BASE and set(found) <= set(WIDTHS) else tuple(found)


PERPLEXITIES: dict[tuple[str, str], Callable[[float], float]] = {
    (TASK, METRIC): lambda value: -value,
    (INSIDE_TASK, INSIDE_METRIC): lambda value: math.exp(-value),
}
"""Perplexity from a score, by task and metric: those of the published table and of super-networks trained here."""


def _scores(records: list[ScoreRecord]) -> dict[str, tuple[FoundScore, ...]]:
    """Return perplexities of the most common score kind by architecture, as geometric means over seeds."""
    fitting = [one for one in records if (one.task, one.metric) in PERPLEXITIES]
    if not fitting:
        return {}
    kind = Counter(one.kind for one in fitting).most_common(1)[0][0]
    found: dict[str, list[float]] = {}
    for one in fitting:
        if one.kind == kind:
            found.setdefault(one.architecture, []).append(PERPLEXITIES[one.task, one.metric](one.value))
    dataset, fidelity, recipe = kind.dataset or "", kind.fidelity or "", kind.recipe or ""
    return {
        id: (FoundScore(TASK, METRIC, -geometric_mean(values), dataset, fidelity, recipe, 0, ""),)
        for id, values in found.items()
    }
