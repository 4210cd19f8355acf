"""Stress majorisation (SMACOF; de Leeuw, 1977; Borg & Groenen, "Modern Multidimensional Scaling", chapter 8).

Minimises the stress Σ w_ij (δ_ij − ‖x_i − x_j‖)² over all pairs. A step moves a *block* of points to the minimum of a
quadratic that lies nowhere below the stress and touches it at the present place, with all other points fixed, so the
stress never rises. With one block of all points that is the textbook's iteration; with small blocks each sees the
places the ones before it have just moved to, which takes fewer sweeps and only a block of rows in memory.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rivals.configurations import ratios

NEAREST = 0.02
"""Dissimilarities below this count as this one where near pairs weigh more, so that no weight is without bound."""


def near_weights(dissimilarities: NDArray[np.float32], power: float) -> NDArray[np.float32]:
    """Weights δ^−power, which favour near pairs; power 0 weighs all pairs alike, 1 is Sammon's choice."""
    weights = np.maximum(dissimilarities, np.float32(NEAREST))
    return np.power(weights, np.float32(-power), out=weights)


def smacof(
    dissimilarities: NDArray[np.float32],
    start: NDArray[np.float32],
    sweeps: int,
    rng: np.random.Generator,
    block_rows: int | None = None,
    near: float = 0.0,
) -> NDArray[np.float32]:
    """Move vectors until their distances match the dissimilarities.

    Args:
        dissimilarities: ``[N, N]``, symmetric, zero diagonal.
        start: vectors ``[N, d]`` to begin with, such as those of classical scaling.
        sweeps: how often every point moves.
        rng: shuffles the points into blocks before each sweep; not used with one block.
        block_rows: points that move together; None for all.
        near: power of ``near_weights``.

    Returns:
        ``[N, d]``, centred.
    """
    vectors = start.astype(np.float32)
    count = len(vectors)
    vectors -= vectors.mean(axis=0)
    if count < 2:
        return vectors
    size = count if block_rows is None else block_rows
    blocks = max(1, -(-count // size))
    for _ in range(sweeps):
        order = rng.permutation(count) if blocks > 1 else np.arange(count)
        for moving in np.array_split(order, blocks):
            vectors[moving] = _moved(dissimilarities[moving], vectors, moving, near)
    return vectors - vectors.mean(axis=0)


def _moved(
    targets: NDArray[np.float32], vectors: NDArray[np.float32], moving: NDArray[np.int64], near: float
) -> NDArray[np.floating]:
    """The minimum of the quadratic for the points ``moving``, given ``targets`` ``[B, N]``."""
    count, size = len(vectors), len(moving)
    pull = ratios(targets, vectors[moving], vectors)
    if not near:
        wanted = pull.sum(axis=1)[:, None] * vectors[moving] - pull @ vectors
        outside = vectors.sum(axis=0, dtype=np.float64) - vectors[moving].sum(axis=0, dtype=np.float64)
        # (N·1 − 11ᵀ)⁻¹ over the block, by Sherman and Morrison; over all points the centre stays at 0.
        wanted = wanted + outside
        rest = count - size
        shift = wanted.sum(axis=0) / rest if rest else 0.0
        return np.asarray((wanted + shift) / count)
    weights = near_weights(targets, near)
    weights[np.arange(size), moving] = 0.0
    pull *= weights
    wanted = pull.sum(axis=1)[:, None] * vectors[moving] - pull @ vectors
    inside = weights[:, moving].astype(np.float64)
    wanted = wanted + weights @ vectors - inside @ vectors[moving]
    system = np.diag(weights.sum(axis=1, dtype=np.float64)) - inside
    if size == count:
        system += 1.0  # all points together may move freely: keep their centre
    return np.linalg.solve(system, wanted)
