"""Euclidean distances of vectors by matrix products, and how well they agree with exact ones."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Real = TypeVar("Real", np.float32, np.float64)


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
