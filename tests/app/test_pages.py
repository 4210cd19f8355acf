"""Every page by AppTest: with data, without, and with what a visitor may get wrong."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from explorer.app.navigation import PAGES
from explorer.app.shared.markdown import verbatim
from explorer.library.library import Library
from explorer.library.workplace import STORE_VARIABLE
from explorer.progress import SilentReporter
from explorer.similarity.graph import architecture_id
from explorer.space.grammar import load_space
from explorer.space.named import named_model
from explorer.testing.searches import search
from graphstore import open_store
from graphstore.records import JobRecord, JobState, ScoreRecord, SpaceRecord, StudyState

PROJECT = Path(__file__).resolve().parents[2]


def messages(page: AppTest) -> str:
    parts = [*page.info, *page.warning, *page.error, *page.markdown, *page.caption]
    return "\n".join(part.value for part in parts)


def charts(page: AppTest) -> int:
    return len(page.get("plotly_chart"))


def test_the_app_begins_with_the_space(filled, monkeypatch):
    monkeypatch.setenv(STORE_VARIABLE, filled.url)
    app = AppTest.from_file(str(PROJECT / "streamlit_app.py"), default_timeout=60).run()
    assert not app.exception
    assert app.title[0].value == "Space"


@pytest.mark.parametrize("name", PAGES)
def test_page_with_data(open_page, filled, name):
    page = open_page(name, filled.url, id=filled.best)
    assert not page.exception
    assert not page.error
    assert not page.warning
    assert page.title[0].value == PAGES[name][0]
    assert charts(page) == {
        "space": 1,
        "architecture": 3,
        "build": 2,
        "search": 1,
        "heterogeneity": 4,
        "pareto": 1,
    }.get(name, 0)


@pytest.mark.parametrize("name", PAGES)
def test_page_without_a_store_makes_none(open_page, tmp_path, name):
    file = tmp_path / "none.db"
    page = open_page(name, f"sqlite:///{file}")
    assert not page.exception
    assert "archex demo" in messages(page)
    assert charts(page) == 0
    assert not file.exists()


@pytest.mark.parametrize("name", PAGES)
def test_page_of_an_empty_store(open_page, tmp_path, name):
    url = f"sqlite:///{tmp_path / 'empty.db'}"
    open_store(url).close()
    page = open_page(name, url)
    assert not page.exception
    assert "archex demo" in messages(page)


@pytest.mark.parametrize("name", PAGES)
def test_page_while_the_library_is_built(open_page, unfinished_store, name):
    page = open_page(name, unfinished_store)
    assert not page.exception
    assert not page.error
    assert charts(page) == 0
    assert page.info


@pytest.mark.parametrize("name", PAGES)
def test_page_without_scores(open_page, own_store, name):
    with open_store(own_store) as store:
        first = store.summaries("nano")[0].id
    page = open_page(name, own_store, id=first)
    assert not page.exception
    assert not page.error
    assert charts(page) == {"space": 1, "architecture": 2, "build": 1, "search": 0, "heterogeneity": 2}.get(name, 0)
    told = messages(page)
    assert {"space": "has a score yet", "architecture": "no score yet"}.get(name, "") in told


@pytest.mark.parametrize("id", ["0" * 24, "zz", "%00", "x" * 500, "' OR 1=1 --", "<b>", "ü"])
@pytest.mark.parametrize("name", ["space", "architecture", "heterogeneity"])
def test_page_with_an_unknown_id(open_page, filled, name, id):
    page = open_page(name, filled.url, id=id)
    assert not page.exception
    assert len(page.warning) == 1


@pytest.mark.parametrize("name", [name for name in PAGES if name != "jobs"])
def test_page_with_unknown_choices_in_the_address(open_page, filled, name):
    page = open_page(name, filled.url, space="nowhere", study="nothing", depth="99")
    assert not page.exception
    assert "nowhere" in page.warning[0].value


@pytest.mark.parametrize("name", PAGES)
def test_page_of_a_foreign_file(open_page, tmp_path, name):
    file = tmp_path / "foreign.db"
    file.write_bytes(b"this is no store" * 100)
    page = open_page(name, f"sqlite:///{file}")
    assert not page.exception
    assert verbatim(file) in page.error[0].value
    assert page.button(key="try_again")


def test_password_is_never_shown(open_page):
    page = open_page("space", "neo4j://someone:secret@127.0.0.1:1")
    assert not page.exception
    assert page.error
    assert "secret" not in messages(page)


def test_space_colours_by_everything(open_page, filled):
    page = open_page("space", filled.url)
    for choice in page.selectbox(key="space_color").options:
        page.selectbox(key="space_color").set_value(choice).run()
        assert not page.exception, choice
        assert charts(page) == 1


def test_space_shows_the_best_first(open_page, filled):
    page = open_page("space", filled.url)
    scores = page.dataframe[0].value["score"].tolist()
    assert scores == sorted(filled.values.values(), reverse=True)[:15]
    assert page.dataframe[0].value.index[0] == filled.best


def test_space_card_shows_the_selected(open_page, filled):
    page = open_page("space", filled.url, id=filled.best)
    assert f"{filled.values[filled.best]:.4f}" in page.table[0].value.to_string()


def test_architecture_by_prefix_and_from_the_list(open_page, filled):
    page = open_page("architecture", filled.url)
    assert charts(page) == 0
    page.text_input(key="architecture_typed_").set_value(filled.ids[3][:8]).run()
    assert filled.ids[3] in messages(page)
    page = open_page("architecture", filled.url)
    options = page.selectbox(key="architecture_picked_").options
    assert len(options) == 20
    assert options[0].startswith(f"{filled.values[filled.best]:.4f} · {filled.best[:8]}")
    page.selectbox(key="architecture_picked_").set_value(filled.best).run()
    assert f"`{filled.best}`" in messages(page)
    assert page.query_params["id"] == filled.best


def test_architecture_tables_are_those_of_the_store(open_page, filled):
    page = open_page("architecture", filled.url, id=filled.best)
    with open_store(filled.url) as store:
        record = store.architecture(filled.best)
        neighbors = store.neighbors("nano", filled.best, "views")
    layers, spread, scores, similar = (table.value for table in page.dataframe)
    assert layers["hidden"].tolist() == [layer.hidden for layer in record.layers]
    assert sorted(scores["title"]) == sorted(spread["title"]) == ["mean", "order", "package"]
    assert similar.index.tolist() == [neighbor.target for neighbor in neighbors]
    assert similar["dissimilarity"].tolist() == [neighbor.dissimilarity for neighbor in neighbors]
    known = [filled.values.get(id) for id in similar.index]
    assert [None if value != value else value for value in similar["score"]] == known


def test_heterogeneity_separates_depths(open_page, filled):
    page = open_page("heterogeneity", filled.url, depth="2")
    assert page.query_params["depth"] == "2"
    page = open_page("heterogeneity", filled.url, depth="4")
    assert page.query_params["depth"] == "4"
    assert not page.exception


def test_search_shows_studies_side_by_side(open_page, filled):
    page = open_page("search", filled.url, study="first")
    assert not page.exception
    trials = page.dataframe[0].value
    assert trials["state"].tolist() == ["failed", "complete", "complete", "complete"]
    assert trials["reason"].tolist()[0] == "out of memory"
    assert set(trials["acquisition"]) == {"ucb 0.75"}
    assert "2 studies" in messages(page)
    assert page.button(key="resume_search-1")


def test_search_form_keeps_its_limits(open_page, own_store):
    page = open_page("search", own_store)
    trials = page.number_input(key="search_trials_False")
    assert (trials.min, trials.max) == (1, 64)
    page.text_input(key="search_name_nano-mean-boshnas-seed0-1").set_value("../../etc").run()
    page.button(key="search_launch").click().run()
    assert not page.exception
    assert "study name" in page.error[0].value
    with open_store(own_store) as store:
        assert store.jobs() == []


def scored(id: str, value: float, fidelity: str, seconds: float = 0.0) -> ScoreRecord:
    return ScoreRecord(id, "mean", "accuracy", value, "text", fidelity, "r", 0, "import", seconds)


@pytest.fixture(scope="module")
def small_space(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> tuple[str, list[str]]:
    """URL of a store with a space of a few, all of one score, and their ids."""
    url = f"sqlite:///{tmp_path_factory.mktemp('small') / 'small.db'}"
    specs = load_space("nano").sample(request.param, np.random.default_rng(5))
    with open_store(url) as store:
        Library.build(store, "own", specs, SilentReporter(), source={"test": True})
        ids = [summary.id for summary in store.summaries("own")]
        store.add_scores([scored(id, 0.5, "full") for id in ids])
    return url, ids


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("small_space", [1, 2, 3], indirect=True)
def test_page_of_a_very_small_space(open_page, small_space, name):
    url, ids = small_space
    count = len(ids)
    page = open_page(name, url, id=ids[0])
    assert not page.exception
    assert not page.error
    architecture = 2 if count == 1 else 3  # Alone it has no neighbours to draw.
    assert charts(page) == {"space": 1, "architecture": architecture, "build": 1, "heterogeneity": 4, "pareto": 1}.get(
        name, 0
    )
    if name == "space":
        assert f"{count} architecture" in messages(page)
        assert (f"All {count} are equal: 0.5." in messages(page)) is (count > 1)
    assert ("the only architecture" in messages(page)) is (name == "architecture" and count == 1)


@pytest.mark.parametrize(("space", "advice"), [("own", "import again"), ("nano", "archex space build nano")])
@pytest.mark.parametrize("name", ["space", "heterogeneity"])
def test_unfinished_space_says_what_really_helps(open_page, tmp_path, name, space, advice):
    url = f"sqlite:///{tmp_path / 'unfinished.db'}"
    with open_store(url) as store:
        store.put_space(SpaceRecord(space, {"ready": False}))
    told = messages(open_page(name, url))
    assert advice in told
    assert "space build own" not in told


def test_space_begins_with_the_largest_kind_and_says_how_many_have_it(open_page, own_store):
    with open_store(own_store) as store:
        ids = [summary.id for summary in store.summaries("nano")]
        store.add_scores([scored(id, 0.1 * row, "a few") for row, id in enumerate(ids[:2])])
        store.add_scores([scored(id, 0.1 * row, "more") for row, id in enumerate(ids[2:7])])
    page = open_page("space", own_store)
    assert page.selectbox(key="space_color").value == "Score: mean (more)"
    assert "7 of them scored" in messages(page)
    assert "5 with this score" in messages(page)
    page.selectbox(key="space_color").set_value("Depth").run()
    assert "with this score" not in messages(page)


def test_imported_scores_have_no_seconds(open_page, own_store):
    with open_store(own_store) as store:
        id = store.summaries("nano")[0].id
        store.add_scores([scored(id, 0.5, "published")])
    page = open_page("architecture", own_store, id=id)
    assert page.dataframe[2].value["seconds"].isna().all()
    assert page.dataframe[2].proto.placeholder == "–"


@pytest.mark.parametrize("typed", ["BERT-Tiny", "bert-tiny"])
def test_architecture_by_its_name(open_page, tmp_path, typed):
    url = f"sqlite:///{tmp_path / 'named.db'}"
    with open_store(url) as store:
        Library.build(store, "own", [named_model("BERT-Tiny")], SilentReporter(), source={"test": True})
    page = open_page("architecture", url)
    page.text_input(key="architecture_typed_").set_value(typed).run()
    assert not page.warning
    id = architecture_id(named_model("BERT-Tiny"))
    assert page.query_params["id"] in (id, [id])
    assert f"`{id}`" in messages(page)
    assert charts(page) == 1
    assert not open_page("heterogeneity", url, id=typed).warning


def test_unfinished_trials_show_progress_and_blanks(open_page, own_store):
    with open_store(own_store) as store:
        id = store.summaries("nano")[0].id
        store.create_study(search("s", "nano", budget=2).record())
        store.add_trials("s", [(id, {"message": "pre-training: step 177 of 300"})])
    page = open_page("search", own_store, study="s")
    assert "progress" not in page.dataframe[0].proto.column_order
    with open_store(own_store) as store:
        store.claim_trial("s", "me", 60.0, time.time())
    page = open_page("search", own_store, study="s")
    assert page.dataframe[0].proto.placeholder == "–"
    assert "progress" in page.dataframe[0].proto.column_order
    assert page.dataframe[0].value["progress"].tolist() == ["pre-training: step 177 of 300"]


def test_study_keeps_its_bare_name_while_its_job_begins(open_page, own_store):
    now = time.time()
    with open_store(own_store) as store:
        info = {"studies": ["mine"], "arguments": ["search"]}
        store.put_job(JobRecord("j", "search", JobState.STOPPED, 0, "", now, 0.5, "stopped", "", info, now))
    page = open_page("search", own_store, study="mine")
    assert "has not started yet" in messages(page)
    assert page.selectbox(key="pick_study").options == ["mine"]
    with open_store(own_store) as store:
        store.create_study(search("mine", "nano", budget=2).record(StudyState.DONE, now))
    page.run()
    assert page.selectbox(key="pick_study").options == ["mine"]
    assert page.query_params["study"] in ("mine", ["mine"])
    assert not [button for button in page.button if button.key == "resume_j"]
