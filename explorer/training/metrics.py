"""Metrics of the tasks, larger is better, as scikit-learn and scipy compute them.

The metrics of the tasks are GLUE's (https://gluebenchmark.com/tasks). For tasks with two metrics the score is their
mean, as in GLUE. ``baselines`` scores two answers that read no text: a model that is not better has learned nothing.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray


class Metric(StrEnum):
    """How a task is scored. F1 is that of class 1; macro F1 the plain mean over the classes."""

    ACCURACY = "accuracy"
    MATTHEWS = "matthews"
    F1 = "f1"
    MACRO_F1 = "macro_f1"
    F1_ACCURACY = "f1_accuracy"
    PEARSON = "pearson"
    SPEARMAN = "spearman"
    PEARSON_SPEARMAN = "pearson_spearman"

    @property
    def parts(self) -> tuple[Metric, ...]:
        """The single metrics whose mean it is; the metric itself if it is single."""
        return PARTS.get(self, (self,))


PARTS = {
    Metric.F1_ACCURACY: (Metric.F1, Metric.ACCURACY),
    Metric.PEARSON_SPEARMAN: (Metric.PEARSON, Metric.SPEARMAN),
}
CLASS_METRICS = (Metric.ACCURACY, Metric.MATTHEWS, Metric.F1, Metric.MACRO_F1, Metric.F1_ACCURACY)
"""Metrics of classification; the others are for regression."""
VALUE_METRICS = (Metric.PEARSON, Metric.SPEARMAN, Metric.PEARSON_SPEARMAN)
"""Metrics of regression."""


DRAWS = 100
"""Number of random answers whose mean score is the chance level."""
SAME = 1e-9
"""Largest difference between equal scores: the mean of the same numbers in another order differs in the last digits."""


@dataclass(frozen=True)
class Baseline:
    """Scores of two answers that read no text.

    Attributes:
        majority: score of the constant answer: the most frequent class of the train labels (of equally frequent ones
            the smallest), or their mean in regression. A correlation with it is undefined and counts as 0.
        chance: mean score of ``DRAWS`` answers that are drawn from the train labels.
    """

    majority: float
    chance: float


def evaluate(metric: Metric, truth: NDArray[np.float64], predicted: NDArray[np.float64]) -> dict[Metric, float]:
    """Score predictions against the truth.

    Args:
        metric: which metric.
        truth: labels ``[N]``; classes as integers.
        predicted: predicted classes or values, ``[N]``.

    Returns:
        Each of the metric's parts: accuracy or F1 in [0, 1], or a correlation in [-1, 1]. The metric is their mean. A
        correlation with constant predictions, and F1 where class 1 is neither true nor predicted, is 0.

    Raises:
        ValueError: no example, unequal lengths, or a number that is not finite.
    """
    if len(truth) == 0 or truth.shape != predicted.shape:
        raise ValueError(f"need equally many labels and predictions, got {truth.shape} and {predicted.shape}")
    if not (np.isfinite(truth).all() and np.isfinite(predicted).all()):
        raise ValueError("labels and predictions must be finite")
    return {part: _single(part, truth, predicted) for part in metric.parts}


def baselines(
    metric: Metric, train: NDArray[np.float64], truth: NDArray[np.float64], seed: int = 0
) -> dict[Metric, Baseline]:
    """Score a constant and a random answer against the truth.

    Args:
        metric: which metric.
        train: train labels ``[M]``, the only ones that the answers know.
        truth: labels ``[N]`` to score on.
        seed: seed of the random answers. The levels of a task do not depend on the seed of a training.

    Returns:
        The levels of each of the metric's parts, as for ``evaluate``; those of the metric are their means.

    Raises:
        ValueError: no train or no true label, or a number that is not finite.
    """
    if len(train) == 0:
        raise ValueError("need at least one train label")
    if metric in VALUE_METRICS:
        constant = float(np.mean(train))
    else:
        labels, counts = np.unique(train, return_counts=True)
        constant = float(labels[np.argmax(counts)])
    rng = np.random.default_rng(seed)
    majority = evaluate(metric, truth, np.full(truth.shape, constant))
    drawn = [evaluate(metric, truth, rng.choice(train, truth.shape)) for _ in range(DRAWS)]
    return {part: Baseline(majority[part], float(np.mean([one[part] for one in drawn]))) for part in metric.parts}


def mean_baseline(levels: Iterable[Baseline]) -> Baseline:
    """Return the levels of a score that is the mean of scores with these levels."""
    found = list(levels)
    return Baseline(*(float(np.mean(values)) for values in zip(*map(astuple, found), strict=True)))


def verdict(value: float, majority: float | None, lower_is_better: bool = False) -> str:
    """Return in words that a score is not better than the constant answer's; empty if it is, or if that is unknown."""
    if majority is None:
        return ""
    gain = majority - value if lower_is_better else value - majority
    if gain > SAME:
        return ""
    return "equals a constant answer" if gain >= -SAME else "is worse than a constant answer"


def levels_text(value: float, majority: float | None, chance: float | None, lower_is_better: bool = False) -> str:
    """Return the known levels and the verdict, such as ``majority 0.5000, chance 0.4821; equals a constant answer``.

    The text is empty if no level is known.
    """
    levels = [
        f"{name} {level:.4f}" for name, level in (("majority", majority), ("chance", chance)) if level is not None
    ]
    return "; ".join(filter(None, (", ".join(levels), verdict(value, majority, lower_is_better))))


def _single(metric: Metric, truth: NDArray[np.float64], predicted: NDArray[np.float64]) -> float:
    if metric is Metric.ACCURACY:
        return float(np.mean(truth == predicted))
    if metric in (Metric.F1, Metric.MACRO_F1):
        from sklearn.metrics import f1_score

        if metric is Metric.F1:
            # With more than two classes, all classes but 1 count as the negative class.
            return float(f1_score(truth == 1, predicted == 1, zero_division=0.0))
        return float(f1_score(truth.astype(np.int64), predicted.astype(np.int64), average="macro", zero_division=0.0))
    if np.ptp(truth) == 0 or np.ptp(predicted) == 0:
        return 0.0
    if metric is Metric.MATTHEWS:
        from sklearn.metrics import matthews_corrcoef

        return float(matthews_corrcoef(truth.astype(np.int64), predicted.astype(np.int64)))
    from scipy.stats import NearConstantInputWarning, pearsonr, spearmanr

    with warnings.catch_warnings():
        # An untrained model predicts nearly constant values; their correlation is still defined.
        warnings.simplefilter("ignore", NearConstantInputWarning)
        value = float((pearsonr if metric is Metric.PEARSON else spearmanr)(truth, predicted).statistic)
    return value if np.isfinite(value) else 0.0
