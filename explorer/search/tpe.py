"""TPE on the design choices, by Optuna; what it suggests is moved to the nearest untried candidate.

Source: tree-structured Parzen estimator (Bergstra et al., 2011), multivariate as Optuna (arXiv 1907.10902) has it.
Trials under way, and those of the same batch, are held against the neighbourhood they are in (constant liar).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from explorer.errors import InputError
from explorer.search.extra import import_extra
from explorer.search.modelled import Choice, Indices, ModelledPolicy, differences
from explorer.search.settings import read_settings

if TYPE_CHECKING:
    from optuna.study import Study


@dataclass(frozen=True)
class TpeSettings:
    """Settings of TPE.

    Attributes:
        initial: trials drawn at random before any is learned from (failed ones not counted).
        draws: suggestions Optuna draws for each proposal, of which it takes the most promising.
    """

    initial: int = 10
    draws: int = 64

    def __post_init__(self) -> None:
        if self.draws < 1:
            raise InputError("tpe setting draws", "be at least 1", self.draws, "The default is 64.")


class Tpe(ModelledPolicy):
    """Proposes what looks more like the good trials than like the others."""

    name: ClassVar[str] = "tpe"
    _settings: TpeSettings

    def _configure(self, settings: Mapping[str, Any]) -> None:
        self._settings = read_settings(TpeSettings, settings, self.name)
        self._optuna = import_extra("optuna", self.name)
        choices = self.candidates.choices
        self._columns = [c for c in range(choices.shape[1]) if len(np.unique(choices[:, c])) > 1]
        kind = self._optuna.distributions.CategoricalDistribution
        self._space = {str(c): kind(np.unique(choices[:, c]).tolist()) for c in self._columns}

    def _choose(self, count: int, free: Indices) -> list[Choice]:
        generator = self._generator(1, self._next_number())
        study = self._study(int(generator.integers(2**31)))
        mine = self.candidates.choices[:, self._columns]
        left = free
        chosen: list[Choice] = []
        for _ in range(count):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                trial = study.ask(self._space)
            wanted = np.array([trial.params[str(c)] for c in self._columns], dtype=np.int64)
            apart = differences(mine[left], wanted)
            pick = int(generator.choice(left[apart == apart.min()]))
            chosen.append(Choice(pick, "optimise", {"moved": float(apart.min())}))
            left = left[left != pick]
            # What is evaluated is the candidate, not the suggestion.
            study.tell(trial, state=self._optuna.trial.TrialState.FAIL)
            self._add(study, pick, None)
        return chosen

    def _study(self, seed: int) -> Study:
        """Optuna's picture of the history."""
        optuna = self._optuna
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # some of these options call themselves experimental
            sampler = optuna.samplers.TPESampler(
                n_startup_trials=0,
                n_ei_candidates=self._settings.draws,
                multivariate=True,
                constant_liar=True,
                seed=seed,
            )
            study: Study = optuna.create_study(direction="maximize", sampler=sampler)
            observed, values = self._observed()
            for index, value in zip(observed.tolist(), values.tolist(), strict=True):
                self._add(study, index, value)
            for index in self._pending().tolist():
                self._add(study, index, None)
        return study

    def _add(self, study: Study, index: int, value: float | None) -> None:
        """Add a trial with a value, or one that is under way."""
        states = self._optuna.trial.TrialState
        params = {str(c): int(self.candidates.choices[index, c]) for c in self._columns}
        trial = self._optuna.trial.create_trial(
            state=states.RUNNING if value is None else states.COMPLETE,
            params=params,
            distributions=self._space,
            value=value,
        )
        study.add_trial(trial)
