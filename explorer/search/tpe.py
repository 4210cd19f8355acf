"""TPE on the design choices, by Optuna; each suggestion is moved to the nearest untried candidate.

Source: tree-structured Parzen estimator (Bergstra et al., 2011), multivariate as in Optuna (arXiv 1907.10902). Pending
trials and earlier choices of the same batch count as bad observations, so that the next suggestion avoids their
neighbourhood (constant liar).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import NonNegativeInt, PositiveInt
from pydantic.dataclasses import dataclass

from explorer.search.optuna_policy import OptunaPolicy
from explorer.surrogate.settings import STRICT

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import Trial


@dataclass(frozen=True, config=STRICT)
class TpeSettings:
    """Settings of TPE.

    Attributes:
        initial: random trials before the first estimate (failed ones not counted).
        draws: suggestions that Optuna draws for each proposal, of which it takes the most promising one.
    """

    initial: NonNegativeInt = 10
    draws: PositiveInt = 64


class Tpe(OptunaPolicy):
    """Proposes candidates that are likely under the density of good trials and unlikely under that of the others."""

    name: ClassVar[str] = "tpe"
    settings_type: ClassVar[type[Any]] = TpeSettings
    origin: ClassVar[str] = "optimise"
    settings: TpeSettings

    def _chosen(self, study: Study, trial: Trial, index: int) -> None:
        # The candidate is evaluated, not the suggestion.
        study.tell(trial, state=self._optuna.trial.TrialState.FAIL)
        self._add(study, index, None)

    def _study(self, seed: int) -> Study:
        sampler = self._optuna.samplers.TPESampler(
            n_startup_trials=0,
            n_ei_candidates=self.settings.draws,
            multivariate=True,
            constant_liar=True,
            seed=seed,
        )
        study: Study = self._optuna.create_study(direction="maximize", sampler=sampler)
        observed, values = self._observed()
        for index, value in zip(observed.tolist(), values.tolist(), strict=True):
            self._add(study, index, value)
        for index in self.pending.tolist():
            self._add(study, index, None)
        return study

    def _add(self, study: Study, index: int, value: float | None) -> None:
        """Add a complete trial, or a running one if it has no value."""
        states = self._optuna.trial.TrialState
        trial = self._optuna.trial.create_trial(
            state=states.RUNNING if value is None else states.COMPLETE,
            params=self._params(index),
            distributions=self._space,
            value=value,
        )
        study.add_trial(trial)
