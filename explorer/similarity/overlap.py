"""Neighbours by biased overlap: the number of equal leading layers (FlexiBERT, arXiv 2205.11656; for weight transfer).

Weights are transferred layer by layer from the input while the layers are equal, so the best source of weights is the
architecture with the most equal leading layers; the vector distance breaks ties.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from explorer.errors import InputError
from explorer.similarity.blocks import nearest_in_rows
from explorer.similarity.distances import squared_distances
from explorer.space.spec import ArchitectureSpec, LayerSpec

NO_LAYER = -1
BLOCK_ROWS = 256

Neighbors = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]


def layer_codes(specs: Sequence[ArchitectureSpec]) -> NDArray[np.int64]:
    """Give equal layers the same number: ``[N, L]`` with L the greatest depth, −1 past the last layer.

    Codes of separate calls are not comparable: number a library and its queries together.
    """
    known: dict[LayerSpec, int] = {}
    codes = np.full((len(specs), max((len(spec.layers) for spec in specs), default=0)), NO_LAYER, dtype=np.int64)
    for row, spec in enumerate(specs):
        codes[row, : len(spec.layers)] = [known.setdefault(layer, len(known)) for layer in spec.layers]
    return codes


def leading_overlap(first: NDArray[np.integer], second: NDArray[np.integer]) -> NDArray[np.int16]:
    """Return the number of equal leading layers ``[M, N]`` of codes ``[M, L]`` and ``[N, L]``; −1 equals nothing."""
    shape = len(first), len(second)
    same = np.ones(shape, dtype=bool)
    count = np.zeros(shape, dtype=np.int16)
    for ones, twos in zip(first.T, second.T, strict=True):
        same &= (ones[:, None] == twos[None, :]) & (ones >= 0)[:, None]
        if not same.any():
            break
        count += same
    return count


def overlap_neighbors(codes: NDArray[np.integer], vectors: NDArray[np.floating], k: int) -> Neighbors:
    """Return the k others of each architecture with most equal leading layers, ties by vector distance, then by index.

    Args:
        codes: ``[N, L]``, equal numbers for equal layers, −1 where there is none.
        vectors: ``[N, d]``.
        k: how many.

    Returns:
        (indices ``[N, K]``, equal leading layers ``[N, K]``, vector distances ``[N, K]``), K the smaller of k and
        N − 1.

    Raises:
        InputError: codes and vectors do not have the same rows.
    """
    return _neighbors(codes, vectors, codes, vectors, k, among=True)


def overlap_neighbors_of(
    query_codes: NDArray[np.integer],
    query_vectors: NDArray[np.floating],
    codes: NDArray[np.integer],
    vectors: NDArray[np.floating],
    k: int,
) -> Neighbors:
    """Return the same for queries ``[M, L]``, ``[M, d]`` and a library ``[N, L]``, ``[N, d]``; none is left out.

    Raises:
        InputError: codes and vectors do not have the same rows, or queries and library not the same columns.
    """
    return _neighbors(query_codes, query_vectors, codes, vectors, k, among=False)


def _check(
    query_codes: NDArray[np.integer],
    query_vectors: NDArray[np.floating],
    codes: NDArray[np.integer],
    vectors: NDArray[np.floating],
) -> None:
    shapes = query_codes.shape, query_vectors.shape, codes.shape, vectors.shape
    flat = any(len(shape) != 2 for shape in shapes)
    if flat or len(query_codes) != len(query_vectors) or len(codes) != len(vectors):
        rule = "have one row of layers and one vector for each architecture"
        raise InputError("layer codes and vectors", rule, shapes, "Pass the two in the same order.")
    if query_codes.shape[1] != codes.shape[1] or query_vectors.shape[1] != vectors.shape[1]:
        rule = "have as many columns as the library"
        raise InputError("layer codes and vectors of the queries", rule, shapes, "Number their layers together.")


def _neighbors(
    query_codes: NDArray[np.integer],
    query_vectors: NDArray[np.floating],
    codes: NDArray[np.integer],
    vectors: NDArray[np.floating],
    k: int,
    among: bool,
) -> Neighbors:
    _check(query_codes, query_vectors, codes, vectors)
    sources, targets = query_vectors.astype(np.float64), vectors.astype(np.float64)
    keep = max(0, min(k, len(targets) - among))
    indices = np.empty((len(sources), keep), dtype=np.int64)
    overlap, distances = np.empty_like(indices), np.empty(indices.shape)
    for start in range(0, len(sources), BLOCK_ROWS):
        block = slice(start, start + BLOCK_ROWS)
        shared = leading_overlap(query_codes[block], codes)
        squares = squared_distances(sources[block], targets)
        # One sort key: minus the overlap, plus the squared distance scaled below 1.
        squares /= 2 * squares.max(initial=0.0) + 1.0
        squares -= shared
        own = np.arange(start, start + len(squares)) if among else None
        indices[block] = nearest_in_rows(squares, keep, own)[0]
        overlap[block] = np.take_along_axis(shared, indices[block], axis=1)
        distances[block] = np.linalg.norm(targets[indices[block]] - sources[block, None], axis=2)
    return indices, overlap, distances
