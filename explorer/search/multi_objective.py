"""BOSHNAS for several objectives: the score is maximised, the candidates' costs are minimised.

Costs are known for every candidate and need no model. So the expected hypervolume improvement, in general an integral
over a joint posterior (Emmerich et al., 2006; Daulton et al., arXiv 2006.05078), is a sum of expected improvements of
the score alone: over all levels of cost at or above the candidate's, relative to the best score known within that
level. The posterior has the surrogate's mean and epistemic deviation, in the units of the score; pending trials and
earlier choices of the same batch count as observations of their mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from explorer.errors import InputError
from explorer.pareto import pareto_set
from explorer.search.boshnas import Boshnas, Posterior, SurrogateFactory
from explorer.search.candidates import Candidates

Array = NDArray[np.float64]
Indices = NDArray[np.int64]
MOST_COSTS = 2
"""The sum has (trials of the Pareto set)^costs terms."""
REFERENCE = 1.1
"""Reference point of every cost, as a share of the candidates; above 1, so that the most expensive one counts too."""
_TINY = 1e-12


@dataclass(frozen=True)
class Front:
    """The best score known within every level of costs: a step function.

    Attributes:
        edges: for each cost, the k beginnings of its steps, ascending, then the reference, ``[k + 1]``.
        best: best score within the costs at the beginning of a step, or the reference's, ``[k₁, …, k_m]``.
    """

    edges: tuple[Array, ...]
    best: Array

    @classmethod
    def of(cls, costs: Array, scores: Array, floor: float, end: float = REFERENCE) -> Front:
        """Return the front of some points.

        Args:
            costs: ``[n, m]``, from 0 to the reference; n may be 0.
            scores: ``[n]``.
            floor: reference of the score.
            end: reference of every cost.
        """
        joint = np.concatenate([scores[:, None], -costs], axis=1)
        kept = pareto_set(joint)
        costs, scores = costs[kept], scores[kept]
        starts = [np.unique(np.append(column, 0.0)) for column in costs.T]
        best = np.full([len(edges) for edges in starts], floor)
        for row, score in zip(costs.tolist(), scores.tolist(), strict=True):
            within = tuple(slice(int(np.searchsorted(e, c)), None) for e, c in zip(starts, row, strict=True))
            best[within] = np.maximum(best[within], score)
        return cls(tuple(np.append(edges, end) for edges in starts), best)

    def improvement(self, costs: Array, mean: Array, deviation: Array) -> Array:
        """Return the expected gain of hypervolume from each of N points alone.

        Args:
            costs: ``[N, m]``.
            mean: expected score, ``[N]``.
            deviation: standard deviation of the score, ``[N]``, above 0.

        Returns:
            ``[N]``, in the unit of the score times those of the costs.
        """
        overlaps = [
            np.maximum(edges[1:] - np.maximum(edges[:-1], costs[:, [axis]]), 0.0)
            for axis, edges in enumerate(self.edges)
        ]
        levels, place = np.unique(self.best, return_inverse=True)
        place = place.reshape(self.best.shape)
        gains = expected_improvement(mean[:, None], deviation[:, None], levels)
        total = np.zeros(len(costs))
        for step in product(*(range(size) for size in self.best.shape[:-1])):
            across = np.ones(len(costs))
            for axis, k in enumerate(step):
                across = across * overlaps[axis][:, k]
            total += across * (overlaps[-1] * gains[:, place[step]]).sum(axis=1)
        return total


def expected_improvement(mean: Array, deviation: Array, level: Array) -> Array:
    """Return the mean of max(y - level, 0) for normal y; deviations are above 0."""
    z = (mean - level) / deviation
    density = np.exp(-0.5 * z * z) / np.sqrt(2.0 * np.pi)
    return np.asarray(deviation * (z * ndtr(z) + density))


class ParetoBoshnas(Boshnas):
    """BOSHNAS that searches for the best trade-offs of the score against the candidates' costs.

    Each cost is replaced by the share of allowed candidates that cost no more, so its unit and scale do not matter. The
    surrogate learns from trials of candidates that are not allowed, but the front ignores them. The gain of every
    candidate is computed, so GOBI is not needed.

    Args:
        candidates: the architectures it chooses from, with one or two costs.
        seed: seed of all random choices.
        settings: the policy's own settings.
        make_surrogate: builds the surrogates; ``ProcessSurrogate`` by default.

    Raises:
        InputError: there are more than two costs.
    """

    def __init__(
        self,
        candidates: Candidates,
        seed: int,
        settings: Mapping[str, Any] | None = None,
        make_surrogate: SurrogateFactory | None = None,
    ) -> None:
        super().__init__(candidates, seed, settings, make_surrogate)
        costs = candidates.costs
        if costs.shape[1] > MOST_COSTS:
            rule = f"be at most {MOST_COSTS} in addition to the score"
            raise InputError("costs", rule, costs.shape[1], "Leave some out, or make them constraints.")
        allowed = np.sort(costs[candidates.allowed], axis=0)
        ranks = [np.searchsorted(a, every, side="right") for a, every in zip(allowed.T, costs.T, strict=True)]
        self._shares: Array = np.stack(ranks, axis=1) / max(1, len(allowed))

    def _improved(self) -> NDArray[np.bool_]:
        """Return for each completed trial whether it joined the Pareto set, ``[n]``."""
        rows = self._indices(self.completed)
        values = np.array([float(trial.value or 0.0) for trial in self.completed])
        joint = np.concatenate([values[:, None], -self._shares[rows]], axis=1)
        joined = [not (joint[:place] >= own).all(axis=1).any() for place, own in enumerate(joint)]
        return np.array(joined, dtype=np.bool_)

    def _climb(self, posterior: Posterior, untried: Indices) -> Array:
        return self._points[:0]

    def _snap(self, posterior: Posterior, ends: list[Array], free: Indices) -> int:
        """Return the free candidate with the largest expected gain."""
        in_batch = self.candidates.allowed.copy()
        in_batch[self._indices(self.trials)] = False
        in_batch[free] = False
        return int(free[self._gain(posterior, np.flatnonzero(in_batch), free).argmax()])

    def _gain(self, posterior: Posterior, in_batch: Indices, asked: Indices) -> Array:
        """Return the expected hypervolume improvement of candidates, given earlier choices, ``[len(asked)]``."""
        allowed, observed = self.candidates.allowed, posterior.key
        awaited = [*self.pending.tolist(), *in_batch.tolist()]
        surrogate, imagined = posterior.surrogate, np.zeros(0)
        if awaited:
            imagined = surrogate.predict(self._points[awaited]).mean
            values = np.concatenate([[value for _, value in observed], imagined])
            # Imagined outcomes say nothing about where the noise is large.
            plain = self._make_surrogate(replace(self.settings, heteroscedastic=False))
            surrogate = plain.fit(self._points[[*(i for i, _ in observed), *awaited]], values, self._region)
        scores = dict(observed) | dict(zip(awaited, imagined.tolist(), strict=True))
        counting = [i for i in scores if allowed[i]]
        floor = min(value for _, value in observed)
        front = Front.of(self._shares[counting], np.array([scores[i] for i in counting]), floor)
        predicted = surrogate.predict(self._points[asked])
        return front.improvement(self._shares[asked], predicted.mean, np.maximum(predicted.epistemic, _TINY))

    def _figures(self, posterior: Posterior, i: int) -> dict[str, float]:
        """Return the prediction, the costs, and the expected gain of the candidate if proposed alone."""
        gain = float(self._gain(posterior, np.array([], dtype=np.int64), np.array([i]))[0])
        return {**super()._figures(posterior, i), "gain": gain, **self.candidates.cost_figures(i)}
