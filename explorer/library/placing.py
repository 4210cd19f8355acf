"""Vectors of a library, and the place of any other architecture among them.

The vectors are the principal axes of the multi-view kernel's features (``explorer.similarity.multi_view``), which is
classical scaling of its exact distances; another architecture, one of billions, is placed by one product with the axes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from explorer.similarity.graph import ArchitectureGraph, build_graph
from explorer.similarity.kernel import DIMENSIONS as DIMENSIONS
from explorer.similarity.multi_view import MultiViewKernel
from explorer.space.formats import from_json
from graphstore import GraphStore


@dataclass(frozen=True)
class Placer:
    """Places graphs among those of a library; the same library gives the same places.

    Attributes:
        kernel: the kernel, fitted on the library's graphs.
    """

    kernel: MultiViewKernel

    @classmethod
    def of_graphs(cls, graphs: Sequence[ArchitectureGraph]) -> Placer:
        """The placer of a library's graphs.

        Raises:
            InputError: there is none.
        """
        return cls(MultiViewKernel().fit(graphs))

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
        return self.kernel.transform(graphs)


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
    if placer is not None:
        return placer.place(graphs), placer.kernel.agreement(graphs)
    kernel = MultiViewKernel().fit(graphs)
    return kernel.vectors, kernel.agreement()
