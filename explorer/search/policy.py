"""The contract of a search policy: ask for architectures, tell what became of them (DESIGN.md section 6).

Law: the proposals depend on the candidates, the seed, the settings and the *set* of trials told, by number. Neither
the order and grouping of ``tell`` nor how often ``ask`` was called matters, so a killed study resumes with the
proposals it would have made. To keep it, a policy draws every random number from a generator made afresh from the
seed and the number of the trial it proposes.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from numbers import Real
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from explorer.errors import InputError
from explorer.records import Proposal, Trial


@dataclass(frozen=True, eq=False)
class Candidates:
    """The architectures a policy may propose. Their order is part of what makes proposals reproducible.

    Attributes:
        ids: N distinct ids.
        vectors: embedding, float64 ``[N, d]``, d ≥ 1, finite.
        choices: integer-coded design choices, int64 ``[N, c]``; -1 where an architecture has no such choice.
        allowed: which may be proposed, bool ``[N]``; all unless given. Trials of the others are learned from, for
            example of those that break a constraint that was added later.
    """

    ids: tuple[str, ...]
    vectors: NDArray[np.float64]
    choices: NDArray[np.int64]
    allowed: NDArray[np.bool_] = field(default_factory=lambda: np.ones(0, dtype=bool))

    def __post_init__(self) -> None:
        object.__setattr__(self, "ids", tuple(self.ids))
        object.__setattr__(self, "vectors", np.array(self.vectors, dtype=np.float64))
        object.__setattr__(self, "choices", np.array(self.choices, dtype=np.int64))
        count = len(self.ids)
        given = np.array(self.allowed, dtype=bool)
        object.__setattr__(self, "allowed", given if given.size else np.ones(count, dtype=bool))
        for array in (self.vectors, self.choices, self.allowed):
            array.flags.writeable = False
        if count == 0:
            raise InputError("candidates", "be at least one", 0, "Build the design space first.")
        if len(set(self.ids)) != count:
            seen: set[str] = set()
            twice = next(id for id in self.ids if id in seen or seen.add(id))  # type: ignore[func-returns-value]
            raise InputError("candidate ids", "be distinct", twice, "Give every architecture once.")
        if self.vectors.ndim != 2 or len(self.vectors) != count or self.vectors.shape[1] == 0:
            rule = f"have shape [{count}, d] with d ≥ 1"
            raise InputError("candidate vectors", rule, self.vectors.shape, "Give one vector per id.")
        if self.choices.ndim != 2 or len(self.choices) != count:
            rule = f"have shape [{count}, c]"
            raise InputError("candidate choices", rule, self.choices.shape, "Give one row per id.")
        if self.allowed.shape != (count,):
            rule = f"have shape [{count}]"
            raise InputError("allowed candidates", rule, self.allowed.shape, "Give one truth value per id.")
        if not np.isfinite(self.vectors).all():
            broken = self.ids[int(np.flatnonzero(~np.isfinite(self.vectors).all(1))[0])]
            raise InputError("candidate vectors", "be finite", broken, "Embed this architecture again.")

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def index(self) -> Mapping[str, int]:
        """Position of each id."""
        return {id: i for i, id in enumerate(self.ids)}

    @cached_property
    def box(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Lowest and highest corner of the smallest box around the vectors, ``[d]`` each."""
        return self.vectors.min(0), self.vectors.max(0)


class Policy(ABC):
    """Proposes architectures to evaluate; knows nothing of how, where and by whom they are.

    Laws, besides the one in the module's docstring:
        * ``ask`` changes nothing that can be observed.
        * No architecture is proposed that is not allowed, nor one that has a trial in any state, nor one twice in a
          batch. So failed ones are not tried again; stale ones are the runner's to retry.
        * A complete trial without a finite value counts as failed.

    Args:
        candidates: what may be proposed.
        seed: of all random choices, 0 or more.
        settings: the policy's own; what is absent keeps its default.
    """

    name: ClassVar[str]

    def __init__(self, candidates: Candidates, seed: int, settings: Mapping[str, Any]) -> None:
        if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
            raise InputError("seed", "be a whole number, 0 or more", seed, "Use for example 0.")
        self.candidates = candidates
        self.seed = seed
        self._history: dict[int, Trial] = {}
        self._configure(settings)

    @abstractmethod
    def _configure(self, settings: Mapping[str, Any]) -> None:
        """Check and keep the settings. Raises InputError."""

    @abstractmethod
    def _propose(self, count: int, untried: NDArray[np.int64]) -> list[Proposal]:
        """``count`` proposals among the candidates at indices ``untried`` (ascending; at least ``count`` of them)."""

    def ask(self, count: int) -> list[Proposal]:
        """What to evaluate next.

        Args:
            count: how many.

        Returns:
            Distinct proposals; fewer than ``count`` only when the candidates run out.

        Raises:
            InputError: ``count`` is negative or no whole number.
        """
        if isinstance(count, bool) or not isinstance(count, int) or count < 0:
            raise InputError("count", "be a whole number, 0 or more", count, "Ask for at least one.")
        free = self.candidates.allowed.copy()
        free[[self.candidates.index[trial.architecture] for trial in self._history.values()]] = False
        untried = np.flatnonzero(free)
        count = min(count, len(untried))
        return self._propose(count, untried) if count else []

    def tell(self, trials: Sequence[Trial]) -> None:
        """Take in trials, new or known; what is told last of a number is what holds.

        Raises:
            InputError: an architecture is not among the candidates, or a number, state or value is of the wrong kind;
                nothing is taken in then.
        """
        checked = [_normal(trial) for trial in trials]
        for trial in checked:
            if trial.architecture not in self.candidates.index:
                remedy = "Search the space that holds it, or leave the trial out."
                raise InputError(f"trial {trial.number}", "be of a candidate", trial.architecture, remedy)
        self._history.update((trial.number, trial) for trial in checked)

    @property
    def converged(self) -> bool:
        """Whether going on promises nothing; depends on the settings and the history only. Most never say so."""
        return False

    def aleatoric(self, architectures: Sequence[str]) -> NDArray[np.float64] | None:
        """Deviation by chance of the scores of some candidates, ``[n]``, in units of the score.

        Returns:
            What the policy believes; ``None`` if it believes nothing, at all or yet.
        """
        return None

    def dump(self) -> dict[str, Any]:
        """The policy's state as JSON-able values."""
        trials = [[t.number, t.architecture, t.value, t.failed] for t in self.trials]
        return {"policy": self.name, "seed": self.seed, "trials": trials}

    def load(self, state: Mapping[str, Any]) -> None:
        """Replace the history by a dumped one.

        Raises:
            InputError: the state is of another policy or seed, or is damaged; nothing is changed then.
        """
        for key, own in (("policy", self.name), ("seed", self.seed)):
            if state.get(key) != own:
                raise InputError(f"state.{key}", f"be {own!r}", state.get(key), "Load it into the policy it is from.")
        try:
            trials = [Trial(number, str(id), value, failed) for number, id, value, failed in state["trials"]]
        except (KeyError, TypeError, ValueError):
            rule = "list [number, architecture, value, failed]"
            raise InputError("state.trials", rule, state.get("trials"), "Dump the policy again.") from None
        before, self._history = self._history, {}
        try:
            self.tell(trials)
        except InputError:
            self._history = before
            raise

    @property
    def trials(self) -> list[Trial]:
        """The history, by number."""
        return [self._history[number] for number in sorted(self._history)]

    @property
    def completed(self) -> list[Trial]:
        """The completed trials with a finite value, by number."""
        return [trial for trial in self.trials if trial.completed]

    def _next_number(self) -> int:
        return max(self._history, default=-1) + 1

    def _generator(self, *key: int) -> np.random.Generator:
        """A generator for one purpose; the same for the same seed and key."""
        return np.random.default_rng([self.seed, *key])

    def _in_random_order(self, untried: NDArray[np.int64]) -> list[int]:
        """``untried`` in the seed's random order of all candidates, which does not depend on the history."""
        order = self._generator(0).permutation(len(self.candidates))
        return [int(i) for i in order[np.isin(order, untried)]]


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
