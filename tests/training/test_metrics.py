from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

from explorer.training.metrics import (
    CLASS_METRICS,
    DRAWS,
    VALUE_METRICS,
    Baseline,
    Metric,
    baselines,
    evaluate,
    levels_text,
    mean_baseline,
    verdict,
)
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


# Levels of answers that read nothing ---------------------------------------------------------------------------------


def majority(metric, train, truth):
    """Majority level of each part of a metric."""
    levels = baselines(metric, np.array(train, dtype=float), np.array(truth, dtype=float))
    return {part.value: level.majority for part, level in levels.items()}


def test_majority_levels_by_hand():
    # The constant answer is 1. tp 2, fp 1, fn 0: F1 is 4 / 5.
    assert majority(Metric.F1_ACCURACY, [1, 1, 0], [1, 1, 0]) == pytest.approx({"f1": 0.8, "accuracy": 2 / 3})
    # The constant answer is 0, so class 1 is never found.
    assert majority(Metric.F1_ACCURACY, [0, 0, 1], [1, 1, 0]) == pytest.approx({"f1": 0.0, "accuracy": 1 / 3})
    assert majority(Metric.MATTHEWS, [1, 1, 0], [1, 0, 1, 1]) == {"matthews": 0.0}
    # F1 of class 2 is 2 * 2 / (4 + 2), that of the others 0.
    assert majority(Metric.MACRO_F1, [2, 2, 2, 0, 1], [0, 1, 2, 2]) == pytest.approx({"macro_f1": 2 / 9})
    assert majority(Metric.PEARSON_SPEARMAN, [0.5, 4.0, 2.0], [1.0, 3.0, 2.5]) == {"pearson": 0.0, "spearman": 0.0}


def test_the_constant_answer_is_the_train_labels_and_not_the_dev_labels():
    assert majority(Metric.ACCURACY, [3, 3, 1], [1, 1, 1, 3]) == {"accuracy": 0.25}
    assert majority(Metric.ACCURACY, [2, 1, 1, 2], [1, 1, 1, 2]) == {"accuracy": 0.75}, "of a tie the smallest class"


def test_chance_is_what_probability_says():
    size, share = 2000, 0.8
    rng = np.random.default_rng(1)
    train, truth = (rng.random(size) < share).astype(float), (np.arange(size) < 0.3 * size).astype(float)
    p, q = train.mean(), truth.mean()
    # 100 draws of 2,000 labels: a standard error of at most 0.5 / sqrt(200,000) = 0.0011 for the accuracy.
    levels = baselines(Metric.F1_ACCURACY, train, truth)
    assert levels[Metric.ACCURACY].chance == pytest.approx(p * q + (1 - p) * (1 - q), abs=0.005)
    assert levels[Metric.F1].chance == pytest.approx(2 * p * q / (p + q), abs=0.01)
    assert baselines(Metric.MATTHEWS, train, truth)[Metric.MATTHEWS].chance == pytest.approx(0.0, abs=0.01)


def test_chance_of_a_correlation_is_nothing():
    truth = np.random.default_rng(2).random(1500) * 5
    for level in baselines(Metric.PEARSON_SPEARMAN, truth[:700], truth).values():
        assert level.majority == 0.0
        assert level.chance == pytest.approx(0.0, abs=0.01)  # a standard error of 1 / sqrt(150,000) = 0.0026


@pytest.mark.parametrize("metric", [Metric.ACCURACY, Metric.F1_ACCURACY, Metric.PEARSON])
def test_levels_depend_on_labels_alone(metric):
    rng = np.random.default_rng(3)
    train, truth = rng.random((2, 20)) * 5 if metric in VALUE_METRICS else rng.integers(3, size=(2, 20)).astype(float)
    found = baselines(metric, train, truth)
    assert tuple(found) == metric.parts
    answers = np.random.default_rng(0)
    drawn = [evaluate(metric, truth, answers.choice(train, 20)) for _ in range(DRAWS)]
    for part, level in found.items():
        assert level.chance == pytest.approx(np.mean([one[part] for one in drawn]))
        assert min(one[part] for one in drawn) < level.chance < max(one[part] for one in drawn)


def test_levels_without_train_labels_are_refused():
    with pytest.raises(ValueError, match="at least one train label"):
        baselines(Metric.ACCURACY, np.array([]), np.ones(3))


def test_levels_of_a_mean_are_the_means_of_the_levels():
    assert mean_baseline([Baseline(0.5, 0.25), Baseline(0.0, -0.25)]) == Baseline(0.25, 0.0)


@pytest.mark.parametrize(
    ("value", "level", "lower", "said"),
    [
        (0.68, 0.68, False, "equals a constant answer"),
        (0.1 + 0.2, 0.3, False, "equals a constant answer"),
        (0.3, 0.1 + 0.2, False, "equals a constant answer"),
        (0.67, 0.68, False, "is worse than a constant answer"),
        (0.69, 0.68, False, ""),
        (0.68, None, False, ""),
        (2.5, 2.0, True, "is worse than a constant answer"),
        (1.5, 2.0, True, ""),
        (2.0, 2.0, True, "equals a constant answer"),
    ],
)
def test_a_score_that_is_no_better_than_a_constant_answer_is_called_so(value, level, lower, said):
    assert verdict(value, level, lower) == said


def test_levels_in_words():
    assert levels_text(0.5, 0.5, 0.4821) == "majority 0.5000, chance 0.4821; equals a constant answer"
    assert levels_text(0.6, 0.5, None) == "majority 0.5000"
    assert levels_text(0.6, None, 0.1) == "chance 0.1000"
    assert levels_text(0.6, None, None) == ""
