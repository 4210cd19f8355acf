"""The figures of studies hold what their frames say."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from explorer.errors import DataError, ExplorerError, InputError
from explorer.plots import (
    PosteriorQuantity,
    acquisition_map,
    best_so_far_curves,
    importance_bars,
    parallel_coordinates,
    save_figure,
    trial_timeline,
)
from explorer.plots.pareto import study_axes


def history(*studies: tuple[str, str, bool, list[float]]) -> pd.DataFrame:
    rows = [
        (name, policy, done, number, best, 1.0 - best)
        for name, policy, done, values in studies
        for number, best in enumerate(values, start=1)
    ]
    return pd.DataFrame(rows, columns=["study", "policy", "done", "evaluations", "best", "regret"])


def band(policy: str) -> pd.DataFrame:
    columns = {"policy": policy, "evaluations": [1, 2], "median": [0.2, 0.3], "low": [0.1, 0.2], "high": [0.3, 0.5]}
    return pd.DataFrame(columns | {"studies": 3})


def test_a_band_takes_the_place_of_the_finished_studies_but_not_of_the_shown_and_the_running_one():
    curves = history(
        ("a", "random", True, [0.1, 0.2]),
        ("b", "random", True, [0.2, 0.3]),
        ("c", "random", True, [0.3, 0.5]),
        ("d", "random", False, [0.4]),
        ("e", "boshnas", True, [0.5, 0.6]),
    )
    traces = {trace.name: trace for trace in best_so_far_curves(curves, "mean", "b", band("random")).data if trace.name}
    shown = {"random: median of 3 studies", "random: 95 % interval", "random: b", "random: d", "boshnas: e"}
    assert set(traces) == shown
    assert list(traces["random: median of 3 studies"].y) == [0.2, 0.3]
    assert list(traces["random: 95 % interval"].y) == [0.1, 0.2]
    assert list(traces["boshnas: e"].y) == [0.5, 0.6]
    regret = best_so_far_curves(curves, "mean", regret=True)
    assert list(regret.data[0].y) == pytest.approx([0.5, 0.4])
    assert "regret" in regret.layout.yaxis.title.text


def map_frames(count: int = 5) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    index = pd.Index([f"id{n}" for n in range(count)], name="id")
    points = pd.DataFrame({"x": np.arange(count, dtype=float), "y": 1.0, "label": "l", "operations": "o"}, index)
    points["hiddens"] = "h"
    values = np.linspace(0.1, 0.5, count)
    belief = pd.DataFrame({"mean": values, "epistemic": values[::-1], "ucb": values + 1.0}, index).iloc[:-1]
    trials = pd.DataFrame(
        [
            (0, "id1", "complete", 0.7, "initial"),
            (1, "id0", "failed", np.nan, "optimise"),
            (2, "id3", "complete", 0.9, "optimise"),
            (3, "gone", "waiting", np.nan, ""),
        ],
        columns=["number", "id", "state", "value", "origin"],
    )
    return points, belief, trials


@pytest.mark.parametrize(
    ("shown", "column"),
    [(PosteriorQuantity.UCB, "ucb"), (PosteriorQuantity.MEAN, "mean"), (PosteriorQuantity.UNCERTAINTY, "epistemic")],
)
def test_the_map_is_coloured_by_the_belief_and_marks_the_trials(shown, column):
    points, belief, trials = map_frames()
    figure = acquisition_map(points, belief, trials, "mean", shown)
    known = next(trace for trace in figure.data if trace.name == "known")
    told = dict(zip(known.customdata, known.marker.color, strict=True))
    assert told == pytest.approx(belief[column].to_dict())
    traces = {trace.name: trace for trace in figure.data}
    assert list(traces["complete"].x) == [1.0, 3.0]
    assert list(traces["complete"].text) == ["0", "2"]
    assert list(traces["failed"].x) == [0.0]
    assert list(traces["best: trial 2"].x) == [3.0]
    assert "waiting" not in traces
    assert traces["complete"].marker.symbol != traces["failed"].marker.symbol
    assert list(traces["not known"].x) == [4.0]


def test_the_map_without_a_finished_trial():
    points, belief, trials = map_frames()
    figure = acquisition_map(points, belief, trials[trials["state"] == "failed"], "mean")
    assert not [trace for trace in figure.data if str(trace.name).startswith("best")]
    acquisition_map(points, belief, trials.head(0), "mean").to_json()


def test_parallel_lines_lie_near_their_choice_in_the_order_of_the_scores():
    scores = pd.Series([0.5, 0.1, 0.9, 0.3])
    axes = [("layer 0 operation", np.array([0, 1, 0, 2]), [None, "c_5", "<sa>"]), ("depth", np.zeros(4, int), [2])]
    plot = parallel_coordinates(axes, scores, "mean").data[0]
    first, second, last = plot.dimensions
    assert np.rint(first["values"]).tolist() == [0, 1, 0, 2]
    assert list(first.ticktext) == ["–", "c 5", "&lt;sa>"]
    assert np.argsort(second["values"]).tolist() == np.argsort(scores).tolist()
    assert np.abs(second["values"]).max() < 0.5
    assert list(last["values"]) == scores.tolist() == list(plot.line.color)
    single = parallel_coordinates([("depth", np.array([0]), [2])], pd.Series([0.5]), "mean").data[0]
    assert single.dimensions[1].range[0] < 0.5 < single.dimensions[1].range[1]
    parallel_coordinates([], pd.Series([], dtype=float), "mean").to_json()


def test_importance_bars_reach_from_low_to_high():
    rows = [("a", 0.5, 0.4, 0.7), ("b", 0.1, -0.1, 0.2)]
    frame = pd.DataFrame(rows, columns=["choice", "importance", "low", "high"])
    bars = importance_bars(frame, "mean").data[0]
    assert list(bars.y) == ["a", "b"]
    assert list(bars.x + bars.error_x.array) == pytest.approx([0.7, 0.2])
    assert list(bars.x - bars.error_x.arrayminus) == pytest.approx([0.4, -0.1])
    assert bars.marker.color[0] != bars.marker.color[1]
    assert list(importance_bars(frame, "mean", most=1).data[0].y) == ["a"]


NAMES = ["study", "number", "architecture", "state", "attempt", "host", "lane", "started", "ended", "value", "reason"]
TRIALS = pd.DataFrame(
    [
        ("s", 0, "a" * 24, "complete", 1, "one", 0, 1000.0, 1600.0, 0.5, ""),
        ("s", 1, "b" * 24, "failed", 3, "one", 1, 1000.0, 1300.0, np.nan, "out of <memory>"),
        ("s", 2, "c" * 24, "stale", 1, "one", 1, 1700.0, 1700.0, np.nan, "lease ran out"),
        ("t", 0, "d" * 24, "running", 1, "", 0, 1900.0, 2200.0, np.nan, ""),
    ],
    columns=NAMES,
)


def test_bars_of_the_timeline_are_where_the_trials_were():
    figure = trial_timeline(TRIALS)
    bars = {trace.name: trace for trace in figure.data}
    assert set(bars) == {"complete", "failed", "stale (worker lost)", "running"}
    assert (bars["complete"].base[0], bars["complete"].x[0]) == (0.0, 10.0)  # minutes
    assert "minutes" in figure.layout.xaxis.title.text
    assert bars["running"].base[0] + bars["running"].x[0] == 20.0
    assert bars["failed"].y[0] == "s · one · lane 2"
    assert bars["failed"].text[0] == "1 ×3"
    assert "out of &lt;memory>" in bars["failed"].customdata[0]
    assert bars["stale (worker lost)"].x[0] > 0
    looks = {(trace.marker.color, trace.marker.pattern.shape) for trace in figure.data}
    assert len(looks) == 4
    assert set(trial_timeline(TRIALS[TRIALS["study"] == "s"]).data[0].y) == {"one · lane 1"}


def test_a_timeline_of_a_moment_is_drawn():
    moment = TRIALS.head(1).assign(ended=1000.0)
    figure = trial_timeline(moment)
    assert figure.data[0].x[0] > 0
    trial_timeline(TRIALS.head(0)).to_json()


def test_the_value_is_set_against_the_first_amount():
    axes = study_axes("mean", ["parameters", "flops"])
    assert [(axis.column, axis.more) for axis in axes] == [("parameters", False), ("value", True), ("flops", False)]


def test_a_page_needs_nothing_else_and_holds_the_data(tmp_path):
    figure = go.Figure(go.Scatter(x=[1.5], y=[123.25]))
    before = figure.to_json()
    size = save_figure(figure, tmp_path / "figure.html")
    text = (tmp_path / "figure.html").read_text(encoding="utf-8")
    assert size == len(text.encode())
    assert "123.25" in text
    assert "<script src=" not in text
    assert json.loads(before) == json.loads(figure.to_json())


def test_files_that_cannot_be_written_are_refused(tmp_path):
    figure = go.Figure()
    with pytest.raises(InputError, match=r"end with \.html"):
        save_figure(figure, tmp_path / "figure.bmp")
    with pytest.raises(DataError, match="existing folder"):
        save_figure(figure, tmp_path / "none" / "figure.html")
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(DataError, match="be a writable file"):
        save_figure(figure, tmp_path / "folder.html")


def test_without_a_browser_the_remedy_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("BROWSER_PATH", str(tmp_path / "none"))
    with pytest.raises(InputError, match=r"BROWSER_PATH to its program, or save as \.html"):
        save_figure(go.Figure(), tmp_path / "figure.png")
    assert not list(tmp_path.iterdir())


def test_a_browser_that_fails_is_told(tmp_path, monkeypatch):
    program = tmp_path / "browser"
    program.write_text("#!/bin/sh\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setenv("BROWSER_PATH", str(program))
    with pytest.raises(ExplorerError, match=r"could not render"):
        save_figure(go.Figure(), tmp_path / "figure.png")
    assert not (tmp_path / "figure.png").exists()
