"""Several architectures side by side: layers aligned with those of the first, nodes that differ, scores, kernel.

The first architecture is the one the others are compared with. Each of them is aligned with it by
``explorer.space.difference``, and the alignments are merged: a row for each layer of the first, and rows between them
for layers that it does not have.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from explorer.errors import InputError
from explorer.library.build import ITERATIONS
from explorer.similarity.graph import ArchitectureGraph, build_graph
from explorer.similarity.weisfeiler_lehman import WeisfeilerLehman
from explorer.space.difference import Change, FieldChange, difference
from explorer.space.spec import ArchitectureSpec

FEWEST, MOST = 2, 6


@dataclass(frozen=True)
class Cell:
    """A layer of one architecture in a row.

    Attributes:
        index: of the layer, from 0.
        change: what became of the first architecture's layer in this row.
        fields: what changed, for a changed layer.
    """

    index: int
    change: Change
    fields: tuple[FieldChange, ...] = ()


Row = tuple[Cell | None, ...]
"""One cell for each architecture; ``None`` where it has no such layer."""


def check_count(count: int) -> None:
    """Raise InputError unless so many architectures can be compared."""
    if not FEWEST <= count <= MOST:
        raise InputError("architectures to compare", f"be {FEWEST} to {MOST}", count, "Add some, or leave some out.")


def aligned_layers(specs: Sequence[ArchitectureSpec]) -> list[Row]:
    """The layers of several architectures in rows, input to output.

    Args:
        specs: at least one; the first is what the others are compared with.

    Returns:
        Every layer of every architecture is in one row. In a row with a layer of the first architecture the others'
        layers are ``SAME`` or ``CHANGED``; in the other rows they are ``ADDED``, and what stands side by side there
        need not be alike.
    """
    first, *others = specs
    # At a place i of the first: layers that others add before its layer i, then what they make of layer i.
    between: list[list[list[Cell]]] = [[[] for _ in others] for _ in range(first.depth + 1)]
    at: list[list[Cell | None]] = [[None] * len(others) for _ in range(first.depth)]
    for column, other in enumerate(others):
        place = 0
        for step in difference(first, other).steps:
            if step.second is not None and step.first is None:
                between[place][column].append(Cell(step.second, step.change))
            elif step.first is not None:
                place = step.first + 1
                if step.second is not None:
                    at[step.first][column] = Cell(step.second, step.change, step.fields)
    rows: list[Row] = []
    for place in range(first.depth + 1):
        added = between[place]
        for position in range(max((len(cells) for cells in added), default=0)):
            rows.append((None, *(cells[position] if position < len(cells) else None for cells in added)))
        if place < first.depth:
            rows.append((Cell(place, Change.SAME), *at[place]))
    return rows


def differing_nodes(specs: Sequence[ArchitectureSpec]) -> list[frozenset[int]]:
    """The nodes of each architecture's graph by which it differs from the first one.

    Nodes of layers that are aligned with each other match if their labels do; those of other layers match nothing. Of
    the first architecture the nodes are given that at least one other lacks.
    """
    graphs = [build_graph(spec) for spec in specs]
    rows = aligned_layers(specs)
    found: list[set[int]] = [set() for _ in specs]
    for row in rows:
        base = _nodes(graphs[0], row[0])
        for column in range(1, len(specs)):
            here = _nodes(graphs[column], row[column])
            found[0] |= _unmatched(graphs[0], base, graphs[column], here)
            found[column] |= _unmatched(graphs[column], here, graphs[0], base)
    return [frozenset(nodes) for nodes in found]


def _nodes(graph: ArchitectureGraph, cell: Cell | None) -> list[int]:
    return [] if cell is None else [node for node, layer in enumerate(graph.layers) if layer == cell.index]


def _unmatched(graph: ArchitectureGraph, nodes: list[int], other: ArchitectureGraph, others: list[int]) -> set[int]:
    left = Counter(other.labels[node] for node in others)
    found = set()
    for node in nodes:
        if left[graph.labels[node]]:
            left[graph.labels[node]] -= 1
        else:
            found.add(node)
    return found


def dissimilarities(specs: Sequence[ArchitectureSpec]) -> NDArray[np.float64]:
    """Dissimilarities ``[N, N]`` of the kernel that neighbours are ranked by: 0 for equal graphs, at most 1."""
    kernel = WeisfeilerLehman(ITERATIONS)
    features = kernel.features([build_graph(spec) for spec in specs])
    cosines = np.asarray((features @ features.T).toarray(), dtype=np.float64)
    found = np.clip(1.0 - (cosines + cosines.T) / 2.0, 0.0, 1.0)
    found[found < 1e-12] = 0.0
    return found


def score_spread(scores: pd.DataFrame) -> pd.DataFrame:
    """What repeated scores say: one row per architecture and series, in their order.

    Args:
        scores: ``id, series, value``; values that are not finite are left out.

    Returns:
        ``id, series, mean, deviation, count``; the deviation is the sample standard deviation over the repetitions,
        missing where there is only one.
    """
    known = scores[np.isfinite(scores["value"].to_numpy(dtype=float))]
    groups = known.groupby(["series", "id"], sort=False)["value"]
    table = pd.DataFrame({"mean": groups.mean(), "deviation": groups.std(ddof=1), "count": groups.size()})
    return table.reset_index()[["id", "series", "mean", "deviation", "count"]]
