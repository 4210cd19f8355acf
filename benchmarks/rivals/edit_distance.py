"""An upper bound of the graph edit distance, by networkx, and the similarity made of it.

The edit distance of two graphs is the least number of insertions and deletions of nodes and edges and of changed labels
that turn one into the other (each costs 1). To compute it is infeasible at the size of an architecture, so this is the
cost of the best edits *found*: of an alignment of the two lists of labels, of networkx's first approximation, or of
better ones within a limit of time. It is never below the true distance, and may be well above it.

The similarity is 1 − bound / (nodes and edges of both), the share that deleting all of one and inserting all of the
other would cost. It is *not* positive semi-definite in general, nor does the bound keep the triangle inequality: use it
to rank neighbours, not where a method solves with the Gram matrix.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from difflib import SequenceMatcher

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from explorer.errors import InputError
from explorer.similarity.graph import ArchitectureGraph
from explorer.similarity.kernel import EdgeDirection
from explorer.similarity.pairs import PairKernel


class EditDistanceUpperBound(PairKernel):
    """Similarity by an upper bound of the edit distance.

    With the default of one approximation a value is the same every time unless the limit of time cuts it short; with
    more, values near the limit depend on the machine.

    Args:
        time_limit_s: seconds for one pair. It is looked at between networkx's steps, so that large graphs exceed it;
            a pair for which it finds nothing in time has the cost of the alignment.
        approximations: how many successively better bounds of networkx are tried, at least 1.

    Raises:
        InputError: an argument is outside.
    """

    name = "edit_distance_upper_bound"
    direction = EdgeDirection.EITHER
    positive_semidefinite = False

    def __init__(self, time_limit_s: float = 1.0, approximations: int = 1) -> None:
        super().__init__()
        if not time_limit_s > 0:
            raise InputError("time_limit_s", "be above 0", time_limit_s, "Give the seconds for one pair.")
        if approximations < 1:
            raise InputError("approximations", "be at least 1", approximations, "Use 1 for the fastest bound.")
        self.time_limit_s, self.approximations = time_limit_s, approximations

    def compare(
        self, rows: tuple[ArchitectureGraph, ...], columns: tuple[ArchitectureGraph, ...]
    ) -> NDArray[np.float64]:
        """Similarities ``[M, N]``; a pair that occurs twice, either way around, is computed once."""
        ours, theirs = [canonical(graph) for graph in rows], [canonical(graph) for graph in columns]
        known: dict[tuple[ArchitectureGraph, ArchitectureGraph], float] = {}
        values = np.empty((len(rows), len(columns)))
        for i, first in enumerate(ours):
            for j, second in enumerate(theirs):
                pair = _ordered(first, second)
                if pair not in known:
                    known[pair] = 1.0 - self._bound(*pair) / (_cost(first) + _cost(second))
                values[i, j] = known[pair]
        return values

    def upper_bound(self, first: ArchitectureGraph, second: ArchitectureGraph) -> float:
        """Number of edits known to be enough to turn one graph into the other; 0 for equal graphs."""
        return self._bound(*_ordered(canonical(first), canonical(second)))

    def _bound(self, first: ArchitectureGraph, second: ArchitectureGraph) -> float:
        if first == second:
            return 0.0
        best = float(_aligned_cost(first, second))
        found = nx.optimize_edit_paths(
            first.to_networkx(),
            second.to_networkx(),
            node_match=lambda one, two: one["label"] == two["label"],
            timeout=self.time_limit_s,
        )
        for _, (_, _, cost) in zip(range(self.approximations), found, strict=False):
            best = min(best, float(cost))
        return best


def _cost(graph: ArchitectureGraph) -> int:
    return len(graph) + len(graph.edges)


def _aligned_cost(first: ArchitectureGraph, second: ArchitectureGraph) -> int:
    """Cost of the edits that keep the nodes of one graph where its labels can be aligned with the other's.

    Both are in canonical order. However poor the alignment, the edits it stands for turn one graph into the other.
    """
    image: dict[int, int] = {}
    matcher = SequenceMatcher(None, first.labels, second.labels, autojunk=False)
    for what, start, stop, other_start, other_stop in matcher.get_opcodes():
        if what in ("equal", "replace"):
            image |= dict(zip(range(start, stop), range(other_start, other_stop), strict=False))
    renamed = sum(first.labels[node] != second.labels[other] for node, other in image.items())
    edges = set(second.edges)
    kept = sum((image.get(source), image.get(target)) in edges for source, target in first.edges)
    return _cost(first) + _cost(second) - 2 * (len(image) + kept) + renamed


def _ordered(first: ArchitectureGraph, second: ArchitectureGraph) -> tuple[ArchitectureGraph, ArchitectureGraph]:
    """The two graphs in an order that does not depend on which is named first, as networkx's bound does."""
    keys = [(len(graph), graph.labels, graph.edges) for graph in (first, second)]
    return (first, second) if keys[0] <= keys[1] else (second, first)


def canonical(graph: ArchitectureGraph) -> ArchitectureGraph:
    """Labels and edges of the graph, its nodes in an order that follows from these and not from their numbers.

    Nodes are ordered by what leads to them and what follows them; those alike in both, such as equal heads of a layer,
    keep their order. The bound depends on the order of nodes, and equal graphs are recognised by it.
    """
    network = graph.to_networkx()
    order = list(nx.topological_sort(network))
    before: dict[int, bytes] = {}
    after: dict[int, bytes] = {}
    for node in order:
        before[node] = _digest(graph.labels[node], sorted(before[source] for source in network.predecessors(node)))
    for node in reversed(order):
        after[node] = _digest(graph.labels[node], sorted(after[target] for target in network.successors(node)))
    depth = {node: level for level, nodes in enumerate(nx.topological_generations(network)) for node in nodes}
    order.sort(key=lambda node: (depth[node], before[node], after[node]))
    place = {node: index for index, node in enumerate(order)}
    return replace(
        graph,
        kinds=("node",) * len(order),
        labels=tuple(graph.labels[node] for node in order),
        layers=(0,) * len(order),
        edges=tuple(sorted((place[source], place[target]) for source, target in graph.edges)),
    )


def _digest(label: str, around: list[bytes]) -> bytes:
    return hashlib.blake2b(b"\0".join((label.encode(), *around)), digest_size=16).digest()
