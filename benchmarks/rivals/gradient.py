"""Gradient descent on pair distances, by mini-batches: the way of the FlexiBERT papers, with all pairs exact.

A batch is a random group of points with all pairs among them, so that a step is a few matrix products. The loss is the
mean of (δ_ij − ‖x_i − x_j‖)² over the batch's pairs; the optimiser is Adam (Kingma & Ba, 2015) with a rate that falls
linearly to zero.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rivals.configurations import ratios

DECAY_MEAN, DECAY_SQUARE, TINY = 0.9, 0.999, 1e-8


def gradient_descent(
    dissimilarities: NDArray[np.float32],
    start: NDArray[np.float32],
    epochs: int,
    rng: np.random.Generator,
    batch: int = 1024,
    rate: float = 0.02,
) -> NDArray[np.float32]:
    """Move vectors until their distances match the dissimilarities.

    Args:
        dissimilarities: ``[N, N]``, symmetric, zero diagonal.
        start: vectors ``[N, d]`` to begin with.
        epochs: how often every point is in a batch.
        rng: draws the batches.
        batch: points of a batch.
        rate: first learning rate, in units of the dissimilarities.

    Returns:
        ``[N, d]``, centred.
    """
    vectors = start.astype(np.float32)
    count = len(vectors)
    mean, square = np.zeros_like(vectors), np.zeros_like(vectors)
    batches = max(1, -(-count // batch))
    for epoch in range(1, epochs + 1):
        step = rate * (1 - (epoch - 1) / epochs)
        for chosen in np.array_split(rng.permutation(count), batches):
            gradient = _gradient(dissimilarities[np.ix_(chosen, chosen)], vectors[chosen])
            mean[chosen] = DECAY_MEAN * mean[chosen] + (1 - DECAY_MEAN) * gradient
            square[chosen] = DECAY_SQUARE * square[chosen] + (1 - DECAY_SQUARE) * gradient**2
            first = mean[chosen] / (1 - DECAY_MEAN**epoch)
            second = square[chosen] / (1 - DECAY_SQUARE**epoch)
            vectors[chosen] -= step * first / (np.sqrt(second) + TINY)
    return vectors - vectors.mean(axis=0)


def _gradient(targets: NDArray[np.float32], vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Gradient ``[B, d]`` of the mean over each point's pairs."""
    excess = 1 - ratios(targets, vectors, vectors)
    np.fill_diagonal(excess, 0.0)
    pairs = max(1, len(vectors) - 1)
    return np.asarray((2 / pairs) * (excess.sum(axis=1)[:, None] * vectors - excess @ vectors), dtype=np.float32)
