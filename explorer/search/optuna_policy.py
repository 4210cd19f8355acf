"""Shared by policies that use Optuna: the encoding of the choices, and the move from a suggestion to a candidate."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from explorer.records import Proposal
from explorer.search.candidates import Candidates
from explorer.search.extra import import_extra
from explorer.search.initial_design import Indices, InitialDesignPolicy, differences

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import Trial


class OptunaPolicy(InitialDesignPolicy):
    """Moves each suggestion of an Optuna study to the nearest untried candidate; ties are broken at random."""

    origin: ClassVar[str]
    """``Proposal.origin`` of its choices."""

    def __init__(self, candidates: Candidates, seed: int, settings: Mapping[str, Any] | None = None) -> None:
        super().__init__(candidates, seed, settings)
        self._optuna = import_extra("optuna", self.name)
        choices = candidates.choices
        self._columns = [c for c in range(choices.shape[1]) if len(np.unique(choices[:, c])) > 1]
        categorical = self._optuna.distributions.CategoricalDistribution
        self._space = {str(c): categorical(np.unique(choices[:, c]).tolist()) for c in self._columns}

    def _choose(self, count: int, free: Indices, number: int) -> list[Proposal]:
        generator = self._generator(1, self._next_number())
        seed = int(generator.integers(2**31))
        self._optuna.logging.set_verbosity(self._optuna.logging.WARNING)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Optuna warns that some options of its samplers are experimental
            study = self._study(seed)
        choices = self.candidates.choices[:, self._columns]
        proposals: list[Proposal] = []
        for _ in range(count):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                trial = study.ask(self._space)
            suggested = np.array([trial.params[str(c)] for c in self._columns], dtype=np.int64)
            apart = differences(choices[free], suggested)
            pick = int(generator.choice(free[apart == apart.min()]))
            figures = {"moved": float(apart.min())} | self.candidates.cost_figures(pick)
            proposals.append(self._proposal(pick, self.origin, figures))
            free = free[free != pick]
            self._chosen(study, trial, pick)
        return proposals

    def _params(self, index: int) -> dict[str, int]:
        """Return a candidate's choices in Optuna's encoding."""
        return {str(c): int(self.candidates.choices[index, c]) for c in self._columns}

    @abstractmethod
    def _study(self, seed: int) -> Study:
        """Return an Optuna study that holds the history, with a sampler of this seed."""

    def _chosen(self, study: Study, trial: Trial, index: int) -> None:
        """Record in the study which candidate a suggestion became, before the next one of the batch is drawn."""
