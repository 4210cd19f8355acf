"""What is taken out of the store is all there, loads with transformers, and is written whole or not at all."""

import dataclasses
import json
import shutil

import networkx as nx
import pytest

from explorer.errors import DataError, InputError
from explorer.graphs import architecture_id, build_graph
from explorer.runner.exporting import export_architecture, trained_runs
from explorer.runner.library import build_library
from explorer.runner.progress import SilentReporter
from explorer.runner.worker import score_record
from explorer.runner.workplace import run_folder
from explorer.space.formats import from_model_dict
from explorer.training.backend import RECIPES, prepare, train_and_score
from graphstore import open_store
from graphstore.records import MeasurementRecord, StudyRecord, StudyState, TrialStatus

SPEC = from_model_dict({"l": 1, "o": ["sa"], "h": [32], "n": [2], "f": [[32]], "p": ["sdp"]})
MIXED = from_model_dict({"l": 1, "o": [["sa_wma_24", "c_5_24"]], "h": [32], "f": [[32]]})
RECIPE = dataclasses.replace(RECIPES["quick"], pretrain_steps=2, finetune_steps=2, train_examples=40, dev_examples=20)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run's folder of a really trained (if badly) encoder, and its scores."""
    place = tmp_path_factory.mktemp("trained")
    words = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
    documents = [
        "\n".join(f"The {words[(n + k) % 10]} {words[(n * k) % 10]} boats wait near number {n}." for k in range(4))
        for n in range(80)
    ]
    (place / "text.txt").write_text("\n\n".join(documents) + "\n")
    prepared = prepare(place / "work", RECIPE, ["order"], place / "text.txt", lambda share, message: None)
    scores = train_and_score(
        SPEC, prepared, RECIPE, 7, place / "run", lambda *_: None, lambda _: None, lambda: False, device="cpu"
    )
    return place / "run", scores


@pytest.fixture
def store(tmp_path):
    with open_store(f"sqlite:///{tmp_path / 'store.db'}") as opened:
        build_library(opened, "own", [SPEC, MIXED], SilentReporter(), source={"from": "you"})
        yield opened


def put_run(store, trained, source, folder, value=None):
    """Put a training into the store, as ``archex train`` and the workers do."""
    shutil.copytree(trained[0], folder)
    scores = [dataclasses.replace(one, value=value or one.value) for one in trained[1]]
    store.add_scores([score_record(one, architecture_id(SPEC), source) for one in scores])


def test_description_and_graph(store, tmp_path):
    store.add_measurements([MeasurementRecord(architecture_id(MIXED), "rpi", "latency", 0.125, "s")])
    for name, spec in (("plain", SPEC), ("mixed", MIXED)):
        done = export_architecture(store, spec, tmp_path / name)
        assert (done.run, "models" in {path.name for path in done.folder.iterdir()}) == ("", False)
        assert ("per_layer.json" in done.contents) == spec.is_per_layer
        for file in tmp_path.joinpath(name).glob("per_*.json"):
            assert from_model_dict(json.loads(file.read_text())) == spec
        assert isinstance(json.loads((tmp_path / name / "per_head.json").read_text())["o"][0], list)
        graph = nx.read_graphml(tmp_path / name / "graph.graphml", node_type=int)
        expected = build_graph(spec).to_networkx()
        assert dict(graph.nodes(data=True)) == dict(expected.nodes(data=True))
        assert set(graph.edges) == set(expected.edges)
    card = (tmp_path / "mixed" / "README.md").read_text()
    assert "| rpi | latency | 0.125 | s |" in card
    assert architecture_id(MIXED) in card


def test_the_models_load_with_transformers_as_the_card_says(store, trained, tmp_path, monkeypatch):
    put_run(store, trained, "trained:train/aabb", run_folder(store.url, "train", "aabb"))
    done = export_architecture(store, SPEC, tmp_path / "out")
    assert done.run == "trained:train/aabb"
    assert {"models/order", "models/pretrained", "README.md", "graph.graphml"} <= set(done.contents)
    card = (tmp_path / "out" / "README.md").read_text()
    assert f"| mean | mean of 1 tasks | {trained[1][1].value:.4f} |" in card
    monkeypatch.chdir(tmp_path / "out")
    names = {}
    exec(card.split("```python\n")[1].split("```")[0], names)  # The card's own example.
    assert names["model"].config.num_labels == 2
    assert names["tokenizer"].mask_token == "<mask>"
    original = trained[0] / "order" / "model.safetensors"
    assert (tmp_path / "out/models/order/model.safetensors").read_bytes() == original.read_bytes()


def test_the_best_run_is_taken_or_the_one_named(store, trained, tmp_path):
    put_run(store, trained, "trained:train/low", run_folder(store.url, "train", "low"), 0.1)
    id = architecture_id(SPEC)
    store.create_study(StudyRecord("S", "own", "random", "mean", 0, 1, {}, StudyState.OPEN, 0.0))
    store.add_trials("S", [(id, {})])
    trial = store.claim_trial("S", "me", 60.0, 1.0)
    put_run(store, trained, "trained:S/0", run_folder(store.url, "S", "0000-ab"), 0.9)
    store.renew_lease(trial, 60.0, 2.0, {"folder": "/another/machine/runs/S/0000-ab"})
    assert [run.source for run in trained_runs(store, SPEC)] == ["trained:train/low"]  # The trial still runs.
    store.finish_trial(trial, TrialStatus.COMPLETE, 3.0, value=0.9)
    assert [run.source for run in trained_runs(store, SPEC)] == ["trained:S/0", "trained:train/low"]
    assert export_architecture(store, SPEC, tmp_path / "best").run == "trained:S/0"
    assert export_architecture(store, SPEC, tmp_path / "low", "trained:train/low").run == "trained:train/low"
    with pytest.raises(InputError, match=r"run must be a finished training.*trained:S/0"):
        export_architecture(store, SPEC, tmp_path / "none", "trained:train/other")
    assert not (tmp_path / "none").exists()


def test_runs_whose_files_are_gone_torn_or_anothers_are_passed_over(store, trained, tmp_path):
    for name in ("gone", "torn", "other", "strange"):
        put_run(store, trained, f"trained:train/{name}", run_folder(store.url, "train", name))
    shutil.rmtree(run_folder(store.url, "train", "gone"))
    for task in ("order", "pretrained"):
        (run_folder(store.url, "train", "torn") / task / "model.safetensors").unlink()
    run = run_folder(store.url, "train", "other") / "run.json"
    run.write_text(json.dumps({**json.loads(run.read_text()), "architecture": json.dumps({"l": 1})}))
    (run_folder(store.url, "train", "strange") / "run.json").write_text("[]")
    assert trained_runs(store, SPEC) == []


def test_a_folder_that_is_taken_or_cannot_be_made_is_refused_and_left_alone(store, tmp_path):
    taken = tmp_path / "taken"
    taken.mkdir()
    export_architecture(store, SPEC, taken)  # An empty folder will do.
    before = sorted(path.read_bytes() for path in taken.iterdir())
    with pytest.raises(InputError, match="folder must be new or empty"):
        export_architecture(store, MIXED, taken)
    assert sorted(path.read_bytes() for path in taken.iterdir()) == before
    with pytest.raises(InputError, match="folder must be new or empty"):
        export_architecture(store, SPEC, taken / "README.md")
    with pytest.raises(DataError, match="folder that can be written"):
        export_architecture(store, SPEC, taken / "README.md" / "inside")
    with pytest.raises(DataError, match="folder that can be written"):
        export_architecture(store, SPEC, tmp_path / ("x" * 300))


def test_an_export_that_fails_leaves_nothing(store, trained, tmp_path):
    folder = run_folder(store.url, "train", "aabb")
    put_run(store, trained, "trained:train/aabb", folder)
    (folder / "order" / "dangling").symlink_to(tmp_path / "nowhere")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(DataError, match="folder"):
        export_architecture(store, SPEC, tmp_path / "out")
    assert sorted(tmp_path.iterdir()) == before
