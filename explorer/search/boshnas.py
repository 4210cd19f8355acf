"""BOSHNAS: Bayesian optimisation with a heteroscedastic surrogate and second-order search of its input.

Source: FlexiBERT (arXiv 2205.11656), section 3. A spread-out first design; then each query is, at random, an
optimisation of the UCB (GOBI, snapped to the nearest untried candidates), the candidate of largest uncertainty, or a
random one (diversity).

Two variants share all that. ``boshnas`` believes by a Gaussian process over the embedding's leading axes, with a
natural-parameter network for the noise, and climbs by exact Newton steps; ``boshnas_paper`` is the paper's recipe:
NPN, teacher and student, AdaHessian, and more queries for uncertainty and diversity. docs/results/policies.md compares.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import islice
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from explorer.errors import InputError
from explorer.records import Prediction, Proposal
from explorer.search.modelled import one_hot
from explorer.search.policy import Policy
from explorer.search.settings import read_settings
from explorer.surrogate import (
    BoshnasSurrogate,
    ProcessSettings,
    ProcessSurrogate,
    Region,
    Surrogate,
    SurrogateSettings,
    climb,
)
from explorer.surrogate.gobi import METHODS

LEAST_VALUES = 3
"""Completed trials below which there is nothing to fit, so the first design goes on."""
WARM_FROM = 16
"""Completed trials from which on the networks go on from those of fewer trials instead of starting anew."""
ROWS = 2048
"""Candidates judged at once, which bounds memory."""
LEADING = 0.9
"""Share of the variance that the axes hold over which the first design is spread; the last ones tell little."""
_DESIGN, _QUERY, _STARTS = 1, 2, 3  # purposes of random generators

Key = tuple[tuple[int, float], ...]
"""Completed trials, by number: candidate and value."""


@dataclass(frozen=True)
class BoshnasSettings:
    """Settings of the search; those of the surrogate may be given beside them.

    Attributes:
        initial: size of the first design (failed trials not counted).
        alpha: probability of an uncertainty query.
        beta: probability of a diversity query.
        restarts: starts of GOBI, climbed together.
        steps: Newton steps of each.
        raw: random untried candidates among which the starts with the highest UCB are picked.
        nearest: untried candidates nearest to an end that it may be snapped to; the one with the highest UCB is.
        method: how GOBI climbs: ``newton``, ``adahessian`` or ``gradient`` (without second order).
        embedding: whether it searches the graph kernel's vectors, or one-hot design choices instead.
        patience: iterations in which the best did not improve after which it has converged.
        iteration: completed trials of an iteration.
        began: number of the first trial that counts for convergence; those before were of an earlier search, such as
            that of a coarser level.
    """

    initial: int = 5
    alpha: float = 0.01
    beta: float = 0.01
    restarts: int = 16
    steps: int = 6
    raw: int = 512
    nearest: int = 16
    method: str = "newton"
    embedding: bool = True
    patience: int = 5
    iteration: int = 5
    began: int = 0

    def __post_init__(self) -> None:
        if self.alpha + self.beta > 1.0:
            raise InputError("alpha + beta", "be at most 1", self.alpha + self.beta, "They are probabilities.")
        for name in ("restarts", "nearest", "patience", "iteration"):
            if getattr(self, name) < 1:
                raise InputError(f"boshnas setting {name}", "be at least 1", getattr(self, name), "Use the default.")
        if self.method not in METHODS:
            raise InputError("boshnas setting method", f"be one of {', '.join(METHODS)}", self.method, "Use one.")


@dataclass(frozen=True)
class PaperSettings(BoshnasSettings):
    """The same with the paper's own choices."""

    initial: int = 10
    alpha: float = 0.1
    beta: float = 0.1
    restarts: int = 24
    steps: int = 10
    nearest: int = 1
    method: str = "adahessian"


@dataclass(frozen=True)
class _Belief:
    """The surrogate fitted to one history, and what it says of every candidate."""

    key: Key
    surrogate: Surrogate
    ucb: NDArray[np.float64]  # [N]
    uncertainty: NDArray[np.float64]  # its uncertain part k₁σ + k₂ξ, [N]


class _Boshnas(Policy):
    """What the variants share: proposes where the upper confidence bound, the uncertainty, or chance points."""

    _search_settings: ClassVar[type[BoshnasSettings]]
    _belief_settings: ClassVar[type[SurrogateSettings] | type[ProcessSettings]]

    @abstractmethod
    def _make_surrogate(self) -> Surrogate:
        """A surrogate that has learned nothing yet."""

    def _configure(self, settings: Mapping[str, Any]) -> None:
        shared = {field.name for field in fields(self._belief_settings)}
        own = {name: value for name, value in settings.items() if name not in shared}
        self._settings = read_settings(self._search_settings, own, self.name)
        rest = {name: value for name, value in settings.items() if name in shared}
        self._surrogate_settings = read_settings(self._belief_settings, rest, self.name)
        candidates = self.candidates
        self._points = candidates.vectors if self._settings.embedding else one_hot(candidates.choices)
        self._region = Region(self._points)
        self._fits: dict[Key, Surrogate] = {}
        self._belief: _Belief | None = None

    def _propose(self, count: int, untried: NDArray[np.int64]) -> list[Proposal]:
        alive = sum(not trial.failed for trial in self.trials)
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
            Proposal(self.candidates.ids[i], origin, {} if origin == "initial" else self._figures(belief, i))
            for i, origin in chosen
        ]

    @property
    def converged(self) -> bool:
        """Whether the best did not improve for ``patience`` iterations (FlexiBERT, section 3.3).

        An iteration is ``iteration`` completed trials, counted by number, from ``began`` and after the first design.
        """
        best, idle = -np.inf, 0
        for place, trial in enumerate(self.completed, start=1):
            value = float(trial.value or 0.0)
            if value > best:
                best, idle = value, 0
            elif trial.number >= self._settings.began and place > self._settings.initial:
                idle += 1
        return idle >= self._settings.patience * self._settings.iteration

    def aleatoric(self, architectures: Sequence[str]) -> NDArray[np.float64] | None:
        """What the surrogate says, once it has learned from three completed trials."""
        if len(self.completed) < LEAST_VALUES:
            return None
        rows = [self.candidates.index[id] for id in architectures]
        return np.asarray(self._believe().surrogate.predict(self._points[rows]).aleatoric, dtype=np.float64)

    def _first_design(self, untried: NDArray[np.int64], count: int) -> list[int]:
        """The first ``count`` untried candidates of the seed's spread-out sequence.

        The sequence is drawn as k-means++ draws its centres: each next candidate with a probability proportional to
        the squared distance to the nearest one before it. It does not depend on the history.
        """
        wanted = set(untried.tolist())
        return list(islice((i for i in self._sequence() if i in wanted), count))

    def _sequence(self) -> Iterator[int]:
        generator = self._generator(_DESIGN)
        held = np.cumsum(self._region.variance)
        leading = int(np.searchsorted(held, LEADING * held[-1])) + 1
        vectors = self._points[:, :leading] if self._settings.embedding else self._points
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

    def _fit(self, key: Key) -> Surrogate:
        """The surrogate of a history, its networks trained on from those of its first 16, 32, 64, ... trials.

        So a search trains little at each step, and one that is taken up again ends with the same surrogate.
        """
        if key not in self._fits:
            before = 1 << ((len(key) - 1).bit_length() - 1) if len(key) > WARM_FROM else 0
            start = self._fit(key[:before]) if before else None
            points, values = self._points[[i for i, _ in key]], np.array([value for _, value in key])
            self._fits[key] = self._make_surrogate().fit(points, values, self._region, start)
        return self._fits[key]

    def _believe(self) -> _Belief:
        """The surrogate for the present history; kept until that changes."""
        key = tuple((self.candidates.index[t.architecture], float(t.value or 0.0)) for t in self.completed)
        if self._belief is None or self._belief.key != key:
            surrogate = self._fit(key)
            self._fits = {known: fit for known, fit in self._fits.items() if key[: len(known)] == known}
            with torch.no_grad():
                parts = [surrogate.acquisition(rows) for rows in torch.tensor(self._points).split(ROWS)]
            ucb, doubt = (torch.cat(column).numpy() for column in zip(*parts, strict=True))
            self._belief = _Belief(key, surrogate, ucb, doubt)
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
        starts = self._points[[*best, *fresh.tolist()]]
        s = self._settings
        return climb(belief.surrogate.ucb, starts, *self._region.box, steps=s.steps, method=s.method).points

    def _snap(self, belief: _Belief, ends: list[NDArray[np.float64]], free: NDArray[np.int64]) -> int:
        """Use up the end near which the free candidate with the highest UCB lies; returns that candidate."""
        vectors, count = self._points[free], min(self._settings.nearest, len(free))
        snapped = []
        for end in ends:
            near = free[np.argpartition(((vectors - end) ** 2).sum(1), count - 1)[:count]]
            snapped.append(int(near[belief.ucb[near].argmax()]))
        place = int(np.argmax(belief.ucb[snapped]))
        ends.pop(place)
        return snapped[place]

    def belief(self) -> tuple[Prediction, NDArray[np.float64]]:
        """What the surrogate believes of every candidate after the trials told, and the UCB it gives them.

        Returns:
            The belief and the UCB, ``[N]`` each, in the units of the objective.

        Raises:
            InputError: too few trials are complete to believe anything.
        """
        if len(self.completed) < LEAST_VALUES:
            rule = f"have at least {LEAST_VALUES} complete trials to believe anything"
            raise InputError("study", rule, len(self.completed), "Let it go on.")
        told, s = self._believe().surrogate.predict(self._points), self._surrogate_settings
        return told, told.mean + s.k_aleatoric * told.aleatoric + s.k_epistemic * told.epistemic

    def _figures(self, belief: _Belief, i: int) -> dict[str, float]:
        """Why this candidate, in the units of the objective."""
        told, s = belief.surrogate.predict(self._points[[i]]), self._surrogate_settings
        mean, aleatoric, epistemic = (float(part[0]) for part in (told.mean, told.aleatoric, told.epistemic))
        ucb = mean + s.k_aleatoric * aleatoric + s.k_epistemic * epistemic
        return {"mean": mean, "aleatoric": aleatoric, "epistemic": epistemic, "ucb": ucb}


class Boshnas(_Boshnas):
    """BOSHNAS with a surrogate that learns from few scores, climbed by exact Newton steps."""

    name: ClassVar[str] = "boshnas"
    _search_settings = BoshnasSettings
    _belief_settings = ProcessSettings

    def _make_surrogate(self) -> Surrogate:
        return ProcessSurrogate(self.seed, self._surrogate_settings, alike=not self._settings.embedding)  # type: ignore[arg-type]


class PaperBoshnas(_Boshnas):
    """BOSHNAS as the paper describes it: NPN, teacher and student, AdaHessian."""

    name: ClassVar[str] = "boshnas_paper"
    _search_settings = PaperSettings
    _belief_settings = SurrogateSettings

    def _make_surrogate(self) -> Surrogate:
        return BoshnasSurrogate(self.seed, self._surrogate_settings)  # type: ignore[arg-type]
