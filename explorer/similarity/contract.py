"""What every graph kernel offers: fit on some graphs, then compare others with them.

A kernel here is a *normalised* similarity: 1 for graphs it cannot tell apart, never above 1, never below 0; the
dissimilarity is 1 − it. Its laws are tested by ``explorer.testing.kernels.GraphKernelSuite``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from enum import StrEnum
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from explorer.errors import InputError
from explorer.similarity.graph import ArchitectureGraph


class Direction(StrEnum):
    """Which way along the edges a kernel looks from a node."""

    OUT = "out"
    """At what follows a node, as GraKeL reads a directed graph."""
    IN = "in"
    """At what comes before a node."""
    EITHER = "either"
    """Both count the same: reversing every edge of all graphs changes nothing."""


class GraphKernel(ABC):
    """A normalised similarity of labelled directed graphs.

    The value of two graphs depends on these two alone: neither on what else is compared, nor on how nodes are
    numbered. So fitting only remembers graphs, and a row of ``transform`` equals that row of the joint Gram matrix.

    Attributes:
        name: the kernel's name in the store and in ``explorer.similarity.registry``.
        direction: which way along the edges it looks.
        positive_semidefinite: whether every Gram matrix is, as methods that solve with it need.
    """

    name: ClassVar[str]
    direction: Direction
    positive_semidefinite: ClassVar[bool] = True

    def __init__(self) -> None:
        self._fitted: tuple[ArchitectureGraph, ...] = ()

    def fit(self, graphs: Sequence[ArchitectureGraph]) -> Self:
        """Remember the N graphs that ``transform`` compares with; none at all is allowed.

        Raises:
            InputError: a graph has no nodes.
        """
        self._fitted = _checked(graphs)
        return self

    def transform(self, graphs: Sequence[ArchitectureGraph]) -> NDArray[np.float64]:
        """Similarities ``[M, N]`` of M graphs to those the kernel was fitted on; N is 0 before ``fit``.

        Raises:
            InputError: a graph has no nodes.
        """
        return self._similarities(_checked(graphs), self._fitted)

    def fit_transform(self, graphs: Sequence[ArchitectureGraph]) -> NDArray[np.float64]:
        """Fit on the graphs and return their Gram matrix ``[N, N]``.

        Raises:
            InputError: a graph has no nodes.
        """
        self.fit(graphs)
        return self._similarities(self._fitted, self._fitted)

    def _similarities(
        self, rows: tuple[ArchitectureGraph, ...], columns: tuple[ArchitectureGraph, ...]
    ) -> NDArray[np.float64]:
        if not rows or not columns:
            return np.empty((len(rows), len(columns)))
        # Rounding may lift a value of 1 by a few units in the last place; a dissimilarity below 0 would surprise.
        return np.clip(self.compare(rows, columns), 0.0, 1.0)

    @abstractmethod
    def compare(
        self, rows: tuple[ArchitectureGraph, ...], columns: tuple[ArchitectureGraph, ...]
    ) -> NDArray[np.float64]:
        """Similarities ``[M, N]`` of M ≥ 1 graphs to N ≥ 1 graphs, none of them empty.

        For a Gram matrix both arguments are the same object, which a kernel may use to work once instead of twice.
        """


def _checked(graphs: Sequence[ArchitectureGraph]) -> tuple[ArchitectureGraph, ...]:
    for index, graph in enumerate(graphs):
        if not len(graph):
            raise InputError(f"graphs[{index}]", "have at least one node", 0, "Leave empty graphs out.")
    return tuple(graphs)


def one_way(direction: Direction) -> Direction:
    """The direction, if it is ``OUT`` or ``IN``.

    Raises:
        InputError: it is neither.
    """
    if direction not in (Direction.OUT, Direction.IN):
        raise InputError("direction", "be out or in", str(direction), "Add the two kernels to look both ways.")
    return direction
