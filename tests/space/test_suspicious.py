"""Values at odds with the rest of their file are named; those of sound files are not."""

import numpy as np
import pytest

from explorer.library.importing import edgetran_file, nas_bench_bert_file, shapes_file
from explorer.space.imports.rows import FoundMeasurement, FoundRow, FoundScore
from explorer.space.imports.suspicious import suspicious_values
from explorer.space.named import named_model

MINI, TINY = named_model("BERT-Mini"), named_model("BERT-Tiny")


def score(task, number, factor=1.0, metric="accuracy", fidelity="published", source="mine:1"):
    return FoundScore(task, metric, number * factor, "GLUE", fidelity, "mine", 0, source, factor=factor)


def rows(*contents, architecture=MINI):
    return [(turn, FoundRow(architecture, tuple(scores))) for turn, scores in enumerate(contents, start=1)]


def column(numbers, factor=0.01, **fields):
    return rows(*([score("SST-2", number, factor, **fields)] for number in numbers))


def test_a_fraction_among_percentages_is_named():
    (line,) = suspicious_values(column([81.2, 0.858, 85.8, 93.1]))
    assert line == "row 2: SST-2 is 0.858, the others are from 81.2 to 93.1: a fraction among percentages?"


@pytest.mark.parametrize("factor", [0.01, 1.0, -1.0])
def test_whatever_the_scale_the_fewer_are_named(factor):
    (line,) = suspicious_values(column([0.812, 0.858, 91.0], factor))
    assert line.startswith("row 3: SST-2 is 91, the others are from 0.812 to 0.858")


@pytest.mark.parametrize(
    "found",
    [
        column([81.2, 0.0, 85.8]),
        column([81.2, 8.5, 85.8]),
        column([0.4, 50.2, 85.8], metric="matthews_correlation"),
        column([0.5], 1.0),
        column([], 1.0),
        column([0.004, 0.03, 0.4, 3.0], 1.0),
    ],
)
def test_columns_of_one_unit_are_not(found):
    assert suspicious_values(found) == ()


def test_percentages_that_are_all_fractions_are_named_once():
    (line,) = suspicious_values(column([0.83, 0.86, 0.91]))
    assert line.startswith("SST-2: no percentage is above 1 (3 values)")
    assert "are they fractions" in line
    assert suspicious_values(column([0.83, 0.86], 1.0)) == ()


def test_a_measurement_in_another_unit_is_named():
    def row(ms):
        return FoundRow(MINI, measurements=(FoundMeasurement("rpi", "latency", ms, "ms"),))

    (line,) = suspicious_values([(1, row(4.5)), (2, row(0.0125)), (3, row(12.0))])
    assert line == "row 2: latency on rpi is 0.0125, the others are from 4.5 to 12: another unit?"
    assert suspicious_values([(1, row(4.5)), (2, row(45.0)), (3, row(400.0))]) == ()


def with_mean(mean, tasks=(60.0, 70.0, 80.0), name="glue"):
    return [*(score(f"task {n}", value, 0.01) for n, value in enumerate(tasks)), score(name, mean, 0.01)]


@pytest.mark.parametrize("name", ["glue", "GLUE", "mean", "Average", "avg of tasks"])
@pytest.mark.parametrize("mean", [140.0, 55.0, 80.5])
def test_a_mean_outside_of_its_scores_is_named_even_in_a_file_of_one_row(name, mean):
    (line,) = suspicious_values(rows(with_mean(mean, name=name)))
    assert line == f"row 1: {name} is {mean:g}, but the mean of its 3 scores is 70"


def test_a_mean_twice_the_true_one_is_named_where_it_could_be():
    (line,) = suspicious_values(rows(with_mean(40.0, (5.0, 5.0, 50.0))))
    assert "glue is 40, but the mean of its 3 scores is 20" in line
    assert suspicious_values(rows(with_mean(25.0, (5.0, 5.0, 50.0)))) == ()  # It may be weighted.


def test_a_mean_that_is_taken_otherwise_than_the_others_is_named():
    (line,) = suspicious_values(rows(with_mean(70.0), with_mean(70.1), with_mean(72.0), with_mean(69.96)))
    assert line.startswith("row 3: glue is 72")
    weighted = [with_mean(71.0), with_mean(72.0), with_mean(73.0)]
    assert suspicious_values(rows(*weighted)) == ()


def test_a_mean_over_scores_that_are_missing_is_not_named():
    incomplete = with_mean(70.0)[1:]
    assert suspicious_values(rows(with_mean(70.0), with_mean(70.0), incomplete)) == ()


def by_step(*pairs):
    return [[score(task, value, fidelity=step) for task, value in scores.items()] for step, scores in pairs]


def test_equal_scores_after_different_steps_are_named():
    one, two = {"cola": 0.3763, "sst": 0.86}, {"cola": 0.41, "sst": 0.87}
    apart = by_step(("50000", one), ("100000", two), ("500000", one))
    (line,) = suspicious_values(rows(*apart))
    assert line == "rows 1 and 3: all scores of fidelity 50000 equal those of 500000 (2)"
    (line,) = suspicious_values(rows([one for step in apart for one in step]))
    assert line == "row 1: all scores of fidelity 50000 equal those of 500000 (2)"


@pytest.mark.parametrize(
    "pairs",
    [
        [("1", {"cola": 0.31}), ("2", {"cola": 0.31})],  # Too few digits: by chance.
        [("1", {"cola": 0.0, "sts": 0.0}), ("2", {"cola": 0.0, "sts": 0.0})],
        [("1", {"cola": 0.3763, "sst": 0.86}), ("2", {"cola": 0.3763, "sst": 0.87})],
        [("1", {"cola": 0.3763}), ("1", {"cola": 0.3763})],
    ],
)
def test_scores_that_are_equal_by_chance_are_not(pairs):
    assert suspicious_values(rows(*by_step(*pairs))) == ()


def test_equal_scores_of_different_architectures_are_not():
    ((_, first),) = rows([score("sst", 0.86123, fidelity="1")])
    ((_, second),) = rows([score("sst", 0.86123, fidelity="2")], architecture=TINY)
    assert suspicious_values([(1, first), (2, second)]) == ()


def test_random_sound_files_have_nothing_suspicious():
    draw = np.random.default_rng(5)
    for _ in range(50):
        accuracy = np.round(draw.uniform(40, 99, size=(30, 4)), 2)
        found = rows(*(with_mean(round(float(row.mean()), 1), tuple(map(float, row))) for row in accuracy))
        assert suspicious_values(found) == ()


def test_the_published_tables_have_nothing_suspicious(shared_data):
    folder = shared_data / "architectures"
    assert nas_bench_bert_file(folder / "nas_bench_bert/BERT_benchmark.json").rows.suspicious == ()
    assert edgetran_file(folder / "edgetran/codesign_dataset.json", with_predicted=True).rows.suspicious == ()
    assert shapes_file(folder / "supershaper/shapes_700.csv").rows.suspicious == ()
