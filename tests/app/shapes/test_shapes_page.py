"""The Shapes page: what is edited is told, what is refused is a message, and numbers are those of the package."""

from __future__ import annotations

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from explorer.analysis.shapes import stored_shapes
from explorer.library.importing import import_file, shapes_file
from explorer.library.spaces import build_space
from explorer.progress import SilentReporter
from explorer.space.backbones import Backbone
from explorer.supershaper.shapes.grid import ShapeGrid
from explorer.supershaper.shapes.tables import read_shapes
from graphstore import open_store


@pytest.fixture(scope="session")
def shape_store(shape_file, tmp_path_factory: pytest.TempPathFactory) -> str:
    url = f"sqlite:///{tmp_path_factory.mktemp('shapes') / 'shapes.db'}"
    with open_store(url) as store:
        report = import_file(store, shapes_file(shape_file), SilentReporter())
        assert (report.new_architectures, report.new_scores, report.new_measurements) == (40, 40, 77)
        again = import_file(store, shapes_file(shape_file), SilentReporter())
        assert (again.new_architectures, again.new_scores, again.new_measurements) == (0, 0, 0)
    return url


@pytest.fixture
def visit(open_page):
    def go(url: str, **stated: str | list[str]) -> AppTest:
        page = open_page("shapes", url, timeout=120, **stated)
        assert not page.exception
        return page

    return go


def test_what_is_stored_is_what_the_file_says(shape_file, shape_store):
    """Imported and read again, by shape."""
    direct = read_shapes(shape_file)
    with open_store(shape_store) as store:
        grid, table = stored_shapes(store, "supershaper-measured")
    assert grid == ShapeGrid()
    order, other = (np.lexsort(one.shapes.T) for one in (direct, table))
    assert (direct.shapes[order] == table.shapes[other]).all()
    assert table.perplexity[other] == pytest.approx(direct.perplexity[order])
    assert set(table.latency) == {"fast", "slow box"}
    for name, seconds in direct.latency.items():
        assert table.latency[name][other] == pytest.approx(seconds[order], nan_ok=True)


SHAPE = "480,240,360,240,540,480,360,360,360,360,540,480"


def test_a_shape_of_the_address(visit, shape_store):
    page = visit(shape_store, shape=SHAPE)
    facts = {metric.label: metric.value for metric in page.metric}
    assert facts["Parameters, merged"] == "62.82 M"
    assert "unmerged 67.77 M" in [caption.value for caption in page.caption]
    assert {"Perplexity, predicted", "Latency, fast", "Latency, slow box"} <= set(facts)
    assert float(facts["Latency, fast"].split()[0]) == pytest.approx(62.82, rel=0.01)
    assert len(page.get("plotly_chart")) == 3


def test_a_width_is_edited(visit, shape_store):
    page = visit(shape_store, shape=SHAPE)
    page.selectbox(key="shape_width_0").set_value(768).run()
    assert not page.exception
    assert page.query_params["shape"] in (SHAPE.replace("480", "768", 1), [SHAPE.replace("480", "768", 1)])
    merged = ShapeGrid().parameters(np.array([[768, *map(int, SHAPE.split(",")[1:])]]))[0]
    assert page.metric[0].value == f"{merged / 1e6:.2f} M"


def test_a_shape_is_made(visit, shape_store):
    page = visit(shape_store)
    page.number_input(key="shapes_budget").set_value(80.0)
    page.button(key="shapes_make").click().run()
    assert not page.exception
    assert float(page.metric[0].value.split()[0]) == pytest.approx(80.0, rel=0.011)


@pytest.mark.parametrize("shape", ["1,2", "x", "480" + ",13" * 11])
def test_a_shape_that_is_none(visit, shape_store, shape):
    page = visit(shape_store, shape=shape)
    assert "does not belong to this space" in " ".join(caption.value for caption in page.caption)


def test_search(visit, shape_store):
    page = visit(shape_store, view="Search")
    assert "at least one limit" in page.info[0].value
    page = visit(shape_store, view="Search", parameters="63")
    found = page.dataframe[0].value
    assert (found["parameters"] <= 63e6).all()
    assert len(found) == 10
    page = visit(shape_store, view="Search", parameters="33", perplexity="1.5")
    assert "Relax a limit" in page.warning[0].value


def test_layers_and_devices(visit, shape_store):
    page = visit(shape_store, view="Layers")
    assert len(page.get("plotly_chart")) == 1
    assert len(page.dataframe[0].value) == 12
    page = visit(shape_store, view="Devices", shape=SHAPE)
    assert len(page.get("plotly_chart")) == 2
    shares = page.dataframe[0].value.set_index("name")
    assert shares.loc["fast", "parameters"] > 0.99


def test_without_shapes(visit, own_store, tmp_path):
    assert "archex import shapes" in " ".join(text.value for text in visit(own_store).markdown)
    assert "nothing in the store" in visit(f"sqlite:///{tmp_path / 'none.db'}").info[0].value


def test_another_space_begins_with_a_shape_of_its_own(visit, shape_file, tmp_path):
    url = f"sqlite:///{tmp_path / 'two.db'}"
    with open_store(url) as store:
        import_file(store, shapes_file(shape_file), SilentReporter())
        build_space(store, Backbone(16, 2, 64, 3).space((4, 8, 16), "nano"), SilentReporter())
    page = visit(url, space="nano")
    own = [page.selectbox(key=f"shape_width_{layer}").value for layer in range(3)]
    assert own != [4, 4, 4]
    page.selectbox(key="pick_space").set_value("supershaper-measured").run()
    there = [page.selectbox(key=f"shape_width_{layer}").value for layer in range(12)]
    direct = visit(url, space="supershaper-measured")
    assert there == [direct.selectbox(key=f"shape_width_{layer}").value for layer in range(12)]
    page.selectbox(key="pick_space").set_value("nano").run()
    assert [page.selectbox(key=f"shape_width_{layer}").value for layer in range(3)] == own
    assert not page.exception
    assert not any("does not belong to this space" in caption.value for caption in page.caption)
