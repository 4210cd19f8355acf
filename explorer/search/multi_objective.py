"""BOSHNAS for several objectives: a score that is searched, and costs that are known of every candidate.

Costs need no model, as each candidate's are given. So the expected hypervolume improvement, in general an integral over
a joint belief (Emmerich et al., 2006; Daulton et al., arXiv 2006.05078), is a sum of expected improvements of the score
alone: over all levels of cost within which the candidate would come, of what it would add to the best score known
there. The surrogate's mean and epistemic deviation are the belief, in the units of the score; what is waited for, and
what was chosen before in the same batch, counts as if it had scored its mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from explorer.errors import InputError
from explorer.pareto import pareto_set
from explorer.search.boshnas import Boshnas, _Belief
from explorer.search.costs import CostedCandidates, costs_of
from explorer.surrogate import ProcessSurrogate, Surrogate

Array = NDArray[np.float64]
Indices = NDArray[np.int64]
MOST_COSTS = 2
"""The sum has (trials of the Pareto set)^costs terms."""
REFERENCE = 1.1
"""Where a cost stops to count, as a share of the candidates: beyond all, so that the dearest one counts too."""
_TINY = 1e-12


@dataclass(frozen=True)
class Front:
    """The best score known within every level of costs: a staircase.

    Attributes:
        edges: of each cost, where its k steps begin, ascending, and the reference at the end, ``[k + 1]``.
        best: best score within the costs at a step's beginning, or the reference's, ``[k₁, …, k_m]``.
    """

    edges: tuple[Array, ...]
    best: Array

    @classmethod
    def of(cls, costs: Array, scores: Array, floor: float, end: float = REFERENCE) -> Front:
        """The staircase of some points.

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
        """Expected gain of hypervolume by each of N points alone.

        Args:
            costs: ``[N, m]``.
            mean: expected score, ``[N]``.
            deviation: of the score, ``[N]``, above 0.

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
    """Mean of max(y - level, 0) for normal y; deviations are above 0."""
    z = (mean - level) / deviation
    density = np.exp(-0.5 * z * z) / np.sqrt(2.0 * np.pi)
    return np.asarray(deviation * (z * ndtr(z) + density))


class ParetoBoshnas(Boshnas):
    """BOSHNAS that looks for the best trade-offs of the score against the candidates' costs.

    A cost counts as the share of the allowed candidates that it is not below, so its unit and scale do not matter.
    Trials of candidates that are not allowed are learned from, but are no trade-offs to be improved on. As the gain of
    every candidate is known, nothing is climbed.
    """

    name: ClassVar[str] = "boshnas"

    def _configure(self, settings: Mapping[str, Any]) -> None:
        super()._configure(settings)
        costs = costs_of(self.candidates)
        if costs.shape[1] > MOST_COSTS:
            rule = f"be at most {MOST_COSTS} besides the score"
            raise InputError("costs", rule, costs.shape[1], "Leave some out, or make them constraints.")
        allowed = np.sort(costs[self.candidates.allowed], axis=0)
        ranks = [np.searchsorted(a, every, side="right") for a, every in zip(allowed.T, costs.T, strict=True)]
        self._shares: Array = np.stack(ranks, axis=1) / max(1, len(allowed))

    @property
    def converged(self) -> bool:
        """Whether no trial has joined the Pareto set for ``patience`` iterations, counted as ``Boshnas`` does."""
        rows = [self.candidates.index[trial.architecture] for trial in self.completed]
        values = np.array([float(trial.value or 0.0) for trial in self.completed])
        joint = np.concatenate([values[:, None], -self._shares[rows]], axis=1)
        idle = 0
        for place, trial in enumerate(self.completed):
            before, mine = joint[:place], joint[place]
            if not (before >= mine).all(axis=1).any():
                idle = 0
            elif trial.number >= self._settings.began and place >= self._settings.initial:
                idle += 1
        return idle >= self._settings.patience * self._settings.iteration

    def _climb(self, belief: _Belief, untried: Indices) -> Array:
        return self._points[:0]

    def _snap(self, belief: _Belief, ends: list[Array], free: Indices) -> int:
        """The free candidate with the largest expected gain."""
        chosen = self.candidates.allowed.copy()
        chosen[[self.candidates.index[trial.architecture] for trial in self.trials]] = False
        chosen[free] = False  # what is left was chosen before in this batch
        return int(free[self._gain(belief, np.flatnonzero(chosen), free).argmax()])

    def _gain(self, belief: _Belief, chosen: Indices, asked: Indices) -> Array:
        """Expected hypervolume improvement of some candidates, others having been chosen before, ``[len(asked)]``."""
        index, allowed = self.candidates.index, self.candidates.allowed
        under_way = [index[trial.architecture] for trial in self.trials if trial.pending]
        awaited = [*under_way, *chosen.tolist()]
        surrogate, imagined = belief.surrogate, np.zeros(0)
        if awaited:
            imagined = surrogate.predict(self._points[awaited]).mean
            known = [i for i, _ in belief.key]
            values = np.concatenate([[value for _, value in belief.key], imagined])
            surrogate = self._plain().fit(self._points[[*known, *awaited]], values, self._region)
        scores = dict(belief.key) | dict(zip(awaited, imagined.tolist(), strict=True))
        counting = [i for i in scores if allowed[i]]
        floor = min(value for _, value in belief.key)
        front = Front.of(self._shares[counting], np.array([scores[i] for i in counting]), floor)
        told = surrogate.predict(self._points[asked])
        return front.improvement(self._shares[asked], told.mean, np.maximum(told.epistemic, _TINY))

    def _plain(self) -> Surrogate:
        """A surrogate to imagine outcomes with: where noise is large is nothing that they could tell."""
        settings = replace(self._surrogate_settings, heteroscedastic=False)
        return ProcessSurrogate(self.seed, settings, alike=not self._settings.embedding)  # type: ignore[arg-type]

    def _figures(self, belief: _Belief, i: int) -> dict[str, float]:
        """Why this candidate: the belief, its costs, and its expected gain if it were proposed alone."""
        gain = float(self._gain(belief, np.array([], dtype=np.int64), np.array([i]))[0])
        costs = self.candidates.figures(i) if isinstance(self.candidates, CostedCandidates) else {}
        return {**super()._figures(belief, i), "gain": gain, **costs}
