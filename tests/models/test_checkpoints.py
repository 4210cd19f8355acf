"""BERT checkpoints as people have them: wrapped, in a subfolder, of 2018, a file, or on a hub."""

from __future__ import annotations

import functools
import json
import threading
import zipfile
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertForMaskedLM, BertForSequenceClassification, BertForTokenClassification

from explorer.errors import DataError, InputError
from explorer.models.bert import compare_with_bert, read_bert
from explorer.models.checkpoint import WORDS, Checkpoint, find_checkpoint

SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}


def save(folder, kind=BertForMaskedLM, **settings):
    torch.manual_seed(0)
    model = kind(BertConfig(vocab_size=30, max_position_embeddings=12, initializer_range=0.2, **SIZES, **settings))
    model.save_pretrained(folder)
    return model


def rename(folder, new_name, to="model.safetensors", **around):
    """Write the weights again under other names, and remove the old file."""
    path = folder / "model.safetensors"
    weights = {new_name(name): value for name, value in load_file(path).items()}
    path.unlink()
    if to.endswith(".safetensors"):
        save_file(weights, folder / to, {"format": "pt"})
    else:
        torch.save({**around, around.get("key", "state_dict"): weights} if around else weights, folder / to)


def read(name):
    found = read_bert(find_checkpoint(str(name)))
    assert compare_with_bert(found) < 1e-5
    return found


@pytest.fixture
def plain(tmp_path):
    """The weights of an unwrapped checkpoint as this package has them, which is what every other form must give."""
    save(tmp_path / "plain")
    return read(tmp_path / "plain").model.state_dict()


def same(found, plain):
    state = found.model.state_dict()
    assert state.keys() == plain.keys()
    assert all(torch.equal(value, plain[name]) for name, value in state.items())


@pytest.mark.parametrize(
    ("new_name", "notes"),
    [
        ("_orig_mod.{}".format, ["`_orig_mod.` off the names of 4"]),
        ("module.{}".format, ["`module.` off the names of 4"]),
        ("module._orig_mod.{}".format, ["torch.compile adds", "DataParallel adds"]),
        ("_orig_mod.module.{}".format, ["torch.compile adds", "DataParallel adds"]),
        ("model.{}".format, ["`model.` off the names of 4"]),
        ("0.auto_model.{}".format, ["`0.` off", "`auto_model.` off"]),
        (lambda name: name.replace("encoder.layer.1.", "encoder.layer.1._orig_mod."), ["torch.compile adds"]),
        (lambda name: name.replace("layer.0.", "layer.0._checkpoint_wrapped_module."), ["activation checkpointing"]),
        (lambda name: f"_fsdp_wrapped_module.{name}", ["FSDP adds"]),
    ],
    ids=[
        "compiled",
        "parallel",
        "both",
        "both, other order",
        "held",
        "sentences",
        "a layer",
        "checkpointed",
        "sharded",
    ],
)
@pytest.mark.parametrize("to", ["model.safetensors", "pytorch_model.bin"])
def test_names_of_wrappers_are_taken_off_and_said(new_name, notes, to, plain, tmp_path):
    folder = tmp_path / "plain"
    rename(folder, new_name, to)
    found = read(folder)
    same(found, plain)
    said = "; ".join(found.files.notes)
    assert all(note in said for note in notes), said


@pytest.mark.parametrize("outer", ["module.", "student."])
def test_weights_that_wrappers_hid_from_each_other_are_refused(outer, plain, tmp_path):
    folder = tmp_path / "plain"
    weights = load_file(folder / "model.safetensors")
    name = next(name for name in weights if not name.endswith(WORDS))
    both = {**weights, f"module.{name}": weights[name] + 1}
    if outer != "module.":  # a name that no list of wrappers has, around all but one weight
        both = {f"{outer}{name}": value for name, value in weights.items()} | {name: weights[name] + 1}
    save_file(both, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(DataError, match="have one weight for each name of BERT"):
        read(folder)


@pytest.mark.parametrize("key", ["state_dict", "model_state_dict", "model"])
def test_a_training_checkpoint_holds_the_weights_among_other_things(key, plain, tmp_path):
    folder = tmp_path / "plain"
    rename(folder, "module.{}".format, "epoch3.pt", key=key, epoch=3, optimizer={"lr": 0.1})
    torch.save({"state": 1}, folder / "optimizer.pt")
    same(read(folder), plain)
    same(read(folder / "epoch3.pt"), plain)


def test_the_file_that_is_named_is_read(plain, tmp_path):
    folder = tmp_path / "plain"
    other = save(tmp_path / "other", tie_word_embeddings=True)
    with torch.no_grad():
        other.cls.predictions.transform.dense.bias.add_(1)
    torch.save(other.state_dict(), folder / "best.pth")
    state = read(folder / "best.pth").model.state_dict()
    assert not torch.equal(state["head.dense.bias"], plain["head.dense.bias"])
    same(read(folder / "model.safetensors"), plain)
    found = read(folder / "config.json")
    same(found, plain)
    assert "config.json is a file of the checkpoint in" in found.files.notes[0]


def test_several_files_of_weights_are_not_guessed_among(plain, tmp_path):
    folder = tmp_path / "plain"
    state = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    for name in ("epoch1.pt", "epoch2.pt"):
        torch.save(state, folder / name)
    with pytest.raises(DataError, match=r"Name the file with the weights: one of .*epoch1\.pt, .*epoch2\.pt"):
        read(folder)
    same(read(folder / "epoch2.pt"), plain)  # as the remedy says


def test_a_file_that_runs_code_is_refused(plain, tmp_path):
    torch.save({"state_dict": {}, "hook": functools.partial(print)}, tmp_path / "plain" / "lightning.ckpt")
    with pytest.raises(DataError, match=r"without running code.*Save the weights alone"):
        read(tmp_path / "plain" / "lightning.ckpt")


def test_a_model_in_a_subfolder_is_found(plain, tmp_path):
    whole = tmp_path / "sentences"
    (whole / "1_Pooling").mkdir(parents=True)
    (whole / "1_Pooling" / "config.json").write_text('{"word_embedding_dimension": 16}')
    (tmp_path / "plain").rename(whole / "0_Transformer")
    found = read(whole)
    same(found, plain)
    assert found.files.notes == ("the model is in the subfolder 0_Transformer",)
    save(whole / "runs" / "checkpoint-500")
    with pytest.raises(InputError, match=r"Name one of .*0_Transformer, .*checkpoint-500"):
        read(whole)
    same(read(whole / "runs"), plain)


def test_other_places_are_refused_with_the_way_there(tmp_path):
    with pytest.raises(DataError, match=r"Name the folder that has config\.json and the weights"):
        find_checkpoint(str(tmp_path))
    with zipfile.ZipFile(tmp_path / "bert.zip", "w") as archive:
        archive.writestr("config.json", "{}")
    with pytest.raises(InputError, match=r"Unpack the archive, and name the folder"):
        find_checkpoint(str(tmp_path / "bert.zip"))
    (tmp_path / "weights.bin").write_bytes(b"")
    with pytest.raises(InputError, match=r"Put the model's config\.json next to it"):
        find_checkpoint(str(tmp_path / "weights.bin"))
    for name in ("./absent", "a/b/c", "c:\\models", str(tmp_path / "absent")):
        with pytest.raises(InputError, match="checkpoint must be an existing folder"):
            find_checkpoint(name)
    save(tmp_path / "tf")
    (tmp_path / "tf" / "model.safetensors").rename(tmp_path / "tf" / "tf_model.h5")
    with pytest.raises(DataError, match=r"Convert the weights to torch's format: .*from_tf=True"):
        read(tmp_path / "tf")


def of_2018(folder, kind, **settings):
    """As in the first releases: no type, no class, no labels, another name of the file."""
    model = save(folder, kind, **settings)
    path = folder / "config.json"
    config = json.loads(path.read_text())
    keys = (*SIZES, "vocab_size", "type_vocab_size", "max_position_embeddings", "hidden_act", "initializer_range")
    (folder / "bert_config.json").write_text(json.dumps({key: config[key] for key in keys}))
    path.unlink()
    old = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
    weights = {}
    for name, value in model.state_dict().items():
        for new, first in old.items():
            name = name.replace(new, first)
        weights[name] = value
    torch.save(weights, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    return model


@pytest.mark.parametrize(
    ("kind", "settings", "ours"),
    [
        (BertForMaskedLM, {}, "FlexiBertForMaskedLM"),
        (BertForSequenceClassification, {"num_labels": 5}, "FlexiBertForSequenceClassification"),
        (BertForTokenClassification, {"num_labels": 4}, "FlexiBertForTokenClassification"),
    ],
)
def test_files_of_2018_are_recognised_by_their_keys(kind, settings, ours, tmp_path):
    theirs = of_2018(tmp_path, kind, **settings).eval()
    found = read(tmp_path)
    assert type(found.model).__name__ == ours
    assert found.files.notes == ("bert_config.json has no model_type; its keys are BERT's",)
    ids = torch.arange(1, 11)[None]
    with torch.no_grad():
        torch.testing.assert_close(found.model(ids).logits, theirs(ids).logits, rtol=0, atol=1e-5)


def test_a_configuration_that_is_not_berts_is_refused(tmp_path):
    save(tmp_path)
    (tmp_path / "config.json").write_text('{"hidden_size": 16, "n_layers": 2}')
    with pytest.raises(InputError, match="model_type must be bert, but got None"):
        read(tmp_path)
    (tmp_path / "config.json").write_text('{"hidden_size": 16,')
    with pytest.raises(DataError, match=r"config\.json.* must be valid JSON"):
        read(tmp_path)


class Hub(BaseHTTPRequestHandler):
    """The part of a model hub that fetching needs, for the folders in ``models``."""

    models: dict = {}  # noqa: RUF012 - set for each server
    COMMIT = "a" * 40

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path = unquote(urlsplit(self.path).path).strip("/")
        self.server.asked.append(path)
        for name, folder in self.server.models.items():
            files = sorted(one for one in folder.rglob("*") if one.is_file())
            if path.startswith(f"api/models/{name}/tree/"):
                rows = [self._entry(one, one.relative_to(folder)) for one in files]
                return self._send(json.dumps(rows).encode(), "application/json")
            if path.startswith(f"api/models/{name}"):
                siblings = [{"rfilename": one.relative_to(folder).as_posix()} for one in files]
                answer = {"id": name, "modelId": name, "sha": self.COMMIT, "siblings": siblings, "tags": []}
                return self._send(json.dumps(answer).encode(), "application/json")
            for one in files:
                if path == f"{name}/resolve/{self.COMMIT}/{one.relative_to(folder).as_posix()}":
                    return self._send(one.read_bytes(), "application/octet-stream")
        self.send_response(404)
        self.send_header("X-Error-Code", "RepoNotFound")
        self.send_header("Content-Length", "0")
        self.end_headers()
        return None

    def _entry(self, file, name):
        raw = file.read_bytes()
        return {"type": "file", "path": name.as_posix(), "size": len(raw), "oid": sha1(raw).hexdigest()}

    def _send(self, raw, kind):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(raw)))
        self.send_header("ETag", f'"{sha1(raw).hexdigest()}"')
        self.send_header("X-Repo-Commit", self.COMMIT)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(raw)

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub on this machine that the client is pointed to, with its cache in a folder of the test."""
    from huggingface_hub import constants

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.models, server.asked = {}, []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    # What HF_ENDPOINT, HF_HUB_OFFLINE and HF_HUB_CACHE set, which the client reads when it is imported.
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("to", ["model.safetensors", "pytorch_model.bin"])
def test_a_name_is_fetched_from_the_hub(to, hub, plain, tmp_path):
    folder = tmp_path / "plain"
    rename(folder, str, to)
    (folder / "onnx").mkdir()
    (folder / "onnx" / "model.safetensors").write_bytes(b"0" * 99)
    (folder / "tf_model.h5").write_bytes(b"0" * 99)
    hub.models["someone/bert_uncased_L-2_H-16"] = folder
    found = read("someone/bert_uncased_L-2_H-16")
    same(found, plain)
    assert not [path for path in hub.asked if path.endswith(("h5", "onnx/model.safetensors"))]
    hub.models.clear()  # The second time it comes from the cache.
    same(read("someone/bert_uncased_L-2_H-16"), plain)


def test_a_name_that_the_hub_does_not_have_says_how_to_fetch(hub):
    with pytest.raises(InputError, match=r"hf download nobody/nothing --local-dir FOLDER") as refused:
        find_checkpoint("nobody/nothing")
    assert "the name of a model that the hub offers here (" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_without_a_hub_the_way_to_fetch_is_said(monkeypatch, tmp_path):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    with pytest.raises(InputError, match=r"hf download google/bert_uncased_L-2_H-128_A-2 --local-dir FOLDER"):
        find_checkpoint("google/bert_uncased_L-2_H-128_A-2")


def test_a_checkpoint_knows_its_folder(tmp_path):
    save(tmp_path)
    assert find_checkpoint(str(tmp_path)) == Checkpoint(tmp_path)
