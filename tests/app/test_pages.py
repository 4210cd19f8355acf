"""Every page by AppTest: with data, without, and with what a visitor may get wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from explorer.app.navigation import PAGES
from explorer.app.services import STORE_VARIABLE
from graphstore import open_store

PROJECT = Path(__file__).resolve().parents[2]


def script(name: str) -> None:
    from importlib import import_module

    import_module(f"explorer.app.pages.{name}").render()


@pytest.fixture
def visit(monkeypatch: pytest.MonkeyPatch):
    def go(name: str, url: str, **parameters: str) -> AppTest:
        monkeypatch.setenv(STORE_VARIABLE, url)
        page = AppTest.from_function(script, args=(name,), default_timeout=60)
        for key, value in parameters.items():
            page.query_params[key] = value
        return page.run()

    return go


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
def test_page_with_data(visit, filled, name):
    page = visit(name, filled.url, id=filled.best)
    assert not page.exception
    assert not page.error
    assert not page.warning
    assert page.title[0].value == PAGES[name][0]
    assert charts(page) == {"space": 1, "architecture": 1, "search": 1, "heterogeneity": 3}[name]


@pytest.mark.parametrize("name", PAGES)
def test_page_without_a_store_makes_none(visit, tmp_path, name):
    file = tmp_path / "none.db"
    page = visit(name, f"sqlite:///{file}")
    assert not page.exception
    assert "archex demo" in messages(page)
    assert charts(page) == 0
    assert not file.exists()


@pytest.mark.parametrize("name", PAGES)
def test_page_of_an_empty_store(visit, tmp_path, name):
    url = f"sqlite:///{tmp_path / 'empty.db'}"
    open_store(url).close()
    page = visit(name, url)
    assert not page.exception
    assert "archex demo" in messages(page)


@pytest.mark.parametrize("name", PAGES)
def test_page_while_the_library_is_built(visit, unfinished_store, name):
    page = visit(name, unfinished_store)
    assert not page.exception
    assert not page.error
    assert charts(page) == 0
    assert page.info


@pytest.mark.parametrize("name", PAGES)
def test_page_without_scores(visit, own_store, name):
    with open_store(own_store) as store:
        first = store.summaries("nano")[0].id
    page = visit(name, own_store, id=first)
    assert not page.exception
    assert not page.error
    assert charts(page) == {"space": 1, "architecture": 1, "search": 0, "heterogeneity": 2}[name]
    told = messages(page)
    assert {"space": "has a score yet", "architecture": "no score yet"}.get(name, "") in told


@pytest.mark.parametrize("id", ["0" * 24, "zz", "%00", "x" * 500, "' OR 1=1 --", "<b>", "ü"])
@pytest.mark.parametrize("name", ["space", "architecture", "heterogeneity"])
def test_page_with_an_unknown_id(visit, filled, name, id):
    page = visit(name, filled.url, id=id)
    assert not page.exception
    assert len(page.warning) == 1


@pytest.mark.parametrize("name", PAGES)
def test_page_with_unknown_choices_in_the_address(visit, filled, name):
    page = visit(name, filled.url, space="nowhere", study="nothing", depth="99")
    assert not page.exception
    assert "nowhere" in page.warning[0].value


@pytest.mark.parametrize("name", PAGES)
def test_page_of_a_foreign_file(visit, tmp_path, name):
    file = tmp_path / "foreign.db"
    file.write_bytes(b"this is no store" * 100)
    page = visit(name, f"sqlite:///{file}")
    assert not page.exception
    assert str(file) in page.error[0].value
    assert page.button(key="try_again")


def test_password_is_never_shown(visit):
    page = visit("space", "neo4j://someone:secret@127.0.0.1:1")
    assert not page.exception
    assert page.error
    assert "secret" not in messages(page)


def test_space_colours_by_everything(visit, filled):
    page = visit("space", filled.url)
    for choice in page.selectbox(key="space_color").options:
        page.selectbox(key="space_color").set_value(choice).run()
        assert not page.exception, choice
        assert charts(page) == 1


def test_space_shows_the_best_first(visit, filled):
    page = visit("space", filled.url)
    scores = page.dataframe[0].value["score"].tolist()
    assert scores == sorted(filled.values.values(), reverse=True)[:15]
    assert page.dataframe[0].value.index[0] == filled.best


def test_space_card_shows_the_selected(visit, filled):
    page = visit("space", filled.url, id=filled.best)
    assert f"{filled.values[filled.best]:.4f}" in page.table[0].value.to_string()


def test_architecture_by_prefix_and_from_the_list(visit, filled):
    page = visit("architecture", filled.url)
    assert charts(page) == 0
    page.text_input(key="architecture_typed_").set_value(filled.ids[3][:8]).run()
    assert filled.ids[3] in messages(page)
    page = visit("architecture", filled.url)
    options = page.selectbox(key="architecture_picked_").options
    assert len(options) == 20
    assert options[0].startswith(f"{filled.values[filled.best]:.4f} · {filled.best[:8]}")
    page.selectbox(key="architecture_picked_").set_value(filled.best).run()
    assert f"`{filled.best}`" in messages(page)
    assert page.query_params["id"] == filled.best


def test_architecture_tables_are_those_of_the_store(visit, filled):
    page = visit("architecture", filled.url, id=filled.best)
    with open_store(filled.url) as store:
        record = store.architecture(filled.best)
        neighbors = store.neighbors("nano", filled.best, "weisfeiler_lehman")
    layers, scores, similar = (table.value for table in page.dataframe)
    assert layers["hidden"].tolist() == [layer.hidden for layer in record.layers]
    assert sorted(scores["series"]) == ["mean", "order", "package"]
    assert similar.index.tolist() == [neighbor.target for neighbor in neighbors]
    assert similar["dissimilarity"].tolist() == [neighbor.dissimilarity for neighbor in neighbors]
    known = [filled.values.get(id) for id in similar.index]
    assert [None if value != value else value for value in similar["score"]] == known


def test_heterogeneity_separates_depths(visit, filled):
    page = visit("heterogeneity", filled.url, depth="2")
    assert page.query_params["depth"] == "2"
    page = visit("heterogeneity", filled.url, depth="4")
    assert page.query_params["depth"] == "4"
    assert not page.exception


def test_search_shows_studies_side_by_side(visit, filled):
    page = visit("search", filled.url, study="first")
    assert not page.exception
    trials = page.dataframe[0].value
    assert trials["state"].tolist() == ["failed", "complete", "complete", "complete"]
    assert trials["reason"].tolist()[0] == "out of memory"
    assert set(trials["acquisition"]) == {"ucb 0.75"}
    assert "2 studies" in messages(page)
    assert page.button(key="resume_search-1")


def test_search_form_keeps_its_limits(visit, own_store):
    page = visit("search", own_store)
    trials = page.number_input(key="search_trials_False")
    assert (trials.min, trials.max) == (1, 64)
    page.text_input(key="search_name_nano-mean-boshnas-seed0-1").set_value("../../etc").run()
    page.button(key="search_launch").click().run()
    assert not page.exception
    assert "study name" in page.error[0].value
    with open_store(own_store) as store:
        assert store.jobs() == []
