"""Prediction of an architecture's score from the scores of similar ones in a library."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from explorer.errors import InputError
from explorer.library.library import Library
from explorer.space.spec import ArchitectureSpec

FEWEST_SCORES = 5
FOLDS = 4
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Forecast:
    """A predicted score.

    Attributes:
        mean: expected score.
        epistemic: standard deviation due to unknown scores of similar architectures.
        aleatoric: standard deviation due to training noise.
        beyond: whether the architecture is further from all scored ones than each of these is from its nearest one.
    """

    mean: float
    epistemic: float
    aleatoric: float
    beyond: bool

    @property
    def deviation(self) -> float:
        """Standard deviation of the score of one training."""
        return float(np.hypot(self.epistemic, self.aleatoric))


class Forecaster:
    """A Gaussian process and a forest on the kernel's distances, fitted to comparable scores of a library.

    Args:
        library: the library.
        scores: id → score; scores that are not finite or of other architectures are ignored.

    Attributes:
        count: number of architectures that it was fitted to.
        equal: the score of all of them if they are equal, so that there is nothing to learn; else ``None``.
        rank_correlation: Spearman correlation of cross-validated predictions with the scores; ``None`` for few scores.
        covered: share of cross-validated scores within one predicted standard deviation; 0.68 is ideal.

    Raises:
        InputError: there are fewer than ``FEWEST_SCORES`` scores.
    """

    def __init__(self, library: Library, scores: Mapping[str, float]) -> None:
        # Imported here because it imports torch, which the first drawing of a page should not wait for.
        from explorer.surrogate.kernel_regression import KernelRegression

        known = {id: float(value) for id, value in scores.items() if id in library.rows and np.isfinite(value)}
        if len(known) < FEWEST_SCORES:
            rule = f"be scored for at least {FEWEST_SCORES} architectures"
            raise InputError("task", rule, len(known), "Train or import more, or choose another task.")
        self._library = library
        self._rows = np.array([library.rows[id] for id in known])
        values = np.array(list(known.values()))
        graphs = library.graphs(list(known))
        distances = library.kernel.squared_distances(graphs, graphs)
        np.fill_diagonal(distances, 0.0)
        self.count = len(known)
        self.equal = float(values[0]) if np.allclose(values, values[0], rtol=1e-9, atol=0.0) else None
        self._radius = float((distances + np.diag(np.full(self.count, np.inf))).min(axis=1).max())
        self._model = KernelRegression().fit(distances, values)
        self.rank_correlation, self.covered = self._tested(distances, values)

    def _tested(self, distances: Array, values: Array) -> tuple[float | None, float | None]:
        from explorer.surrogate.kernel_regression import KernelRegression

        if self.count < FOLDS * FEWEST_SCORES or self.equal is not None:
            return None, None
        fold = np.random.default_rng(0).permutation(self.count) % FOLDS
        mean, deviation = np.empty(self.count), np.empty(self.count)
        for number in range(FOLDS):
            rest, held = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
            model = KernelRegression().fit(distances[np.ix_(rest, rest)], values[rest])
            posterior = model.predict(distances[np.ix_(held, rest)])
            mean[held], deviation[held] = posterior.mean, np.hypot(posterior.epistemic, posterior.aleatoric)
        ranks = np.corrcoef(rankdata(mean), rankdata(values))[0, 1] if np.ptp(mean) > 0 else 0.0
        return float(ranks), float(np.mean(np.abs(values - mean) <= deviation))

    def forecast(self, spec: ArchitectureSpec) -> Forecast:
        """Predict the score of an architecture, in the library or not."""
        distances = self._library.squared_distances(spec)[self._rows]
        found = self._model.predict(distances[None])
        mean, epistemic, aleatoric = (float(part[0]) for part in (found.mean, found.epistemic, found.aleatoric))
        return Forecast(mean, epistemic, aleatoric, bool(distances.min() > self._radius))
