"""Places new things among embedded ones, from their dissimilarities to some of those: the landmarks.

Landmark scaling (de Silva & Tenenbaum, 2004; the Nyström formula for classical scaling) gives a first place by one
matrix product. It takes no account of what does not fit into d dimensions, so a few steps of majorisation
(``rivals.smacof``, with the landmarks fixed) follow. Few on purpose: run to the end, they pull each new
place towards the quirks of single landmarks, and distances *among* new things get worse (docs/results/embedding.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from explorer.errors import InputError
from rivals.configurations import ratios
from rivals.dissimilarities import Dissimilarities

LANDMARKS = 1000
STEPS = 4
BLOCK_ROWS = 1024


@dataclass(frozen=True)
class Projector:
    """A map from dissimilarities to the landmarks to a vector. The same row gives the same vector, whatever its batch.

    Attributes:
        landmarks: int64 ``[L]``, which of the embedded things, ascending.
        vectors: float64 ``[L, d]``, their vectors.
        squares: float64 ``[L]``, mean squared dissimilarity of each landmark to all landmarks.
        triangulation: float64 ``[L, d]``, what squared dissimilarities are multiplied by for a first place.
    """

    landmarks: NDArray[np.int64]
    vectors: NDArray[np.float64]
    squares: NDArray[np.float64]
    triangulation: NDArray[np.float64]

    @classmethod
    def fit(
        cls,
        dissimilarities: Dissimilarities,
        vectors: NDArray[np.floating],
        rng: np.random.Generator,
        count: int = LANDMARKS,
    ) -> Projector:
        """Draw landmarks among embedded things.

        Args:
            dissimilarities: of the N embedded things.
            vectors: ``[N, d]``, what ``embed`` gave for them.
            rng: draws the landmarks.
            count: how many; all if there are fewer.

        Raises:
            InputError: there are not as many vectors as things.
        """
        total = len(dissimilarities)
        if len(vectors) != total:
            raise InputError("vectors", f"have {total} rows", len(vectors), "Pass the embedding of the same things.")
        chosen = np.sort(rng.choice(total, min(count, total), replace=False))
        return cls.of_landmarks(chosen, dissimilarities.between(chosen, chosen), vectors[chosen])

    @classmethod
    def of_landmarks(
        cls, landmarks: NDArray[np.int64], among: NDArray[np.floating], vectors: NDArray[np.floating]
    ) -> Projector:
        """A projector from landmarks with known vectors ``[L, d]`` and the dissimilarities ``[L, L]`` among them."""
        places = vectors.astype(np.float64)
        squares = np.square(among, dtype=np.float64).mean(axis=1)
        # Directions that hold next to nothing must not be blown up.
        inverse = np.linalg.pinv(places - places.mean(axis=0), rcond=1e-3)
        return cls(landmarks.astype(np.int64), places, squares, np.ascontiguousarray(-0.5 * inverse.T))

    def project(self, dissimilarities: NDArray[np.floating], steps: int = STEPS) -> NDArray[np.float32]:
        """Vectors ``[M, d]`` of new things, from their dissimilarities ``[M, L]`` to the landmarks in order.

        Raises:
            InputError: the columns are not the landmarks.
        """
        if dissimilarities.ndim != 2 or dissimilarities.shape[1] != len(self.landmarks):
            rule = f"have one column for each of the {len(self.landmarks)} landmarks"
            remedy = "Compute them between the new architectures and projector.landmarks, in this order."
            raise InputError("dissimilarities", rule, dissimilarities.shape, remedy)
        placed = np.empty((len(dissimilarities), self.vectors.shape[1]), dtype=np.float32)
        for start in range(0, len(dissimilarities), BLOCK_ROWS):
            rows = dissimilarities[start : start + BLOCK_ROWS].astype(np.float64)
            placed[start : start + BLOCK_ROWS] = self._placed(rows, steps)
        return placed

    def _placed(self, targets: NDArray[np.float64], steps: int) -> NDArray[np.float64]:
        centre = self.vectors.mean(axis=0)
        places = centre + (targets**2 - self.squares) @ self.triangulation
        for _ in range(steps):
            pull = ratios(targets, places, self.vectors)
            places = centre + (pull.sum(axis=1)[:, None] * places - pull @ self.vectors) / len(self.landmarks)
        return places

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """What ``numpy.savez`` keeps; ``from_arrays`` brings it back."""
        return {
            "landmarks": self.landmarks,
            "vectors": self.vectors,
            "squares": self.squares,
            "triangulation": self.triangulation,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Projector:
        """The projector that ``arrays`` described.

        Raises:
            InputError: an array is missing, or their shapes do not belong together.
        """
        names = ("landmarks", "vectors", "squares", "triangulation")
        missing = [name for name in names if name not in arrays]
        remedy = "Build the library again."
        if missing:
            raise InputError("projector", f"hold the arrays {', '.join(names)}", sorted(arrays), remedy)
        landmarks, vectors, squares, triangulation = (np.asarray(arrays[name]) for name in names)
        count = len(landmarks)
        if vectors.ndim != 2 or len(vectors) != count or squares.shape != (count,):
            shapes = [landmarks.shape, vectors.shape, squares.shape]
            raise InputError("projector", "hold arrays of as many rows as landmarks", shapes, remedy)
        if triangulation.shape != vectors.shape:
            raise InputError("projector", f"have a triangulation {vectors.shape}", triangulation.shape, remedy)
        return cls(
            landmarks.astype(np.int64),
            vectors.astype(np.float64),
            squares.astype(np.float64),
            triangulation.astype(np.float64),
        )
