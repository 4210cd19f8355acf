"""Where dissimilarities come from: a whole matrix, blocks of one, or feature vectors whose distances they are.

A dissimilarity is symmetric, not negative, and 0 between a thing and itself. Methods that need all of them at once ask
for ``dense`` (float32, 4 N² bytes: 350 MB for 9,312); those that need a few rows or columns ask for ``between``, so
that sets too large for a matrix can be placed too.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from explorer.errors import InputError
from explorer.similarity.graph import ArchitectureGraph
from explorer.similarity.weisfeiler_lehman import WeisfeilerLehman

BLOCK_ROWS = 512


class Dissimilarities(ABC):
    """Pairwise dissimilarities of N things."""

    @abstractmethod
    def __len__(self) -> int:
        """N."""

    @abstractmethod
    def between(self, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.float32]:
        """The dissimilarities ``[R, C]`` of some things to others, by index."""

    def dense(self) -> NDArray[np.float32]:
        """All of them, ``[N, N]``; not to be written to."""
        everything = np.arange(len(self))
        matrix = np.empty((len(self), len(self)), dtype=np.float32)
        for start in range(0, len(self), BLOCK_ROWS):
            matrix[start : start + BLOCK_ROWS] = self.between(everything[start : start + BLOCK_ROWS], everything)
        return matrix


class DenseDissimilarities(Dissimilarities):
    """A matrix in memory.

    Args:
        matrix: ``[N, N]``, symmetric with a zero diagonal; kept without a copy if it is float32.

    Raises:
        InputError: it is not square, or holds a negative or not finite number.
    """

    def __init__(self, matrix: NDArray[np.floating]) -> None:
        field, remedy = "dissimilarities", "Correct the kernel they come from."
        if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
            raise InputError(field, "be a square matrix [N, N]", matrix.shape, remedy)
        least = float(matrix.min(initial=0.0))
        # A sum is not finite if any term is not; unlike isfinite() it takes no memory.
        if not least >= 0.0 or not np.isfinite(matrix.sum(dtype=np.float64)):
            raise InputError(field, "be finite numbers, none below 0", least, remedy)
        self._matrix = matrix.astype(np.float32, copy=False)

    @classmethod
    def from_blocks(cls, blocks: Iterable[tuple[int, NDArray[np.floating]]], count: int) -> DenseDissimilarities:
        """Gather (first row, rows ``[R, N]``) into one matrix of ``count`` rows.

        Raises:
            InputError: the blocks do not hold every row once.
        """
        matrix = np.empty((count, count), dtype=np.float32)
        seen = 0
        for start, block in blocks:
            matrix[start : start + len(block)] = block
            seen += len(block)
        if seen != count:
            raise InputError("blocks of dissimilarities", f"hold {count} rows", seen, "Pass every block once.")
        return cls(matrix)

    def __len__(self) -> int:
        return len(self._matrix)

    def between(self, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.float32]:
        """Part of the matrix."""
        return self._matrix[np.ix_(rows, columns)]

    def dense(self) -> NDArray[np.float32]:
        """The matrix itself."""
        return self._matrix


def unit_features(graphs: Sequence[ArchitectureGraph], iterations: int = 5) -> sparse.csr_matrix:
    """Return Weisfeiler–Lehman counts at unit length ``[N, F]``, whose inner products are the kernel."""
    counts = WeisfeilerLehman(iterations).fit(graphs).features(graphs)
    norms = np.sqrt(np.asarray(counts.multiply(counts).sum(axis=1)).ravel())
    return sparse.csr_matrix(sparse.diags_array(1.0 / norms) @ counts)


class FeatureDistance(StrEnum):
    """How a dissimilarity follows from two feature vectors f and g.

    ``HALF_SQUARE`` is ‖f − g‖² / 2, which for unit vectors is 1 − f·g: one minus a normalised kernel. ``EUCLIDEAN`` is
    ‖f − g‖.
    """

    HALF_SQUARE = "half_square"
    EUCLIDEAN = "euclidean"


class FeatureDissimilarities(Dissimilarities):
    """Distances of explicit features, computed when they are asked for.

    Args:
        features: ``[N, F]``, sparse or dense.
        distance: which distance.
    """

    def __init__(
        self,
        features: sparse.csr_matrix | NDArray[np.floating],
        distance: FeatureDistance = FeatureDistance.HALF_SQUARE,
    ) -> None:
        self._features = sparse.csr_matrix(features)
        self._distance = distance
        self._squares = np.asarray(self._features.multiply(self._features).sum(axis=1)).ravel()

    def __len__(self) -> int:
        return int(self._features.shape[0])

    def between(self, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.float32]:
        """Distances, by one product of the features."""
        columns_of = self._features[columns].T.tocsr()
        found = np.empty((len(rows), len(columns)), dtype=np.float32)
        for start in range(0, len(rows), BLOCK_ROWS):
            some = rows[start : start + BLOCK_ROWS]
            block = (self._features[some] @ columns_of).toarray()
            block *= -2
            block += self._squares[some, None]
            block += self._squares[None, columns]
            np.maximum(block, 0.0, out=block)
            block[some[:, None] == columns[None, :]] = 0.0
            half = self._distance is FeatureDistance.HALF_SQUARE
            found[start : start + BLOCK_ROWS] = block / 2 if half else np.sqrt(block)
        return found
