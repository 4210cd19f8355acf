"""All nodes and edges of many graphs in a few arrays, so that kernels work on all graphs at once."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from explorer.similarity.contract import Direction
from explorer.similarity.graph import ArchitectureGraph


class NodeTable:
    """The nodes of N graphs, numbered through.

    Args:
        graphs: N graphs.
        direction: ``IN`` turns every edge around; else they stay as they are.

    Attributes:
        sizes: nodes of each graph ``[N]``.
        starts: number of each graph's first node ``[N]``.
        owner: graph of each node ``[nodes]``.
        names: the distinct labels, by first appearance.
        labels: index into ``names`` of each node ``[nodes]``.
        sources, targets: nodes of each edge ``[edges]``, in the order of the graphs.
    """

    def __init__(self, graphs: Sequence[ArchitectureGraph], direction: Direction = Direction.OUT) -> None:
        self.sizes = np.array([len(graph) for graph in graphs], dtype=np.int64)
        ends = np.cumsum(self.sizes)
        self.starts = ends - self.sizes
        nodes = int(ends[-1]) if len(graphs) else 0
        self.owner = np.repeat(np.arange(len(graphs)), self.sizes)
        names: dict[str, int] = {}
        numbered = (names.setdefault(label, len(names)) for graph in graphs for label in graph.labels)
        self.labels = np.fromiter(numbered, np.int64, nodes)
        self.names = tuple(names)
        counts = [len(graph.edges) for graph in graphs]
        flat = chain.from_iterable(chain.from_iterable(graph.edges for graph in graphs))
        edges = np.fromiter(flat, np.int64, 2 * sum(counts)).reshape(-1, 2)
        edges += np.repeat(self.starts, counts)[:, None]
        turned = direction is Direction.IN
        self.sources, self.targets = edges[:, int(turned)], edges[:, int(not turned)]

    def neighbors(self) -> NDArray[np.int64]:
        """The targets of each node's edges ``[nodes, most of any node]``, filled up with the number of nodes."""
        nodes = len(self.labels)
        order = np.argsort(self.sources, kind="stable")
        sources = self.sources[order]
        degree = np.bincount(sources, minlength=nodes)
        slot = np.arange(len(sources)) - np.repeat(np.cumsum(degree) - degree, degree)
        table = np.full((nodes, int(degree.max(initial=0))), nodes, dtype=np.int64)
        table[sources, slot] = self.targets[order]
        return table
