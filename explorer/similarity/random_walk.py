"""The labelled random walk kernel (Kashima et al. 2003, Gärtner et al. 2003), every walk counted.

A walk of two graphs is a walk in each, of equal length and with equal labels node by node. The value before
normalising is Σ over lengths k of decayᵏ × (number of common walks with k edges), where k = 0 counts *every* pair of
nodes with equal or different labels, as GraKeL defines it; then it is divided by the square root of the two graphs' own
values. Walks in acyclic graphs are finite, so the sum is finite for every decay.

Equal to GraKeL's ``RandomWalkLabeled(lamda=decay, method_type="baseline")``, which inverts a matrix over all pairs of
nodes. GraKeL's default method runs conjugate gradients on that matrix, which is not symmetric for a directed graph, and
is off by what its iteration leaves. Cost here: see docs/results/kernels.md; it grows with the pairs of equal edges, so
this kernel is for hundreds of graphs, not for whole libraries.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from explorer.errors import InputError
from explorer.similarity.graph import ArchitectureGraph
from explorer.similarity.kernel import EdgeDirection
from explorer.similarity.nodes import NodeTable
from explorer.similarity.pairs import PairKernel

CHUNK = 64
"""Number of graphs that one graph is compared with at a time, which bounds the memory."""


class _Edges:
    """The edges of some graphs, sorted by the labels of their two nodes."""

    def __init__(self, table: NodeTable, names: dict[str, int]) -> None:
        labels = np.array([names[name] for name in table.names], dtype=np.int64)[table.labels]
        keys = labels[table.sources] * len(names) + labels[table.targets]
        order = np.argsort(keys, kind="stable")
        self.keys, self.sources, self.targets = keys[order], table.sources[order], table.targets[order]


class RandomWalk(PairKernel):
    """Labelled random walk kernel with geometric weights.

    Args:
        decay: weight of one step, above 0; GraKeL's ``lamda``.

    Raises:
        InputError: the decay is not above 0.
    """

    name = "random_walk"
    direction = EdgeDirection.EITHER

    def __init__(self, decay: float = 0.1) -> None:
        super().__init__()
        if not 0 < decay < float("inf"):
            raise InputError("decay", "be a number above 0", decay, "Use 0.1, or less for short walks only.")
        self.decay = decay

    @property
    def parameters(self) -> dict[str, Any]:
        """The constructor's arguments as JSON values."""
        return {"decay": self.decay}

    def compare(
        self, rows: tuple[ArchitectureGraph, ...], columns: tuple[ArchitectureGraph, ...]
    ) -> NDArray[np.float64]:
        """Return normalised values ``[M, N]``."""
        values = np.hstack(
            [self._values(rows, columns[start : start + CHUNK]) for start in range(0, len(columns), CHUNK)]
        )
        if rows is columns:
            return values / np.sqrt(np.outer(np.diag(values), np.diag(values)))
        return values / np.sqrt(np.outer(self._own(rows), self._own(columns)))

    def _own(self, graphs: tuple[ArchitectureGraph, ...]) -> NDArray[np.float64]:
        return np.array([self._values((graph,), (graph,))[0, 0] for graph in graphs])

    def _values(
        self, rows: tuple[ArchitectureGraph, ...], columns: tuple[ArchitectureGraph, ...]
    ) -> NDArray[np.float64]:
        """Return values before normalising ``[M, N]``."""
        left, right = NodeTable(rows), NodeTable(columns)
        names = {name: index for index, name in enumerate(dict.fromkeys((*left.names, *right.names)))}
        theirs = _Edges(right, names)
        values = np.empty((len(rows), len(columns)))
        for row, graph in enumerate(rows):
            ours = _Edges(NodeTable((graph,)), names)
            # Every edge of this graph with every edge of equal labels of the others: an edge of the product graph.
            low, high = (np.searchsorted(theirs.keys, ours.keys, side) for side in ("left", "right"))
            counts = high - low
            edge = np.repeat(low - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())
            nodes = len(right.labels)
            sources = np.repeat(ours.sources, counts) * nodes + theirs.sources[edge]
            targets = np.repeat(ours.targets, counts) * nodes + theirs.targets[edge]
            values[row] = self._walks(sources, targets, np.tile(right.owner, len(graph)), right.sizes * len(graph))
        return values

    def _walks(
        self,
        sources: NDArray[np.int64],
        targets: NDArray[np.int64],
        owner: NDArray[np.int64],
        pairs: NDArray[np.int64],
    ) -> NDArray[np.float64]:
        """Return the weighted number of walks of each graph's product graph ``[N]``."""
        shape = (len(owner), len(owner))
        step = sparse.csr_matrix((np.full(len(sources), self.decay), (targets, sources)), shape=shape)
        ending, total = np.ones(len(owner)), pairs.astype(np.float64)
        # The product of acyclic graphs is acyclic, so the loop ends after its longest walk.
        while (ending := step @ ending).any():
            total += np.bincount(owner, ending, minlength=len(pairs))
        return total
