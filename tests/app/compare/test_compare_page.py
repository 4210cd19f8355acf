"""The Compare page: what is chosen, what is shown of it, and what a visitor or an old link gets wrong."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from explorer.analysis.comparison import aligned_layers
from explorer.app.compare import comparison
from explorer.app.compare.comparison import ABSENT, Chosen
from explorer.app.shared.markdown import verbatim
from explorer.errors import SpecError
from explorer.plots import DrawnGraph, dissimilarity_map, forecast_strip, graphs_side_by_side, scores_side_by_side
from explorer.similarity.graph import architecture_id, build_graph
from explorer.space.drafts import Draft, LayerDraft, draft_of, pack
from explorer.space.named import named_model
from explorer.space.spec import ArchitectureSpec
from graphstore import open_store
from graphstore.records import MeasurementRecord

from ..conftest import score

TINY = named_model("BERT-Tiny")


@pytest.fixture
def visit(open_page):
    def go(url: str, **stated: str | list[str]) -> AppTest:
        page = open_page("compare", url, **stated)
        assert not page.exception
        assert not page.error
        return page

    return go


def charts(page: AppTest) -> int:
    return len(page.get("plotly_chart"))


def test_three_side_by_side(visit, filled):
    page = visit(filled.url, ids=",".join(filled.ids[:3]), space="nano")
    assert not page.warning
    assert charts(page) == 3
    sizes, scores, layers = (table.value for table in page.table)
    assert list(sizes.columns) == [id[:8] for id in filled.ids[:3]]
    assert list(sizes.index[:2]) == ["layers", "parameters"]
    assert f"{filled.values[filled.ids[1]]:.4f}" in scores.loc["mean"].tolist()
    assert layers.iloc[0, 0].startswith("layer 0: ")
    assert "≠" in layers.to_string()
    assert page.multiselect(key="compare_chosen").value == list(filled.ids[:3])


def test_scores_no_better_than_a_constant_answer_are_called_so(visit, own_store):
    with open_store(own_store) as store:
        one, other = (summary.id for summary in store.summaries("nano")[:2])
        levels = {"majority": 0.68, "chance": 0.56}
        scores = [score(id, "MRPC", value) for id, value in ((one, 0.68), (other, 0.7))]
        store.add_scores(dataclasses.replace(found, **levels) for found in scores)
        store.add_scores([score(one, "unlevelled", 0.1)])
    page = visit(own_store, ids=f"{one},{other}", space="nano")
    table = page.table[1].value
    assert table.loc["MRPC"].tolist() == ["0.6800, equals a constant answer", "0.7000"]
    assert table.loc["unlevelled"].tolist() == ["0.1000", "–"]
    captions = [caption.value for caption in page.caption if "constant" in caption.value]
    assert captions == [verbatim("A constant and a random answer score: MRPC 0.6800 and 0.5600.")]


def test_one_is_too_few_and_seven_too_many(visit, filled):
    page = visit(filled.url, ids=filled.ids[0])
    assert "one more" in page.info[0].value
    assert charts(page) == 0
    page = visit(filled.url, ids=",".join(filled.ids[:7]))
    assert "the first 6" in page.warning[0].value
    assert charts(page) == 3
    assert len(page.multiselect(key="compare_chosen").value) == 6


def test_the_best_are_a_click_away(visit, filled, own_store):
    best = sorted(filled.values, key=lambda id: -filled.values[id])
    page = visit(filled.url)
    page.button(key="compare_best").click().run()
    assert page.multiselect(key="compare_chosen").value == best[:3]
    assert charts(page) == 3
    # Beside the one that the address names, also if it is one of them.
    for first, others in ((filled.ids[30], best[:2]), (best[1], [best[0], best[2]])):
        page = visit(filled.url, id=first)
        assert page.multiselect(key="compare_chosen").value == [first]
        page.button(key="compare_best").click().run()
        assert page.multiselect(key="compare_chosen").value == [first, *others]
    page = visit(filled.url, model=pack(draft_of(TINY)))
    page.button(key="compare_best").click().run()
    assert page.table[0].value.columns.tolist() == [
        *(id[:8] for id in best[:2]),
        verbatim(f"edited ({architecture_id(TINY)[:8]})"),
    ]
    page = visit(own_store)
    assert not [button for button in page.button if button.key == "compare_best"]


def test_choosing_changes_the_address(visit, filled):
    page = visit(filled.url)
    page.text_input(key="compare_typed").set_value("BERT-Tiny").run()
    page.text_input(key="compare_typed").set_value(filled.ids[5][:9]).run()
    assert not page.exception
    titles = page.table[0].value.columns.tolist()
    assert titles == [verbatim("BERT-Tiny"), filled.ids[5][:8]]
    page.multiselect(key="compare_chosen").set_value([filled.ids[5], filled.best]).run()
    assert not page.exception
    assert page.table[0].value.columns.tolist() == [filled.ids[5][:8], filled.best[:8]]


def test_unknown_ones_are_named_and_left_out(visit, filled):
    for wrong in ("0" * 24, "zz", "x" * 5_000, "![a](http://example.com/a.png)", "%00", "ü<b>"):
        page = visit(filled.url, ids=f"{filled.ids[0]},{wrong},{filled.ids[1]}")
        assert len(page.warning) == 1
        assert "![a]" not in page.warning[0].value
        assert charts(page) == 3


def test_an_edited_architecture_is_one_of_them(visit, filled):
    page = visit(filled.url, ids=filled.ids[0], model=pack(draft_of(TINY)))
    assert page.table[0].value.columns.tolist() == [
        filled.ids[0][:8],
        verbatim(f"edited ({architecture_id(TINY)[:8]})"),
    ]
    wrong = pack(Draft((LayerDraft("sa_sdp", 100, 3, "512"),)))
    for model in (wrong, "nonsense", "é", "A" * 20_000):
        page = visit(filled.url, ids=",".join(filled.ids[:2]), model=model)
        assert len(page.warning) == 1
        assert charts(page) == 3


def test_without_scores(visit, own_store):
    with open_store(own_store) as store:
        ids = [summary.id for summary in store.summaries("nano")]
    page = visit(own_store, ids=",".join(ids[:2]))
    assert charts(page) == 2
    assert any("None of them has a score" in info.value for info in page.info)


def test_repeated_scores_and_measurements(visit, own_store):
    with open_store(own_store) as store:
        ids = [summary.id for summary in store.summaries("nano")]
        store.add_scores([score(ids[0], "mean", value, f"trained:s/{value}") for value in (0.5, 0.7)])
        store.add_scores([score(ids[1], "mean", 0.6), score(ids[1], "order", 0.9, recipe="other")])
        store.add_measurements([MeasurementRecord(ids[0], "pi", "latency", 0.25, "s")])
    page = visit(own_store, ids=",".join(ids[:2]))
    sizes, scores = page.table[0].value, page.table[1].value
    assert scores.loc["mean"].tolist() == ["0.6000 ± 0.1414 (2)", "0.6000"]
    assert scores.loc["order"].tolist() == ["–", "0.9000"]
    assert sizes.loc[verbatim("pi latency (s)")].tolist() == ["0.25", "–"]


def test_a_space_that_is_being_built(visit, unfinished_store):
    page = visit(unfinished_store)
    assert charts(page) == 0
    assert page.info


@pytest.mark.parametrize("kind", ["missing", "empty"])
def test_no_space(visit, tmp_path, kind):
    file = tmp_path / "none.db"
    if kind == "empty":
        open_store(f"sqlite:///{file}").close()
    page = visit(f"sqlite:///{file}", ids="a,b")
    assert charts(page) == 0
    assert file.exists() == (kind == "empty")


def chosen(*specs: ArchitectureSpec) -> list[Chosen]:
    return [Chosen(architecture_id(spec), f"n{place}", spec) for place, spec in enumerate(specs)]


def test_changed_cells_are_marked_by_signs_and_not_by_colour_alone():
    first, second = ArchitectureSpec(TINY.layers[:1]), named_model("BERT-Mini")
    both = chosen(first, second)
    rows = aligned_layers([first, second])
    for marked in (True, False):
        table = comparison.layer_rows(rows, both, marked)
        row = next(row for row in table["n1"] if "hidden 256" in row and "≠" in row)
        assert row.startswith("≠ layer 0: sa sdp · ")
        assert "**" in row if marked else "**" not in row
        assert sum("+ added" in text for text in table["n1"]) == 3
        assert sum(ABSENT in text for text in table["n0"]) == 3
    equal = comparison.layer_rows(aligned_layers([first, first]), chosen(first, first), False)
    assert equal["n1"].tolist() == [f"= {equal['n0'].iloc[0]}"]


def test_numbers_beside_the_first_one():
    table = pd.DataFrame({"a": [100.0, math.nan, 0.0, 0.5], "b": [150.0, 1.0, 3.0, 0.5]})
    assert comparison.compared(table)["b"].tolist() == ["150 (+50.0%)", "1", "3", "0.5 (=)"]
    assert comparison.compared(table)["a"].tolist() == ["100", "–", "0", "0.5"]


def test_texts_of_visitors_stay_texts():
    assert verbatim("![a](b) :icon: *x*") == "\\!\\[a\\]\\(b\\) \\:icon\\: \\*x\\*"
    with pytest.raises(SpecError):
        comparison.edited("")


def test_figures():
    graph = build_graph(TINY)
    drawn = [DrawnGraph("<b>a", graph, {1, 2}), DrawnGraph("b", graph, ())]
    figure = graphs_side_by_side(drawn)
    rings = [trace for trace in figure.data if trace.name == "differs (ring)"]
    assert [len(ring.x) for ring in rings] == [2]
    assert figure.layout.annotations[0].text == "&lt;b>a"
    nodes = [len(t.x) for t in figure.data if t.mode == "markers" and t.name != "differs (ring)"]
    assert sum(nodes) == 2 * len(graph)
    table = pd.DataFrame(
        [("a", "t", 0.5, 0.1, 2), ("b", "t", 0.6, math.nan, 1)], columns=["id", "title", "mean", "deviation", "runs"]
    )
    bars = scores_side_by_side(table, [("a", "A"), ("b", "B"), ("c", "C")])
    assert [list(trace.error_x.array) for trace in bars.data] == [[0.1], [0.0], []]
    grid = dissimilarity_map(np.array([[0.0, 0.25], [0.25, 0.0]]), ["A", "B"])
    assert grid.data[0].text[0][1] == "0.250"
    strip = forecast_strip([0.1, 0.2], 0.5, 0.1, "t")
    assert list(strip.data[2].x) == pytest.approx([0.4, 0.6])
