from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import accuracy_score, matthews_corrcoef

from explorer.training.metrics import Metric, evaluate


@given(st.integers(0, 2**32 - 1), st.integers(2, 60), st.integers(2, 5))
def test_class_metrics_equal_scikit_learn(seed, size, classes):
    rng = np.random.default_rng(seed)
    truth, predicted = rng.integers(classes, size=(2, size)).astype(float)
    assert evaluate(Metric.ACCURACY, truth, predicted) == pytest.approx(accuracy_score(truth, predicted))
    if len(set(truth)) > 1 and len(set(predicted)) > 1:
        expected = matthews_corrcoef(truth.astype(int), predicted.astype(int))
        assert evaluate(Metric.MATTHEWS, truth, predicted) == pytest.approx(expected)


@given(st.integers(0, 2**32 - 1), st.integers(3, 60))
def test_correlation_is_the_mean_of_pearson_and_spearman(seed, size):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 26, size) / 5
    truth[:2] = 0.0, 5.0
    predicted = rng.normal(size=size)
    expected = (pearsonr(truth, predicted)[0] + spearmanr(truth, predicted)[0]) / 2
    assert evaluate(Metric.PEARSON_SPEARMAN, truth, predicted) == pytest.approx(expected)


@pytest.mark.parametrize("metric", [Metric.MATTHEWS, Metric.PEARSON_SPEARMAN])
def test_constant_predictions_are_worth_nothing(metric):
    assert evaluate(metric, np.array([0.0, 1.0, 1.0]), np.ones(3)) == 0.0


def test_matthews_by_hand():
    truth, predicted = np.array([1.0, 1, 1, 0, 0, 0]), np.array([1.0, 1, 0, 0, 0, 1])
    # tp 2, tn 2, fp 1, fn 1: (4 - 1) / sqrt(3 * 3 * 3 * 3)
    assert evaluate(Metric.MATTHEWS, truth, predicted) == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("truth", "predicted"), [([], []), ([1.0], [1.0, 0.0]), ([1.0, 0.0], [float("nan"), 0.0])], ids=str
)
def test_what_cannot_be_scored_is_refused(truth, predicted):
    with pytest.raises(ValueError, match=r"need equally many|finite"):
        evaluate(Metric.ACCURACY, np.array(truth), np.array(predicted))
