"""Best per task, Pareto set, nearest to a vector (page Query) and lineage (page Architecture)."""

from __future__ import annotations

import json
import math
import statistics

import pandas as pd
import plotly.graph_objects as go
import pytest
from streamlit.testing.v1 import AppTest

from explorer.app.navigation import architecture_address
from explorer.app.shared.markdown import verbatim
from explorer.plots.pareto import Axis, pareto_plot
from graphstore import open_store
from graphstore.records import LineageRecord, MeasurementRecord, ScoreRecord, SpaceRecord


@pytest.fixture
def visit(open_page):
    def go(name: str, url: str, **stated: str | list[str]) -> AppTest:
        page = open_page(name, url, **stated)
        assert not page.exception
        return page

    return go


def tab(page: AppTest, title: str):
    return next(one for one in page.tabs if one.label == title)


def texts(part) -> str:
    return "\n".join(
        one.value for kind in ("info", "warning", "error", "markdown", "caption") for one in part.get(kind)
    )


def csv_files(page: AppTest) -> list[str]:
    return [one.proto.label for one in page.get("download_button")]


@pytest.fixture
def scored(own_store) -> tuple[str, list[str]]:
    """Twelve architectures; a task of two kinds, a loss, measurements, each known of some."""
    with open_store(own_store) as store:
        ids = [summary.id for summary in store.summaries("nano")]
        for n, id in enumerate(ids[:8]):
            for seed in range(2):
                value = (0.5, 0.9, 0.6, 0.8, 0.55, 0.85, 0.7, 0.9)[n] + 0.01 * seed
                store.add_scores([ScoreRecord(id, "sst", "accuracy", value, "d", "full", "r", seed, "here")])
        store.add_scores([ScoreRecord(ids[9], "sst", "accuracy", 0.99, "d", "half", "r", 0, "here")])
        for n, id in enumerate(ids[4:]):
            store.add_scores([ScoreRecord(id, "lm", "loss", 5.0 - n % 3, "d", "full", "r", 0, "here")])
        store.add_measurements([MeasurementRecord(id, "pi", "latency", 0.1 * (n % 4), "s") for n, id in enumerate(ids)])
        store.add_measurements([MeasurementRecord(id, "pi", "speed", n % 5, "tokens/s") for n, id in enumerate(ids)])
    return own_store, ids


def facts_and_scores(url):
    """Of each architecture what an objective can be, worked out by loops; larger is worse."""
    with open_store(url) as store:
        found = {s.id: {"parameters": s.parameters, "depth": s.depth} for s in store.summaries("nano")}
        for id, values in found.items():
            for task, fidelity, sign in (("sst", "full", -1), ("lm", "full", 1)):
                known = [s.value for s in store.scores(architecture=id, task=task) if s.fidelity == fidelity]
                if known:
                    values[task] = sign * statistics.fmean(known)
            for one in store.measurements(architecture=id):
                values[one.quantity] = one.value if one.quantity == "latency" else -one.value
    return found


def naive_front(found, names):
    known = {id: [values[name] for name in names] for id, values in found.items() if all(n in values for n in names)}
    return known, {
        id
        for id, mine in known.items()
        if not any(o != mine and all(a <= b for a, b in zip(o, mine, strict=True)) for o in known.values())
    }


# Best per task --------------------------------------------------------------------------------------------------


def test_the_best_of_every_kind(visit, scored):
    url, ids = scored
    page = visit("query", url, tab="Best per task")
    table = tab(page, "Best per task").dataframe[0].value
    kinds = list(zip(table["task"], table["metric"], table["fidelity"], table["scored"], strict=True))
    assert kinds == [
        ("lm", "loss", "full", 8),
        ("sst (full)", "accuracy", "full", 8),
        ("sst (half)", "accuracy", "half", 1),
    ]
    found = facts_and_scores(url)
    lowest = min((values["lm"], id) for id, values in found.items() if "lm" in values)
    highest = min((values["sst"], id) for id, values in found.items() if "sst" in values)
    assert list(table.index) == [lowest[1], highest[1], ids[9]]
    assert table["score"].tolist() == pytest.approx([lowest[0], -highest[0], 0.99])
    assert table["link"].tolist() == [architecture_address(id, "nano") for id in table.index]
    assert csv_files(page).count("CSV") == 2


def test_without_scores_it_says_how_they_come_about(visit, own_store):
    page = visit("query", own_store, tab="Best per task")
    assert "archex demo" in texts(tab(page, "Best per task"))
    assert not tab(page, "Best per task").dataframe


# Pareto ---------------------------------------------------------------------------------------------------------

CASES = {
    ("parameters", "score:sst (full)"): ("parameters", "sst"),
    ("depth", "score:lm", "parameters"): ("depth", "lm", "parameters"),
    ("measured:pi latency", "measured:pi speed"): ("latency", "speed"),
    ("score:sst (full)", "score:lm"): ("sst", "lm"),
}


@pytest.mark.parametrize("chosen", CASES)
def test_the_pareto_set_is_the_naive_one(visit, scored, chosen):
    url, _ = scored
    page = visit("query", url, tab="Pareto", objective=list(chosen))
    place = tab(page, "Pareto")
    assert page.multiselect(key="pareto_objectives").value == list(chosen)
    assert not place.warning
    known, front = naive_front(facts_and_scores(url), CASES[chosen])
    table = place.dataframe[0].value
    assert set(table.index) == front
    assert len(table) == len(front)
    first = [known[id][0] for id in table.index]
    assert first == sorted(first)
    assert table["link"].tolist() == [architecture_address(id, "nano") for id in table.index]
    assert f"**{len(front)}** of {len(known)}" in texts(place)
    traces = {one["name"]: one for one in json.loads(place.get("plotly_chart")[0].proto.spec)["data"]}
    rest = len(known) - len(front)
    assert set(traces) == {f"Pareto front ({len(front)})"} | ({f"dominated ({rest})"} if rest else set())
    assert ("lines" in traces[f"Pareto front ({len(front)})"]["mode"]) == (len(chosen) == 2)


def test_choosing_is_kept_in_the_address(visit, scored):
    url, _ = scored
    page = visit("query", url, tab="Pareto")
    picker = page.multiselect(key="pareto_objectives")
    assert picker.value == ["parameters", "score:lm"]
    (table,) = (one.proto for one in page.dataframe if "score:lm" in one.value)
    column = json.loads(table.columns)["score:lm"]
    assert (column["label"], column["type_config"]["format"]) == ("score lm", "%.4f")
    assert "↓ pi latency (s)" in picker.options
    assert "↑ pi speed (tokens/s)" in picker.options
    assert "↓ score lm" in picker.options
    picker.set_value(["parameters", "measured:pi latency"]).run()
    assert not page.exception
    assert page.query_params["objective"] == ["parameters", "measured:pi latency"]
    assert (
        set(tab(page, "Pareto").dataframe[0].value.index)
        == naive_front(facts_and_scores(url), ("parameters", "latency"))[1]
    )
    page.multiselect(key="pareto_objectives").set_value([]).run()
    assert not page.exception
    assert "two objectives or more" in texts(tab(page, "Pareto"))
    assert not tab(page, "Pareto").dataframe
    assert not tab(page, "Pareto").warning


def test_what_guided_asks_for_narrows_the_set(visit, scored):
    url, _ = scored
    found = facts_and_scores(url)
    least = sorted(values["parameters"] for values in found.values())[5]
    page = visit(
        "query", url, tab="Pareto", parameters=f"{least}~", objective=["parameters", "measured:pi latency"], limit="20"
    )
    narrowed = {id: values for id, values in found.items() if values["parameters"] >= least}
    assert set(tab(page, "Pareto").dataframe[0].value.index) == naive_front(narrowed, ("parameters", "latency"))[1]
    assert "Among the architectures of the Guided tab: parameters" in texts(tab(page, "Pareto"))


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["parameters", "score:nothing"], "score:nothing"),
        (["parameters"], "two objectives or more"),
        (["heterogeneity", "-heterogeneity"], "Remove one of them"),
        (["score:sst (half)", "score:sst (full)"], "has all of these values"),
        (["<b>", "</b>", "parameters", "parameters"], "<b>, </b>"),
    ],
)
def test_what_makes_no_set_is_said(visit, scored, asked, said):
    place = tab(visit("query", scored[0], tab="Pareto", objective=asked), "Pareto")
    assert said in texts(place) or verbatim(said) in texts(place)
    assert not place.dataframe


def test_a_space_without_scores_still_has_facts(visit, own_store):
    page = visit("query", own_store, tab="Pareto")
    assert page.multiselect(key="pareto_objectives").value == ["parameters", "-heterogeneity"]
    assert "has a score yet" in texts(tab(page, "Pareto"))
    assert len(tab(page, "Pareto").dataframe[0].value) >= 1


@pytest.mark.parametrize("title", ["Best per task", "Pareto"])
def test_an_empty_space_and_an_empty_store_say_what_to_do(visit, tmp_path, title):
    url = f"sqlite:///{tmp_path / 'empty.db'}"
    with open_store(url):
        pass
    assert "archex demo" in texts(visit("query", url, tab=title))
    with open_store(url) as store:
        store.put_space(SpaceRecord("nano", {"title": "Nano", "ready": False}))
    assert texts(tab(visit("query", url, tab=title), title))


def test_hidden_tabs_are_not_drawn(visit, scored):
    page = visit("query", scored[0])
    assert not tab(page, "Best per task").dataframe
    assert not page.multiselect
    assert not page.get("plotly_chart")
    assert texts(tab(visit("query", scored[0], tab="nowhere"), "Guided"))


# The figure -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("more", "shape"), [(False, "hv"), (True, "vh")])
def test_the_step_line_shows_what_can_be_had(more, shape):
    points = pd.DataFrame(
        {"label": ["a", "b", "c"], "operations": "x", "size": [3.0, 1.0, 2.0], "score": [0.9, 0.5, 0.4]},
        index=list("abc"),
    )
    axes = [Axis("size", "size %{x}<b>", more), Axis("score", "score", True)]
    figure = pareto_plot(points, pd.Index(["a", "b"]), axes)
    dominated, front = figure.data
    assert isinstance(front, go.Scatter)
    assert (list(front.x), list(front.y)) == ([1.0, 3.0], [0.5, 0.9])
    assert front.line.shape == shape
    assert list(dominated.x) == [2.0]
    assert "<b>%{customdata[0]}" in front.hovertemplate
    assert "%{x}<" not in front.hovertemplate
    assert figure.layout.xaxis.title.text.endswith("(maximise)" if more else "(minimise)")


# Nearest to a vector --------------------------------------------------------------------------------------------


def test_nearest_to_a_pasted_vector(visit, filled):
    with open_store(filled.url) as store:
        embedded = store.embeddings("nano")
    vectors = dict(zip(embedded.ids, embedded.vectors.astype(float).tolist(), strict=True))
    point = [0.01 * n for n in range(len(vectors[filled.best]))]
    page = visit("query", filled.url)
    page.number_input(key="nearest_k").set_value(6)
    page.text_area(key="nearest_vector").set_value(json.dumps(point)).run()
    assert not page.exception
    table = page.dataframe[1].value
    expected = sorted((math.dist(vector, point), id) for id, vector in vectors.items())[:6]
    assert list(table.index) == [id for _, id in expected]
    assert table["distance"].tolist() == pytest.approx([distance for distance, _ in expected], rel=1e-5)
    known = [filled.values.get(id) for id in table.index]
    assert [None if value != value else value for value in table["score"]] == known
    for text, said in (("[1, 2", "valid JSON"), ("[1, NaN]", "vector: [1]"), ("[1, 2]", "shape"), ("3", "JSON list")):
        page.text_area(key="nearest_vector").set_value(text).run()
        assert not page.exception
        assert verbatim(said) in page.warning[0].value
        assert len(page.dataframe) == 1
    page.text_area(key="nearest_vector").set_value(" ").run()
    assert not page.warning
    assert "vector" not in page.query_params


def test_a_vector_is_in_the_address(visit, filled):
    with open_store(filled.url) as store:
        embedded = store.embeddings("nano")
    text = json.dumps(embedded.vectors[embedded.ids.index(filled.best)].astype(float).round(4).tolist())
    page = visit("query", filled.url, vector=text, nearest_k="3")
    assert not page.exception
    assert page.query_params["vector"] == text
    assert page.dataframe[1].value.index[0] == filled.best
    assert len(page.dataframe[1].value) == 3
    page.text_area(key="nearest_vector").set_value(text + " " * 5 + "x" * 3000).run()
    assert "vector" not in page.query_params


# Lineage --------------------------------------------------------------------------------------------------------


def test_lineage_goes_back_to_the_beginning(visit, own_store):
    with open_store(own_store) as store:
        ids = [summary.id for summary in store.summaries("nano")]
        store.add_lineage(
            [
                LineageRecord("trained:s/1", ids[1], "trained:s/0", ids[0], "ordered", 0.5),
                LineageRecord("trained:s/2", ids[2], "trained:s/1", ids[1], "random", 0.25),
            ]
        )
    page = visit("architecture", own_store, id=ids[2])
    table = next(one.value for one in page.dataframe if "donor_run" in one.value)
    assert table["run"].tolist() == ["trained:s/2", "trained:s/1"]
    assert table["donor_run"].tolist() == ["trained:s/1", "trained:s/0"]
    assert table["donor"].tolist() == [architecture_address(ids[1], "nano"), architecture_address(ids[0], "nano")]
    assert table["share"].tolist() == [0.25, 0.5]
    assert "architecture_lineage_csv" in {button.key for button in page.get("download_button")}
    first = visit("architecture", own_store, id=ids[0])
    assert not [one for one in first.dataframe if "donor_run" in one.value]
    assert "No inherited weights" in texts(first)
