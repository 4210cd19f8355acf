"""Scores as normal scores and back: fitting ranks instead of values.

Scores of trained models have a long lower tail: a training that went badly lies many deviations below the others and
would bend any least-squares fit. So scores are ranked, and the ranks mapped to a normal distribution (normal scores);
a belief about normal scores is mapped back to scores by quadrature.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, rankdata

from explorer.records import Prediction

Array = NDArray[np.float64]
QUADRATURE = 15


def normal_scores(scores: Array) -> Array:
    """Ranks of the scores ``[n]`` as quantiles of a standard normal distribution; ties get their mean rank."""
    return np.asarray(norm.ppf((rankdata(scores) - 0.5) / len(scores)), dtype=np.float64)


@dataclass(frozen=True)
class Warp:
    """Monotone map between normal scores and scores: linear between the observed ones, and beyond them.

    Attributes:
        normal: distinct normal scores, ascending.
        scores: the scores they stand for.
        slope: scores per normal score beyond the ends.
    """

    normal: Array
    scores: Array
    slope: float

    @classmethod
    def fit(cls, scores: Array) -> Warp:
        """The map of some scores ``[n]``."""
        values, first = np.unique(scores, return_index=True)
        # The upper half's spread: the lower tail is long, and what matters is what may lie above the best.
        slope = float(np.quantile(scores, 0.84) - np.median(scores)) or float(scores.std()) or 1.0
        return cls(normal_scores(scores)[first], values, slope)

    def back(self, normal: Array) -> Array:
        """Scores of any normal scores."""
        inside = np.interp(normal, self.normal, self.scores)
        beyond = normal - np.clip(normal, self.normal[0], self.normal[-1])
        return np.asarray(inside + self.slope * beyond)

    def belief(self, mean: Array, function: Array, noise: Array | float) -> Prediction:
        """A normal belief about normal scores as mean and deviations of scores, by Gauss–Hermite quadrature.

        Args:
            mean: expected normal score, ``[M]``.
            function: variance from not knowing the function, ``[M]``.
            noise: variance of the observation noise, ``[M]`` or one for all.
        """
        nodes, weights = np.polynomial.hermite_e.hermegauss(QUADRATURE)
        weights = weights / weights.sum()

        def moments(variance: Array) -> tuple[Array, Array]:
            values = self.back(mean[:, None] + np.sqrt(variance)[:, None] * nodes)
            middle = values @ weights
            return middle, np.square(values - middle[:, None]) @ weights

        expected, total = moments(function + noise)
        _, epistemic = moments(function)
        aleatoric = np.sqrt(np.maximum(total - epistemic, 1e-12 * total))
        return Prediction(expected, aleatoric, np.sqrt(epistemic))
