"""Present against wanted distances, and the axes of an embedding."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from explorer.similarity.distances import squared_distances

Real = TypeVar("Real", np.float32, np.float64)


def ratios(targets: NDArray[Real], first: NDArray[Real], second: NDArray[Real]) -> NDArray[Real]:
    """Wanted over present distance ``[M, N]``, 0 where points coincide: they have no direction to part in."""
    distances = squared_distances(first, second)
    # What rounding leaves of the distance of equal points, relative to the lengths it comes from.
    nothing = 1e-6 * float(np.einsum("nd,nd->n", second, second).max(initial=0.0))
    distances[distances <= nothing] = np.inf
    np.sqrt(distances, out=distances)
    return np.divide(targets, distances, out=distances)


def principal_axes(vectors: NDArray[np.floating]) -> NDArray[np.float32]:
    """The same configuration ``[N, d]``, centred and turned so that its columns fall in spread.

    Each column's sign makes its largest entry positive, so that a rerun gives the same map.
    """
    centred = vectors.astype(np.float64) - vectors.mean(axis=0)
    axes = np.linalg.eigh(centred.T @ centred)[1][:, ::-1]
    turned = centred @ axes
    if len(turned):
        signs = np.sign(turned[np.abs(turned).argmax(axis=0), np.arange(turned.shape[1])])
        turned *= np.where(signs == 0, 1.0, signs)
    return turned.astype(np.float32)
