"""Frozen records that are passed between packages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Trial:
    """One evaluation as a search policy sees it: completed, failed, or pending. The store knows more states.

    Attributes:
        number: position in the study, from 0.
        architecture: id of the architecture.
        value: the objective, larger is better; ``None`` unless completed.
        failed: whether the evaluation ended without a value.
    """

    number: int
    architecture: str
    value: float | None = None
    failed: bool = False

    @property
    def completed(self) -> bool:
        """Whether the trial ended with a value."""
        return self.value is not None and not self.failed

    @property
    def pending(self) -> bool:
        """Whether the trial has not ended."""
        return self.value is None and not self.failed


@dataclass(frozen=True)
class TaskScore:
    """The score of one trained model on one task.

    Attributes:
        task: name of the task, for example ``SST-2`` or ``package``; ``mean`` is the mean over a run's tasks. If a
            task's score is a mean of several metrics or dev sets, each of them also has a record, for example
            ``MRPC/f1`` or ``MNLI/accuracy_matched``.
        metric: name of the metric, for example ``accuracy``.
        value: the metric's value; larger is better.
        seconds: wall time of fine-tuning and evaluation.
        dataset: fingerprint of the data it was measured on.
        fidelity: the amount of training (steps, batch, length), readable and canonical.
        recipe: digest of every other training setting.
        seed: the seed of the run.
        spread: standard deviation over several fine-tuning seeds, of which ``value`` is the mean; else ``None``.
        majority, chance: scores of a constant and of a random answer (``explorer.training.metrics.Baseline``); ``None``
            if unknown. A model that is not better than the constant answer has learned nothing about the task.
    """

    task: str
    metric: str
    value: float
    seconds: float
    dataset: str
    fidelity: str
    recipe: str
    seed: int
    spread: float | None = None
    majority: float | None = None
    chance: float | None = None


@dataclass(frozen=True)
class Prediction:
    """A surrogate's posterior prediction at N points.

    Attributes:
        mean: expected performance, ``[N]``.
        aleatoric: standard deviation of the observation noise, ``[N]``.
        epistemic: standard deviation of the function itself (epistemic uncertainty), ``[N]``.
    """

    mean: NDArray[np.float64]
    aleatoric: NDArray[np.float64]
    epistemic: NDArray[np.float64]


@dataclass(frozen=True)
class Proposal:
    """An architecture that a policy proposes to evaluate next.

    Attributes:
        architecture: id of the architecture.
        origin: how it was chosen: ``initial``, ``optimise``, ``uncertainty``, ``diversity``, ``random``, ``mutation``,
            ``requery``, or ``manual`` for one that a user queued.
        acquisition: values of the acquisition function and its parts, for example ``{"mean": 0.7, "ucb": 0.8}``.
    """

    architecture: str
    origin: str
    acquisition: Mapping[str, float] = field(default_factory=dict)
