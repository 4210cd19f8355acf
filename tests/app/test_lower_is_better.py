"""Pages on a space that has perplexities alone, some of them equal: the best are the least, and then the smallest."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from explorer.analysis.score_kinds import known_objective
from explorer.errors import DataError
from graphstore import open_store
from graphstore.records import ScoreRecord


@pytest.fixture
def ranked(own_store) -> list[str]:
    """Ids from the best to the worst; the first two, and the last two, are equal in score."""
    with open_store(own_store) as store:
        found = sorted(store.summaries("nano"), key=lambda one: (one.parameters, one.id))
        values = {one.id: 9.0 - place // 2 for place, one in enumerate(found)}
        store.add_scores(
            [
                ScoreRecord(id, "language", "perplexity", value, "d", "full", "r", 0, "import:1")
                for id, value in values.items()
            ]
        )
    sizes = {one.id: one.parameters for one in found}
    return sorted(values, key=lambda id: (values[id], sizes[id], id))


@pytest.fixture
def visit(open_page, own_store) -> Callable[..., AppTest]:
    def go(name: str, **stated: str) -> AppTest:
        page = open_page(name, own_store, **stated)
        assert not page.exception
        assert not page.error
        return page

    return go


def test_space(visit, ranked):
    page = visit("space")
    (table,) = (frame.value for frame in page.dataframe)
    assert table.index.tolist() == ranked
    page = visit("space", area="-9,-9 9,9")
    assert page.dataframe[0].value.index.tolist() == ranked
    assert any("4.0000 at best" in one.value for one in page.caption)


def test_architecture_and_compare(visit, ranked):
    options = next(one for one in visit("architecture").selectbox if "Best first" in str(one.proto.placeholder)).options
    assert [option.split(" · ")[1] for option in options] == [id[:8] for id in ranked]
    page = visit("compare")
    page.button(key="compare_best").click().run()
    assert page.multiselect(key="compare_chosen").value == ranked[:3]


def test_no_search_maximises_them(visit, ranked, own_store):
    (objective,) = (one for one in visit("search").selectbox if one.label == "Objective")
    assert not [option for option in objective.options if "language" in option]
    with open_store(own_store) as store, pytest.raises(DataError, match="higher is better"):
        known_objective(store, "nano", "language")


def test_heterogeneity(visit, ranked, own_store):
    with open_store(own_store) as store:
        sizes = {one.id: one.parameters for one in store.summaries("nano")}
    page = visit("heterogeneity")
    front = page.dataframe[1].value
    assert ranked[0] in front.index
    assert all(sizes[id] <= sizes[ranked[0]] for id in front.index)
    assert front["score"].is_monotonic_decreasing
    assert any("Lower values of" in one.value for one in page.caption)
