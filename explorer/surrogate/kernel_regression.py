"""Predict scores from distances: a Gaussian process and a forest on the same geometry, stacked.

The inputs are squared distances of a kernel (see ``explorer.similarity.multi_view``), not features.
Targets are normal scores (``explorer.surrogate.warp``), and predictions are mapped back.

* The Gaussian process has a Matérn 3/2 covariance, averaged over length scale and noise
  (``explorer.surrogate.process_mixture``).
* The forest of extremely randomised trees (Geurts et al., 2006) splits on the principal coordinates of the distances.
* The forest's weight in the mean, 0 to 1, minimises the squared error on held-out scores: leave-one-out for the
  process, out-of-bag for the trees (stacking; Wolpert, 1992). Where trees do not help it is 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from explorer.errors import InputError
from explorer.records import Prediction
from explorer.surrogate.process_mixture import CONSTANT, ProcessMixture, ProcessPart
from explorer.surrogate.warp import Warp, normal_scores

Array = NDArray[np.float64]
LENGTHS = (6.0, 20.0)
"""Squared length scales of the covariance, in units of half the mean squared distance of the scored points: smooth
enough to be nearly linear in the distances' space, with interactions."""
NOISES = tuple(float(noise) for noise in np.geomspace(1e-3, 10.0, 25))
"""Noise variances, in units of the covariance's own variance."""
COORDINATES = 20
FEWEST_FOR_FOREST = 10


def _covariance(distances: Array, length: float) -> Array:
    """Return Matérn 3/2 plus the covariance of the unknown mean."""
    far = np.sqrt(3.0 * distances / length)
    return np.asarray((1.0 + far) * np.exp(-far) + CONSTANT)


@dataclass(frozen=True)
class _Map:
    """Classical scaling of the scored points; other points are placed by Gower's formula."""

    axes: Array
    row_means: Array

    @classmethod
    def fit(cls, distances: Array) -> _Map:
        count = len(distances)
        means = distances.mean(axis=0)
        products = -0.5 * (distances - means - means[:, None] + means.mean())
        most = min(COORDINATES, count - 1)
        values, vectors = eigh(products, subset_by_index=(count - most, count - 1))
        keep = values > 1e-9 * max(float(values[-1]), 1e-300)
        return cls(vectors[:, keep] / np.sqrt(values[keep]), means)

    def place(self, distances: Array) -> Array:
        """Return coordinates ``[M, p]`` from squared distances ``[M, n]``."""
        return np.asarray(-0.5 * (distances - self.row_means) @ (self.axes - self.axes.mean(axis=0)))


class KernelRegression:
    """Posterior of scores, from squared distances to scored points.

    Args:
        seed: seed of the trees.
        trees: number of trees.
    """

    def __init__(self, seed: int = 0, trees: int = 150) -> None:
        self._seed, self._trees = seed, trees
        self._process: ProcessMixture | None = None

    def fit(self, distances: Array, scores: Array) -> Self:
        """Fit to n scored points.

        Args:
            distances: squared distances ``[n, n]``, Euclidean in some space.
            scores: ``[n]``; larger is better, n at least 2.

        Returns:
            Itself.

        Raises:
            InputError: shapes do not match, a number is not finite, or a distance is negative.
        """
        scores = np.asarray(scores, dtype=np.float64)
        count = len(scores)
        if scores.ndim != 1 or count < 2 or distances.shape != (count, count):
            shapes = (distances.shape, scores.shape)
            raise InputError("distances and scores", "be [n, n] and [n], n ≥ 2", shapes, "Give one score per point.")
        if not (np.isfinite(scores).all() and np.isfinite(distances).all() and (distances >= 0).all()):
            raise InputError("distances and scores", "be finite, no distance below 0", "others", "Leave these out.")
        self._warp = Warp.fit(scores)
        targets = normal_scores(scores)
        unit = float(distances.mean()) / 2.0 or 1.0
        self._count, self._lengths = count, [length * unit for length in LENGTHS]
        noises = np.array(NOISES)
        parts = [ProcessPart.fit(one, targets, noises, np) for one in self._covariances(distances)]
        self._process = ProcessMixture(parts, noises, np)
        self._share = 0.0
        if count >= FEWEST_FOR_FOREST and distances.max() > 0:
            self._fit_forest(distances, targets, self._process.left_out())
        return self

    def _covariances(self, distances: Array) -> list[Array]:
        return [_covariance(distances, length) for length in self._lengths]

    def _fit_forest(self, distances: Array, targets: Array, process_error: Array) -> None:
        from sklearn.ensemble import ExtraTreesRegressor

        self._map = _Map.fit(distances)
        self._forest = ExtraTreesRegressor(self._trees, bootstrap=True, oob_score=_no_score, random_state=self._seed)
        self._forest.fit(self._map.place(distances), targets)
        forest_error = targets - self._forest.oob_prediction_
        change = process_error - forest_error
        self._share = float(np.clip(change @ process_error / max(float(change @ change), 1e-12), 0.0, 1.0))

    @property
    def forest_share(self) -> float:
        """The forest's weight in the mean, 0 to 1."""
        return self._share

    def predict(self, distances: Array) -> Prediction:
        """Return the posterior of M points.

        Args:
            distances: squared distances ``[M, n]`` to the scored points.

        Raises:
            InputError: the regression has not been fitted, or the shape does not match.
        """
        if self._process is None:
            raise InputError("regression", "be fitted before it predicts", None, "Call fit first.")
        if distances.ndim != 2 or distances.shape[1] != self._count:
            rule = f"be [M, {self._count}]"
            raise InputError("distances", rule, distances.shape, "Give the distances to the scored points.")
        mean, function = self._process(self._covariances(distances))
        if self._share > 0:
            mean = mean + self._share * (self._forest.predict(self._map.place(distances)) - mean)
        return self._warp.posterior(mean, function, self._process.noise)


def _no_score(targets: Array, predictions: Array) -> float:
    """Return a dummy out-of-bag score, which is not used. The default, R², would warn about few points."""
    del targets, predictions
    return 0.0
