"""Vectors of a library, and the place of any other architecture among them.

The vectors are the principal axes of the multi-view kernel's features (``explorer.similarity.multi_view``), which is
classical scaling of its exact distances; another architecture, one of billions, is placed by one product with the axes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from explorer.similarity.graph import ArchitectureGraph, build_graph
from explorer.similarity.mds import rank_agreement
from explorer.similarity.multi_view import Axes, MultiViewKernel, principal_axes
from explorer.space.formats import from_json
from graphstore import GraphStore

DIMENSIONS = 16
AGREEMENT_PAIRS = 50_000


@dataclass(frozen=True)
class Placer:
    """Places graphs among those of a library; the same library gives the same places.

    Attributes:
        kernel: the kernel, scaled by the library's graphs.
        axes: principal axes of its features over the library.
    """

    kernel: MultiViewKernel
    axes: Axes

    @classmethod
    def of_graphs(cls, graphs: Sequence[ArchitectureGraph]) -> Placer:
        """The placer of a library's graphs.

        Raises:
            InputError: there is none.
        """
        return _fitted(graphs)[0]

    @classmethod
    def of_space(cls, store: GraphStore, space: str) -> Placer:
        """The placer of a stored library; about three seconds for 9,312 architectures. Raises NotFoundError.

        A finer level of a search is placed among the library that the search began with (``explorer.studies.levels``).
        What a library has adopted since (``explorer.studies.queueing``) was placed in it and has no part in its axes.
        """
        source = store.space(space).info.get("source")
        space = source.get("placed_in", space) if isinstance(source, Mapping) else space
        adopted = set(store.space(space).info.get("adopted", ()))
        found = [summary for summary in store.summaries(space) if summary.id not in adopted]
        return cls.of_graphs([build_graph(from_json(summary.spec)) for summary in found])

    def place(self, graphs: Sequence[ArchitectureGraph]) -> NDArray[np.float32]:
        """Vectors ``[N, d]`` of any graphs, in the library or not."""
        return self.axes.place(self.kernel.features(graphs)).astype(np.float32)


def _fitted(graphs: Sequence[ArchitectureGraph]) -> tuple[Placer, sparse.csr_matrix]:
    kernel = MultiViewKernel(graphs)
    features = kernel.features(graphs)
    return Placer(kernel, principal_axes(features, DIMENSIONS, np.random.default_rng(0))), features


def library_vectors(
    graphs: Sequence[ArchitectureGraph], placer: Placer | None = None
) -> tuple[NDArray[np.float32], float]:
    """Vectors ``[N, d]`` of a library, and the rank correlation of their distances with the kernel's exact ones.

    Args:
        graphs: of the library.
        placer: of another library, to be placed among; its own by default.

    Raises:
        InputError: there is no graph.
    """
    placer, features = _fitted(graphs) if placer is None else (placer, placer.kernel.features(graphs))
    vectors = placer.axes.place(features).astype(np.float32)
    if len(graphs) < 3:
        return vectors, 1.0
    first, second = np.random.default_rng(1).integers(0, len(graphs), size=(2, AGREEMENT_PAIRS))
    apart = first != second
    first, second = first[apart], second[apart]
    difference = features[first] - features[second]
    exact = np.sqrt(np.asarray(difference.multiply(difference).sum(axis=1)).ravel())
    return vectors, rank_agreement(vectors, first, second, exact)
