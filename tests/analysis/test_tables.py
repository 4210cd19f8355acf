"""Tables of repeated scores, and texts that spreadsheets open."""

import math

import pandas as pd
import pytest

from explorer.analysis.tables import escape_formula, score_spread

COLUMNS = ["id", "series", "metric", "value", "seed"]


def test_repeated_scores_have_a_mean_a_deviation_and_a_rank():
    rows = [
        ("a", "t", "accuracy", 1.0, 0),
        ("a", "t", "accuracy", 3.0, 1),
        ("b", "t", "accuracy", 2.0, 0),
        ("c", "t", "accuracy", 2.5, 0),
        ("b", "u", "accuracy", math.nan, 0),
    ]
    found = score_spread(pd.DataFrame(rows, columns=COLUMNS)).set_index("id")
    assert found.index.tolist() == ["a", "b", "c"]
    assert found["mean"].tolist() == [2.0, 2.0, 2.5]
    assert found.loc["a", "deviation"] == pytest.approx(math.sqrt(2))
    assert math.isnan(found.loc["b", "deviation"])
    assert found[["runs", "seeds", "rank", "scored"]].to_numpy().tolist() == [[2, 2, 2, 3], [1, 1, 2, 3], [1, 1, 1, 3]]


def test_the_smallest_loss_ranks_first():
    rows = [("a", "t", "perplexity", 9.0, 0), ("b", "t", "perplexity", 4.0, 0)]
    assert score_spread(pd.DataFrame(rows, columns=COLUMNS))["rank"].tolist() == [2, 1]


def test_no_score_is_no_row():
    assert score_spread(pd.DataFrame([("a", "t", "m", math.inf, 0)], columns=COLUMNS)).empty


@pytest.mark.parametrize(("cell", "shown"), [("=1+1", "'=1+1"), ("@x", "'@x"), ("plain", "plain"), (-1, -1)])
def test_formulas_are_escaped(cell, shown):
    assert escape_formula(cell) == shown
