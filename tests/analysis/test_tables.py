"""Tables of repeated scores, and texts that spreadsheets open."""

import math

import pandas as pd
import pytest

from explorer.analysis.tables import escape_formula, score_spread
from graphstore.records import ScoreKind


def spread(
    *rows: tuple[str, str, str, float, int], majority: float = math.nan, chance: float = math.nan
) -> pd.DataFrame:
    """The table for rows of architecture, task, metric, value and seed, of these levels."""
    frame = pd.DataFrame(rows, columns=["id", "title", "metric", "value", "seed"])
    frame = frame.assign(majority=majority, chance=chance)
    return score_spread(frame.assign(kind=[ScoreKind(row[1], row[2], "", "", "") for row in rows]))


def test_repeated_scores_have_a_mean_a_deviation_and_a_rank():
    found = spread(
        ("a", "t", "accuracy", 1.0, 0),
        ("a", "t", "accuracy", 3.0, 1),
        ("b", "t", "accuracy", 2.0, 0),
        ("c", "t", "accuracy", 2.5, 0),
        ("b", "u", "accuracy", math.nan, 0),
    ).set_index("id")
    assert found.index.tolist() == ["a", "b", "c"]
    assert found["mean"].tolist() == [2.0, 2.0, 2.5]
    assert found.loc["a", "deviation"] == pytest.approx(math.sqrt(2))
    assert math.isnan(found.loc["b", "deviation"])
    assert found[["runs", "seeds", "rank", "scored"]].to_numpy().tolist() == [[2, 2, 2, 3], [1, 1, 2, 3], [1, 1, 1, 3]]


def test_the_smallest_loss_ranks_first():
    found = spread(("a", "t", "perplexity", 9.0, 0), ("b", "t", "perplexity", 4.0, 0))
    assert found["rank"].tolist() == [2, 1]


def test_kinds_of_one_task_are_ranked_apart():
    found = spread(("a", "t", "perplexity", 9.0, 0), ("b", "t", "accuracy", 0.4, 0), ("c", "t", "accuracy", 0.3, 0))
    assert found[["id", "rank", "scored"]].to_numpy().tolist() == [["a", 1, 1], ["b", 1, 2], ["c", 2, 2]]


def test_scores_no_better_than_a_constant_answer_are_noted():
    rows = [(id, "t", "accuracy", value, seed) for id, value in (("a", 0.6), ("b", 0.7), ("c", 0.5)) for seed in (0, 1)]
    found = spread(*rows, majority=0.6, chance=0.52)
    assert found["note"].tolist() == ["equals a constant answer", "", "is worse than a constant answer"]
    assert found["majority"].tolist() == pytest.approx([0.6] * 3)
    assert found["chance"].tolist() == pytest.approx([0.52] * 3)
    unknown = spread(*rows)
    assert unknown["note"].tolist() == [""] * 3
    assert unknown[["majority", "chance"]].isna().all(axis=None)
    losses = spread(("a", "t", "loss", 2.5, 0), ("b", "t", "loss", 1.5, 0), majority=2.0)
    assert losses["note"].tolist() == ["is worse than a constant answer", ""]


def test_no_score_is_no_row():
    assert spread(("a", "t", "m", math.inf, 0)).empty


@pytest.mark.parametrize(("cell", "shown"), [("=1+1", "'=1+1"), ("@x", "'@x"), ("plain", "plain"), (-1, -1)])
def test_formulas_are_escaped(cell, shown):
    assert escape_formula(cell) == shown
