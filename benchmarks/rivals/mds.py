"""Classical multi-dimensional scaling (Torgerson, 1952).

The vectors are the leading eigenvectors of B = −½ J D² J (D² the squared dissimilarities, J the centring), scaled by
the roots of their eigenvalues. B is never formed: both solvers only multiply by it, squaring a block of rows at a time.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator, eigsh

BLOCK_ROWS = 512


def _centred_product(dissimilarities: NDArray[np.float32], block: NDArray[np.float32]) -> NDArray[np.float32]:
    """B times ``block`` ``[N, w]``."""
    centred = block - block.mean(axis=0)
    product = np.empty_like(centred)
    for start in range(0, len(dissimilarities), BLOCK_ROWS):
        product[start : start + BLOCK_ROWS] = np.square(dissimilarities[start : start + BLOCK_ROWS]) @ centred
    product -= product.mean(axis=0)
    product *= np.float32(-0.5)
    return product


def _scaled(values: NDArray[np.floating], axes: NDArray[np.floating], dimensions: int) -> NDArray[np.float32]:
    """Vectors ``[N, d]`` from eigenvalues and eigenvectors in any order; zero columns where no value is positive."""
    order = np.argsort(values)[::-1][:dimensions]
    axes = axes[:, order]
    # An eigenvector's sign is arbitrary: the largest entry decides, so that a rerun gives the same map.
    signs = np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
    result = np.zeros((len(axes), dimensions), dtype=np.float32)
    result[:, : len(order)] = axes * (np.sqrt(np.maximum(values[order], 0.0)) * signs)
    return result


def classical_mds(
    dissimilarities: NDArray[np.float32],
    dimensions: int,
    rng: np.random.Generator,
    oversampling: int = 16,
    power_iterations: int = 6,
) -> NDArray[np.float32]:
    """Vectors whose Euclidean distances approximate the dissimilarities, by a randomised solver (Halko et al., 2011).

    Args:
        dissimilarities: ``[N, N]``, symmetric, zero diagonal.
        dimensions: d.
        rng: source of the random probes.
        oversampling: extra probes beyond d.
        power_iterations: passes that sharpen the spectrum.

    Returns:
        ``[N, d]``, centred, columns by falling eigenvalue; columns without a positive eigenvalue are zero.
    """
    count = len(dissimilarities)
    width = min(count, dimensions + oversampling)
    block = rng.standard_normal((count, width), dtype=np.float32)
    for _ in range(power_iterations):
        block = np.linalg.qr(_centred_product(dissimilarities, block))[0].astype(np.float32)
    product = _centred_product(dissimilarities, block)
    small = (block.T @ product).astype(np.float64)
    values, vectors = np.linalg.eigh((small + small.T) / 2)
    return _scaled(values, block @ vectors, dimensions)


def lanczos_mds(
    dissimilarities: NDArray[np.float32], dimensions: int, rng: np.random.Generator, tolerance: float = 1e-5
) -> NDArray[np.float32]:
    """The same vectors by Lanczos' method: exact up to ``tolerance`` (relative, of the eigenvalues), but slower.

    Args and result are those of ``classical_mds``; ``rng`` gives the starting vector.
    """
    count = len(dissimilarities)
    if count <= 2 * dimensions:  # Lanczos needs more rows than it finds vectors
        values, axes = np.linalg.eigh(_centred_product(dissimilarities, np.eye(count, dtype=np.float32)))
        return _scaled(values, axes, dimensions)

    def multiply(vector: NDArray[np.floating]) -> NDArray[np.float32]:
        return _centred_product(dissimilarities, vector.reshape(count, -1).astype(np.float32))

    operator = LinearOperator((count, count), matvec=multiply, matmat=multiply, dtype=np.float32)
    start = rng.standard_normal(count).astype(np.float32)
    values, axes = eigsh(operator, k=dimensions, which="LA", v0=start, tol=tolerance)
    return _scaled(values, axes, dimensions)
