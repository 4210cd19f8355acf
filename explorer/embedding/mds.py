"""Classical multi-dimensional scaling (Torgerson, 1952) with a randomised eigensolver (Halko et al., 2011)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def _centred_product(squared: NDArray[np.float32], block: NDArray[np.float32]) -> NDArray[np.float32]:
    """−½ J D² J times ``block`` without forming the centred matrix."""
    product = squared @ (block - block.mean(axis=0))
    product -= product.mean(axis=0)
    product *= np.float32(-0.5)
    return product


def classical_mds(
    dissimilarities: NDArray[np.float32],
    dimensions: int,
    rng: np.random.Generator,
    oversampling: int = 16,
    power_iterations: int = 6,
) -> NDArray[np.float32]:
    """Vectors whose Euclidean distances approximate the dissimilarities.

    Args:
        dissimilarities: ``[N, N]``, symmetric, zero diagonal; **overwritten by their squares** to save memory.
        dimensions: d.
        rng: source of the random probes.
        oversampling: extra probes beyond d.
        power_iterations: passes that sharpen the spectrum.

    Returns:
        ``[N, d]``, centred, columns by falling eigenvalue; columns without a positive eigenvalue are zero.
    """
    squared = np.square(dissimilarities, out=dissimilarities)
    count = squared.shape[0]
    width = min(count, dimensions + oversampling)
    block = rng.standard_normal((count, width), dtype=np.float32)
    for _ in range(power_iterations):
        block = np.linalg.qr(_centred_product(squared, block))[0].astype(np.float32)
    product = _centred_product(squared, block)
    small = (block.T @ product).astype(np.float64)
    values, vectors = np.linalg.eigh((small + small.T) / 2)
    order = np.argsort(values)[::-1][:dimensions]
    scale = np.sqrt(np.maximum(values[order], 0.0))
    result = np.zeros((count, dimensions), dtype=np.float32)
    axes = block @ vectors[:, order].astype(np.float32)
    # An eigenvector's sign is arbitrary: the largest entry decides, so that a rerun gives the same map.
    signs = np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
    result[:, : len(order)] = axes * (scale * signs).astype(np.float32)
    return result


def rank_agreement(
    vectors: NDArray[np.floating], first: NDArray[np.int64], second: NDArray[np.int64], exact: NDArray[np.floating]
) -> float:
    """Spearman correlation of embedded distances and exact dissimilarities over the pairs ``[P]``."""
    from scipy.stats import spearmanr  # Half a second that only building a library should cost.

    distances = np.linalg.norm(vectors[first] - vectors[second], axis=1)
    return float(spearmanr(distances, exact).statistic)
