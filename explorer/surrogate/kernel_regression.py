"""Scores from distances: a Gaussian process and a forest on the same geometry, mixed as held-out errors say.

Takes squared distances of a kernel (``explorer.similarity.multi_view`` gives them), so it needs neither architectures
nor features. Normal scores (``explorer.surrogate.warp``) are fitted, and predictions are mapped back.

* The Gaussian process has a Matérn 3/2 covariance. Length and noise are not chosen but averaged over a grid, by their
  marginal likelihoods and a prior (Rasmussen and Williams, 2006, chapter 5).
* The forest of extremely randomised trees (Geurts et al., 2006) splits on the principal coordinates of the distances.
* The forest's part of the mean, 0 to 1, is the one with the least squared error on scores neither of them saw: left
  out one by one of the process, out of the bag of the trees (stacking; Wolpert, 1992). Where trees do not help it is 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh
from sklearn.ensemble import ExtraTreesRegressor

from explorer.errors import InputError
from explorer.records import Prediction
from explorer.surrogate.warp import Warp, normal_scores

Array = NDArray[np.float64]
LENGTHS = (6.0, 20.0)
"""Squared length scales of the covariance, in units of half the mean squared distance of the scored points: smooth
enough to be nearly linear in the distances' space, with interactions."""
NOISES = tuple(float(noise) for noise in np.geomspace(1e-3, 10.0, 25))
"""Noise variances, in units of the covariance's own variance."""
PRIOR_NOISE = 0.3
"""Middle of the noise's log-normal prior; it spreads over one power of e. Trainings repeat only roughly, and from 30
scores the likelihood alone often takes all of the spread for signal."""
COORDINATES = 20
FEWEST_FOR_FOREST = 10


@dataclass(frozen=True)
class _Process:
    """A Gaussian process of one length scale, for all noises at once.

    Attributes:
        length: squared length scale, in the units of the distances.
        values: eigenvalues of the scored points' covariance, ``[n]``.
        vectors: its eigenvectors, ``[n, n]``.
        projected: the targets in these, ``[n]``.
        scale: variance of the covariance for each noise, ``[Q]``.
        evidence: log marginal likelihood of each noise, times its prior, ``[Q]``.
    """

    length: float
    values: Array
    vectors: Array
    projected: Array
    scale: Array
    evidence: Array

    @classmethod
    def fit(cls, distances: Array, targets: Array, length: float) -> _Process:
        values, vectors = eigh(_covariance(distances, length))
        values = np.maximum(values, 0.0)
        projected = vectors.T @ targets
        spectrum = values + np.array(NOISES)[:, None]
        # The best overall scale for each noise is known in closed form.
        scale = np.maximum((projected**2 / spectrum).mean(axis=1), 1e-12)
        evidence = -0.5 * (len(targets) * np.log(scale) + np.log(spectrum).sum(axis=1))
        evidence -= 0.5 * np.square(np.log(np.array(NOISES) / PRIOR_NOISE))
        return cls(length, values, vectors, projected, scale, evidence)

    def left_out(self) -> Array:
        """Error at each scored point if it were left out, for each noise ``[Q, n]``."""
        inverse = 1.0 / (self.values + np.array(NOISES)[:, None])
        weights = (inverse * self.projected) @ self.vectors.T
        return np.asarray(weights / (inverse @ np.square(self.vectors).T))

    def predict(self, distances: Array) -> tuple[Array, Array]:
        """Mean and variance of the function at M points, for each noise ``[Q, M]``."""
        seen = _covariance(distances, self.length) @ self.vectors
        inverse = 1.0 / (self.values + np.array(NOISES)[:, None])
        mean = (inverse * self.projected) @ seen.T
        variance = 2.0 - inverse @ np.square(seen).T  # the covariance of a point with itself is 1 + 1
        return mean, self.scale[:, None] * np.maximum(variance, 0.0)


def _covariance(distances: Array, length: float) -> Array:
    """Matérn 3/2, and 1 for the unknown mean."""
    far = np.sqrt(3.0 * distances / length)
    return np.asarray((1.0 + far) * np.exp(-far) + 1.0)


@dataclass(frozen=True)
class _Map:
    """Classical scaling of the scored points, and Gower's formula for others."""

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
        """Coordinates ``[M, p]`` from squared distances ``[M, n]``."""
        return np.asarray(-0.5 * (distances - self.row_means) @ (self.axes - self.axes.mean(axis=0)))


class KernelRegression:
    """Belief about scores from squared distances to scored points.

    Args:
        seed: of the trees.
        trees: how many.
    """

    def __init__(self, seed: int = 0, trees: int = 150) -> None:
        self._seed, self._trees = seed, trees
        self._processes: list[_Process] = []

    def fit(self, distances: Array, scores: Array) -> Self:
        """Learn from n scored points.

        Args:
            distances: squared distances ``[n, n]``, Euclidean in some space.
            scores: ``[n]``; larger is better, n at least 2.

        Returns:
            Itself.

        Raises:
            InputError: shapes do not fit, or a number is not finite or negative.
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
        self._processes = [_Process.fit(distances, targets, length * unit) for length in LENGTHS]
        evidence = np.array([process.evidence for process in self._processes])
        self._weights = np.exp(evidence - evidence.max())
        self._weights /= self._weights.sum()
        self._share = 0.0
        if count >= FEWEST_FOR_FOREST and distances.max() > 0:
            self._fit_forest(distances, targets)
        return self

    def _fit_forest(self, distances: Array, targets: Array) -> None:
        left_out = np.array([process.left_out() for process in self._processes])
        process_error = np.einsum("lq,lqn->n", self._weights, left_out)
        self._map = _Map.fit(distances)
        self._forest = ExtraTreesRegressor(self._trees, bootstrap=True, oob_score=_no_score, random_state=self._seed)
        self._forest.fit(self._map.place(distances), targets)
        forest_error = targets - self._forest.oob_prediction_
        change = process_error - forest_error
        self._share = float(np.clip(change @ process_error / max(float(change @ change), 1e-12), 0.0, 1.0))

    @property
    def forest_share(self) -> float:
        """The forest's part of the mean, 0 to 1."""
        return self._share

    def predict(self, distances: Array) -> Prediction:
        """Belief about M points.

        Args:
            distances: squared distances ``[M, n]`` to the scored points.

        Raises:
            InputError: nothing was fitted, or the shape does not fit.
        """
        if not self._processes:
            raise InputError("regression", "be fitted before it predicts", None, "Call fit first.")
        if distances.ndim != 2 or distances.shape[1] != len(self._processes[0].values):
            rule = f"be [M, {len(self._processes[0].values)}]"
            raise InputError("distances", rule, distances.shape, "Give the distances to the scored points.")
        found = [process.predict(distances) for process in self._processes]
        means, variances = (np.array(part) for part in zip(*found, strict=True))
        mean = np.einsum("lq,lqm->m", self._weights, means)
        spread = variances + np.square(means - mean)
        function = np.einsum("lq,lqm->m", self._weights, spread)
        scale = np.array([process.scale for process in self._processes])
        noise = float((self._weights * scale * np.array(NOISES)).sum())
        if self._share > 0:
            mean = mean + self._share * (self._forest.predict(self._map.place(distances)) - mean)
        return self._warp.belief(mean, function, noise)


def _no_score(targets: Array, predictions: Array) -> float:
    """Nobody reads the out-of-bag score; a callable here keeps R² from warning about few points."""
    del targets, predictions
    return 0.0
