"""The tables of the app against hand-made records."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.analysis import tables
from explorer.analysis.score_kinds import kind_titles
from explorer.app.shared import frames
from explorer.training.recipe import RECIPES
from graphstore.records import (
    ArchitectureSummary,
    Embeddings,
    NeighborRecord,
    ScoreKind,
    ScoreRecord,
    TrialRecord,
    TrialStatus,
)


def summary(id: str, operations: tuple[str, ...], hiddens: tuple[int, ...], name: str = "") -> ArchitectureSummary:
    families = tuple(operation.split("_")[0] for operation in operations)
    return ArchitectureSummary(id, "{}", name, len(operations), 10, 20, 0.5, families, operations, hiddens)


def score(id: str, task: str, value: float, recipe: str = "r", dataset: str = "d", seed: int = 0) -> ScoreRecord:
    return ScoreRecord(id, task, "accuracy", value, dataset, "full", recipe, seed, "trained:s/0")


def trial(number: int, value: float | None, finished: float) -> TrialRecord:
    state = TrialStatus.RUNNING if value is None else TrialStatus.COMPLETE
    info = {"origin": "initial"}
    return TrialRecord("s", number, f"a{number}", state, 1, 1, "", 0.0, value, "", info, 0.0, 1.0, finished)


def test_architectures_frame():
    rows = [summary("a" * 24, ("sa_sdp", "c_5"), (32, 64)), summary("b" * 24, ("l_dft",) * 2, (64, 64), "FNet")]
    frame = tables.architectures_frame(rows)
    assert frame.index.tolist() == ["a" * 24, "b" * 24]
    first = frame.iloc[0]
    assert (first["first"], first["last"], first["families"]) == ("sa_sdp", "c_5", "c+sa")
    assert first["operations"] == "sa sdp → c 5"
    assert frame.iloc[1]["label"] == "FNet (bbbbbbbb)"
    assert tables.architectures_frame([]).empty


def test_map_is_the_first_two_coordinates_with_their_share():
    vectors = np.array([[3.0, 1.0, 0.5], [-3.0, 1.0, -0.5], [3.0, -1.0, 0.5], [-3.0, -1.0, -0.5]], dtype=np.float32)
    points, spread = tables.map_frame(Embeddings(("a", "b", "c", "d"), vectors))
    assert points["x"].tolist() == [3, -3, 3, -3]
    assert points["y"].tolist() == [1, 1, -1, -1]
    total = 9 + 1 + 0.25
    assert (spread.x, spread.y) == (pytest.approx(9 / total), pytest.approx(1 / total))


@pytest.mark.parametrize("shape", [(0, 0), (1, 16), (3, 1)])
def test_map_of_degenerate_vectors(shape):
    ids = tuple(f"a{row}" for row in range(shape[0]))
    points, spread = tables.map_frame(Embeddings(ids, np.ones(shape, dtype=np.float32)))
    assert points.shape == (shape[0], 2)
    assert np.isfinite(points.to_numpy()).all()
    assert (spread.x, spread.y) == (0.0, 0.0)


def titles(table: pd.DataFrame) -> list[str]:
    return [one.title for one in frames.score_kinds(table)]


def test_scores_of_other_kinds_never_mix():
    records = [score("a", "mean", 0.5), score("a", "mean", 0.7, seed=1), score("a", "mean", 0.1, recipe="quick")]
    table = frames.scores_frame([*records, score("b", "package", 0.9)])
    assert titles(table) == ["mean (recipe quick)", "mean (recipe r)", "package"]
    assert frames.mean_scores(table, records[0].kind).to_dict() == {"a": pytest.approx(0.6)}
    assert frames.mean_scores(table, records[2].kind).to_dict() == {"a": 0.1}
    assert frames.objective_tasks(table) == {"package": 1}


def test_known_recipes_are_named():
    kinds = [(known.fidelity, known.digest) for known in RECIPES.values()]
    records = [ScoreRecord("a", "mean", "accuracy", 0.5, "4e9ba591", f, r, 0, "s") for f, r in kinds]
    assert set(frames.scores_frame(records)["title"]) == {f"mean (recipe {name})" for name in RECIPES}
    published = ScoreRecord("a", "mean", "accuracy", 0.5, "other data", "published", "", 0, "s")
    table = frames.scores_frame([records[0], published])
    assert table["title"].tolist() == ["mean (recipe nano)", "mean (published)"]
    elsewhere = dataclasses.replace(records[0], dataset="4e9ff00d" * 2)
    table = frames.scores_frame([records[0], records[1], elsewhere])
    expected = ["mean (recipe nano · data 4e9ba591)", "mean (recipe quick)", "mean (recipe nano · data 4e9f)"]
    assert table["title"].tolist() == expected


@given(
    st.sets(
        st.builds(
            ScoreKind,
            st.sampled_from(["mean", "SST-2"]),
            st.sampled_from(["accuracy", "f1"]),
            st.sampled_from(["", "4e9ba59100000000", "4e9ba59111111111", "x · recipe ab"]),
            st.sampled_from(["", "published", "recipe nano", RECIPES["nano"].fidelity, "x · data 4e9ba59100000000"]),
            st.sampled_from(["", "nano", RECIPES["nano"].digest, RECIPES["quick"].digest]),
        ),
        min_size=1,
    )
)
def test_every_kind_has_a_title_of_its_own(kinds):
    titles = kind_titles(kinds)
    assert set(titles) == kinds
    assert len(set(titles.values())) == len(kinds)
    alone = [kind for kind in kinds if sum(other.task == kind.task for other in kinds) == 1]
    assert all((titles[kind] == kind.task) == (kind in alone) for kind in kinds)


def test_the_largest_kind_of_a_task_comes_first():
    few, many = [score("a", "mean", 0.5, "quick")], [score(id, "mean", 0.5, "zzz") for id in "abc"]
    assert titles(frames.scores_frame([*few, *many])) == ["mean (recipe zzz)", "mean (recipe quick)"]


def test_seconds_that_nobody_measured_are_missing():
    seconds = frames.scores_frame([score("a", "mean", 0.5), dataclasses.replace(score("b", "mean", 0.5), seconds=2.0)])
    assert np.isnan(seconds["seconds"].iloc[0])
    assert seconds["seconds"].iloc[1] == 2.0


def test_tasks_over_all_come_first():
    table = frames.scores_frame([score("a", task, 0.5) for task in ("cola", "sst", "glue")])
    assert titles(table) == ["glue", "cola", "sst"]
    assert titles(frames.scores_frame([])) == []
    assert frames.objective_tasks(frames.scores_frame([])) == {}


def test_layers_frame():
    frame = frames.layers_frame([summary("a", ("sa_sdp", "c_5"), (32, 64)), summary("b", ("l_dct",), (32,))])
    assert frame.to_numpy().tolist() == [
        ["a", 2, 0, "sa_sdp", 32],
        ["a", 2, 1, "c_5", 64],
        ["b", 1, 0, "l_dct", 32],
    ]


@pytest.mark.parametrize(("widths", "text"), [((64,), "64"), ((128, 128, 128), "3 × 128"), ((64, 128), "64 → 128")])
def test_stack_text(widths, text):
    assert frames.stack_text(widths) == text


def test_neighbors_keep_their_rank_and_drop_strangers():
    known = tables.architectures_frame([summary("a", ("sa_sdp",), (32,)), summary("b", ("c_5",), (32,))])
    found = [NeighborRecord("x", id, "k", rank, rank / 10) for rank, id in enumerate(("b", "stranger", "a"), start=1)]
    scores = frames.mean_scores(frames.scores_frame([score("a", "mean", 0.5)]), score("a", "mean", 0.5).kind)
    table = frames.neighbor_table(found, known, scores)
    assert table.index.tolist() == ["b", "a"]
    assert table["rank"].tolist() == [1, 3]
    assert table["score"].isna().tolist() == [True, False]


def test_trials_frame_with_and_without_trials():
    frame = frames.trials_frame([trial(0, 0.5, 3.0), trial(1, None, 0.0)])
    assert frame["seconds"].tolist()[0] == 2.0
    assert np.isnan(frame["seconds"].tolist()[1])
    assert frames.trials_frame([]).empty


def test_only_a_running_trial_has_progress():
    info = {"message": "pre-training: step 177 of 300"}
    trials = [dataclasses.replace(t, info=info) for t in (trial(0, 0.5, 3.0), trial(1, None, 0.0))]
    assert frames.trials_frame(trials)["progress"].tolist() == ["", "pre-training: step 177 of 300"]


def test_the_best_comes_first_and_of_equal_ones_the_smaller():
    rows = {"large": (0.5, 9), "best": (0.7, 5), "unscored": (np.nan, 1), "small": (0.5, 2)}
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["score", "parameters"])
    assert frames.best_first(table).index.tolist() == ["best", "small", "large", "unscored"]
    assert frames.best_first(table, lower=True).index.tolist() == ["small", "large", "best", "unscored"]
