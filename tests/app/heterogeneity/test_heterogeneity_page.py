"""The Heterogeneity page: equal size, frontiers, and spaces with few scores."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from scipy.stats import spearmanr
from streamlit.testing.v1 import AppTest

from explorer.analysis.tables import architectures_frame
from graphstore import open_store

VIEWS = ("All sizes", "Bins of equal size", "Controlled for size")


@pytest.fixture
def visit(open_page):
    def go(url: str, **stated: str | list[str]) -> AppTest:
        page = open_page("heterogeneity", url, **stated)
        assert not page.exception
        assert not page.error
        return page

    return go


@pytest.fixture
def points(filled) -> pd.DataFrame:
    with open_store(filled.url) as store:
        known = architectures_frame(store.summaries("nano", list(filled.values)))
    known["score"] = pd.Series(filled.values)
    return known


def figures(page: AppTest) -> list[dict]:
    return [json.loads(chart.proto.spec) for chart in page.get("plotly_chart")]


def test_correlations_within_bins_are_spearmans(visit, filled, points):
    page = visit(filled.url, heterogeneity_view=VIEWS[1], heterogeneity_bins="2")
    table = page.dataframe[0].value
    half = points["parameters"].median()
    for row, rows in zip(
        table.itertuples(), (points[points["parameters"] <= half], points[points["parameters"] > half]), strict=True
    ):
        assert row.scored == len(rows)
        assert row.rho == pytest.approx(spearmanr(rows["heterogeneity"], rows["score"]).statistic)
        assert row.low <= row.rho <= row.high
    assert len(figures(page)[2]["data"]) == 2


def test_size_is_taken_out(visit, filled, points):
    table = visit(filled.url, heterogeneity_view=VIEWS[2]).dataframe[0].value
    ranks = points[["heterogeneity", "score", "parameters"]].rank().corr()
    hs, hp, sp = (
        ranks.loc[a, b]
        for a, b in (("heterogeneity", "score"), ("heterogeneity", "parameters"), ("score", "parameters"))
    )
    assert table["rho"][0] == pytest.approx((hs - hp * sp) / ((1 - hp**2) * (1 - sp**2)) ** 0.5)


def test_frontiers_are_those_that_nothing_beats(visit, filled, points):
    page = visit(filled.url, homogeneous_to="0.3")
    table = page.dataframe[1].value
    wanted = [
        id
        for id, row in points.iterrows()
        if not (
            (points["parameters"] <= row["parameters"])
            & (points["score"] >= row["score"])
            & ((points["parameters"] < row["parameters"]) | (points["score"] > row["score"]))
        ).any()
    ]
    assert set(table.index) == set(wanted)
    assert table["parameters"].is_monotonic_increasing
    assert (table["kind"] == "homogeneous").tolist() == (table["heterogeneity"] <= 0.3).tolist()
    fronts = {trace["name"] for trace in figures(page)[3]["data"]}
    assert sum(name.startswith("its Pareto front") for name in fronts) == 2


def test_a_kind_that_is_missing_is_told(visit, filled, points):
    page = visit(filled.url, homogeneous_to="0.95")
    missing = [] if (points["heterogeneity"] > 0.95).any() else ["heterogeneous"]
    assert [one.value for one in page.info if "only one Pareto front" in one.value] == [
        f"No scored architecture is {kind} by this measure, so there is only one Pareto front." for kind in missing
    ]


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("count", [1, 2, 4])
def test_few_scores_have_no_correlation(visit, own_store, view, count):
    from graphstore.records import ScoreRecord

    with open_store(own_store) as store:
        ids = [summary.id for summary in store.summaries("nano")[:count]]
        store.add_scores([ScoreRecord(id, "mean", "accuracy", 0.5, "d", "f", "r", 0, "t") for id in ids])
    page = visit(own_store, heterogeneity_view=view)
    assert page.dataframe[0].value["rho"].isna().all()
    assert len(figures(page)) == 4


def test_the_way_back_leads_to_what_was_seen_before(visit, filled):
    before, after = filled.ids[3], filled.ids[4]
    page = visit(filled.url, id=before)
    page.text_input(key=f"heterogeneity_id_{before}").set_value(after).run()
    assert page.query_params["id"] in (after, [after])
    page.query_params["id"] = before
    page.run()
    assert page.query_params["id"] in (before, [before])
    assert page.text_input(key=f"heterogeneity_id_{before}").value == before


def test_wrong_numbers_in_the_address_are_ignored(visit, filled):
    page = visit(filled.url, heterogeneity_best="-3", heterogeneity_bins="1e9", homogeneous_to="nan", depth="x")
    assert len(figures(page)) == 4
