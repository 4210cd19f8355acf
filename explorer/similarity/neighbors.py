"""The exact nearest neighbours by dissimilarity."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

DECIMALS = 12
"""Dissimilarities are compared at 12 decimals: below that lies rounding, and equal graphs must tie."""


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
