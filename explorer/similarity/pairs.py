"""Kernels that compare graphs pair by pair: vectors by landmarks, neighbours exact or among candidates.

Landmarks are all fitted graphs, or a random part of them where all pairs would cost too much. Kernel principal
component analysis among the landmarks gives axes (classical scaling of their dissimilarities), and any graph is placed
by its kernel values against them (Nyström). Up to ``EXACT`` fitted graphs the neighbours are exact. Beyond, the nearest
by vector are candidates, and their order is by exact dissimilarity.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from copy import copy
from typing import Self

import numpy as np
from numpy.typing import NDArray

from explorer.errors import InputError
from explorer.similarity.blocks import DECIMALS, nearest_in_rows
from explorer.similarity.distances import oriented, rank_agreement, squared_distances
from explorer.similarity.graph import ArchitectureGraph
from explorer.similarity.kernel import (
    DIMENSIONS,
    SEED,
    Array,
    CostEstimate,
    GraphKernel,
    Graphs,
    Report,
    State,
    checked,
    continued,
    entries,
    grown,
)
from explorer.similarity.nodes import NodeTable, narrow

EXACT = 2_000
"""Most fitted graphs whose pairs are all compared."""
LANDMARKS = 300
"""Landmarks where there are more fitted graphs than ``EXACT``; placing a graph takes as many kernel values."""
CANDIDATES = 50
BLOCK_ROWS = 64
AGREEMENT_GRAPHS = 200


class PairKernel(GraphKernel):
    """A kernel that is computed pair by pair."""

    def __init__(self) -> None:
        self._held: tuple[ArchitectureGraph, ...] | State = ()
        self._landmarks: NDArray[np.int64] = np.empty(0, dtype=np.int64)
        self._means: Array = np.empty(0)
        self._projection: Array = np.empty((0, DIMENSIONS))
        self._vectors: NDArray[np.float32] = np.empty((0, DIMENSIONS), dtype=np.float32)
        self._landmark_graphs: tuple[ArchitectureGraph, ...] = ()

    @abstractmethod
    def compare(
        self, rows: tuple[ArchitectureGraph, ...], columns: tuple[ArchitectureGraph, ...]
    ) -> NDArray[np.float64]:
        """Return similarities ``[M, N]`` of M ≥ 1 graphs to N ≥ 1 graphs, none of them empty.

        For a Gram matrix both arguments are the same object, which a kernel may use to work once instead of twice.
        """

    def _learn(self, graphs: tuple[ArchitectureGraph, ...]) -> None:
        """Learn what the kernel's values depend on from the graphs of a library; nothing unless overridden."""

    @property
    def _graphs(self) -> tuple[ArchitectureGraph, ...]:
        """The fitted graphs; those of a loaded kernel are unpacked when they are first needed."""
        if isinstance(self._held, dict):
            # Landmarks that are not among the graphs follow them.
            self._held = _graphs_from(self._held, range(len(self._vectors)))
        return self._held

    def __len__(self) -> int:
        """Return the number of fitted graphs, 0 before ``fit``."""
        return len(self._vectors)

    @property
    def exact_neighbors(self) -> bool:  # type: ignore[override]
        """Whether neighbours are compared with every fitted graph."""
        return len(self) <= EXACT

    def _similarities(self, rows: Graphs, columns: Graphs) -> Array:
        """Similarities ``[M, N]`` within [0, 1]; rounding may lift a value of 1 by a few units in the last place."""
        if not rows or not columns:
            return np.empty((len(rows), len(columns)))
        left = tuple(rows)
        right = left if columns is rows else tuple(columns)
        return np.clip(self.compare(left, right), 0.0, 1.0)

    def fit(self, graphs: Graphs) -> Self:
        """Choose landmarks and find axes, and remember the graphs. See ``GraphKernel.fit``."""
        if not graphs:
            raise InputError("graphs", "hold at least one graph", 0, "Give the graphs of the space.")
        self._held = checked(graphs)
        count = len(self._graphs)
        rng = np.random.default_rng(SEED)
        self._landmarks = np.arange(count) if count <= EXACT else np.sort(rng.choice(count, LANDMARKS, replace=False))
        self._landmark_graphs = tuple(self._graphs[row] for row in self._landmarks)
        self._learn(self._graphs)
        among = self._similarities(self._landmark_graphs, self._landmark_graphs)
        among = (among + among.T) / 2
        self._means = among.mean(axis=0)
        self._projection = _axes(among)
        if count <= EXACT:
            self._vectors = self._placed(among)
        else:
            self._vectors = self.transform(self._graphs)
        return self

    def append(self, graphs: Graphs) -> Self:
        """Add graphs to those that ``nearest`` finds. See ``GraphKernel.append``."""
        self._require_fitted()
        if graphs:
            vectors = self.transform(graphs)
            self._held = (*self._graphs, *graphs)
            self._vectors = np.concatenate([self._vectors, vectors])
        return self

    def without_graphs(self) -> Self:
        """Return a kernel with the same axes and no graphs. See ``GraphKernel.without_graphs``."""
        self._require_fitted()
        empty = copy(self)
        empty._held, empty._landmarks = (), np.empty(0, dtype=np.int64)
        empty._vectors = self._vectors[:0]
        return empty

    def _require_fitted(self) -> None:
        if not self._landmark_graphs:
            raise InputError("kernel", "be fitted first", self.name, "Call fit with the graphs of the library.")

    def transform(self, graphs: Graphs) -> NDArray[np.float32]:
        """Return vectors ``[N, 16]`` of any graphs. See ``GraphKernel.transform``."""
        self._require_fitted()
        found = checked(graphs)
        placed = [np.empty((0, DIMENSIONS), dtype=np.float32)]
        for start in range(0, len(found), BLOCK_ROWS):
            placed.append(self._placed(self._similarities(found[start : start + BLOCK_ROWS], self._landmark_graphs)))
        return np.concatenate(placed)

    def _placed(self, similarities: Array) -> NDArray[np.float32]:
        """Vectors ``[M, 16]`` from similarities to the landmarks ``[M, L]``."""
        centred = similarities - similarities.mean(axis=1)[:, None] - self._means + self._means.mean()
        return (centred @ self._projection).astype(np.float32)

    @property
    def vectors(self) -> NDArray[np.float32]:
        """What ``transform`` returns for the fitted graphs ``[N, 16]``."""
        self._require_fitted()
        return self._vectors

    def agreement(self, graphs: Graphs | None = None) -> float:
        """Return the rank correlation over pairs of some graphs. See ``GraphKernel.agreement``."""
        chosen = self._graphs if graphs is None else checked(graphs)
        if len(chosen) < 3:
            return 1.0
        rows = np.random.default_rng(1).permutation(len(chosen))[:AGREEMENT_GRAPHS]
        some = tuple(chosen[row] for row in rows)
        first, second = np.triu_indices(len(some), 1)
        exact = 1.0 - self._similarities(some, some)[first, second]
        return rank_agreement(self.transform(some), first, second, exact)

    def squared_distances(self, graphs: Graphs, others: Graphs | None = None) -> Array:
        """Return 2 − 2k ``[M, N]``. See ``GraphKernel.squared_distances``."""
        if others is None:
            self._require_fitted()
        found = checked(graphs)
        columns = self._graphs if others is None else found if others is graphs else checked(others)
        values = self._similarities(found, columns)
        return 2.0 - 2.0 * values

    def dissimilarities(self, graphs: Graphs, others: Graphs | None = None) -> Array:
        """Return 1 − k ``[M, N]``. See ``GraphKernel.dissimilarities``."""
        return np.round(self.squared_distances(graphs, others) / 2.0, DECIMALS)

    def nearest(
        self, graphs: Graphs, k: int, exclude: Sequence[int] | NDArray[np.int64] | None = None
    ) -> tuple[NDArray[np.int64], Array]:
        """Return the k nearest fitted graphs of each graph. See ``GraphKernel.nearest``."""
        self._require_fitted()
        left_out = None if exclude is None else np.asarray(exclude, dtype=np.int64)
        if self.exact_neighbors:
            return nearest_in_rows(self.dissimilarities(graphs), k, left_out)
        return self._among_candidates(checked(graphs), self.transform(graphs), k, left_out)

    def _among_candidates(
        self,
        graphs: tuple[ArchitectureGraph, ...],
        vectors: NDArray[np.float32],
        k: int,
        exclude: NDArray[np.int64] | None,
    ) -> tuple[NDArray[np.int64], Array]:
        keep = min(k, len(self) - int(exclude is not None))
        indices, values = np.empty((len(graphs), keep), dtype=np.int64), np.empty((len(graphs), keep))
        for row, graph in enumerate(graphs):
            own = None if exclude is None else exclude[row : row + 1]
            squares = squared_distances(vectors[row : row + 1].astype(np.float64), self._vectors.astype(np.float64))
            candidates = np.sort(nearest_in_rows(squares, max(CANDIDATES, 2 * k), own)[0][0])
            exact = 1.0 - self._similarities((graph,), tuple(self._graphs[other] for other in candidates))
            best, value = nearest_in_rows(exact, keep)
            indices[row], values[row] = candidates[best[0]], value[0]
        return indices, values

    def neighbors(self, k: int, report: Report | None = None) -> tuple[NDArray[np.int64], Array]:
        """Return the k nearest others of every fitted graph. See ``GraphKernel.neighbors``."""
        self._require_fitted()
        indices, values = [], []
        for start in range(0, len(self), BLOCK_ROWS):
            rows = np.arange(start, min(start + BLOCK_ROWS, len(self)))
            graphs = self._graphs[start : start + BLOCK_ROWS]
            if self.exact_neighbors:
                near, far = nearest_in_rows(self.dissimilarities(graphs), k, rows)
            else:
                near, far = self._among_candidates(graphs, self._vectors[rows], k, rows)
            indices.append(near)
            values.append(far)
            if report is not None:
                report(start + len(rows), len(self))
        return np.concatenate(indices), np.concatenate(values)

    def cost(self, sample: Graphs, total: int) -> CostEstimate:
        """Estimate what ``fit`` and ``neighbors`` take for a library. See ``GraphKernel.cost``.

        Comparing n graphs with each other is measured at two sizes and split into a part for each graph and a part for
        each pair. Both are multiplied by the number of graphs read and pairs compared that the library needs.
        """
        graphs = checked(sample)
        kernel = type(self)(**self.parameters)
        kernel._learn(graphs)
        sizes, seconds, peaks = grown(graphs, lambda part: kernel.compare(tuple(part), tuple(part)))
        square = max((seconds[1] / sizes[1] - seconds[0] / sizes[0]) / (sizes[1] - sizes[0]), 0.0)
        linear = max(seconds[1] / sizes[1] - square * sizes[1], 0.0)
        few = total <= EXACT
        landmarks = total if few else LANDMARKS
        # Landmarks with each other, then every graph with all others, or with landmarks and then its candidates.
        pairs = landmarks**2 + total * (total if few else LANDMARKS + CANDIDATES)
        read = landmarks + total * (-(-total // BLOCK_ROWS) if few else 2 + CANDIDATES)
        held = 8 * landmarks * (3 * landmarks + BLOCK_ROWS)
        return CostEstimate(linear * read + square * pairs, int(continued(sizes, peaks, landmarks)) + held)

    def state(self) -> State:
        """Return everything fitted. See ``GraphKernel.state``."""
        # After ``without_graphs`` the landmarks are not among the graphs, so they are saved after them.
        others = () if len(self._landmarks) else self._landmark_graphs
        landmarks = self._landmarks if len(self._landmarks) else len(self._graphs) + np.arange(len(others))
        return {
            "kernel": self.name,
            "parameters": self.parameters,
            "landmarks": landmarks,
            "means": self._means,
            "projection": self._projection,
            "vectors": self._vectors,
            **_graph_state((*self._graphs, *others)),
        }

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Restore a fitted kernel. See ``GraphKernel.from_state``."""
        kernel = cls(**entries(state, "parameters")[0])
        names = ("landmarks", "means", "projection", "vectors")
        landmarks, kernel._means, kernel._projection, kernel._vectors = entries(state, *names)
        kernel._held = dict(state)
        kernel._landmark_graphs = _graphs_from(state, landmarks.tolist())
        kernel._landmarks = landmarks if landmarks.max(initial=0) < len(kernel._vectors) else landmarks[:0]
        return kernel


def _axes(similarities: Array) -> Array:
    """Return what centred similarities to the landmarks are multiplied by ``[L, 16]``; zero past the positive axes."""
    centred = similarities - similarities.mean(axis=0) - similarities.mean(axis=1)[:, None] + similarities.mean()
    values, axes = np.linalg.eigh((centred + centred.T) / 2)
    order = np.argsort(values)[::-1][:DIMENSIONS]
    order = order[values[order] > 1e-9 * max(float(values.max(initial=0.0)), 1e-12)]
    projection = np.zeros((len(similarities), DIMENSIONS))
    projection[:, : len(order)] = oriented(axes[:, order]) / np.sqrt(values[order])
    return projection


def _graph_state(graphs: Sequence[ArchitectureGraph]) -> State:
    """Return graphs as narrow arrays."""
    table = NodeTable(graphs)
    kinds = [kind for graph in graphs for kind in graph.kinds]
    known = {kind: code for code, kind in enumerate(dict.fromkeys(kinds))}
    layers = np.array([layer for graph in graphs for layer in graph.layers], dtype=np.int64)
    edges = np.array([edge for graph in graphs for edge in graph.edges], dtype=np.int64).reshape(-1, 2)
    return {
        "label_names": list(table.names),
        "kind_names": list(known),
        "graph_sizes": narrow(table.sizes),
        "graph_edges": narrow(np.array([len(graph.edges) for graph in graphs])),
        "labels": narrow(table.labels),
        "kinds": narrow(np.array([known[kind] for kind in kinds])),
        "layers": narrow(layers + 1),
        "edges": narrow(edges),
    }


def _graphs_from(state: State, rows: Sequence[int] | None = None) -> tuple[ArchitectureGraph, ...]:
    """Unpack graphs, all of them or some rows."""
    names = ("label_names", "kind_names", "graph_sizes", "graph_edges", "labels", "kinds", "layers", "edges")
    label_names, kind_names, sizes, edge_counts, labels, kinds, layers, edges = entries(state, *names)
    nodes = [0, *np.cumsum(sizes, dtype=np.int64).tolist()]
    lines = [0, *np.cumsum(edge_counts, dtype=np.int64).tolist()]

    def unpacked(row: int) -> ArchitectureGraph:
        part, line = slice(nodes[row], nodes[row + 1]), slice(lines[row], lines[row + 1])
        return ArchitectureGraph(
            tuple(kind_names[code] for code in kinds[part].tolist()),
            tuple(label_names[code] for code in labels[part].tolist()),
            tuple(layer - 1 for layer in layers[part].tolist()),
            tuple((source, target) for source, target in edges[line].tolist()),
        )

    return tuple(unpacked(row) for row in (range(len(sizes)) if rows is None else rows))
