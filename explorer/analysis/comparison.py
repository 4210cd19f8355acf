"""Several architectures side by side: aligned layers, differing nodes of their graphs, dissimilarities.

All architectures are compared with the first one. ``explorer.space.difference`` aligns each of them with it, and the
alignments are merged: one row for each layer of the first, and rows between them for layers that it does not have.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from explorer.similarity.graph import ArchitectureGraph, build_graph
from explorer.space.difference import Change, FieldChange, difference
from explorer.space.spec import ArchitectureSpec

FEWEST, MOST = 2, 6


@dataclass(frozen=True)
class Cell:
    """A layer of one architecture in a row.

    Attributes:
        index: index of the layer, from 0.
        change: how the layer differs from the first architecture's layer in this row.
        fields: the changed fields of a changed layer.
    """

    index: int
    change: Change
    fields: tuple[FieldChange, ...] = ()


Row = tuple[Cell | None, ...]
"""One cell for each architecture; ``None`` if it has no such layer."""


def aligned_layers(specs: Sequence[ArchitectureSpec]) -> list[Row]:
    """Align the layers of several architectures in rows, input to output.

    Args:
        specs: at least one; the others are compared with the first.

    Returns:
        Every layer of every architecture is in one row. In a row with a layer of the first architecture the others'
        layers are ``SAME`` or ``CHANGED``; in the other rows they are ``ADDED``, and layers in one row need not be
        similar.
    """
    first, *others = specs
    # between[i]: layers that others add before layer i of the first; at[i]: their counterparts of layer i.
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
    """Return the nodes of each architecture's graph that the first architecture does not have.

    Nodes of aligned layers match if their labels are equal; nodes of other layers match nothing. For the first
    architecture, return the nodes that at least one other does not have.
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
