"""The exact nearest neighbours, by dissimilarity or by vector."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from explorer.embedding.distances import squared_distances

DECIMALS = 12
"""Dissimilarities are compared at 12 decimals: below that lies rounding, and equal graphs must tie."""
BLOCK_ROWS = 256


def nearest_in_rows(
    block: NDArray[np.float64], start: int | None, k: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The k nearest of each row, itself left out, ordered by dissimilarity, ties by index.

    Args:
        block: dissimilarities ``[R, N]`` of the rows ``start … start + R − 1`` to all N.
        start: index of the first row; None if the rows are not among the N, so that none is left out.
        k: how many.

    Returns:
        (indices ``[R, K]``, their dissimilarities), K the smaller of k and how many others there are.
    """
    rows, count = block.shape
    rounded = np.round(block, DECIMALS)
    others = count
    if start is not None:
        others = count - 1
        rounded[np.arange(rows), start + np.arange(rows)] = np.inf
    keep = min(k, others)
    indices = np.empty((rows, keep), dtype=np.int64)
    if keep <= 0:
        return np.empty((rows, 0), dtype=np.int64), np.empty((rows, 0))
    limits = np.partition(rounded, keep - 1, axis=1)[:, keep - 1]
    for row in range(rows):
        candidates = np.flatnonzero(rounded[row] <= limits[row])
        indices[row] = candidates[np.lexsort((candidates, rounded[row, candidates]))[:keep]]
    return indices, np.take_along_axis(rounded, indices, axis=1)


def vector_neighbors(vectors: NDArray[np.floating], k: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The k nearest others of each vector by Euclidean distance, ties by index.

    Args:
        vectors: ``[N, d]``.
        k: how many.

    Returns:
        (indices ``[N, K]``, distances ``[N, K]``), K the smaller of k and N − 1.
    """
    return _by_vector(vectors, vectors, k, among=True)


def vector_neighbors_of(
    queries: NDArray[np.floating], vectors: NDArray[np.floating], k: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The k nearest of a library ``[N, d]`` to each query ``[M, d]``, ties by index; results as above."""
    return _by_vector(queries, vectors, k, among=False)


def _by_vector(
    queries: NDArray[np.floating], vectors: NDArray[np.floating], k: int, among: bool
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    sources, targets = queries.astype(np.float64), vectors.astype(np.float64)
    keep = max(0, min(k, len(targets) - among))
    indices = np.empty((len(sources), keep), dtype=np.int64)
    for start in range(0, len(sources), BLOCK_ROWS):
        squares = squared_distances(sources[start : start + BLOCK_ROWS], targets)
        indices[start : start + BLOCK_ROWS] = nearest_in_rows(squares, start if among else None, keep)[0]
    return indices, distances_to(sources, targets, indices)


def distances_to(
    queries: NDArray[np.float64], vectors: NDArray[np.float64], indices: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Distances ``[M, K]`` of each query to the vectors with these indices, 0 for equal ones."""
    found = np.empty(indices.shape)
    for start in range(0, len(queries), BLOCK_ROWS):
        block = slice(start, start + BLOCK_ROWS)
        found[block] = np.linalg.norm(vectors[indices[block]] - queries[block, None], axis=2)
    return found
