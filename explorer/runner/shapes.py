"""Measured shapes of a store, as the table that predictors of shapes learn from."""

from __future__ import annotations

from collections import Counter

from explorer.shapes.grid import ShapeGrid
from explorer.shapes.tables import ShapeTable
from explorer.space.formats import from_json
from explorer.space.imports.rows import FoundMeasurement, FoundRow, FoundScore
from explorer.space.imports.shapes import LATENCY, METRIC, TASK
from explorer.space.shapes import BERT_BASE, WIDTHS, Backbone, backbone_of, is_shape, shape_widths
from explorer.space.spec import ArchitectureSpec
from graphstore import GraphStore
from graphstore.records import ScoreRecord


def has_shapes(store: GraphStore, space: str) -> bool:
    """Whether a space begins with a shape."""
    ids = store.architecture_ids(space)[:1]
    return any(is_shape(from_json(one.spec)) for one in store.summaries(ids=ids))


def stored_shapes(store: GraphStore, space: str) -> tuple[ShapeGrid, ShapeTable] | None:
    """The shapes of a space with what was measured of them.

    Scores that are not comparable do not mix: of several kinds (data, training) the one with the most shapes is taken.

    Args:
        store: the store.
        space: name of the space.

    Returns:
        Their grid and table; of several backbones the most common one's. ``None`` if the space holds no shapes.
    """
    specs = {one.id: from_json(one.spec) for one in store.summaries(space)}
    shapes = {id: spec for id, spec in specs.items() if is_shape(spec)}
    if not shapes:
        return None
    backbone = Counter(backbone_of(spec) for spec in shapes.values()).most_common(1)[0][0]
    shapes = {id: spec for id, spec in shapes.items() if backbone_of(spec) == backbone}
    scores = _scores(store.scores(space=space, task=TASK))
    latency: dict[str, list[FoundMeasurement]] = {}
    for one in store.measurements(space=space):
        if one.quantity == LATENCY:
            latency.setdefault(one.architecture, []).append(
                FoundMeasurement(one.device, one.quantity, one.value, one.unit)
            )
    rows = [FoundRow(spec, scores.get(id, ()), tuple(latency.get(id, ()))) for id, spec in shapes.items()]
    grid = ShapeGrid(_widths(backbone, list(shapes.values())), backbone)
    return grid, ShapeTable.of(grid, rows)


def _widths(backbone: Backbone, specs: list[ArchitectureSpec]) -> tuple[int, ...]:
    """The paper's widths where they suffice, else those that occur."""
    found = sorted({width for spec in specs for width in shape_widths(spec)})
    return WIDTHS if backbone == BERT_BASE and set(found) <= set(WIDTHS) else tuple(found)


def _scores(records: list[ScoreRecord]) -> dict[str, tuple[FoundScore, ...]]:
    """Perplexities of the most common kind, by architecture."""
    fitting = [one for one in records if one.metric == METRIC]
    if not fitting:
        return {}
    kind = Counter((one.dataset, one.fidelity, one.recipe) for one in fitting).most_common(1)[0][0]
    return {
        one.architecture: (
            FoundScore(
                one.task,
                one.metric,
                one.value,
                one.dataset,
                one.fidelity,
                one.recipe,
                one.seed,
                one.source,
                one.seconds,
            ),
        )
        for one in fitting
        if (one.dataset, one.fidelity, one.recipe) == kind
    }
