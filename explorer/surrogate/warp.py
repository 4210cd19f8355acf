"""Normal scores: surrogates are fitted to ranks instead of values, and their posteriors are mapped back.

Scores of trained models have a long lower tail: a failed training lies many deviations below the others and would
dominate any least-squares fit. So scores are ranked, and the ranks are mapped to quantiles of a normal distribution
(normal scores); a posterior of normal scores is mapped back to scores by quadrature.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from explorer.records import Prediction

Array = NDArray[np.float64]
QUADRATURE = 15


def normal_scores(scores: Array) -> Array:
    """Return the ranks of scores ``[n]`` as quantiles of a standard normal distribution; ties get their mean rank."""
    # scipy.stats has both functions, but takes a second to import.
    _, place, equal = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = np.cumsum(equal) - 0.5 * (equal - 1)
    return np.asarray(ndtri((ranks[place] - 0.5) / len(scores)), dtype=np.float64)


@dataclass(frozen=True)
class Warp:
    """Monotone map from normal scores to scores: linear between the observed ones, and beyond them.

    Attributes:
        normal: distinct normal scores, ascending.
        scores: the corresponding scores.
        slope: scores per normal score beyond the ends.
    """

    normal: Array
    scores: Array
    slope: float

    @classmethod
    def fit(cls, scores: Array) -> Warp:
        """Return the map of observed scores ``[n]``."""
        values, first = np.unique(scores, return_index=True)
        # Use the spread of the upper half: the lower tail is long, and the search needs scores above the best.
        slope = float(np.quantile(scores, 0.84) - np.median(scores)) or float(scores.std()) or 1.0
        return cls(normal_scores(scores)[first], values, slope)

    def back(self, normal: Array) -> Array:
        """Return the scores of any normal scores."""
        inside = np.interp(normal, self.normal, self.scores)
        beyond = normal - np.clip(normal, self.normal[0], self.normal[-1])
        return np.asarray(inside + self.slope * beyond)

    def posterior(self, mean: Array, function: Array, noise: Array | float) -> Prediction:
        """Map a normal posterior of normal scores to mean and deviations of scores, by Gauss–Hermite quadrature.

        Args:
            mean: expected normal score, ``[M]``.
            function: epistemic variance, ``[M]``.
            noise: aleatoric variance, ``[M]`` or one for all.
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
