"""The Space page: what colours and sizes the map, filters, search, areas, projections."""

from __future__ import annotations

import json

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from explorer.analysis.projections import make_tsne, pca
from explorer.progress import SilentReporter
from graphstore import open_store
from graphstore.records import JobState, MeasurementRecord

ROUNDED = 1e-4
"""The map is drawn to five digits."""


@pytest.fixture
def visit(open_page):
    def go(url: str, **stated: str | list[str]) -> AppTest:
        page = open_page("space", url, **stated)
        assert not page.exception
        assert not page.error
        return page

    return go


def figure(page: AppTest) -> dict:
    return json.loads(page.get("plotly_chart")[0].proto.spec)


def drawn(page: AppTest) -> dict[str, dict]:
    """Every drawn point's id → its place, colour and size."""
    found = {}
    for trace in figure(page)["data"]:
        for row, id in enumerate(trace.get("customdata") or ()):
            marker = trace["marker"]
            size = marker["size"] if isinstance(marker["size"], int | float) else array(marker["size"])[row]
            told = trace["text"][row] + trace["hovertemplate"]
            found[id] = {"x": array(trace["x"])[row], "y": array(trace["y"])[row], "size": size, "told": told}
    return found


def array(value: object) -> np.ndarray:
    """Numbers as plotly writes them: a list, or base64 with a type."""
    if isinstance(value, dict):
        import base64

        return np.frombuffer(base64.b64decode(value["bdata"]), dtype=np.dtype(value["dtype"]))
    return np.array(value)


def captions(page: AppTest) -> str:
    return "\n".join(part.value for part in [*page.caption, *page.info, *page.warning])


def test_the_map_is_the_pca_and_says_how_it_came_about(visit, filled):
    page = visit(filled.url)
    with open_store(filled.url) as store:
        vectors = store.embeddings("nano").vectors.astype(float)
    centred = vectors - vectors.mean(axis=0)
    held = np.linalg.svd(centred, compute_uv=False) ** 2
    shares = held / held.sum()
    assert f"explain {shares[0]:.1%} and {shares[1]:.1%} of the variance" in captions(page)
    places = np.array([[point["x"], point["y"]] for point in drawn(page).values()])
    assert len(places) == 60
    assert np.allclose(np.sort(places.var(axis=0))[::-1] / vectors.var(axis=0).sum(), shares[:2])


def test_measurements_and_shares_of_operations_colour_and_size(visit, own_store):
    with open_store(own_store) as store:
        summaries = store.summaries("nano")
        ids = [one.id for one in summaries]
        values = {id: 0.5 + n for n, id in enumerate(ids[:6])}
        store.add_measurements([MeasurementRecord(id, "pi", "latency", value, "s") for id, value in values.items()])
    page = visit(own_store, space_color="Measured: pi latency (s)", space_size="Parameters")
    points = drawn(page)
    for id in ids:
        told = f"Measured: pi latency (s): {values[id]:.4g}" if id in values else "pi latency (s): not known"
        assert told in points[id]["told"]
    by_size = sorted(ids, key=lambda id: points[id]["size"])
    parameters = {one.id: one.parameters for one in summaries}
    assert [parameters[id] for id in by_size] == sorted(parameters.values())
    title = next(one for one in page.selectbox(key="space_color").options if "attention (dot product)" in one)
    shares = drawn(page.selectbox(key="space_color").set_value(title).run())
    for one in summaries:
        share = sum(operation == "sa_sdp" for operation in one.operations) / one.depth
        assert f"{share:.0%}" in shares[one.id]["told"]


def test_filters_leave_what_passes_them(visit, filled):
    with open_store(filled.url) as store:
        summaries = store.summaries("nano")
    most = sorted(one.parameters for one in summaries)[30]
    page = visit(filled.url, parameters_to=str(most), layers_from="3")
    wanted = {one.id for one in summaries if one.parameters <= most and one.depth >= 3}
    assert set(drawn(page)) == wanted
    assert f"{len(wanted)} of 60 pass" in captions(page)
    page = visit(filled.url, score_from="0.6")
    assert set(drawn(page)) == {id for id, value in filled.values.items() if value >= 0.6}
    page.multiselect(key="has").set_value(["sa_wma"]).run()
    has = {one.id for one in summaries if "sa_wma" in one.operations}
    assert set(drawn(page)) == {id for id, value in filled.values.items() if value >= 0.6} & has
    page = visit(filled.url, parameters_to="1")
    assert not page.get("plotly_chart")
    assert "No architecture passes the filters" in captions(page)


def test_an_address_may_have_the_beginning_of_an_id(visit, filled):
    page = visit(filled.url, id=filled.best[:8])
    assert not page.warning
    assert "selected" in {trace.get("name") for trace in figure(page)["data"]}
    assert f"**{filled.best[:8]}**" in [one.value for one in page.markdown]
    assert "has no architecture" in visit(filled.url, id="zz").warning[0].value


def test_a_search_selects_and_looks_at_the_one_it_finds(visit, filled):
    page = visit(filled.url)
    page.text_input(key="find").set_value(filled.ids[7][:8]).run()
    assert page.query_params["id"] in (filled.ids[7], [filled.ids[7]])
    at, axes = drawn(page)[filled.ids[7]], figure(page)["layout"]
    for axis in ("x", "y"):
        low, high = axes[f"{axis}axis"]["range"]
        assert low < at[axis] < high
        assert (low + high) / 2 == pytest.approx(at[axis], rel=ROUNDED)
    rings = [trace for trace in figure(page)["data"] if trace.get("name") in ("found", "selected")]
    assert {trace["name"] for trace in rings} == {"found", "selected"}
    page.text_input(key="find").set_value("no such thing").run()
    assert "No id of this space begins with" in captions(page)
    assert page.query_params["id"] in (filled.ids[7], [filled.ids[7]])


def test_an_area_in_the_address_chooses_what_lies_in_it(visit, filled):
    points = drawn(visit(filled.url))
    middle = np.median([point["x"] for point in points.values()])
    page = visit(filled.url, area=f"-9,-9 {middle:.4f},9")
    wanted = {id for id, point in points.items() if point["x"] <= round(middle, 4)}
    table = page.dataframe[0].value
    assert set(table.index) == wanted
    assert f"Chosen: {len(wanted)}" in [one.value for one in page.subheader]
    assert table["score"].dropna().is_monotonic_decreasing
    assert figure(page)["layout"]["selections"][0]["type"] == "rect"
    page.button(key="undo_areas").click().run()
    assert "area" not in page.query_params
    assert not [one for one in page.subheader if one.value.startswith("Chosen")]


@pytest.mark.parametrize("area", ["", "x", "1,2", "1,2 nan,3", "1,2 3", "9" * 3000, "1e99,1 2,2"])
def test_an_area_that_states_nothing_is_left_out(visit, filled, area):
    page = visit(filled.url, area=area)
    assert not [one for one in page.subheader if one.value.startswith("Chosen")]
    assert len(drawn(page)) == 60


def test_the_tsne_is_offered_computed_once_and_drawn(visit, own_store, monkeypatch):
    title = "t-SNE of the kernel vectors"
    page = visit(own_store, projection=title)
    assert "has not been computed yet" in captions(page)
    assert page.button(key="compute_tsne")
    before = drawn(page)
    with open_store(own_store) as store:
        embeddings = store.embeddings("nano")
        made = make_tsne(store, "nano", 0, SilentReporter())
        assert {id: before[id]["x"] for id in embeddings.ids} == pytest.approx(
            pca(embeddings).points["x"].to_dict(), rel=ROUNDED
        )
    page = visit(own_store, projection=title)
    assert {id: point["x"] for id, point in drawn(page).items()} == pytest.approx(
        made.points["x"].to_dict(), rel=ROUNDED
    )
    assert "perplexity" in captions(page)
    assert "seed 0" in captions(page)


def test_a_tsne_that_is_being_computed_is_not_started_again(visit, own_store, monkeypatch):
    from explorer.app.space import map_services

    started = []

    def launch(store, kind, arguments, info):
        from explorer.studies.jobs import new_job

        started.append(list(arguments))
        return new_job(store, kind, {**info, "arguments": list(arguments)})

    monkeypatch.setattr(map_services, "launch", launch)
    page = visit(own_store, projection="t-SNE of the kernel vectors", projection_seed="3")
    page.button(key="compute_tsne").click().run()
    assert started == [["project", "nano", "--seed", "3"]]
    assert not [one for one in page.button if one.key == "compute_tsne"]
    assert "being computed" in captions(page)
    with open_store(own_store) as store:
        assert [job.state for job in store.jobs()] == [JobState.STARTING]
