"""What is taken out of the store is all there, loads with transformers, and is written whole or not at all."""

import dataclasses
import json
import shutil
from pathlib import Path

import networkx as nx
import numpy as np
import onnxruntime
import pytest
import torch
from huggingface_hub import ModelCard
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from explorer.errors import DataError, InputError
from explorer.library.card import usage
from explorer.library.exporting import export_architecture, trained_runs
from explorer.library.library import Library
from explorer.library.records import score_record
from explorer.library.workplace import run_folder
from explorer.models.checking import check_folder
from explorer.progress import SilentReporter
from explorer.similarity.graph import architecture_id, build_graph
from explorer.space.formats import from_model_dict
from explorer.testing.searches import search
from explorer.training.backend import RECIPES, prepare, train_and_score
from explorer.training.metrics import levels_text
from graphstore import open_store
from graphstore.records import LineageRecord, MeasurementRecord, ScoreRecord, TrialStatus

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
        Library.build(opened, "own", [SPEC, MIXED], SilentReporter(), source={"from": "you"})
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
    store.add_scores([ScoreRecord(architecture_id(MIXED), "t", "accuracy", 0.5, "d", "f", "r", 0, "mine:1")])
    export_architecture(store, MIXED, tmp_path / "again")
    assert "| task | metric | score | data |" in (tmp_path / "again" / "README.md").read_text(), "no level is known"
    card = (tmp_path / "mixed" / "README.md").read_text()
    assert "| rpi | latency | 0.125 | s |" in card
    assert architecture_id(MIXED) in card


def test_the_models_load_with_transformers_as_the_card_says(store, trained, tmp_path, monkeypatch):
    put_run(store, trained, "trained:train/aabb", run_folder(store.url, "train", "aabb"))
    done = export_architecture(store, SPEC, tmp_path / "out")
    assert done.run == "trained:train/aabb"
    assert (done.task, done.onnx) == ("order", None)
    wanted = {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "models/pretrained",
        "README.md",
        "modeling_flexibert.py",
        "graph.graphml",
    }
    assert wanted <= set(done.contents)
    text = (tmp_path / "out" / "README.md").read_text()
    assert f"| mean | mean of 1 tasks | {trained[1][1].value:.4f} |" in text
    order = trained[1][0]
    levels = levels_text(order.value, order.majority, order.chance)
    assert f"| order | accuracy | {order.value:.4f} | {levels} | {order.dataset} |" in text
    monkeypatch.chdir(tmp_path / "out")
    names = {}
    assert f"```python\n{usage('FlexiBertForSequenceClassification')}\n```" in text
    exec(text.split("```python\n")[1].split("```")[0], names)  # The card's own example.
    assert names["model"].config.num_labels == 2
    assert names["tokenizer"].mask_token == "<mask>"
    named = names["model"].flexibert.named_parameters()
    encoder = sum(value.numel() for name, value in named if not name.startswith(("embeddings", "pooler")))
    assert f"| parameters without embeddings, as trained for {RECIPE.length} tokens | {encoder:,} |" in text
    assert f"| parameters of this model in total | {names['model'].num_parameters():,} |" in text
    assert {row["label"] for row in names["use"]("one boat", top_k=None)} == set(
        names["model"].config.id2label.values()
    )
    assert "The class is `AutoModelForSequenceClassification`." in text
    assert "other models of the same training: `pretrained` (`AutoModelForMaskedLM`)." in text
    for name, place in (("order", "."), ("pretrained", "models/pretrained")):
        assert Path(place, "model.safetensors").read_bytes() == (trained[0] / name / "model.safetensors").read_bytes()


@pytest.mark.parametrize("earlier", [False, True], ids=["now", "saved by an earlier version"])
def test_a_masked_lm_fills_masks_as_the_card_says(earlier, store, trained, tmp_path, monkeypatch):
    folder = run_folder(store.url, "train", "aabb")
    put_run(store, trained, "trained:train/aabb", folder)
    if earlier:
        path = folder / "pretrained" / "tokenizer_config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "split_special_tokens": True}))
        path = folder / "pretrained" / "tokenizer.json"
        document = json.loads(path.read_text())
        document["added_tokens"] = [{**token, "lstrip": False} for token in document["added_tokens"]]
        path.write_text(json.dumps(document))
    done = export_architecture(store, SPEC, tmp_path / "lm", task="pretrained")
    assert done.auto == "AutoModelForMaskedLM"
    monkeypatch.chdir(done.folder)
    code = Path("README.md").read_text().split("```python\n")[1].split("```")[0]
    *lines, last = code.strip().splitlines()
    names: dict = {}
    exec("\n".join([*lines, f"answer = {last}"]), names)
    assert len(names["answer"]) == 5
    tokenizer = names["tokenizer"]
    ids = tokenizer("The boats <mask> near number one.").input_ids
    assert ids.count(tokenizer.mask_token_id) == 1
    whole = tokenizer("The boats wait near number one.").input_ids
    place = ids.index(tokenizer.mask_token_id)
    assert ids[:place] == whole[:place]  # No blank stands before the mask, because words bring their own.
    assert ids[place + 1 :] == whole[-len(ids[place + 1 :]) :]


def test_the_card_is_one_that_model_hubs_read(store, trained, tmp_path):
    source, other = "trained:train/aabb", "trained:train/donor"
    id, donor = architecture_id(SPEC), architecture_id(MIXED)
    put_run(store, trained, source, run_folder(store.url, "train", "aabb"))
    store.add_lineage([LineageRecord(source, id, other, donor, "ordered", 0.75)])
    export_architecture(store, SPEC, tmp_path / "out")
    card = ModelCard.load(tmp_path / "out" / "README.md", ignore_metadata_errors=False)
    assert (card.data.library_name, card.data.pipeline_tag) == ("transformers", "text-classification")
    (result,) = card.data.eval_results
    score = trained[1][0]
    assert (result.dataset_name, result.metric_value) == ("order", score.value)
    assert result.dataset_revision == score.dataset
    assert f"| {source} | {id} | {other} | {donor} | ordered | 75% |" in card.content
    assert "random weights" not in card.content
    assert f"| fidelity | {RECIPE.fidelity} |" in card.content
    assert f"| data fingerprint of order | `{score.dataset}` |" in card.content
    assert "| pre-training: last loss |" in card.content
    assert f"| masked_share | {RECIPE.masked_share} |" in card.content
    id_row = next(line for line in card.content.splitlines() if line.startswith("| model.safetensors |"))
    assert f"{(tmp_path / 'out' / 'model.safetensors').stat().st_size:,}" in id_row


def test_the_task_whose_model_the_folder_is_can_be_chosen(store, trained, tmp_path):
    with pytest.raises(InputError, match=r"the task order must belong to a trained model"):
        export_architecture(store, SPEC, tmp_path / "none", task="order")
    with pytest.raises(InputError, match=r"the ONNX file must belong to a trained model"):
        export_architecture(store, SPEC, tmp_path / "none", onnx=True)
    put_run(store, trained, "trained:train/aabb", run_folder(store.url, "train", "aabb"))
    done = export_architecture(store, SPEC, tmp_path / "lm", task="pretrained")
    assert {"config.json", "models/order"} <= set(done.contents)
    assert json.loads((done.folder / "config.json").read_text())["architectures"] == ["FlexiBertForMaskedLM"]
    assert ModelCard.load(done.folder / "README.md").data.pipeline_tag == "fill-mask"
    with pytest.raises(InputError, match="task must be one of order, pretrained, but got 'SST-2'"):
        export_architecture(store, SPEC, tmp_path / "none", task="SST-2")
    assert not (tmp_path / "none").exists()


def test_onnx_beside_the_model(store, trained, tmp_path):
    put_run(store, trained, "trained:train/aabb", run_folder(store.url, "train", "aabb"))
    done = export_architecture(store, SPEC, tmp_path / "out", onnx=True)
    assert "model.onnx" in done.contents
    assert done.onnx < 1e-4
    assert done.onnx_lengths == (2, RECIPE.length)
    card = (done.folder / "README.md").read_text()
    assert f"2 to {RECIPE.length} tokens, padded on the right" in card
    model = AutoModelForSequenceClassification.from_pretrained(done.folder)
    session = onnxruntime.InferenceSession(done.folder / "model.onnx", providers=["CPUExecutionProvider"])
    feed = dict(
        AutoTokenizer.from_pretrained(done.folder)(["one boat", "two boats wait"], padding=True, return_tensors="np")
    )
    feed.setdefault("token_type_ids", np.zeros_like(feed["input_ids"]))
    (logits,) = session.run(["logits"], feed)
    with torch.no_grad():
        wanted = model(**{name: torch.from_numpy(value) for name, value in feed.items()}).logits.numpy()
    np.testing.assert_allclose(logits, wanted, atol=1e-4)


@pytest.mark.parametrize("task", ["order", "pretrained"])
def test_a_damaged_model_is_not_exported(task, store, trained, tmp_path):
    folder = run_folder(store.url, "train", "aabb")
    put_run(store, trained, "trained:train/aabb", folder)
    path = folder / task / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-64])
    with pytest.raises(DataError, match=f"model in .*{task} must be readable"):
        export_architecture(store, SPEC, tmp_path / "out")
    weights = load_file(trained[0] / task / "model.safetensors")
    weights.pop("flexibert.layers.0.output.bias")
    save_file(weights, path, {"format": "pt"})
    with pytest.raises(DataError, match=r"fit the configuration, but got 'flexibert\.layers\.0\.output\.bias"):
        export_architecture(store, SPEC, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_with_other_outputs_is_found_out(trained, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(trained[0] / "order", folder)
    check_folder(folder, trained[0] / "order", SPEC)
    weights = load_file(folder / "model.safetensors")
    weights["classifier.bias"] += 1e-6
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(DataError, match=r"classifier\.bias in the copy of order must equal the stored one"):
        check_folder(folder, trained[0] / "order", SPEC)
    with pytest.raises(DataError, match="have the architecture"):
        check_folder(trained[0] / "order", trained[0] / "order", MIXED)


def test_the_best_run_is_taken_or_the_one_named(store, trained, tmp_path):
    put_run(store, trained, "trained:train/low", run_folder(store.url, "train", "low"), 0.1)
    id = architecture_id(SPEC)
    store.create_study(search("S", "own", budget=1).record(created=0.0))
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
