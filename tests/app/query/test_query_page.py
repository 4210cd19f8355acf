"""The Query page: the form and its place in the address, the answers, and the Cypher tab on both engines."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from functools import partial

import neo4j
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from streamlit.config import get_option, set_option
from streamlit.testing.v1 import AppTest

from explorer.analysis.score_kinds import TitledKind
from explorer.app.query import cypher_console
from explorer.app.query.query_form import (
    ADDRESS,
    FACTS,
    LARGEST,
    LIMITS,
    OPEN,
    POSITIONS,
    SORTS,
    Choices,
    FormQuery,
    Layer,
    read_address,
)
from explorer.app.shared import access
from graphstore import open_store
from graphstore.cypher import Answer
from graphstore.queries import ArchitectureQuery, Condition, Fact, LayerRule, Range, Sort
from graphstore.records import ScoreKind, ScoreRecord

MEAN = ScoreKind("mean", "accuracy", "text", "steps 100", "r")
LOSS = ScoreKind("lm", "loss", "text", "steps 100", "r")
CHOICES = Choices(("c", "l", "sa"), ("5", "dft", "sdp"), (32, 64), (TitledKind(MEAN, "mean"), TitledKind(LOSS, "lm")))


@pytest.fixture
def visit(open_page):
    return partial(open_page, "query")


def press(page: AppTest, label: str) -> AppTest:
    """Press a form's button, whose key is not for us to choose."""
    return next(button for button in page.button if button.label == label).click().run()


def field(page: AppTest, kind: str, ending: str):
    """The widget of the form whose key ends like this; the key begins with the number of the form's round."""
    return next(widget for widget in page.get(kind) if widget.key.endswith(ending))


def found(page: AppTest) -> list[str]:
    return list(page.dataframe[0].value.index) if page.dataframe else []


def texts(page: AppTest) -> str:
    parts = [*page.info, *page.warning, *page.error, *page.markdown, *page.caption, *page.code]
    return "\n".join(part.value for part in parts)


# The form -------------------------------------------------------------------------------------------------------

ENDS = st.one_of(
    st.just(OPEN),
    st.lists(st.integers(0, LARGEST), min_size=2, max_size=2).map(lambda ends: tuple(map(float, sorted(ends)))),
    st.integers(0, LARGEST).map(lambda end: (float(end), None)),
    st.floats(0, 1).map(lambda end: (None, float(f"{end:.15g}"))),
)
COUNTS = st.lists(st.none() | st.integers(0, LARGEST).map(float), min_size=2, max_size=2).map(
    lambda ends: tuple(sorted(ends)) if None not in ends else tuple(ends)
)
LAYERS = st.builds(
    Layer,
    st.sampled_from([*POSITIONS]),
    st.sampled_from(["", *CHOICES.families]),
    st.sampled_from(["", *CHOICES.parameters]),
    st.sampled_from([0, *CHOICES.hiddens]),
).filter(lambda layer: not layer.is_empty)
QUERIES = st.builds(
    FormQuery,
    st.lists(LAYERS, max_size=3).map(tuple),
    st.fixed_dictionaries({}, optional={name: ENDS if name == "heterogeneity" else COUNTS for name in FACTS}).map(
        lambda ranges: {name: ends for name, ends in ranges.items() if ends != OPEN}
    ),
    st.sampled_from([None, *CHOICES.kinds]),
    ENDS,
    st.sampled_from(["", *SORTS]),
    st.sampled_from(LIMITS),
)


@given(QUERIES)
def test_a_query_comes_back_from_its_address(query):
    again, wrong = read_address(query.address(), CHOICES)
    assert wrong == []
    if query.kind is None:
        query = dataclasses.replace(query, score=OPEN, sort="" if query.sort == "score" else query.sort)
    assert again == query


@given(st.dictionaries(st.sampled_from(ADDRESS), st.one_of(st.text(max_size=12), st.from_regex(r"[0-9e.,~-]{0,9}"))))
def test_no_address_is_too_odd(address):
    query, wrong = read_address(address, CHOICES)
    assert set(wrong) <= set(address)
    assert isinstance(query.question("nano"), ArchitectureQuery)


def test_a_query_of_the_form_is_a_typed_question():
    layers = (Layer("last", "c", "5", 64), Layer("any", "sa"), Layer("first", hidden=32))
    mean, loss = CHOICES.kinds
    query = FormQuery(layers, {"parameters": (None, 1e7), "depth": OPEN}, mean, (0.8, None), "score", 50)
    assert query.question("nano") == ArchitectureQuery(
        "nano",
        (
            LayerRule(-1, "c", "5", hidden=Range(64, 64)),
            LayerRule(None, "sa"),
            LayerRule(0, hidden=Range(32, 32)),
        ),
        conditions=(Condition(Fact.PARAMETERS, Range(None, 1e7)), Condition(MEAN, Range(0.8, None))),
        sort=(Sort(MEAN, descending=True),),
        limit=50,
    )
    assert FormQuery(kind=loss, sort="score").question("nano").sort == (Sort(LOSS),)
    assert FormQuery(sort="-flops").question("nano").sort == (Sort(Fact.FLOPS, descending=True),)


# The page -------------------------------------------------------------------------------------------------------


def test_the_best_first_means_the_first_score(visit, filled, own_store):
    page = visit(filled.url)
    field(page, "selectbox", "_sort").set_value("score")
    press(page, "Find")
    assert found(page) == sorted(filled.values, key=lambda id: -filled.values[id])
    assert page.query_params["series"] in ("mean", ["mean"])
    page = visit(own_store)
    field(page, "selectbox", "_sort").set_value("score")
    press(page, "Find")
    assert "No architecture has a score to order by yet" in page.warning[0].value


def test_the_form_asks_and_the_address_keeps_it(visit, filled):
    page = visit(filled.url)
    assert not page.exception
    assert "**60** architectures fit; the first 20 are shown" in texts(page)
    field(page, "selectbox", "_place0").set_value("last")
    field(page, "selectbox", "_family0").set_value("l")
    field(page, "selectbox", "_kind").set_value("mean")
    field(page, "number_input", "_score_from").set_value(0.55)
    field(page, "selectbox", "_sort").set_value("score")
    press(page, "Find")
    assert not page.exception
    assert page.query_params["layer1"] == "last,l,,"
    assert (page.query_params["series"], page.query_params["score"]) == ("mean", "0.55..")
    with open_store(filled.url) as store:
        fits = [s.id for s in store.summaries("nano") if "l" in s.families[-1].split("+")]
    expected = sorted((id for id in fits if filled.values.get(id, 0) >= 0.55), key=lambda id: -filled.values[id])
    assert expected
    assert found(page) == expected
    assert page.dataframe[0].value["score"].tolist() == [filled.values[id] for id in expected]
    assert f"**{len(expected)}** architecture" in texts(page)
    linked = visit(filled.url, **dict(page.query_params))
    assert found(linked) == expected
    assert field(linked, "selectbox", "_family0").value == "l"
    assert field(linked, "number_input", "_score_from").value == 0.55
    press(page, "Find")
    assert found(page) == expected


def test_ranges_of_facts(visit, filled):
    with open_store(filled.url) as store:
        sizes = {s.id: s.parameters for s in store.summaries("nano")}
    middle = sorted(sizes.values())[30]
    page = visit(filled.url, parameters=f"~{middle}", sort="-parameters", limit="100")
    expected = sorted((id for id, size in sizes.items() if size <= middle), key=lambda id: (-sizes[id], id))
    assert found(page) == expected


def test_each_kind_of_a_tasks_scores_is_chosen_by_itself(visit, own_store):
    with open_store(own_store) as store:
        ids = [summary.id for summary in store.summaries("nano")]
        store.add_scores([ScoreRecord(ids[0], "mean", "accuracy", 0.5, "text", "short", "r", 0, "t")])
        store.add_scores([ScoreRecord(ids[1], "mean", "accuracy", 0.6, "text", "long", "r", 0, "t")])
    page = visit(own_store)
    options = field(page, "selectbox", "_kind").options
    assert len(options) == 3
    for option, id in (
        (next(o for o in options if "short" in o), ids[0]),
        (next(o for o in options if "long" in o), ids[1]),
    ):
        page = visit(own_store, series=option, sort="score")
        assert found(page) == [id]


@pytest.mark.parametrize(
    "address",
    [
        {"layer1": "nowhere,x,,"},
        {"parameters": "many"},
        {"parameters": "5~1"},
        {"parameters": "-5~10"},
        {"flops": "~-1"},
        {"depth": "2.5~"},
        {"series": "nothing"},
        {"limit": "1000000"},
        {"sort": "<b>"},
    ],
)
def test_what_an_address_has_wrong_is_said(visit, filled, address):
    page = visit(filled.url, **address)
    assert not page.exception
    assert next(iter(address)) in page.warning[0].value
    assert len(found(page)) == 20


def test_a_range_that_ends_before_it_begins_is_a_message(visit, filled):
    page = visit(filled.url)
    field(page, "number_input", "_parameters_from").set_value(5)
    field(page, "number_input", "_parameters_to").set_value(1)
    press(page, "Find")
    assert not page.exception
    assert "range" in page.warning[0].value


def test_nothing_fits_is_said(visit, filled):
    assert "No architecture matches" in texts(visit(filled.url, parameters="~1"))


# The Cypher tab -------------------------------------------------------------------------------------------------


def test_an_embedded_store_says_how_to_get_neo4j(visit, filled):
    page = visit(filled.url)
    assert "archex neo4j start" in texts(page)
    assert [area.key for area in page.text_area] == ["nearest_vector"]


@pytest.fixture
def on_server(server, neo4j_url, filled) -> str:
    """A server with a part of the filled store's library and its scores."""
    with open_store(filled.url) as source, open_store(neo4j_url) as store:
        store.put_space(source.space("nano"))
        store.add_architectures("nano", [source.architecture(id) for id in filled.ids[:12]])
        store.add_scores([score for score in source.scores("nano") if score.architecture in filled.ids[:12]])
    return neo4j_url


@pytest.fixture
def listening() -> Iterator[Callable[..., None]]:
    """Sets the address at which the app listens, and its base path."""
    options = ("server.address", "server.baseUrlPath")
    before = {name: get_option(name) for name in options}

    def listen(address: str | None, base_path: str = "") -> None:
        for name, value in zip(options, (address, base_path), strict=True):
            set_option(name, value)

    yield listen
    for name, value in before.items():
        set_option(name, value)


@pytest.mark.parametrize(
    ("address", "base_path", "password", "shared"),
    [
        ("127.0.0.1", "", "", False),
        ("0.0.0.0", "", "", True),
        (None, "", "", True),
        ("127.0.0.1", "", "a long password", True),
        ("127.0.0.1", "/explorer", "", True),
    ],
)
def test_an_app_is_shared_if_others_can_reach_it(listening, monkeypatch, address, base_path, password, shared):
    listening(address, base_path)
    monkeypatch.setenv("EXPLORER_APP_PASSWORD", password)
    assert access.is_shared() == shared


@pytest.mark.neo4j
def test_a_shared_app_on_neo4j_offers_the_saved_queries_only(visit, on_server, listening):
    listening("0.0.0.0")
    page = visit(on_server, saved="", tab="Cypher", statement="RETURN 1")
    assert not page.exception
    assert "saved queries only" in texts(page)
    assert "" not in page.selectbox(key="cypher_query").options
    assert [area.key for area in page.text_area] == ["nearest_vector"]


@pytest.mark.neo4j
def test_saved_queries_and_own_statements_on_neo4j(visit, filled, on_server, listening):
    listening("127.0.0.1")
    page = visit(on_server, saved="pareto", tab="Cypher")
    assert not page.exception
    assert "**12** architectures fit" in texts(page)
    assert page.selectbox(key="cypher_query").value == "pareto"
    assert page.text_input(key="cypher_pareto_space").value == "nano"
    press(page, "Run")
    assert not page.exception
    table = page.dataframe[-1].value
    assert table["value"].iloc[-1] == pytest.approx(max(filled.values[id] for id in filled.ids[:12]))
    assert table["open"].iloc[0].startswith(f"architecture?id={table['architecture'].iloc[0]}")
    page.selectbox(key="cypher_query").set_value("").run()
    assert len(page.dataframe) == 1
    page.text_area(key="cypher_text").set_value("MATCH (a:Architecture) WHERE a.depth > $d RETURN count(a) AS n")
    page.text_input(key="cypher_parameters").set_value('{"d": 0}')
    press(page, "Run")
    assert page.dataframe[-1].value["n"].tolist() == [12]
    linked = visit(on_server, saved="", tab="Cypher", statement=page.query_params["statement"], cypher_rows="20")
    assert linked.text_area(key="cypher_text").value == page.text_area(key="cypher_text").value
    assert linked.selectbox(key="cypher_rows").value == 20
    assert len(linked.dataframe) == 1  # It is filled in, not run.
    for text, parameters, said in (
        ("MATCH (n) DETACH DELETE n", "{}", "must only read"),
        ("MATCH (n", "{}", "in line 1"),
        ("RETURN $x", "{}", "none for x"),
        ("RETURN 1", "[1]", "JSON object"),
        ("", "{}", "nothing"),
    ):
        page.text_area(key="cypher_text").set_value(text)
        page.text_input(key="cypher_parameters").set_value(parameters)
        press(page, "Run")
        assert not page.exception
        assert said in texts(page)
        assert len(page.dataframe) == 1
    with neo4j.GraphDatabase.driver(on_server) as driver:
        assert driver.execute_query("MATCH (a:Architecture) RETURN count(a) AS n").records[0]["n"] == 12


@pytest.mark.neo4j
def test_a_missing_parameter_of_a_saved_query_on_neo4j_is_named(visit, on_server):
    page = visit(on_server, saved="lineage")
    press(page, "Run")
    assert not page.exception
    assert "parameter id of lineage must be given" in texts(page)


def test_answers_become_tables():
    rows = (
        (1, 0.5, "a", True, {"x": [1]}, 2**70),
        (None, None, None, False, "y", 1),
        (2, "NaN", "z", None, None, None),
    )
    table = cypher_console.answer_frame(Answer(("n", "f", "t", "b", "m", "big"), rows, False, 0.1))
    assert table["n"].iloc[0] == 1
    assert pd.isna(table["n"].iloc[1])
    assert table["f"].tolist()[0::2] == ["0.5", "NaN"]
    assert table["b"].tolist()[:2] == ["true", "false"]
    assert table["m"].tolist()[:2] == ['{"x": [1]}', "y"]
    assert cypher_console.answer_frame(Answer(("x",), (("y" * 5000,),), False, 0.1))["x"].iloc[0].endswith("…")
