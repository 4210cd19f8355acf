"""BOSHNAS: Bayesian optimisation with a heteroscedastic surrogate and second-order search of its input.

Source: FlexiBERT (arXiv 2205.11656), section 3. After a spread-out initial design, each query is drawn at random: the
maximum of the UCB (GOBI, snapped to the nearest untried candidates), the candidate of largest uncertainty, or a random
candidate (diversity).

Two variants share this. ``boshnas`` has a Gaussian process over the embedding's leading axes, with a natural-parameter
network for the noise, and climbs by exact Newton steps. ``boshnas_paper`` is the paper's recipe: NPN, teacher and
student, AdaHessian, and more queries for uncertainty and diversity. docs/results/policies.md compares them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import NonNegativeFloat, NonNegativeInt, PositiveInt
from pydantic.dataclasses import dataclass as settings_class

from explorer.errors import Code, InputError
from explorer.records import Prediction, Proposal
from explorer.search.candidates import Candidates
from explorer.search.initial_design import InitialDesignPolicy, one_hot
from explorer.search.policy import Capability, Policy
from explorer.surrogate import ProcessSettings, Region, Surrogate, SurrogateSettings
from explorer.surrogate.settings import STRICT

WARM_FROM = 16
"""Completed trials above which the networks are trained further from those of fewer trials."""
WARM_TO = 512
"""Completed trials up to which there is such a fit for each power of two; later ones start from the last of these."""
LEADING = 0.9
"""Share of the variance held by the axes over which the initial design is spread; later axes say little."""
_DESIGN, _QUERY, _STARTS = 1, 2, 3  # purposes of random generators

Key = tuple[tuple[int, float], ...]
"""Completed trials, by number: candidate and value."""


@settings_class(frozen=True, config=STRICT)
class SearchSettings:
    """Settings of the search; each variant adds those of its surrogate.

    Attributes:
        initial: size of the initial design (failed trials not counted).
        alpha: probability of an uncertainty query.
        beta: probability of a diversity query.
        restarts: starts of GOBI, climbed together.
        steps: Newton steps of each start.
        raw: random untried candidates among which the starts with the highest UCB are picked.
        nearest: untried candidates nearest to the end of a climb; the one with the highest UCB is proposed.
        method: how GOBI climbs: ``newton``, ``adahessian`` or ``gradient`` (without second order).
        embedding: whether to search the graph kernel's vectors, or one-hot design choices instead.
        patience: iterations without improvement of the best score after which the search has converged.
        iteration: completed trials of an iteration.
        stall: proposals without an improvement after which random candidates are mixed in: of the first s, about
            ``s - stall (1 + ln(s / stall))``. 0 for never.
        began: number of the first trial that counts for convergence; those before belong to an earlier search, such
            as that of a coarser level.
    """

    initial: NonNegativeInt = 5
    alpha: NonNegativeFloat = 0.01
    beta: NonNegativeFloat = 0.01
    restarts: PositiveInt = 16
    steps: NonNegativeInt = 6
    raw: PositiveInt = 512
    nearest: PositiveInt = 16
    method: Literal["newton", "adahessian", "gradient"] = "newton"
    embedding: bool = True
    patience: PositiveInt = 5
    iteration: PositiveInt = 5
    began: NonNegativeInt = 0
    stall: NonNegativeInt = 5

    def __post_init__(self) -> None:
        if self.alpha + self.beta > 1.0:
            raise InputError("alpha + beta", "be at most 1", self.alpha + self.beta, "They are probabilities.")


@settings_class(frozen=True, config=STRICT)
class BoshnasSettings(SearchSettings, ProcessSettings):
    """Settings of ``boshnas``: search and Gaussian process."""


@settings_class(frozen=True, config=STRICT)
class PaperSettings(SearchSettings, SurrogateSettings):
    """Settings of ``boshnas_paper``: the paper's own choices."""

    initial: NonNegativeInt = 10
    alpha: NonNegativeFloat = 0.1
    beta: NonNegativeFloat = 0.1
    restarts: PositiveInt = 24
    steps: NonNegativeInt = 10
    nearest: PositiveInt = 1
    method: Literal["newton", "adahessian", "gradient"] = "adahessian"
    stall: NonNegativeInt = 0


SurrogateFactory = Callable[[Any], Surrogate]
"""Returns an unfitted surrogate for the policy's settings."""


@dataclass(frozen=True)
class Posterior:
    """The surrogate fitted to one history, and its acquisition function at every candidate.

    Attributes:
        key: the observations.
        surrogate: the fitted surrogate.
        ucb: upper confidence bound μ + k₁σ + k₂ξ, ``[N]``.
        uncertainty: its uncertain part k₁σ + k₂ξ, ``[N]``.
    """

    key: Key
    surrogate: Surrogate
    ucb: NDArray[np.float64]
    uncertainty: NDArray[np.float64]


class Boshnas(InitialDesignPolicy):
    """BOSHNAS with a Gaussian process, which learns from few scores.

    Args:
        candidates: the architectures it chooses from.
        seed: seed of all random choices.
        settings: the policy's own settings.
        make_surrogate: builds the surrogates; ``ProcessSurrogate`` by default.
    """

    name: ClassVar[str] = "boshnas"
    settings_type: ClassVar[type[Any]] = BoshnasSettings
    capabilities: ClassVar[frozenset[Capability]] = frozenset(Capability)
    uses_torch: ClassVar[bool] = True
    min_observed: ClassVar[int] = 3
    settings: BoshnasSettings | PaperSettings

    def __init__(
        self,
        candidates: Candidates,
        seed: int,
        settings: Mapping[str, Any] | None = None,
        make_surrogate: SurrogateFactory | None = None,
    ) -> None:
        super().__init__(candidates, seed, settings)
        self._make_surrogate = make_surrogate or self._default_surrogate
        self._points = candidates.vectors if self.settings.embedding else one_hot(candidates.choices)
        self._region = Region(self._points)
        self._fits: dict[Key, Surrogate] = {}
        self._latest: Posterior | None = None

    @classmethod
    def variant(cls, candidates: Candidates) -> type[Policy]:
        """Return ``ParetoBoshnas`` where the candidates have costs."""
        if not candidates.cost_names:
            return cls
        from explorer.search.multi_objective import ParetoBoshnas

        return ParetoBoshnas

    def _default_surrogate(self, settings: Any) -> Surrogate:
        from explorer.surrogate.process_surrogate import ProcessSurrogate

        return ProcessSurrogate(self.seed, settings, ordered_axes=settings.embedding)

    def _choose(self, count: int, free: NDArray[np.int64], number: int) -> list[Proposal]:
        posterior, idle = self._posterior(), number - self._stalled_from()
        proposals: list[Proposal] = []
        ends: list[NDArray[np.float64]] = []
        for place in range(count):
            generator = self._generator(_QUERY, number + place)
            draw = generator.random()
            if draw < self.settings.alpha:
                pick, origin = int(free[posterior.uncertainty[free].argmax()]), "uncertainty"
            elif draw < self.settings.alpha + self.settings.beta or self._looks_elsewhere(idle + place):
                pick, origin = int(generator.choice(free)), "diversity"
            else:
                if not ends:
                    ends = list(self._climb(posterior, free))
                pick, origin = self._snap(posterior, ends, free), "optimise"
            free = free[free != pick]
            proposals.append(self._proposal(pick, origin, self._figures(posterior, pick)))
        return proposals

    @property
    def converged(self) -> bool:
        """Whether the best score did not improve for ``patience`` iterations (FlexiBERT, section 3.3).

        An iteration is ``iteration`` completed trials, counted by number, from ``began`` and after the initial design.
        """
        idle = 0
        for place, (trial, improved) in enumerate(zip(self.completed, self._improved(), strict=True), start=1):
            if improved:
                idle = 0
            elif trial.number >= self.settings.began and place > self.settings.initial:
                idle += 1
        return idle >= self.settings.patience * self.settings.iteration

    def _improved(self) -> NDArray[np.bool_]:
        """Return for each completed trial whether it is better than all before it, ``[n]``."""
        values = np.array([float(trial.value or 0.0) for trial in self.completed])
        before = np.maximum.accumulate(np.append(-np.inf, values))[: len(values)]
        return np.asarray(values > before)

    def _stalled_from(self) -> int:
        """Return the number of the first trial after the last improvement and the initial design."""
        improved = [trial.number for trial, better in zip(self.completed, self._improved(), strict=True) if better]
        return max(self.settings.began + self.settings.initial, improved[-1] + 1 if improved else 0)

    def _looks_elsewhere(self, idle: int) -> bool:
        """Return whether a proposal is random, given the number of those before it since the last improvement.

        The model keeps a share of ``stall / s`` of the s-th proposal. So it costs random search at most
        ``stall (1 + ln(s / stall))`` proposals until the next improvement.
        """
        stall = self.settings.stall
        if not 0 < stall <= idle:
            return False
        shares = 1.0 - stall / np.arange(stall, idle + 2)
        return bool(np.floor(shares.sum()) > np.floor(shares[:-1].sum()))

    def aleatoric(self, architectures: Sequence[str]) -> NDArray[np.float64] | None:
        """Return the surrogate's estimate, once three trials are complete."""
        if len(self.completed) < self.min_observed:
            return None
        rows = [self.candidates.index[id] for id in architectures]
        return np.asarray(self._posterior().surrogate.predict(self._points[rows]).aleatoric, dtype=np.float64)

    def _initial_design(self, untried: NDArray[np.int64]) -> Iterator[int]:
        """Yield the untried candidates in a spread-out order.

        The order is drawn as k-means++ draws its centres: each next candidate with a probability proportional to the
        squared distance to the nearest one before it.
        """
        wanted = set(untried.tolist())
        return (i for i in self._spread_out() if i in wanted)

    def _spread_out(self) -> Iterator[int]:
        generator = self._generator(_DESIGN)
        held = np.cumsum(self._region.variance)
        leading = int(np.searchsorted(held, LEADING * held[-1])) + 1
        vectors = self._points[:, :leading] if self.settings.embedding else self._points
        left = np.ones(len(vectors), dtype=bool)
        distance = np.ones(len(vectors))  # squared, to the nearest candidate drawn; equal before the first draw
        while left.any():
            weight = np.where(left, distance, 0.0)
            if weight.sum() <= 0.0:  # only copies of drawn vectors are left
                weight = left.astype(np.float64)
            pick = int(generator.choice(len(vectors), p=weight / weight.sum()))
            apart = ((vectors - vectors[pick]) ** 2).sum(1)
            distance = apart if left.all() else np.minimum(distance, apart)
            left[pick] = False
            yield pick

    def _fit(self, key: Key) -> Surrogate:
        """Return the surrogate of a history, trained further from that of its first 16, 32, 64, … observations.

        The starting points depend on the history alone, so a resumed study ends with the same surrogate.
        """
        if key not in self._fits:
            before = min(WARM_TO, 1 << ((len(key) - 1).bit_length() - 1)) if len(key) > WARM_FROM else 0
            start = self._fit(key[:before]) if before else None
            points, values = self._points[[i for i, _ in key]], np.array([value for _, value in key])
            self._fits[key] = self._make_surrogate(self.settings).fit(points, values, self._region, start)
        return self._fits[key]

    def _posterior(self) -> Posterior:
        """Return the posterior of the present history; cached until the history changes."""
        key = tuple((self.candidates.index[t.architecture], float(t.value or 0.0)) for t in self.completed)
        if self._latest is None or self._latest.key != key:
            surrogate = self._fit(key)
            self._fits = {known: fit for known, fit in self._fits.items() if key[: len(known)] == known}
            self._latest = Posterior(key, surrogate, *surrogate.bounds(self._points))
        return self._latest

    def _climb(self, posterior: Posterior, untried: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return where GOBI's restarts end, ``[K, d]``.

        A third of them starts at the best points seen, the rest at the random untried candidates with the highest UCB.
        """
        from explorer.surrogate.gobi import climb

        s = self.settings
        best_first = sorted(posterior.key, key=lambda observed: -observed[1])
        best = list(dict.fromkeys(i for i, _ in best_first))[: s.restarts // 3]
        generator = self._generator(_STARTS, self._next_number())
        raw = generator.choice(untried, size=min(s.raw, len(untried)), replace=False)
        fresh = raw[np.argsort(-posterior.ucb[raw], kind="stable")][: s.restarts - len(best)]
        starts = self._points[[*best, *fresh.tolist()]]
        return climb(posterior.surrogate.ucb, starts, *self._region.box, steps=s.steps, method=s.method).points

    def _snap(self, posterior: Posterior, ends: list[NDArray[np.float64]], free: NDArray[np.int64]) -> int:
        """Remove the end near which the free candidate with the highest UCB lies, and return that candidate."""
        vectors, count = self._points[free], min(self.settings.nearest, len(free))
        snapped = []
        for end in ends:
            near = free[np.argpartition(((vectors - end) ** 2).sum(1), count - 1)[:count]]
            snapped.append(int(near[posterior.ucb[near].argmax()]))
        place = int(np.argmax(posterior.ucb[snapped]))
        ends.pop(place)
        return snapped[place]

    def posterior(self) -> tuple[Prediction, NDArray[np.float64]]:
        """Return the surrogate's prediction for every candidate, and the UCB.

        Returns:
            The prediction and the UCB, ``[N]`` each, in the units of the objective.

        Raises:
            InputError: fewer than three trials are complete.
        """
        if len(self.completed) < self.min_observed:
            rule = f"have at least {self.min_observed} complete trials before its surrogate can be fitted"
            raise InputError("study", rule, len(self.completed), "Wait for more trials.", Code.TOO_FEW_SCORES)
        predicted = self._posterior().surrogate.predict(self._points)
        return predicted, self._bound(predicted)

    def _bound(self, predicted: Prediction) -> NDArray[np.float64]:
        s = self.settings
        return predicted.mean + s.k_aleatoric * predicted.aleatoric + s.k_epistemic * predicted.epistemic

    def _figures(self, posterior: Posterior, i: int) -> dict[str, float]:
        """Return the prediction for one candidate and its UCB, in the units of the objective."""
        predicted = posterior.surrogate.predict(self._points[[i]])
        mean, aleatoric, epistemic = predicted.mean[0], predicted.aleatoric[0], predicted.epistemic[0]
        figures = {"mean": mean, "aleatoric": aleatoric, "epistemic": epistemic, "ucb": self._bound(predicted)[0]}
        return {name: float(value) for name, value in figures.items()}


class PaperBoshnas(Boshnas):
    """BOSHNAS as the paper describes it: NPN, teacher and student, AdaHessian."""

    name: ClassVar[str] = "boshnas_paper"
    settings_type: ClassVar[type[Any]] = PaperSettings
    capabilities: ClassVar[frozenset[Capability]] = frozenset({Capability.INITIAL_DESIGN, Capability.CONVERGENCE})

    @classmethod
    def variant(cls, candidates: Candidates) -> type[Policy]:
        """Return this class: the paper has one objective."""
        return cls

    def _default_surrogate(self, settings: Any) -> Surrogate:
        from explorer.surrogate.surrogate import BoshnasSurrogate

        return BoshnasSurrogate(self.seed, settings)
