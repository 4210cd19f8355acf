"""The Build page: editing, pasting, what is said at once, and queueing."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest

from explorer.app.build import building
from explorer.library.library import Library
from explorer.progress import SilentReporter
from explorer.similarity.graph import architecture_id
from explorer.space.drafts import Draft, draft_of, pack, read_draft, unpack
from explorer.space.formats import from_json, to_json
from explorer.space.grammar import load_space
from explorer.space.named import named_model
from explorer.studies.spec import StudySpec, Trained
from graphstore import open_store
from graphstore.copying import copy_store
from graphstore.errors import StoreError
from graphstore.records import SpaceRecord

from ..conftest import score, study

TINY = named_model("BERT-Tiny")


@pytest.fixture
def visit(open_page):
    def go(url: str, **stated: str | list[str]) -> AppTest:
        page = open_page("build", url, timeout=120, **stated)
        assert not page.exception
        return page

    return go


def model(page: AppTest) -> Draft:
    found = page.query_params["model"]
    return unpack(found if isinstance(found, str) else found[0])


def charts(page: AppTest) -> int:
    return len(page.get("plotly_chart"))


def told(page: AppTest) -> str:
    parts = [*page.info, *page.success, *page.warning, *page.error, *page.caption]
    return "\n".join(part.value for part in parts)


def field(page: AppTest, kind: str, layer: int, name: str):
    return next(one for one in getattr(page, kind) if one.key.endswith(f"_{layer}_{name}"))


@pytest.fixture(scope="module")
def grammar_file(tmp_path_factory) -> Path:
    """A small library of a grammar, without scores."""
    file = tmp_path_factory.mktemp("build") / "grammar.db"
    space = load_space("nano")
    with open_store(f"sqlite:///{file}") as store:
        specs = [space.at(index) for index in range(0, 9000, 750)]
        Library.build(store, "nano", specs, SilentReporter(), source=space.source(), title="Nano")
    return file


@pytest.fixture
def grammar_store(grammar_file, tmp_path) -> str:
    """Its copy, for a test that may write."""
    shutil.copy(grammar_file, tmp_path / "grammar.db")
    return f"sqlite:///{tmp_path / 'grammar.db'}"


@pytest.fixture(params=["embedded", pytest.param("neo4j", marks=pytest.mark.neo4j)])
def either_store(request, grammar_store) -> str:
    """URL of that library in a store of each kind in turn."""
    if request.param == "embedded":
        return grammar_store
    request.getfixturevalue("server")
    url = request.getfixturevalue("neo4j_url")
    with open_store(grammar_store) as source, open_store(url) as store:
        copy_store(source, store)
    return url


def test_it_begins_with_what_the_address_says(visit, filled):
    page = visit(filled.url, id=filled.best)
    with open_store(filled.url) as store:
        spec = from_json(store.architecture(filled.best).spec)
    assert read_draft(model(page)) == (spec, [])
    assert "id" not in page.query_params
    assert charts(page) == 2
    assert "one of the architectures of nano" in told(page)
    assert "Predicted from 20 scored" in told(page)
    assert [metric.value for metric in page.metric if metric.label == "Measured"] == [
        f"{filled.values[filled.best]:.4f}"
    ]
    again = visit(filled.url, model=pack(model(page)))
    assert model(again) == model(page)
    assert not again.warning


def test_without_an_address_it_begins_with_the_space(visit, grammar_store):
    page = visit(grammar_store)
    assert read_draft(model(page))[0] == load_space("nano").at(0)
    assert charts(page) == 1
    assert "has a score yet" in told(page)
    assert "nano has hidden sizes 32, 64" in told(page)


def test_editing_by_fields_and_buttons(visit, grammar_store):
    page = visit(grammar_store, model=pack(draft_of(load_space("nano").at(0))))
    field(page, "number_input", 0, "hidden").set_value(64).run()
    assert model(page).layers[0].hidden == 64
    assert "outside the grammar of nano, where layers 0 and 1 must be equal." in told(page)
    assert "You can still train it: it is then added to nano as an architecture of your own." in told(page)
    assert "LayerSpec" not in told(page)
    field(page, "selectbox", 1, "operation").set_value("c_5").run()
    field(page, "number_input", 1, "heads").set_value(4).run()
    field(page, "text_input", 1, "stack").set_value("3 x 64").run()
    assert not page.exception
    spec, errors = read_draft(model(page))
    assert not errors
    assert spec is not None
    assert str(spec.layers[1].main) == "c_5_8"
    assert spec.layers[1].feed_forward == (64, 64, 64)
    # What a screen reader calls them; the icon is only drawn.
    assert field(page, "button", 1, "content_copy").label == "Duplicate layer 1"
    field(page, "button", 1, "content_copy").click().run()
    field(page, "button", 0, "arrow_downward").click().run()
    layers = model(page).layers
    assert [layer.operation for layer in layers] == ["c_5", layers[1].operation, "c_5"]
    assert field(page, "number_input", 1, "hidden").value == 64
    field(page, "button", 0, "delete").click().run()
    next(button for button in page.button if button.key.endswith("_add")).click().run()
    assert [layer.operation for layer in model(page).layers][1:] == ["c_5", "c_5"]
    assert "It is outside the grammar of nano" in told(page)
    assert not page.exception


def test_heads_one_by_one(visit, grammar_store):
    page = visit(grammar_store, model=pack(draft_of(TINY)))
    field(page, "selectbox", 0, "operation").set_value("mixed").run()
    assert field(page, "text_input", 0, "mix").value == "2 × sa_sdp_64"
    field(page, "text_input", 0, "mix").set_value("sa_wma_64, c_5_64").run()
    spec, _ = read_draft(model(page))
    assert spec is not None
    assert not spec.is_per_layer
    assert not page.error


def test_mistakes_are_told_and_kept(visit, grammar_store):
    page = visit(grammar_store, model=pack(draft_of(TINY)))
    field(page, "number_input", 0, "heads").set_value(3).run()
    field(page, "text_input", 1, "stack").set_value("![x](http://example.com)").run()
    assert not page.exception
    assert "2 errors to correct" in page.error[0].value
    assert "layer 0" in page.error[0].value
    assert "![x]" not in page.error[0].value
    assert charts(page) == 0
    again = visit(grammar_store, model=pack(model(page)))
    assert field(again, "text_input", 1, "stack").value == "![x](http://example.com)"
    field(again, "text_input", 1, "stack").set_value("64").run()
    field(again, "number_input", 0, "heads").set_value(4).run()
    assert not again.error
    assert charts(again) == 1


@pytest.mark.parametrize("text", ["", "é", "x" * 20_000, "eJw", "![a](http://example.com/a.png)"])
def test_a_broken_address_begins_anew(visit, grammar_store, text):
    page = visit(grammar_store, model=text)
    assert len(page.warning) == 1
    assert "![a]" not in page.warning[0].value
    assert read_draft(model(page))[0] == load_space("nano").at(0)


@pytest.mark.parametrize("id", ["0" * 24, "zz", "%00", "x" * 5_000, "ü"])
def test_a_deleted_id_begins_anew(visit, grammar_store, id):
    page = visit(grammar_store, id=id)
    assert len(page.warning) == 1
    assert charts(page) == 1


def test_starting_from_names_and_pasted_ones(visit, grammar_store):
    page = visit(grammar_store)
    page.text_input(key="build_from").set_value("bert-tiny").run()
    assert read_draft(model(page))[0] == TINY
    page.text_input(key="build_from").set_value("nothing like it").run()
    assert "nothing like it" in page.error[0].value
    assert read_draft(model(page))[0] == TINY
    page.selectbox(key="build_named").set_value("FNet-Mini").run()
    assert read_draft(model(page))[0] == named_model("FNet-Mini")
    edgetran = load_space("edgetran").at(12345)
    page.text_area(key="build_pasted").set_value(to_json(edgetran))
    page.button(key="build_read").click().run()
    assert read_draft(model(page))[0] == edgetran
    for text in ("", "{", "[" * 10_000, "9" * 5_000, '{"l": 1}', "x" * 1_000_000):
        page.text_area(key="build_pasted").set_value(text)
        page.button(key="build_read").click().run()
        assert not page.exception
        assert len(page.error) == 1
        assert read_draft(model(page))[0] == edgetran
    page.button(key="build_blank").click().run()
    assert read_draft(model(page))[0] == load_space("nano").at(0)


LINE = st.text(max_size=30) | st.sampled_from(["512", "2 × 64", "sa_sdp_64", "1" * 5_000, "\x00", "\ud7ff"])


def test_nothing_that_is_typed_raises(visit, grammar_store):
    page = visit(grammar_store, model=pack(draft_of(TINY)))

    @settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(LINE, st.integers(1, 8192) | st.none(), st.integers(1, 128) | st.none(), LINE)
    def type_it(stack: str, hidden: int | None, heads: int | None, pasted: str) -> None:
        field(page, "text_input", 0, "stack").set_value(stack)
        field(page, "number_input", 0, "hidden").set_value(hidden)
        field(page, "number_input", 1, "heads").set_value(heads)
        page.text_area(key="build_pasted").set_value(pasted)
        page.button(key="build_read").click().run()
        assert not page.exception

    type_it()


def test_many_layers_are_shown_in_parts(visit, grammar_store):
    layer = draft_of(TINY).layers[0]
    page = visit(grammar_store, model=pack(Draft((layer,) * 64, 768)))
    assert len([one for one in page.selectbox if one.key.endswith("_operation")]) == 12
    assert next(one for one in page.button if one.key.endswith("_add")).disabled
    assert not page.error


def test_the_space_of_a_table(visit, own_store):
    page = visit(own_store, model=pack(draft_of(TINY)))
    assert "It is new to nano" in told(page)


def test_too_few_and_odd_scores(visit, own_store, monkeypatch):
    with open_store(own_store) as store:
        ids = [summary.id for summary in store.summaries("nano")]
        store.add_scores([score(id, "mean", 0.5) for id in ids[:3]])
    page = visit(own_store, id=ids[0])
    assert "mean has 3 scores; a prediction needs 5" in told(page)
    assert "above" not in told(page)
    with open_store(own_store) as store:
        store.add_scores([score(id, "package", 0.5) for id in ids[:6]])
    page = visit(own_store, id=ids[0])
    assert "or choose package above\\: it has 6" in told(page)
    original = building.frames.mean_scores

    def broken(scores, kind):
        return original(scores, kind) * float("nan")

    monkeypatch.setattr(building.frames, "mean_scores", broken)
    page = visit(own_store, id=ids[0])
    assert "mean has 0 scores; a prediction needs 5" in told(page)


def test_equal_scores_teach_nothing(visit, own_store):
    with open_store(own_store) as store:
        ids = [summary.id for summary in store.summaries("nano")]
        store.add_scores([score(id, "mean", 0.375) for id in ids[:5]])
    page = visit(own_store, id=ids[0])
    assert "All 5 known scores are 0.3750, so there is nothing to learn from yet." in told(page)
    assert charts(page) == 1
    assert "Measured" not in [metric.label for metric in page.metric]
    with open_store(own_store) as store:
        store.add_scores([score(ids[5], "mean", 0.5)])
    page = visit(own_store, id=ids[0])
    assert charts(page) == 2
    assert "decreases with more scores" in told(page)


def test_a_library_that_could_not_be_read_is_read_again(visit, own_store, monkeypatch):
    def fails(store, space):
        raise StoreError("the disk does not answer")

    with monkeypatch.context() as broken:
        broken.setattr(Library, "open", fails)
        page = visit(own_store)
        assert "the disk does not answer" in " ".join(element.value for element in page.error)
    page.run()
    assert not page.error
    assert "by the kernel of nano (views)" in told(page)


def test_a_library_that_is_not_finished(visit, unfinished_store):
    with open_store(unfinished_store) as store:
        store.put_space(SpaceRecord("nano", {"ready": False, "source": load_space("nano").source()}))
    page = visit(unfinished_store)
    assert charts(page) == 1
    assert "once the library of nano is finished" in told(page)


@pytest.mark.parametrize("kind", ["missing", "empty"])
def test_no_space(visit, tmp_path, kind):
    file = tmp_path / "none.db"
    if kind == "empty":
        open_store(f"sqlite:///{file}").close()
    page = visit(f"sqlite:///{file}", model=pack(draft_of(TINY)))
    assert charts(page) == 0
    assert file.exists() == (kind == "empty")


def test_queueing_into_a_new_study(visit, either_store):
    page = visit(either_store, model=pack(draft_of(TINY)))
    page.checkbox(key="build_run").uncheck()
    page.button(key="build_queue").click().run()
    assert not page.exception
    assert "trial 0 of nano\\-built\\-1" in told(page)
    with open_store(either_store) as store:
        assert [trial.architecture for trial in store.trials("nano-built-1")] == [architecture_id(TINY)]
        assert architecture_id(TINY) in store.embeddings("nano").ids
        assert store.jobs() == []
        assert isinstance(StudySpec.of(store.study("nano-built-1")).evaluation, Trained)


def test_a_study_is_chosen_by_its_recipe(visit, grammar_store):
    page = visit(grammar_store, model=pack(draft_of(load_space("nano").at(0))))
    assert list(page.selectbox(key="build_recipe").options) == ["nano", "quick"]
    assert page.selectbox(key="build_recipe").value == "nano"
    page.selectbox(key="build_recipe").set_value("quick")
    page.checkbox(key="build_run").uncheck()
    page.button(key="build_queue").click().run()
    assert "trial 0 of nano\\-built\\-1" in told(page)
    with open_store(grammar_store) as store:
        assert StudySpec.of(store.study("nano-built-1")).evaluation.recipe == "quick"
    # As an address may name it.
    page = visit(grammar_store, model=pack(draft_of(load_space("nano").at(750))), into="nano-built-1")
    assert page.selectbox(key="into").options == ["A new study", "nano-built-1 (recipe quick)"]
    assert page.selectbox(key="into").value == "nano-built-1"
    assert "build_recipe" not in [one.key for one in page.selectbox]
    assert "that does not exist" not in told(page)
    page.checkbox(key="build_run").uncheck()
    page.button(key="build_queue").click().run()
    assert not page.exception
    assert "trial 1 of nano\\-built\\-1" in told(page)


def test_queueing_that_is_refused(visit, own_store):
    with open_store(own_store) as store:
        first = store.summaries("nano")[0]
        store.create_study(study("known", "random", 4))
    page = visit(own_store, id=first.id)
    # A study on known scores trains nothing, so it is not offered.
    assert page.selectbox(key="into").options == ["A new study"]
    name = next(one for one in page.text_input if one.key.startswith("build_study"))
    name.set_value("../../etc")
    page.checkbox(key="build_run").uncheck()
    page.button(key="build_queue").click().run()
    assert not page.exception
    assert "study name" in page.error[0].value
    with open_store(own_store) as store:
        assert [one.name for one in store.studies()] == ["known"]
