"""TPE on the design choices, by Optuna; what it suggests is moved to the nearest untried candidate.

Source: tree-structured Parzen estimator (Bergstra et al., 2011), multivariate as Optuna (arXiv 1907.10902) has it.
Trials under way, and those of the same batch, are held against the neighbourhood they are in (constant liar).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from explorer.errors import InputError
from explorer.search.optuna_policy import OptunaPolicy
from explorer.search.settings import read_settings

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import Trial


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


class Tpe(OptunaPolicy):
    """Proposes what looks more like the good trials than like the others."""

    name: ClassVar[str] = "tpe"
    _origin: ClassVar[str] = "optimise"
    _settings: TpeSettings

    def _configure(self, settings: Mapping[str, Any]) -> None:
        self._settings = read_settings(TpeSettings, settings, self.name)
        super()._configure(settings)

    def _chosen(self, study: Study, trial: Trial, index: int) -> None:
        # What is evaluated is the candidate, not the suggestion.
        study.tell(trial, state=self._optuna.trial.TrialState.FAIL)
        self._add(study, index, None)

    def _study(self, seed: int) -> Study:
        """Optuna's picture of the history."""
        sampler = self._optuna.samplers.TPESampler(
            n_startup_trials=0,
            n_ei_candidates=self._settings.draws,
            multivariate=True,
            constant_liar=True,
            seed=seed,
        )
        study: Study = self._optuna.create_study(direction="maximize", sampler=sampler)
        observed, values = self._observed()
        for index, value in zip(observed.tolist(), values.tolist(), strict=True):
            self._add(study, index, value)
        for index in self._pending().tolist():
            self._add(study, index, None)
        return study

    def _add(self, study: Study, index: int, value: float | None) -> None:
        """Add a trial with a value, or one that is under way."""
        states = self._optuna.trial.TrialState
        trial = self._optuna.trial.create_trial(
            state=states.RUNNING if value is None else states.COMPLETE,
            params=self._params(index),
            distributions=self._space,
            value=value,
        )
        study.add_trial(trial)
