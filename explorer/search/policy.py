"""The contract of a search policy: ``ask`` for architectures to evaluate, ``tell`` the state of their trials.

Law: proposals depend on the candidates, the seed, the settings and the *set* of trials told, by number. Neither the
order and grouping of ``tell`` nor the number of calls of ``ask`` matters, so a killed study resumes with the proposals
it would have made. For this, a policy draws every random number from a generator built from the seed and the number of
the trial it proposes.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from numbers import Real
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from explorer.errors import InputError
from explorer.records import Proposal, Trial
from explorer.search.candidates import Candidates
from explorer.search.settings import read_settings


class Capability(StrEnum):
    """Optional abilities of a policy, in addition to proposing candidates for one score."""

    INITIAL_DESIGN = "initial design"
    """Its setting ``initial`` says how many trials come before it learns from any."""
    COSTS = "costs"
    """It accepts candidates with costs: it searches for trade-offs, or is the random baseline."""
    CONVERGENCE = "convergence"
    """It detects its convergence and estimates the aleatoric noise of scores."""


class Policy(ABC):
    """Proposes architectures to evaluate, however and wherever they are evaluated.

    Laws, in addition to the one in the module's docstring:
        * ``ask`` has no observable side effect.
        * A proposal is an allowed candidate without any trial, and no batch contains a candidate twice. Hence failed
          candidates are not proposed again; the study retries trials that were cut off.
        * A trial with a value that is not finite counts as failed.

    Subclasses state ``name``, ``settings_type``, ``capabilities`` and ``uses_torch``, and implement ``_propose``.

    Args:
        candidates: the architectures it chooses from.
        seed: seed of all random choices, 0 or more.
        settings: the policy's own settings; absent ones keep their defaults.

    Raises:
        InputError: the seed or a setting breaks its rule.
    """

    name: ClassVar[str]
    settings_type: ClassVar[type[Any]]
    capabilities: ClassVar[frozenset[Capability]] = frozenset()
    uses_torch: ClassVar[bool] = False
    """Whether ``ask`` computes with torch, which it may import then."""
    settings: Any

    def __init__(self, candidates: Candidates, seed: int, settings: Mapping[str, Any] | None = None) -> None:
        if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
            raise InputError("seed", "be a whole number, 0 or more", seed, "Use for example 0.")
        self.candidates = candidates
        self.seed = seed
        self.settings = self.read_settings(settings or {})
        self._history: dict[int, Trial] = {}
        self._tried: dict[int, int] = {}  # index of each trial's candidate, by number of the trial

    @classmethod
    def read_settings(cls, values: Mapping[str, Any]) -> Any:
        """Return the settings as a ``settings_type``. Raises InputError where a name or a value breaks a rule."""
        return read_settings(cls.settings_type, values, cls.name)

    @classmethod
    def variant(cls, candidates: Candidates) -> type[Policy]:
        """Return the class that searches these candidates: another one where their costs need another algorithm."""
        return cls

    @abstractmethod
    def _propose(self, count: int, untried: NDArray[np.int64]) -> list[Proposal]:
        """Return ``count`` proposals among the candidates at indices ``untried`` (ascending, at least ``count``)."""

    def ask(self, count: int) -> list[Proposal]:
        """Propose candidates to evaluate next.

        Args:
            count: how many.

        Returns:
            Distinct proposals; fewer than ``count`` only when the candidates run out.

        Raises:
            InputError: ``count`` is negative or not a whole number.
        """
        if isinstance(count, bool) or not isinstance(count, int) or count < 0:
            raise InputError("count", "be a whole number, 0 or more", count, "Ask for at least one.")
        free = self.candidates.allowed.copy()
        free[list(self._tried.values())] = False
        untried = np.flatnonzero(free)
        count = min(count, len(untried))
        return self._propose(count, untried) if count else []

    def tell(self, trials: Sequence[Trial]) -> None:
        """Add trials to the history. A later report of the same trial number replaces an earlier one.

        Raises:
            InputError: an architecture is not among the candidates, or a number, state or value is of the wrong kind;
                the history stays as it was.
        """
        checked = [_normal(trial) for trial in trials]
        for trial in checked:
            if trial.architecture not in self.candidates.index:
                remedy = "Search the space that holds it, or leave the trial out."
                raise InputError(f"trial {trial.number}", "be of a candidate", trial.architecture, remedy)
        self._history.update((trial.number, trial) for trial in checked)
        self._tried.update((trial.number, self.candidates.index[trial.architecture]) for trial in checked)

    @property
    def converged(self) -> bool:
        """Whether further trials are unlikely to help; a function of settings and history. False by default."""
        return False

    def aleatoric(self, architectures: Sequence[str]) -> NDArray[np.float64] | None:
        """Return the estimated standard deviation of the noise of some candidates' scores, in units of the score.

        Returns:
            ``[n]``; ``None`` if the policy has no such estimate, at all or yet.
        """
        return None

    @property
    def trials(self) -> list[Trial]:
        """The history, by number."""
        return [self._history[number] for number in sorted(self._history)]

    @property
    def completed(self) -> list[Trial]:
        """The completed trials with a finite value, by number."""
        return [trial for trial in self.trials if trial.completed]

    @property
    def pending(self) -> NDArray[np.int64]:
        """Indices ``[p]`` of the candidates whose values are awaited, by trial number."""
        return self._indices(trial for trial in self.trials if trial.pending)

    def _indices(self, trials: Iterable[Trial]) -> NDArray[np.int64]:
        return np.array([self.candidates.index[trial.architecture] for trial in trials], dtype=np.int64)

    def _next_number(self) -> int:
        return max(self._history, default=-1) + 1

    def _generator(self, *key: int) -> np.random.Generator:
        """Return a generator for one purpose; the same for the same seed and key."""
        return np.random.default_rng([self.seed, *key])

    def _in_random_order(self, untried: NDArray[np.int64]) -> list[int]:
        """Return ``untried`` in the seed's random order of all candidates, which does not depend on the history."""
        order = self._generator(0).permutation(len(self.candidates))
        return [int(i) for i in order[np.isin(order, untried)]]

    def _proposal(self, index: int, origin: str, figures: Mapping[str, float] | None = None) -> Proposal:
        return Proposal(self.candidates.ids[index], origin, figures or {})


def _normal(trial: Trial) -> Trial:
    """Return the trial with a float value. A value that is not finite makes it failed; a failed trial has no value."""
    number, value = trial.number, trial.value
    if isinstance(number, bool) or not isinstance(number, int) or number < 0:
        raise InputError("trial number", "be a whole number, 0 or more", number, "Number trials from 0.")
    if not isinstance(trial.failed, bool):
        raise InputError(f"failed of trial {number}", "be true or false", trial.failed, "Correct it.")
    if value is not None and (isinstance(value, bool) or not isinstance(value, Real)):
        raise InputError(f"value of trial {number}", "be a number or None", value, "Give the score.")
    if trial.failed or (value is not None and not math.isfinite(value)):
        return Trial(number, trial.architecture, failed=True)
    return replace(trial, value=None if value is None else float(value))
