"""Exact nearest vectors with NumPy, and a cache of vectors that is valid for one revision of the library."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphstore.errors import StoreInputError
from graphstore.records import Embeddings


def check_point(point: NDArray[np.floating[Any]], length: int) -> NDArray[np.float64]:
    """Return the point ``[length]`` as float64. Raises StoreInputError for another length, NaN or inf."""
    checked = np.asarray(point, dtype=np.float64)
    if checked.shape != (length,):
        raise StoreInputError(
            f"vector must have shape [{length}] as the space's vectors, but got {list(checked.shape)}. "
            "Embed it with the space's own embedding."
        )
    if not np.isfinite(checked).all():
        raise StoreInputError(f"vector must be finite, but got {checked.tolist()}. Embed it again.")
    return checked


def exact_nearest(
    ids: Sequence[str], vectors: NDArray[np.float64], query: NDArray[np.floating[Any]], k: int
) -> list[tuple[str, float]]:
    """Return the ``k`` ids whose rows of ``vectors`` ``[N, d]`` are nearest to ``query`` ``[d]``, with distances.

    Distances are Euclidean. The order is by distance, ties by id.

    Raises:
        StoreInputError: the query has another length, or is not finite.
    """
    if k < 1 or not len(ids):
        return []
    point = check_point(query, vectors.shape[1])
    difference = vectors - point
    distances = np.sqrt(np.einsum("nd,nd->n", difference, difference))  # [N]
    if k < len(ids):
        limit = np.partition(distances, k - 1)[k - 1]
        rows = np.flatnonzero(distances <= limit).tolist()
    else:
        rows = list(range(len(ids)))
    ordered = sorted((float(distances[row]), ids[row]) for row in rows)[:k]
    return [(id, distance) for distance, id in ordered]


class VectorCache:
    """Vectors of each space as float64, cached until the library's revision changes. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[str, tuple[int, tuple[str, ...], NDArray[np.float64]]] = {}

    def get(
        self, space: str, revision: int, load: Callable[[], Embeddings]
    ) -> tuple[tuple[str, ...], NDArray[np.float64]]:
        """Return ids and vectors ``[N, d]`` of a space at a revision; ``load`` reads them if they are not cached."""
        with self._lock:
            held = self._held.get(space)
        if held is None or held[0] != revision:
            embeddings = load()
            held = (revision, embeddings.ids, embeddings.vectors.astype(np.float64))
            with self._lock:
                self._held[space] = held
        return held[1], held[2]
