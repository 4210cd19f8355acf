"""Positions of the nodes of an architecture's graph: layers from left to right, heads above one another."""

from __future__ import annotations

from collections.abc import Sequence


def node_positions(kinds: Sequence[str], layers: Sequence[int]) -> list[tuple[float, float]]:
    """Return positions of the nodes of one architecture.

    Args:
        kinds: kind of each node, in topological order.
        layers: layer of each node.

    Returns:
        (x, y) per node: one column per step of the computation, heads of a layer share a column.
    """
    heads: dict[int, int] = {}
    for kind, layer in zip(kinds, layers, strict=True):
        if kind == "head":
            heads[layer] = heads.get(layer, 0) + 1
    positions: list[tuple[float, float]] = []
    column = -1.0
    seen: dict[int, int] = {}
    for kind, layer in zip(kinds, layers, strict=True):
        if kind == "head":
            rank = seen.get(layer, 0)
            seen[layer] = rank + 1
            if rank == 0:
                column += 1
            positions.append((column, (heads[layer] - 1) / 2 - rank))
        else:
            column += 1
            positions.append((column, 0.0))
    return positions
