"""BOSHNAS: Bayesian optimisation with a heteroscedastic surrogate and second-order search of its input.

Source: FlexiBERT (arXiv 2205.11656), section 3. A spread-out first design; then each query is, at random, an
optimisation of the UCB (GOBI, snapped to the nearest untried candidate), the candidate of largest uncertainty, or a
random one (diversity).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from itertools import islice
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from explorer.errors import InputError
from explorer.records import Prediction, Proposal, TrialState
from explorer.search.policy import Policy
from explorer.search.settings import read_settings
from explorer.surrogate import BoshnasSurrogate, SurrogateSettings, climb

LEAST_VALUES = 3
"""Completed trials below which there is nothing to fit, so the first design goes on."""
_DESIGN, _QUERY, _STARTS = 1, 2, 3  # purposes of random generators


@dataclass(frozen=True)
class BoshnasSettings:
    """Settings of the search; those of ``SurrogateSettings`` may be given beside them.

    Attributes:
        initial: size of the first design (failed trials not counted).
        alpha: probability of an uncertainty query.
        beta: probability of a diversity query.
        restarts: starts of GOBI, climbed together.
        steps: Newton steps of each.
        raw: random untried candidates among which the starts with the highest UCB are picked.
    """

    initial: int = 10
    alpha: float = 0.1
    beta: float = 0.1
    restarts: int = 24
    steps: int = 10
    raw: int = 512

    def __post_init__(self) -> None:
        if self.alpha + self.beta > 1.0:
            raise InputError("alpha + beta", "be at most 1", self.alpha + self.beta, "They are probabilities.")
        if self.restarts < 1:
            raise InputError("boshnas setting restarts", "be at least 1", self.restarts, "The default is 24.")


@dataclass(frozen=True)
class _Belief:
    """The surrogate fitted to one history, and what it says of every candidate."""

    key: tuple[tuple[int, float], ...]
    surrogate: BoshnasSurrogate
    prediction: Prediction
    uncertainty: NDArray[np.float64]  # k₁σ + k₂ξ, [N]
    ucb: NDArray[np.float64]  # [N]


class Boshnas(Policy):
    """Proposes where the surrogate's upper confidence bound, its uncertainty, or chance points."""

    name: ClassVar[str] = "boshnas"

    def _configure(self, settings: Mapping[str, Any]) -> None:
        shared = {field.name for field in fields(SurrogateSettings)}
        own = {name: value for name, value in settings.items() if name not in shared}
        self._settings = read_settings(BoshnasSettings, own, self.name)
        rest = {name: value for name, value in settings.items() if name in shared}
        self._surrogate_settings = read_settings(SurrogateSettings, rest, self.name)
        self._belief: _Belief | None = None

    def _propose(self, count: int, untried: NDArray[np.int64]) -> list[Proposal]:
        alive = sum(trial.state is not TrialState.FAILED for trial in self.trials)
        designed = count if len(self.completed) < LEAST_VALUES else min(count, max(0, self._settings.initial - alive))
        chosen = [(i, "initial") for i in self._first_design(untried, designed)]
        if designed == count:
            return [Proposal(self.candidates.ids[i], origin) for i, origin in chosen]
        free = np.zeros(len(self.candidates), dtype=bool)
        free[untried] = True
        free[[i for i, _ in chosen]] = False
        belief = self._believe()
        ends: list[NDArray[np.float64]] = []
        for place in range(designed, count):
            number = self._next_number() + place
            generator = self._generator(_QUERY, number)
            draw = generator.random()
            open_indices = np.flatnonzero(free)
            if draw < self._settings.alpha:
                pick, origin = int(open_indices[belief.uncertainty[open_indices].argmax()]), "uncertainty"
            elif draw < self._settings.alpha + self._settings.beta:
                pick, origin = int(generator.choice(open_indices)), "diversity"
            else:
                if not ends:
                    ends = list(self._climb(belief, open_indices))
                pick, origin = self._snap(belief, ends, open_indices), "optimise"
            free[pick] = False
            chosen.append((pick, origin))
        return [
            Proposal(self.candidates.ids[i], origin, {} if origin == "initial" else _figures(belief, i))
            for i, origin in chosen
        ]

    def _first_design(self, untried: NDArray[np.int64], count: int) -> list[int]:
        """The first ``count`` untried candidates of the seed's spread-out sequence.

        The sequence is drawn as k-means++ draws its centres: each next candidate with a probability proportional to
        the squared distance to the nearest one before it. It does not depend on the history.
        """
        wanted = set(untried.tolist())
        return list(islice((i for i in self._sequence() if i in wanted), count))

    def _sequence(self) -> Iterator[int]:
        generator = self._generator(_DESIGN)
        vectors = self.candidates.vectors
        left = np.ones(len(vectors), dtype=bool)
        distance = np.ones(len(vectors))  # squared, to the nearest one before; at first all alike
        while left.any():
            weight = np.where(left, distance, 0.0)
            if weight.sum() <= 0.0:  # only copies of earlier vectors are left
                weight = left.astype(np.float64)
            pick = int(generator.choice(len(vectors), p=weight / weight.sum()))
            apart = ((vectors - vectors[pick]) ** 2).sum(1)
            distance = apart if left.all() else np.minimum(distance, apart)
            left[pick] = False
            yield pick

    def _believe(self) -> _Belief:
        """The surrogate for the present history; kept until that changes."""
        key = tuple((self.candidates.index[t.architecture], float(t.value or 0.0)) for t in self.completed)
        if self._belief is None or self._belief.key != key:
            surrogate = BoshnasSurrogate(self.seed, self._surrogate_settings)
            points = self.candidates.vectors[[i for i, _ in key]]
            surrogate.fit(points, np.array([value for _, value in key]), self.candidates.box)
            p = surrogate.predict(self.candidates.vectors)
            s = self._surrogate_settings
            uncertainty = s.k_aleatoric * p.aleatoric + s.k_epistemic * p.epistemic
            self._belief = _Belief(key, surrogate, p, uncertainty, p.mean + uncertainty)
        return self._belief

    def _climb(self, belief: _Belief, untried: NDArray[np.int64]) -> NDArray[np.float64]:
        """Where GOBI's restarts end, ``[K, d]``.

        A third of them starts at the best points seen, the rest at the random untried candidates with the highest UCB.
        """
        known = sorted(belief.key, key=lambda pair: -pair[1])
        best = list(dict.fromkeys(i for i, _ in known))[: self._settings.restarts // 3]
        generator = self._generator(_STARTS, self._next_number())
        raw = generator.choice(untried, size=min(self._settings.raw, len(untried)), replace=False)
        fresh = raw[np.argsort(-belief.ucb[raw], kind="stable")][: self._settings.restarts - len(best)]
        starts = self.candidates.vectors[[*best, *fresh.tolist()]]
        return climb(belief.surrogate.ucb, starts, *self.candidates.box, steps=self._settings.steps).points

    def _snap(self, belief: _Belief, ends: list[NDArray[np.float64]], free: NDArray[np.int64]) -> int:
        """Use up the end whose nearest free candidate has the highest UCB; returns that candidate."""
        vectors = self.candidates.vectors[free]
        nearest = [int(free[((vectors - end) ** 2).sum(1).argmin()]) for end in ends]
        place = int(np.argmax(belief.ucb[nearest]))
        ends.pop(place)
        return nearest[place]


def _figures(belief: _Belief, i: int) -> dict[str, float]:
    p = belief.prediction
    values = {"mean": p.mean[i], "aleatoric": p.aleatoric[i], "epistemic": p.epistemic[i], "ucb": belief.ucb[i]}
    return {name: float(value) for name, value in values.items()}
