"""The Architecture page: nodes, error bars, measurements, the similarity graph, what may be taken away."""

from __future__ import annotations

import dataclasses
import io
import json
import statistics
import zipfile

import pytest
from streamlit.testing.v1 import AppTest

from explorer.app.architecture.export_view import PACKED
from explorer.app.architecture.graph_view import node_facts
from explorer.library.card import usage
from explorer.library.workplace import run_folder
from explorer.models import FlexiBertForSequenceClassification, config_for
from explorer.space.formats import from_json, to_model_dict
from graphstore import open_store
from graphstore.records import MeasurementRecord, ScoreRecord

from ..conftest import score


@pytest.fixture
def visit(open_page):
    def go(url: str, **stated: str | list[str]) -> AppTest:
        page = open_page("architecture", url, **stated)
        assert not page.exception
        assert not page.error
        return page

    return go


def charts(page: AppTest) -> list[dict]:
    return [json.loads(chart.proto.spec) for chart in page.get("plotly_chart")]


def nodes(chart: dict) -> list[str]:
    return [data[0] for trace in chart["data"] for data in trace.get("customdata") or ()]


def test_a_clicked_node_is_ringed_and_its_facts_are_told(visit, filled):
    with open_store(filled.url) as store:
        record = store.architecture(filled.best)
    number = next(op.index for op in record.ops if op.kind == "head")
    page = visit(filled.url, id=filled.best, node=str(number))
    widths = {
        data[2]: width
        for trace in charts(page)[0]["data"]
        for data, width in zip(
            trace.get("customdata") or (), trace.get("marker", {}).get("line", {}).get("width", ()), strict=False
        )
    }
    assert [n for n, width in widths.items() if width == max(widths.values())] == [number]
    facts = node_facts(record, number)
    assert facts.to_string() == page.table[0].value.iloc[:, 0].to_string()
    layer = record.layers[record.ops[number].layer]
    assert f"hidden {layer.hidden}" in facts["Its layer"]
    before = {record.ops[source].label for source, target in record.feeds if target == number}
    assert before == {part.split(" × ")[-1] for part in facts["Comes from"].split(", ")}


@pytest.mark.parametrize("node", ["-1", "9999", "x", "1.5", "1" * 300, "²"])
def test_a_node_that_is_not_there_is_left_out(visit, filled, node):
    page = visit(filled.url, id=filled.best, node=node)
    assert "that does not exist" in "\n".join(one.value for one in page.caption)
    assert not page.table or "Kind" not in page.table[0].value.index


def test_error_bars_are_the_deviation_over_runs(visit, own_store):
    values = {0: 0.5, 1: 0.6, 2: 0.8}
    with open_store(own_store) as store:
        one, other = (summary.id for summary in store.summaries("nano")[:2])
        store.add_scores(
            [ScoreRecord(one, "mean", "accuracy", v, "d", "f", "r", seed, "t") for seed, v in values.items()]
        )
        store.add_scores([ScoreRecord(other, "mean", "accuracy", 0.9, "d", "f", "r", 0, "t")])
    page = visit(own_store, id=one)
    spread = page.dataframe[1].value.iloc[0]
    assert spread["mean"] == pytest.approx(statistics.mean(values.values()))
    assert spread["deviation"] == pytest.approx(statistics.stdev(values.values()))
    assert (spread["runs"], spread["seeds"], spread["rank"], spread["scored"]) == (3, 3, 2, 2)
    bars = next(trace for trace in charts(page)[1]["data"] if "error_x" in trace)
    assert "± 0.1528 over 3 runs" in json.dumps(bars["customdata"], ensure_ascii=False)
    page = visit(own_store, id=other)
    assert page.dataframe[1].value["deviation"].isna().all()


def test_scores_no_better_than_a_constant_answer_are_called_so(visit, own_store):
    with open_store(own_store) as store:
        one, other, third = (summary.id for summary in store.summaries("nano")[:3])
        for id, value in ((one, 0.68), (other, 0.7)):
            levels = {"majority": 0.68, "chance": 0.56}
            store.add_scores([dataclasses.replace(score(id, task, value), **levels) for task in ("_MRPC_", "mean")])
        store.add_scores([score(third, "unlevelled", 0.1)])
    page = visit(own_store, id=one)
    (warning,) = page.warning
    assert warning.value.count("equals a constant answer") == 2
    assert r"\_MRPC\_ equals" in warning.value
    table = page.dataframe[1].value
    assert table[["majority", "chance"]].to_numpy().tolist() == [[0.68, 0.56]] * 2
    page = visit(own_store, id=other)
    assert not page.warning
    assert page.dataframe[1].value["majority"].tolist() == [0.68, 0.68]
    page = visit(own_store, id=third)
    assert not page.warning
    assert not {"majority", "chance", "note"} & set(page.dataframe[1].value)


def test_measurements_of_every_device(visit, own_store):
    with open_store(own_store) as store:
        id = store.summaries("nano")[0].id
    assert "It has no measurements" in "\n".join(one.value for one in visit(own_store, id=id).caption)
    with open_store(own_store) as store:
        store.add_measurements([MeasurementRecord(id, device, "latency", 0.25, "s") for device in ("pi", "laptop")])
    table = visit(own_store, id=id).dataframe[1].value
    assert table["device"].tolist() == ["laptop", "pi"]
    assert table["value"].tolist() == [0.25, 0.25]


def test_the_similarity_graph_grows_by_the_neighbours_asked_for(visit, filled):
    with open_store(filled.url) as store:
        own = [one.target for one in store.neighbors("nano", filled.best, "views", 8)]
        further = [one.target for one in store.neighbors("nano", own[0], "views", 8)]
    chart = charts(visit(filled.url, id=filled.best))[2]
    assert set(nodes(chart)) == {filled.best, *own}
    chart = charts(visit(filled.url, id=filled.best, expand=[own[0], "f" * 24, "<b>"]))[2]
    assert set(nodes(chart)) == {filled.best, *own, *further}
    squares = {
        data[0]
        for trace in chart["data"]
        for data, symbol in zip(trace.get("customdata") or (), trace.get("marker", {}).get("symbol", ()), strict=False)
        if symbol == "square"
    }
    assert squares == {filled.best, own[0]}


def test_what_is_taken_away_is_the_architecture(visit, own_store):
    with open_store(own_store) as store:
        summary = store.summaries("nano")[0]
    page = visit(own_store, id=summary.id)
    assert "no trained model" in "\n".join(one.value for one in page.caption)
    page.button(key="export_pack").click().run()
    assert not page.exception
    assert not page.error
    wanted, data = page.session_state[PACKED]
    assert wanted == (summary.id, "")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = {name.partition("/")[2] for name in archive.namelist()}
        assert {"per_head.json", "README.md", "graph.graphml"} <= names
        document = json.loads(archive.read(next(name for name in archive.namelist() if name.endswith("per_head.json"))))
    assert document == to_model_dict(from_json(summary.spec), per_head=True)


def test_a_trained_model_is_told_as_it_is_and_how_it_is_loaded(visit, own_store):
    with open_store(own_store) as store:
        summary = next(one for one in store.summaries("nano") if one.operations[0].startswith("sa"))
        store.add_scores([score(summary.id, "mean", 0.5, "trained:train/aabb")])
        listed = store.architecture(summary.id).parameters
    spec, run = from_json(summary.spec), run_folder(own_store, "train", "aabb")
    config = config_for(spec, vocab_size=600, max_position_embeddings=32, num_labels=2)
    model = FlexiBertForSequenceClassification(config)
    for name in ("order", "pretrained"):
        model.save_pretrained(run / name)
    (run / "run.json").write_text(json.dumps({"architecture": summary.spec}))
    page = visit(own_store, id=summary.id)
    told = "\n".join(one.value for one in page.caption)
    assert f"This model has {model.num_parameters():,} parameters in all" in told
    assert f"The {listed:,} above include relative-position tables for 512 tokens" in told
    assert "cover 32 tokens, the longest" in told
    assert "from_pretrained" not in "\n".join(one.value for one in page.code)
    page.session_state[PACKED] = ((summary.id, "trained:train/aabb"), b"zip")
    page.run()
    assert "The folder itself is the model of order;" in "\n".join(one.value for one in page.caption)
    assert usage("FlexiBertForSequenceClassification") in [one.value for one in page.code]
    (run / "order" / "model.safetensors").write_bytes(b"broken")
    page.run()
    assert not page.exception
    assert "must be readable" in page.warning[0].value
    assert "export_pack" not in [one.key for one in page.button]


def test_the_way_back_leads_to_what_was_seen_before(visit, filled):
    page = visit(filled.url, id=filled.best)
    page.text_input(key=f"architecture_typed_{filled.best}").set_value(filled.ids[3]).run()
    page.selectbox(key=f"architecture_picked_{filled.ids[3]}").set_value(filled.ids[4]).run()
    for id in (filled.ids[4], filled.ids[3], filled.best):
        page.query_params["id"] = id
        page.run()
        assert not page.exception
        assert page.query_params["id"] in (id, [id])
        assert f"Id `{id}`" in [one.value for one in page.caption]


def test_another_architecture_begins_with_nothing_opened(visit, filled):
    page = visit(filled.url, id=filled.best, node="2", expand=[filled.ids[1]])
    page.text_input(key=f"architecture_typed_{filled.best}").set_value(filled.ids[3]).run()
    assert not page.exception
    assert page.query_params["id"] in (filled.ids[3], [filled.ids[3]])
    assert "node" not in page.query_params
    assert "expand" not in page.query_params
