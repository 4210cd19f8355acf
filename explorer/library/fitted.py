"""The fitted kernels of a library with the ids of their rows: fitting, extending, storing and loading them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from explorer.errors import DataError
from explorer.library.settings import LAYOUT, LibrarySettings
from explorer.similarity.graph import ArchitectureGraph, build_graph
from explorer.similarity.kernel import GraphKernel, Report, state_from_bytes, state_to_bytes
from explorer.similarity.patterns import PatternKernel
from explorer.similarity.registry import kernel_from_state
from explorer.space.grammar import load_space
from explorer.space.named import named_models
from graphstore import GraphStore
from graphstore.records import Embeddings, KernelRecord, NeighborRecord

FEW = 32
"""A kernel is fitted to fewer architectures than this only together with ``reference_graphs``."""
REFERENCE, DEEPEST, EACH_DEPTH = "full", 12, 4
"""Preset, largest depth, and number of architectures of each depth that take part in fitting small collections."""
IDS = "ids"
"""Entry of a stored state: the ids of the fitted graphs."""
Graphs = Sequence[ArchitectureGraph]


def reference_graphs() -> list[ArchitectureGraph]:
    """Return graphs of the named models and of a fixed sample of each depth of the preset ``REFERENCE``."""
    space, rng = load_space(REFERENCE), np.random.default_rng(0)
    depths = [depth for depth in space.layers if depth <= DEEPEST]
    sample = [spec for depth in depths for spec in space.with_depths(depth, depth).sample(EACH_DEPTH, rng)]
    return [build_graph(spec) for spec in (*named_models().values(), *sample)]


@dataclass(frozen=True)
class FittedKernels:
    """Fitted kernels whose rows are the architectures of a library.

    Attributes:
        kernel: the kernel behind the vectors.
        ranking: the kernel that ranks neighbours: the same object, except in libraries of layout 2.
        ids: ids of the N rows.
    """

    kernel: GraphKernel
    ranking: GraphKernel
    ids: tuple[str, ...]

    @cached_property
    def rows(self) -> Mapping[str, int]:
        """Position of each id."""
        return {id: row for row, id in enumerate(self.ids)}

    @classmethod
    def fit(cls, settings: LibrarySettings, ids: Sequence[str], graphs: Graphs) -> FittedKernels:
        """Fit the kernels of a library to its architectures.

        The axes of a handful of architectures would distinguish few others, so below ``FEW`` the fixed
        ``reference_graphs`` take part in fitting. They do not get rows.
        """
        kernel, ranking = settings.unfitted()
        if len(graphs) >= FEW or settings.layout < LAYOUT:
            kernel.fit(graphs)
        else:
            kernel = kernel.fit([*graphs, *reference_graphs()]).without_graphs().append(graphs)
        return cls(kernel, kernel if ranking.name == kernel.name else ranking.fit(graphs), tuple(ids))

    def turned_to(self, stored: Embeddings) -> FittedKernels:
        """Return kernels of layout 2 whose axes are those that the stored vectors were computed with."""
        places = {id: row for row, id in enumerate(stored.ids)}
        vectors = stored.vectors[[places[id] for id in self.ids]]
        assert isinstance(self.kernel, PatternKernel)
        return FittedKernels(self.kernel.turned_to(vectors), self.ranking, self.ids)

    def on_other_graphs(self, ids: Sequence[str], graphs: Graphs) -> FittedKernels:
        """Return kernels with the same axes and scales and other rows."""
        kernel = self.kernel.without_graphs().append(graphs)
        ranking = kernel if self.ranking is self.kernel else self.ranking.without_graphs().append(graphs)
        return FittedKernels(kernel, ranking, tuple(ids))

    def extended(self, ids: Sequence[str], graphs: Graphs) -> FittedKernels:
        """Return kernels with further rows; this object stays as it is."""
        if not ids:
            return self
        kernel = copy(self.kernel).append(graphs)
        ranking = kernel if self.ranking is self.kernel else copy(self.ranking).append(graphs)
        return FittedKernels(kernel, ranking, (*self.ids, *ids))

    def nearest(self, ids: Sequence[str], graphs: Graphs, k: int) -> list[list[NeighborRecord]]:
        """Return the k nearest rows of each graph, the row of its own id left out."""
        own = [self.rows.get(id, -1) for id in ids]
        return self._records(ids, *self.ranking.nearest(graphs, k, own))

    def neighbors(self, k: int, report: Report) -> list[list[NeighborRecord]]:
        """Return what ``nearest`` returns for all rows, faster."""
        return self._records(self.ids, *self.ranking.neighbors(k, report))

    def _records(
        self, ids: Sequence[str], indices: NDArray[np.int64], values: NDArray[np.float64]
    ) -> list[list[NeighborRecord]]:
        name = self.ranking.name
        return [
            [
                NeighborRecord(id, self.ids[row], name, rank, value)
                for rank, (row, value) in enumerate(zip(near, far, strict=True), start=1)
            ]
            for id, near, far in zip(ids, indices.tolist(), values.tolist(), strict=True)
        ]

    def stored(self, store: GraphStore, space: str) -> FittedKernels:
        """Store the kernels unless the space has some already; returns the stored ones.

        If several processes do this at the same time, one succeeds, and all of them get its kernels.
        """
        for kernel in dict.fromkeys((self.kernel, self.ranking)):
            state = state_to_bytes({**kernel.state(), IDS: list(self.ids)})
            store.put_kernel(space, KernelRecord(kernel.name, kernel.parameters, state))
        return load(store, space, (self.kernel.name, self.ranking.name))


def load(store: GraphStore, space: str, names: tuple[str, str]) -> FittedKernels:
    """Load the kernels of a space, given the names of the one behind the vectors and the one that ranks neighbours.

    Raises:
        NotFoundError: one of them is not stored.
        DataError: a stored state is damaged.
    """
    loaded = {name: _loaded(store.kernel(space, name)) for name in dict.fromkeys(names)}
    (kernel, ids), (ranking, others) = loaded[names[0]], loaded[names[1]]
    if ids != others:
        remedy = "Restore the store from a backup, or build the space under another name."
        raise DataError(f"fitted kernels of space {space}", "have the same rows", len(others), remedy)
    return FittedKernels(kernel, ranking, ids)


def _loaded(record: KernelRecord) -> tuple[GraphKernel, tuple[str, ...]]:
    state = state_from_bytes(record.state)
    return kernel_from_state(state), tuple(state[IDS])
