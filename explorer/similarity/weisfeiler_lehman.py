"""The Weisfeiler–Lehman subtree kernel from sparse label counts, exact.

Shervashidze et al., "Weisfeiler-Lehman graph kernels", JMLR 12 (2011). A graph's feature vector counts its node
labels after 0, 1, … ``iterations`` refinements; a refinement relabels each node by its label and the multiset of its
neighbours' labels, by default those of the *out*-neighbours (the direction GraKeL reads a directed graph in). The
kernel is the cosine of the counts, equal to GraKeL's ``WeisfeilerLehman(n_iter=iterations, normalize=True)``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from explorer.similarity.blocks import dissimilarity_blocks, unit_rows
from explorer.similarity.contract import Direction, GraphKernel, one_way
from explorer.similarity.graph import ArchitectureGraph
from explorer.similarity.nodes import NodeTable

__all__ = ["WeisfeilerLehman", "dissimilarity_blocks"]


def _number(columns: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Number the distinct rows of several label columns, each at least 0."""
    combined, size = np.zeros(len(columns[0]), dtype=np.int64), 1
    for column in columns:
        width = int(column.max(initial=0)) + 1
        if size * width > np.iinfo(np.int64).max:
            combined = np.unique(combined, return_inverse=True)[1].astype(np.int64)
            size = int(combined.max(initial=0)) + 1
        combined, size = combined * width + column, size * width
    return np.unique(combined, return_inverse=True)[1].astype(np.int64)


class WeisfeilerLehman(GraphKernel):
    """Weisfeiler–Lehman subtree kernel.

    Args:
        iterations: number of refinements, at least 0.
        direction: whose labels a refinement collects, ``OUT`` or ``IN``.
    """

    name = "weisfeiler_lehman"

    def __init__(self, iterations: int = 5, direction: Direction = Direction.OUT) -> None:
        super().__init__()
        self.iterations, self.direction = iterations, one_way(direction)

    def counts(self, graphs: Sequence[ArchitectureGraph]) -> sparse.csr_matrix:
        """How often each graph has each label ``[N, F]``, as integers; their cosines are the kernel.

        The labels are numbered for these graphs alone: rows of two calls do not compare.
        """
        table = NodeTable(graphs, self.direction)
        neighbors = table.neighbors()
        labels = table.labels
        ones = np.ones(len(labels), dtype=np.int64)
        blocks = []
        for iteration in range(self.iterations + 1):
            if iteration:
                # The extra last entry is the label of "no neighbour".
                around = np.append(labels + 1, 0)[neighbors]
                around.sort(axis=1)
                labels = _number([labels, *around.T])
            shape = (len(graphs), int(labels.max(initial=-1)) + 1)
            blocks.append(sparse.coo_matrix((ones, (table.owner, labels)), shape=shape).tocsr())
        return sparse.hstack(blocks, format="csr")

    def features(self, graphs: Sequence[ArchitectureGraph]) -> sparse.csr_matrix:
        """Unit-length label counts ``[N, F]`` of the graphs; rows' inner products are the kernel."""
        return unit_rows(self.counts(graphs))

    def compare(
        self, rows: tuple[ArchitectureGraph, ...], columns: tuple[ArchitectureGraph, ...]
    ) -> NDArray[np.float64]:
        """Cosines ``[M, N]`` of the label counts."""
        features = self.features(columns if rows is columns else (*columns, *rows))
        fitted, others = features[: len(columns)], features[0 if rows is columns else len(columns) :]
        return np.asarray((others @ fitted.T).toarray())
