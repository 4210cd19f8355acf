from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

from explorer.training.metrics import CLASS_METRICS, VALUE_METRICS, Metric, evaluate
from explorer.training.tasks.forms import GLUE_TASKS

SEEDS = st.integers(0, 2**32 - 1)


def value(metric, truth, predicted):
    """A metric's value: the mean of its parts."""
    return np.mean(list(evaluate(metric, truth, predicted).values()))


@given(SEEDS, st.integers(2, 60), st.integers(2, 5))
def test_class_metrics_equal_scikit_learn(seed, size, classes):
    rng = np.random.default_rng(seed)
    truth, predicted = rng.integers(classes, size=(2, size)).astype(float)
    assert value(Metric.ACCURACY, truth, predicted) == pytest.approx(accuracy_score(truth, predicted))
    macro = f1_score(truth, predicted, average="macro", zero_division=0)
    assert value(Metric.MACRO_F1, truth, predicted) == pytest.approx(macro)
    if len(set(truth)) > 1 and len(set(predicted)) > 1:
        expected = matthews_corrcoef(truth.astype(int), predicted.astype(int))
        assert value(Metric.MATTHEWS, truth, predicted) == pytest.approx(expected)


@given(SEEDS, st.integers(1, 60))
def test_f1_and_accuracy_equal_scikit_learn(seed, size):
    truth, predicted = np.random.default_rng(seed).integers(2, size=(2, size)).astype(float)
    f1, accuracy = f1_score(truth, predicted, zero_division=0), accuracy_score(truth, predicted)
    assert value(Metric.F1, truth, predicted) == pytest.approx(f1)
    assert value(Metric.F1_ACCURACY, truth, predicted) == pytest.approx((f1 + accuracy) / 2)
    assert evaluate(Metric.F1_ACCURACY, truth, predicted) == pytest.approx({"f1": f1, "accuracy": accuracy})


@given(SEEDS, st.integers(3, 60))
def test_correlations_equal_scipy(seed, size):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 26, size) / 5
    truth[:2] = 0.0, 5.0
    predicted = rng.normal(size=size)
    pearson, spearman = pearsonr(truth, predicted)[0], spearmanr(truth, predicted)[0]
    assert value(Metric.PEARSON, truth, predicted) == pytest.approx(pearson)
    assert value(Metric.SPEARMAN, truth, predicted) == pytest.approx(spearman)
    assert value(Metric.PEARSON_SPEARMAN, truth, predicted) == pytest.approx((pearson + spearman) / 2)


@given(SEEDS, st.integers(2, 40))
def test_class_metrics_are_what_their_definitions_say(seed, size):
    truth, predicted = np.random.default_rng(seed).integers(2, size=(2, size)).astype(float)
    pairs = list(zip(truth.tolist(), predicted.tolist(), strict=True))
    right, wrong = pairs.count((1, 1)), pairs.count((0, 0))
    false_alarm, missed = pairs.count((0, 1)), pairs.count((1, 0))
    assert value(Metric.ACCURACY, truth, predicted) == pytest.approx((right + wrong) / size)
    f1 = 2 * right / max(1, 2 * right + false_alarm + missed)
    assert value(Metric.F1, truth, predicted) == pytest.approx(f1)
    product = (right + false_alarm) * (right + missed) * (wrong + false_alarm) * (wrong + missed)
    matthews = (right * wrong - false_alarm * missed) / math.sqrt(product) if product else 0.0
    assert value(Metric.MATTHEWS, truth, predicted) == pytest.approx(matthews)


@given(SEEDS, st.integers(3, 40))
def test_correlations_are_what_their_definitions_say(seed, size):
    rng = np.random.default_rng(seed)
    truth, predicted = rng.permutation(size).astype(float), rng.normal(size=size)

    def pearson(x, y):
        x, y = x - x.mean(), y - y.mean()
        return float(x @ y / math.sqrt((x @ x) * (y @ y)))

    ranks = np.argsort(np.argsort(predicted)).astype(float)
    assert value(Metric.PEARSON, truth, predicted) == pytest.approx(pearson(truth, predicted))
    assert value(Metric.SPEARMAN, truth, predicted) == pytest.approx(pearson(truth, ranks))


def test_every_glue_task_has_its_official_metric():
    metrics = {name: [part.value for part in form.metric.parts] for name, form in GLUE_TASKS.items()}
    assert metrics == {
        "CoLA": ["matthews"],
        "SST-2": ["accuracy"],
        "MRPC": ["f1", "accuracy"],
        "QQP": ["f1", "accuracy"],
        "STS-B": ["pearson", "spearman"],
        "MNLI": ["accuracy"],
        "QNLI": ["accuracy"],
        "RTE": ["accuracy"],
        "WNLI": ["accuracy"],
    }
    assert [name for name, form in GLUE_TASKS.items() if len(form.devs) == 2] == ["MNLI"]
    assert set(CLASS_METRICS) | set(VALUE_METRICS) == set(Metric)


@pytest.mark.parametrize("metric", [Metric.MATTHEWS, *VALUE_METRICS])
def test_constant_predictions_are_worth_nothing(metric):
    assert value(metric, np.array([0.0, 1.0, 1.0]), np.ones(3)) == 0.0


def test_nearly_constant_predictions_are_scored_without_a_warning():
    predicted = 1.0 + np.array([0.0, 1e-15, 2e-15, 4e-15])
    assert -1 <= value(Metric.PEARSON_SPEARMAN, np.arange(4.0), predicted) <= 1


def test_f1_without_any_positive_is_worth_nothing():
    assert evaluate(Metric.F1_ACCURACY, np.zeros(3), np.zeros(3)) == {"f1": 0.0, "accuracy": 1.0}


def test_matthews_by_hand():
    truth, predicted = np.array([1.0, 1, 1, 0, 0, 0]), np.array([1.0, 1, 0, 0, 0, 1])
    # tp 2, tn 2, fp 1, fn 1: (4 - 1) / sqrt(3 * 3 * 3 * 3)
    assert value(Metric.MATTHEWS, truth, predicted) == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("truth", "predicted"), [([], []), ([1.0], [1.0, 0.0]), ([1.0, 0.0], [float("nan"), 0.0])], ids=str
)
def test_what_cannot_be_scored_is_refused(truth, predicted):
    with pytest.raises(ValueError, match=r"need equally many|finite"):
        value(Metric.ACCURACY, np.array(truth), np.array(predicted))
