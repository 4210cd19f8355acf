"""Metrics of the tasks, larger is better: accuracy, Matthews correlation, mean of Pearson and Spearman.

Which task has which metric is GLUE's choice (https://gluebenchmark.com/tasks).
"""

from __future__ import annotations

from enum import StrEnum

import numpy as np
from numpy.typing import NDArray


class Metric(StrEnum):
    """How a task is scored."""

    ACCURACY = "accuracy"
    MATTHEWS = "matthews"
    PEARSON_SPEARMAN = "pearson_spearman"


def evaluate(metric: Metric, truth: NDArray[np.float64], predicted: NDArray[np.float64]) -> float:
    """Score predictions against the truth.

    Args:
        metric: which metric.
        truth: labels, ``[N]``; classes as whole numbers.
        predicted: predicted classes or values, ``[N]``.

    Returns:
        Accuracy in [0, 1], or a correlation in [-1, 1]; a correlation with constant predictions is 0.

    Raises:
        ValueError: no example, unequal lengths, or a number that is not finite.
    """
    if len(truth) == 0 or truth.shape != predicted.shape:
        raise ValueError(f"need equally many labels and predictions, got {truth.shape} and {predicted.shape}")
    if not (np.isfinite(truth).all() and np.isfinite(predicted).all()):
        raise ValueError("labels and predictions must be finite")
    if metric is Metric.ACCURACY:
        return float(np.mean(truth == predicted))
    if np.ptp(truth) == 0 or np.ptp(predicted) == 0:
        return 0.0
    if metric is Metric.MATTHEWS:
        from sklearn.metrics import matthews_corrcoef

        return float(matthews_corrcoef(truth.astype(np.int64), predicted.astype(np.int64)))
    from scipy.stats import pearsonr, spearmanr

    return float((pearsonr(truth, predicted).statistic + spearmanr(truth, predicted).statistic) / 2)
