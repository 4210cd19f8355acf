"""The exact nearest neighbours by dissimilarity."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

DECIMALS = 12
"""Dissimilarities are compared at 12 decimals: below that lies rounding, and equal graphs must tie."""


def nearest_in_rows(block: NDArray[np.float64], start: int, k: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The k nearest of each row, itself left out, ordered by dissimilarity, ties by index.

    Args:
        block: dissimilarities ``[R, N]`` of the rows ``start … start + R − 1`` to all N.
        start: index of the first row.
        k: how many.

    Returns:
        (indices ``[R, min(k, N − 1)]``, their dissimilarities).
    """
    rows, count = block.shape
    keep = min(k, count - 1)
    rounded = np.round(block, DECIMALS)
    rounded[np.arange(rows), start + np.arange(rows)] = np.inf
    indices = np.empty((rows, keep), dtype=np.int64)
    if keep == 0:
        return indices, np.empty((rows, 0))
    limits = np.partition(rounded, keep - 1, axis=1)[:, keep - 1]
    for row in range(rows):
        candidates = np.flatnonzero(rounded[row] <= limits[row])
        indices[row] = candidates[np.lexsort((candidates, rounded[row, candidates]))[:keep]]
    return indices, np.take_along_axis(rounded, indices, axis=1)
