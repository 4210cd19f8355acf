"""Dissimilarities to vectors whose Euclidean distances match them: one entry for all methods.

Which method is how good and how fast: docs/results/embedding.md.
"""

from __future__ import annotations

from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from explorer.errors import InputError
from rivals.configurations import principal_axes
from rivals.dissimilarities import DenseDissimilarities, Dissimilarities
from rivals.gradient import gradient_descent
from rivals.landmarks import Projector
from rivals.mds import classical_mds, lanczos_mds
from rivals.smacof import smacof

BLOCK_SWEEPS = 4
BLOCK_ROWS = 256
SMACOF_SWEEPS = 30
EPOCHS = 60
EMBEDDED_LANDMARKS = 4000
PLACED_ROWS = 4096


class Method(StrEnum):
    """How vectors are found; all but ``LANDMARK`` hold the dissimilarities as one float32 matrix.

    ``CLASSICAL`` and ``LANCZOS`` are classical scaling with a randomised and a Lanczos solver. The next three improve
    its vectors: ``BLOCKS`` (the default) by majorisation in blocks, ``SMACOF`` by majorisation of all points at once,
    ``GRADIENT`` by mini-batch gradient descent. ``LANDMARK`` embeds a random part by ``BLOCKS`` and projects the rest,
    for sets whose matrix would not fit.
    """

    CLASSICAL = "classical"
    LANCZOS = "lanczos"
    BLOCKS = "blocks"
    SMACOF = "smacof"
    GRADIENT = "gradient"
    LANDMARK = "landmark"


def embed(
    dissimilarities: Dissimilarities | NDArray[np.floating],
    dimensions: int,
    rng: np.random.Generator,
    method: Method = Method.BLOCKS,
) -> NDArray[np.float32]:
    """Vectors ``[N, d]`` whose Euclidean distances match the dissimilarities; the same for the same seed.

    Args:
        dissimilarities: of N things; a matrix ``[N, N]`` may be passed as it is.
        dimensions: d, at least 1.
        rng: source of all randomness.
        method: how.

    Returns:
        Centred, columns by falling spread; columns beyond what N points span are zero.

    Raises:
        InputError: d is below 1, or the matrix is not one of dissimilarities.
    """
    if dimensions < 1:
        raise InputError("dimensions", "be at least 1", dimensions, "16 is the default of a library.")
    if isinstance(dissimilarities, np.ndarray):
        dissimilarities = DenseDissimilarities(dissimilarities)
    if method is Method.LANDMARK:
        return principal_axes(_by_landmarks(dissimilarities, dimensions, rng))
    matrix = dissimilarities.dense()
    if method is Method.LANCZOS:
        return lanczos_mds(matrix, dimensions, rng)
    start = classical_mds(matrix, dimensions, rng)
    match method:
        case Method.BLOCKS:
            return principal_axes(smacof(matrix, start, BLOCK_SWEEPS, rng, BLOCK_ROWS))
        case Method.SMACOF:
            return principal_axes(smacof(matrix, start, SMACOF_SWEEPS, rng))
        case Method.GRADIENT:
            return principal_axes(gradient_descent(matrix, start, EPOCHS, rng))
    return start


def _by_landmarks(dissimilarities: Dissimilarities, dimensions: int, rng: np.random.Generator) -> NDArray[np.float32]:
    count = len(dissimilarities)
    chosen = np.sort(rng.choice(count, min(count, EMBEDDED_LANDMARKS), replace=False))
    among = dissimilarities.between(chosen, chosen)
    known = embed(among, dimensions, rng)
    projector = Projector.of_landmarks(chosen, among, known)
    vectors = np.empty((count, dimensions), dtype=np.float32)
    vectors[chosen] = known
    others = np.setdiff1d(np.arange(count), chosen)
    for start in range(0, len(others), PLACED_ROWS):
        rows = others[start : start + PLACED_ROWS]
        vectors[rows] = projector.project(dissimilarities.between(rows, chosen))
    return vectors
