"""The figures of the Search page: with data, without, and of what ended badly."""

from __future__ import annotations

import dataclasses
import json
import time
from urllib.parse import parse_qs

import pytest
from streamlit.testing.v1 import AppTest

from explorer.app.search.study_figures import FIGURES
from explorer.library.workplace import STORE_VARIABLE
from explorer.progress import SilentReporter
from explorer.studies.driver import run_known
from explorer.studies.managing import open_study
from explorer.studies.spec import Known
from explorer.testing.searches import search
from graphstore import open_store
from graphstore.records import JobRecord, JobState, ScoreRecord, StudyState, TrialStatus

from ..conftest import show_page


@pytest.fixture
def visit(monkeypatch: pytest.MonkeyPatch):
    def go(url: str, study: str, figure: str) -> AppTest:
        monkeypatch.setenv(STORE_VARIABLE, url)
        page = AppTest.from_function(show_page, args=("search",), default_timeout=60)
        page.query_params["study"] = study
        page.session_state["search_figure"] = figure
        return page.run()

    return go


def charts(page: AppTest) -> list[dict]:
    return [json.loads(chart.proto.spec) for chart in page.get("plotly_chart")]


def told(page: AppTest) -> str:
    return "\n".join(part.value for part in [*page.info, *page.caption])


@pytest.mark.parametrize("figure", [name for name in FIGURES if name not in ("Acquisition", "Importance")])
def test_every_figure_of_a_study(visit, filled, figure):
    page = visit(filled.url, "first", figure)
    assert not page.exception
    assert not page.error
    assert len(charts(page)) == 1


def test_too_few_trials_are_told(visit, filled):
    page = visit(filled.url, "first", "Importance")
    assert not page.exception
    assert "at least 12 scored" in told(page)
    page = visit(filled.url, "second", "Acquisition")
    assert not page.exception
    assert "have a posterior" in told(page)
    assert charts(page) == []


@pytest.mark.parametrize("figure", FIGURES)
@pytest.mark.parametrize("state", ["empty", "waiting", "running", "failed", "one"])
def test_a_study_with_nothing_or_little_to_show(visit, own_store, figure, state):
    with open_store(own_store) as store:
        id = store.summaries("nano")[0].id
        store.add_scores([ScoreRecord(id, "mean", "accuracy", 0.5, "text", "full", "r", 0, "table:0")])
        store.create_study(search("s", "nano", "boshnas", budget=2, evaluation=Known()).record())
        if state != "empty":
            store.add_trials("s", [(id, {})])
        if state not in ("empty", "waiting"):
            trial = store.claim_trial("s", "me", 60.0, time.time())
            assert trial is not None
        if state == "failed":
            store.finish_trial(trial, TrialStatus.FAILED, time.time(), reason="out of memory")
        if state == "one":
            store.finish_trial(trial, TrialStatus.COMPLETE, time.time(), value=0.5)
    page = visit(own_store, "s", figure)
    assert not page.exception
    assert not page.error
    begun = figure == "Timeline" and state in ("running", "failed", "one")
    valued = state == "one" and figure in ("History", "Choices", "Pareto")
    assert len(charts(page)) == (begun or valued)
    if not (begun or valued):
        assert page.info


def test_the_history_of_a_study_without_a_value_is_not_that_of_others(visit, own_store):
    with open_store(own_store) as store:
        id = store.summaries("nano")[0].id
        for name in ("other", "s"):
            store.create_study(search(name, "nano", budget=2).record())
        store.add_trials("other", [(id, {})])
        store.finish_trial(
            store.claim_trial("other", "me", 60.0, time.time()), TrialStatus.COMPLETE, time.time(), value=0.5
        )
    page = visit(own_store, "s", "History")
    assert charts(page) == []
    assert "The curve starts with the first finished trial" in told(page)
    assert len(charts(visit(own_store, "other", "History"))) == 1


@pytest.mark.parametrize(
    ("state", "running", "remedy"),
    [
        (StudyState.DONE, False, "Extend it"),
        (StudyState.STOPPED, False, "Resume it"),
        (StudyState.OPEN, True, "Wait for more trials"),
    ],
)
def test_too_few_trials_are_told_with_what_the_page_offers(visit, own_store, state, running, remedy):
    with open_store(own_store) as store:
        store.create_study(search("s", "nano", "boshnas", budget=2).record(state))
        if running:
            now = time.time()
            info = {"studies": ["s"]}
            store.put_job(JobRecord("j", "search", JobState.RUNNING, 1, "elsewhere", now, 0.5, "", "", info, now))
    page = visit(own_store, "s", "Acquisition")
    assert not page.exception
    assert "complete trials before its surrogate can be fitted" in told(page)
    assert remedy in told(page).replace("\\", "")
    assert "go on" not in told(page)


def test_the_trade_off_leads_to_the_pareto_page(visit, filled, open_page):
    (address,) = (
        link.proto.query_string
        for link in visit(filled.url, "first", "Pareto").get("page_link")
        if link.proto.page == "pareto"
    )
    page = open_page("pareto", filled.url, **parse_qs(address))
    assert not page.exception
    assert page.multiselect(key="studies").value == ["first"]


def test_the_belief_of_a_study_is_drawn_over_the_map(visit, own_store):
    with open_store(own_store) as store:
        ids = [summary.id for summary in store.summaries("nano")]
        store.add_scores(
            [ScoreRecord(id, "mean", "accuracy", 0.1 * n, "text", "full", "r", 0, "t") for n, id in enumerate(ids)]
        )
        spec = search("s", "nano", "boshnas", budget=8, evaluation=Known(), batch=4, initial=4)
        done = run_known(store, open_study(store, spec), SilentReporter(), lambda: False)
        tried = [trial.architecture for trial in store.trials("s")]
    assert done == dataclasses.replace(done, state=StudyState.DONE)
    page = visit(own_store, "s", "Acquisition")
    assert not page.exception
    traces = {trace.get("name"): trace for trace in charts(page)[0]["data"]}
    assert set(traces["known"]["customdata"]) == set(ids)
    assert [data[0] for data in traces["complete"]["customdata"]] == tried
    page = visit(own_store, "s", "History")
    assert page.toggle(key="search_regret").set_value(True).run().toggle(key="search_regret").value
    assert "regret" in charts(page)[0]["layout"]["yaxis"]["title"]["text"]
