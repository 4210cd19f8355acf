"""The Pareto page: the front against a naive one, limits, studies, the address, and stores that lack things."""

from __future__ import annotations

import sqlite3
import time
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from explorer.app.pareto import tradeoffs
from explorer.testing.searches import search
from graphstore import open_store
from graphstore.records import MeasurementRecord, ScoreRecord, TrialStatus

PI = "pi latency_b1 (s)"


@pytest.fixture
def visit(open_page):
    return partial(open_page, "pareto")


@pytest.fixture
def measured(own_store) -> tuple[str, dict[str, float], dict[str, float]]:
    """A store whose architectures have scores, all but two of them a latency, and a study."""
    draw = np.random.default_rng(3)
    with open_store(own_store) as store:
        ids = [summary.id for summary in store.summaries("nano")]
        scores = dict(zip(ids, draw.random(len(ids)).round(3).tolist(), strict=True))
        latencies = dict(zip(ids[2:], draw.random(len(ids)).round(3).tolist(), strict=False))
        store.add_scores(
            [ScoreRecord(id, "sst", "accuracy", v, "t", "full", "r", 0, "s", 1.0) for id, v in scores.items()]
        )
        store.add_measurements([MeasurementRecord(id, "pi", "latency_b1", v, "s") for id, v in latencies.items()])
        store.create_study(search("found", "nano", score="sst").record())
        store.add_trials("found", [(id, {}) for id in ids[:5]])
        for number in range(4):
            trial = store.claim_trial("found", "me", 60.0, time.time())
            assert trial is not None
            if number == 3:
                store.finish_trial(trial, TrialStatus.FAILED, time.time(), reason="out of memory")
            else:
                store.finish_trial(trial, TrialStatus.COMPLETE, time.time(), value=scores[trial.architecture])
    return own_store, scores, latencies


def said(page: AppTest) -> str:
    kinds = ("info", "warning", "error", "markdown", "caption")
    return "\n".join(part.value for kind in kinds for part in page.get(kind))


def naive_front(scores: dict[str, float], costs: dict[str, float]) -> set[str]:
    def beats(one: str, other: str) -> bool:
        better = scores[one] > scores[other] or costs[one] < costs[other]
        return better and scores[one] >= scores[other] and costs[one] <= costs[other]

    return {id for id in costs if not any(beats(other, id) for other in costs)}


def naive_volume(front: set[str], scores: dict[str, float], costs: dict[str, float]) -> float:
    """Share of the box that the front dominates, cell by cell of the grid that all points make."""
    known = {id: scores[id] for id in costs}
    xs, ys = sorted(set(costs.values())), sorted(set(known.values()))
    area = sum(
        (x2 - x1) * (y2 - y1)
        for x1, x2 in pairwise(xs)
        for y1, y2 in pairwise(ys)
        if any(costs[id] <= x1 and known[id] >= y2 for id in front)
    )
    return area / ((xs[-1] - xs[0]) * (ys[-1] - ys[0]))


def test_the_front_and_what_it_dominates(visit, measured):
    url, scores, latencies = measured
    page = visit(url, against=PI)
    assert not page.exception
    assert not page.error
    front = naive_front(scores, latencies)
    table = page.dataframe[0].value
    assert set(table.index) == front
    assert table[PI].tolist() == sorted(latencies[id] for id in front)
    assert f"**{len(front)}** of 10 architectures" in said(page)
    assert f"**{naive_volume(front, scores, latencies):.1%}**" in said(page)
    assert len(page.get("plotly_chart")) == 1


def test_it_begins_with_the_parameters(visit, measured):
    url, scores, _ = measured
    page = visit(url)
    with open_store(url) as store:
        sizes = {summary.id: summary.parameters for summary in store.summaries("nano")}
    assert set(page.dataframe[0].value.index) == naive_front(scores, sizes)


def test_limits_narrow_the_choice(visit, measured):
    url, scores, latencies = measured
    middle = float(np.median(list(latencies.values())))
    page = visit(url, against=PI, limits=PI, **{"to measured:pi latency_b1": f"{middle}"})
    assert not page.exception
    kept = {id: value for id, value in latencies.items() if value <= middle}
    assert set(page.dataframe[0].value.index) == naive_front(scores, kept)
    assert f"of {len(kept)} architectures (of 10 without limits)" in said(page)


def test_limits_that_nothing_keeps(visit, measured):
    page = visit(measured[0], limits="FLOPs", **{"to flops": "1"})
    assert not page.exception
    assert "none satisfies the limits: FLOPs ≤ 1" in said(page)


def test_limits_that_end_before_they_begin(visit, measured):
    page = visit(measured[0], limits="FLOPs", **{"to flops": "1", "from flops": "2"})
    assert not page.exception
    assert "is below the lower one" in page.warning[0].value
    assert len(page.get("plotly_chart")) == 1


def test_what_a_study_found(visit, measured):
    url, scores, latencies = measured
    page = visit(url, against=PI, studies="found")
    assert not page.exception
    table = page.dataframe[1].value
    with open_store(url) as store:
        done = {trial.architecture for trial in store.trials("found") if trial.state is TrialStatus.COMPLETE}
    row = table.iloc[0]
    assert (row["study"], row["evaluated"], row["failed"], row["drawn"]) == ("found", 3, 1, len(done & set(latencies)))
    assert row["front"] == len(done & naive_front(scores, latencies))
    assert row["volume"] == pytest.approx(naive_volume(done & set(latencies), scores, latencies))


def test_the_selected_is_in_the_address(visit, measured):
    url, scores, latencies = measured
    id = next(iter(latencies))
    page = visit(url, against=PI, id=id)
    assert f"{scores[id]:.4f}" in page.table[0].value.to_string()
    page = visit(url, id="nobody")
    assert not page.exception
    assert "does not exist" in said(page)


def test_a_single_point_has_no_box():
    assert tradeoffs.dominated(np.array([[1.0, 2.0]]), np.array([[1.0, 2.0]])) is None
    assert tradeoffs.dominated(np.empty((0, 2)), np.empty((0, 2))) is None
    assert tradeoffs.dominated(np.empty((0, 2)), np.array([[0.0, 0.0], [1.0, 1.0]])) == 0.0


def test_a_value_that_is_not_finite_is_said(visit, measured):
    """The store takes none; one that something else wrote into the file is a message, on whatever page."""
    url, scores, _ = measured
    with sqlite3.connect(url.removeprefix("sqlite:///")) as file:
        file.execute("UPDATE score SET value = 9e999 WHERE value = ?", (max(scores.values()),))
    file.close()
    page = visit(url, against=PI)
    assert not page.exception
    assert "must be a finite number" in page.error[0].value


def test_without_scores(visit, own_store):
    page = visit(own_store)
    assert not page.exception
    assert "has a score yet" in said(page)
    assert not page.get("plotly_chart")


def test_bad_addresses_never_raise(visit, measured):
    for bad in ("", "nan", "inf", "9" * 400, "../x", "\x00", "<b>", "💥"):
        stated = dict.fromkeys(("task", "against", "limits", "studies", "log", "id", "to parameters", "space"), bad)
        page = visit(measured[0], **stated)
        assert not page.exception, bad
        page = visit(measured[0], limits="parameters", **{"to parameters": bad, "from parameters": bad})
        assert not page.exception, bad
