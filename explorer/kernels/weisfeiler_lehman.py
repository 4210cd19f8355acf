"""The Weisfeiler–Lehman subtree kernel from sparse label counts, exact and in blocks.

Shervashidze et al., "Weisfeiler-Lehman graph kernels", JMLR 12 (2011). A graph's feature vector counts its node
labels after 0, 1, … ``iterations`` refinements; a refinement relabels each node by its label and the multiset of its
*out*-neighbours' labels (the direction GraKeL reads a directed graph in). The kernel is the cosine of the counts,
equal to GraKeL's ``WeisfeilerLehman(n_iter=iterations, normalize=True)``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from explorer.graphs import ArchitectureGraph
from explorer.kernels.contract import GraphKernel

BLOCK_ROWS = 512


def _compress(first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number the distinct pairs of two label columns."""
    return np.unique(first * (second.max(initial=0) + 1) + second, return_inverse=True)[1].astype(np.int64)


class _NodeTable:
    """All nodes of many graphs in one array: owner graph, first label, padded out-neighbours."""

    def __init__(self, graphs: Sequence[ArchitectureGraph]) -> None:
        sizes = np.array([len(graph) for graph in graphs], dtype=np.int64)
        starts = np.concatenate([[0], np.cumsum(sizes)])
        nodes = int(starts[-1])
        self.owner = np.repeat(np.arange(len(graphs)), sizes)
        names: dict[str, int] = {}
        self.labels = np.fromiter(
            (names.setdefault(label, len(names)) for graph in graphs for label in graph.labels), np.int64, nodes
        )
        counts = [len(graph.edges) for graph in graphs]
        edges = np.array([edge for graph in graphs for edge in graph.edges], dtype=np.int64).reshape(-1, 2)
        edges += np.repeat(starts[:-1], counts)[:, None]
        edges = edges[np.argsort(edges[:, 0], kind="stable")]
        degree = np.bincount(edges[:, 0], minlength=nodes)
        slot = np.arange(len(edges)) - np.repeat(np.cumsum(degree) - degree, degree)
        # The last row (index `nodes`) stands for "no neighbour" and carries the label -1 + 1 = 0.
        self.neighbors = np.full((nodes, int(degree.max(initial=0))), nodes, dtype=np.int64)
        self.neighbors[edges[:, 0], slot] = edges[:, 1]

    def refine(self, labels: NDArray[np.int64]) -> NDArray[np.int64]:
        """One refinement of the labels ``[nodes]``."""
        around = np.append(labels + 1, 0)[self.neighbors]
        around.sort(axis=1)
        refined = labels
        for column in around.T:
            refined = _compress(refined, column)
        return refined


class WeisfeilerLehman(GraphKernel):
    """Weisfeiler–Lehman subtree kernel on out-neighbours.

    Args:
        iterations: number of refinements, at least 0.
    """

    name = "weisfeiler_lehman"

    def __init__(self, iterations: int = 5) -> None:
        self.iterations = iterations
        self._graphs: tuple[ArchitectureGraph, ...] = ()

    def features(self, graphs: Sequence[ArchitectureGraph]) -> sparse.csr_matrix:
        """Unit-length label counts ``[N, F]`` of the graphs; rows' inner products are the kernel."""
        table = _NodeTable(graphs)
        labels = table.labels
        blocks = []
        for iteration in range(self.iterations + 1):
            if iteration:
                labels = table.refine(labels)
            shape = (len(graphs), int(labels.max(initial=-1)) + 1)
            ones = np.ones(len(labels))
            blocks.append(sparse.coo_matrix((ones, (table.owner, labels)), shape=shape).tocsr())
        counts = sparse.hstack(blocks, format="csr")
        norms = np.sqrt(np.asarray(counts.multiply(counts).sum(axis=1)).ravel())
        return sparse.csr_matrix(sparse.diags(1.0 / np.maximum(norms, 1e-300)) @ counts)

    def fit_transform(self, graphs: Sequence[ArchitectureGraph]) -> NDArray[np.float64]:
        """Gram matrix ``[N, N]`` of the graphs."""
        self._graphs = tuple(graphs)
        features = self.features(graphs)
        return np.asarray((features @ features.T).toarray())

    def transform(self, graphs: Sequence[ArchitectureGraph]) -> NDArray[np.float64]:
        """Similarities ``[M, N]`` to the fitted graphs."""
        features = self.features((*self._graphs, *graphs))
        fitted = len(self._graphs)
        return np.asarray((features[fitted:] @ features[:fitted].T).toarray())


def dissimilarity_blocks(
    features: sparse.csr_matrix, block_rows: int = BLOCK_ROWS
) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """All pairs in blocks of rows, so that memory stays bounded.

    Args:
        features: unit-length rows ``[N, F]``.
        block_rows: rows per block.

    Yields:
        (first row, dissimilarities ``[rows, N]`` in [0, 1]).
    """
    # A feature of one graph only adds to nothing but that graph's similarity to itself, which is 1 anyway.
    shared = np.flatnonzero(features.getnnz(axis=0) > 1)
    columns = features[:, shared].T.tocsr()
    rows = features[:, shared]
    for start in range(0, features.shape[0], block_rows):
        block = (rows[start : start + block_rows] @ columns).toarray()
        np.subtract(1.0, block, out=block)
        np.clip(block, 0.0, 1.0, out=block)
        here = np.arange(block.shape[0])
        block[here, start + here] = 0.0
        yield start, block
