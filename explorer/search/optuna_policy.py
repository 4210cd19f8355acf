"""What policies by Optuna share: its picture of the choices, and the move from a suggestion to an untried candidate."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from explorer.search.extra import import_extra
from explorer.search.modelled import Choice, Indices, ModelledPolicy, differences

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import Trial


class OptunaPolicy(ModelledPolicy):
    """Asks a study of Optuna's for suggestions and moves each to the nearest untried candidate, ties at random.

    A policy sets ``_settings`` and then lets ``_configure`` here run; it gives ``_study`` and what follows a choice.
    """

    _origin: ClassVar[str]
    """How ``Proposal`` calls what was chosen."""

    def _configure(self, settings: Mapping[str, Any]) -> None:
        self._optuna = import_extra("optuna", self.name)
        choices = self.candidates.choices
        self._columns = [c for c in range(choices.shape[1]) if len(np.unique(choices[:, c])) > 1]
        kind = self._optuna.distributions.CategoricalDistribution
        self._space = {str(c): kind(np.unique(choices[:, c]).tolist()) for c in self._columns}

    def _choose(self, count: int, free: Indices) -> list[Choice]:
        generator = self._generator(1, self._next_number())
        seed = int(generator.integers(2**31))
        self._optuna.logging.set_verbosity(self._optuna.logging.WARNING)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # some options of its samplers call themselves experimental
            study = self._study(seed)
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
            chosen.append(Choice(pick, self._origin, {"moved": float(apart.min())} | self._figures(pick)))
            left = left[left != pick]
            self._chosen(study, trial, pick)
        return chosen

    def _params(self, index: int) -> dict[str, int]:
        """A candidate's choices, as Optuna has them."""
        return {str(c): int(self.candidates.choices[index, c]) for c in self._columns}

    @abstractmethod
    def _study(self, seed: int) -> Study:
        """Optuna's picture of the history, with a sampler of this seed."""

    def _figures(self, index: int) -> dict[str, float]:
        """What else is said of a candidate that was chosen: nothing, unless a policy says more."""
        return {}

    def _chosen(self, study: Study, trial: Trial, index: int) -> None:
        """Take note that a suggestion became a candidate, before the next one of its batch; nothing by default."""
