"""Why two architectures are similar, on the Architecture page: the figures are those of the kernel."""

from functools import partial

import pytest

from explorer.app.shared.similarity import SHOWN
from explorer.library.library import Library
from explorer.space.difference import difference
from explorer.space.formats import from_json
from explorer.space.named import named_model
from graphstore import open_store


@pytest.fixture
def visit(open_page, filled):
    return partial(open_page, "architecture", filled.url)


def tables(page):
    """The three tables of the section: layers, what keeps apart, what is shared."""
    return [table.value for table in [*page.table, *page.dataframe[4:]]]


def check(page, url, first, second):
    """Compare what the page shows with the kernel of the space and the difference of the two."""
    assert not page.exception
    with open_store(url) as store:
        library = Library.open(store, "nano")
        kernel = 1.0 - library.dissimilarities([first, second])[0, 1]
        explanation = library.explain(first, second)
    assert sum(pattern.shared for pattern in explanation.patterns) == pytest.approx(kernel, abs=1e-9)
    assert sum(pattern.different for pattern in explanation.patterns) == pytest.approx(1 - kernel, abs=1e-9)
    layers, apart, shared = tables(page)
    assert shared["weight"].tolist() == pytest.approx([one.shared for one in explanation.shared[:SHOWN]])
    assert apart["weight"].tolist() == pytest.approx([one.different for one in explanation.different[:SHOWN]])
    shown = {metric.label: metric.value for metric in page.metric}
    assert shown["Similarity"] == f"{kernel:.4f}"
    assert len(layers) == len(difference(first, second).steps)


def test_a_neighbour_is_explained(visit, filled):
    page = visit(id=filled.best)
    assert tables(page) == []
    with open_store(filled.url) as store:
        nearest = store.neighbors("nano", filled.best, "views", 3)
        specs = {id: from_json(store.architecture(id).spec) for id in (filled.best, *(n.target for n in nearest))}
    picker = page.selectbox(key=f"why_picked_{filled.best}_")
    assert picker.options[1].startswith(f"2. {nearest[1].target[:8]} ({nearest[1].dissimilarity:.4f})")
    picker.set_value(nearest[1].target).run()
    check(page, filled.url, specs[filled.best], specs[nearest[1].target])
    assert {"why_layers_csv", "why_different_csv", "why_shared_csv"} <= {b.key for b in page.get("download_button")}
    assert page.query_params["with"] in (nearest[1].target, [nearest[1].target])
    again = visit(id=filled.best, **{"with": nearest[1].target})
    check(again, filled.url, specs[filled.best], specs[nearest[1].target])


@pytest.mark.parametrize("typed", ["BERT-Mini", "bert-mini"])
def test_a_named_model_that_is_not_in_the_store(visit, filled, typed):
    page = visit(id=filled.best)
    page.text_input(key=f"why_typed_{filled.best}_").set_value(typed).run()
    with open_store(filled.url) as store:
        spec = from_json(store.architecture(filled.best).spec)
    check(page, filled.url, spec, named_model("BERT-Mini"))
    assert tables(page)[0]["the other one"].iloc[-1].startswith("3: sa sdp, hidden size 256")


def test_the_way_back_leads_to_what_was_seen_before(visit, filled):
    before, after = filled.ids[3], filled.ids[4]
    page = visit(id=filled.best, **{"with": before})
    seen = tables(page)[0].to_csv()
    page.text_input(key=f"why_typed_{filled.best}_{before}").set_value(after).run()
    assert tables(page)[0].to_csv() != seen
    page.query_params["with"] = before
    page.run()
    assert page.query_params["with"] in (before, [before])
    assert tables(page)[0].to_csv() == seen


def test_itself_has_no_difference(visit, filled):
    page = visit(id=filled.best, **{"with": filled.best[:8]})
    assert not page.exception
    layers, shared = tables(page)
    assert set(layers.index) == {"same"}
    assert 0.9 < shared["weight"].sum() <= 1.0


@pytest.mark.parametrize("asked", ["zz", "0" * 24, "' OR 1=1 --", "<b>", "x" * 500])
def test_an_unknown_id_is_a_warning(visit, filled, asked):
    page = visit(id=filled.best, **{"with": asked})
    assert not page.exception
    assert len(page.warning) == 1
    assert tables(page) == []
