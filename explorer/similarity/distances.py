"""Euclidean distances of vectors, their agreement with exact ones, and principal axes of sparse features."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import LinearOperator, svds

from explorer.similarity.blocks import squared_norms

Real = TypeVar("Real", np.float32, np.float64)
Array = NDArray[np.float64]
TINY = 1e-12
SAME = 1e-6
"""Relative difference of two numbers that rounding alone may cause."""


def squared_distances(first: NDArray[Real], second: NDArray[Real]) -> NDArray[Real]:
    """Return squared distances ``[M, N]`` of the rows ``[M, d]`` to the rows ``[N, d]``, none below 0."""
    squares = first @ (-2 * second.T)
    squares += np.einsum("nd,nd->n", first, first)[:, None]
    squares += np.einsum("nd,nd->n", second, second)[None, :]
    return np.maximum(squares, 0, out=squares)


def rank_agreement(
    vectors: NDArray[np.floating], first: NDArray[np.int64], second: NDArray[np.int64], exact: NDArray[np.floating]
) -> float:
    """Return the Spearman correlation of embedded distances and exact dissimilarities over the pairs ``[P]``."""
    from scipy.stats import spearmanr  # importing scipy.stats takes half a second

    distances = np.linalg.norm(vectors[first] - vectors[second], axis=1)
    return float(spearmanr(distances, exact).statistic)


@dataclass(frozen=True)
class Axes:
    """Principal axes of a library's features; its embedding is ``place(features)``, and so is any other graph's.

    Attributes:
        mean: mean of the features, ``[F]``.
        directions: unit columns ``[F, d]`` by falling variance; zero where there is none left.
        share: part of the total variance that the d axes hold, 0 to 1.
    """

    mean: Array
    directions: Array
    share: float

    @cached_property
    def _origin(self) -> Array:
        return np.asarray(self.mean @ self.directions)

    def place(self, features: sparse.csr_matrix) -> Array:
        """Return coordinates ``[N, d]`` of graphs from their features ``[N, ≥ F]``; columns past F are ignored."""
        known = features[:, : len(self.mean)]
        return np.asarray(known @ self.directions - self._origin)


def oriented(axes: Array) -> Array:
    """Give eigenvectors ``[F, d]``, whose signs are arbitrary, the signs that every machine gives them.

    The largest entry becomes positive; of entries that are as large but for rounding, the first one.
    """
    if not axes.size:
        return axes
    sizes = np.abs(axes)
    first = (sizes >= (1.0 - SAME) * sizes.max(axis=0)).argmax(axis=0)
    return np.asarray(axes * np.sign(axes[first, np.arange(axes.shape[1])]))


def principal_axes(features: sparse.csr_matrix, dimensions: int, rng: np.random.Generator) -> Axes:
    """Find the axes of the embedding that keeps squared distances best: classical scaling without the pairs.

    Args:
        features: rows ``[N, F]`` of the library.
        dimensions: d, at least 1.
        rng: draws the iteration's start.

    Returns:
        The axes, ``oriented``.
    """
    count, width = features.shape
    mean = np.asarray(features.mean(axis=0)).ravel()
    total = float(squared_norms(features).sum() - count * (mean @ mean))
    if dimensions < min(count, width) - 1:
        centred = LinearOperator(
            (count, width),
            matvec=lambda x: features @ np.ravel(x) - mean @ np.ravel(x),
            rmatvec=lambda x: features.T @ np.ravel(x) - mean * np.sum(x),
            dtype=np.float64,
        )
        _, values, rows = svds(centred, k=dimensions, v0=rng.standard_normal(min(count, width)))
    else:
        _, values, rows = np.linalg.svd(features.toarray() - mean, full_matrices=False)
    order = np.argsort(values)[::-1][:dimensions]
    order = order[values[order] > 1e-9 * max(float(values.max(initial=0.0)), TINY)]
    directions = np.zeros((width, dimensions))
    directions[:, : len(order)] = oriented(rows[order].T)
    return Axes(mean, directions, float(np.square(values[order]).sum()) / max(total, TINY))
