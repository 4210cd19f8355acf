"""A BERT folder becomes a model of ours with the same outputs, or is refused with the reason."""

from __future__ import annotations

import json
import math
import shutil

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertForMaskedLM, BertForPreTraining, BertForSequenceClassification, BertModel

from explorer.errors import DataError, ExplorerError, InputError
from explorer.models import bert
from explorer.models.bert import compare_with_bert
from explorer.models.checkpoint import find_checkpoint
from explorer.space.spec import LayerSpec

HIDDEN, HEADS, LONGEST = 24, 3, 20


def read_bert(folder):
    return bert.read_bert(find_checkpoint(str(folder)))


def bert_config(**settings):
    sizes = {"hidden_size": HIDDEN, "num_attention_heads": HEADS, "intermediate_size": 40, "num_hidden_layers": 2}
    return BertConfig(vocab_size=61, max_position_embeddings=LONGEST, initializer_range=0.3, **sizes, **settings)


def save(kind, folder, seed=0, **settings):
    """A BERT with random weights everywhere: zero biases and unit norms would hide mistakes."""
    torch.manual_seed(seed)
    model = kind(bert_config(**settings)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    model.save_pretrained(folder)
    return model


def batch():
    chance = torch.Generator().manual_seed(1)
    ids = torch.randint(0, 61, (3, 12), generator=chance)
    types = torch.randint(0, 2, (3, 12), generator=chance)
    return ids, (torch.arange(12) < torch.tensor([12, 5, 1])[:, None]).long(), types


def rewrite(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize(
    ("kind", "settings", "left_out"),
    [
        (BertModel, {}, set()),
        (BertForMaskedLM, {}, set()),
        (BertForMaskedLM, {"tie_word_embeddings": False}, set()),
        (BertForPreTraining, {}, {"cls.seq_relationship.bias", "pooler.weight"}),
        (BertForSequenceClassification, {"num_labels": 3}, set()),
        (BertForSequenceClassification, {"num_labels": 1, "problem_type": "regression"}, set()),
        (transformers.BertForTokenClassification, {"id2label": {0: "O", 1: "B"}}, set()),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_outputs_are_berts(kind, settings, left_out, tmp_path):
    theirs = save(kind, tmp_path, **settings)
    found = read_bert(tmp_path)
    ids, mask, types = batch()
    with torch.no_grad():
        wanted = theirs(ids, attention_mask=mask, token_type_ids=types, output_hidden_states=True)
        got = found.model(ids, mask, types, output_hidden_states=True)
    real = mask.bool()
    for ours, theirs_own in zip(got.hidden_states, wanted.hidden_states, strict=True):
        torch.testing.assert_close(ours[real], theirs_own[real], rtol=0, atol=1e-5)
    if kind is BertModel:
        torch.testing.assert_close(got.pooler_output, wanted.pooler_output, rtol=0, atol=1e-5)
    else:
        logits = wanted.prediction_logits if kind is BertForPreTraining else wanted.logits
        rows = real if logits.ndim == 3 else slice(None)
        torch.testing.assert_close(got.logits[rows], logits[rows], rtol=0, atol=1e-5)
    assert compare_with_bert(found) < 1e-5
    assert found.spec.layers == (LayerSpec.per_layer(HIDDEN, "sa", "sdp", HEADS, (40,)),) * 2
    assert left_out <= set(found.left_out)
    assert bool(left_out) == bool(found.left_out)
    config = found.model.config
    assert (config.num_labels, config.id2label) == (theirs.config.num_labels, theirs.config.id2label)
    assert config.tie_word_embeddings == theirs.config.tie_word_embeddings


def old_names(name):
    return name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")


def test_files_of_every_age(tmp_path):
    save(BertForMaskedLM, tmp_path / "new")
    wanted = read_bert(tmp_path / "new").model.state_dict()
    weights = load_file(tmp_path / "new" / "model.safetensors")
    assert "cls.predictions.decoder.weight" not in weights  # tied
    old = {old_names(name): value for name, value in weights.items()}
    old["bert.embeddings.position_ids"] = torch.arange(LONGEST)[None]
    for name in ("bin", "shards"):
        (tmp_path / name).mkdir()
        shutil.copy(tmp_path / "new" / "config.json", tmp_path / name)
    torch.save(old, tmp_path / "bin" / "pytorch_model.bin")
    names, place = sorted(weights), {}
    for shard, part in (("a.safetensors", names[::2]), ("b.safetensors", names[1::2])):
        save_file({name: weights[name] for name in part}, tmp_path / "shards" / shard)
        place |= dict.fromkeys(part, shard)
    (tmp_path / "shards" / "model.safetensors.index.json").write_text(json.dumps({"weight_map": place}))
    for name in ("bin", "shards"):
        found = read_bert(tmp_path / name)
        assert found.left_out == ()
        assert all(torch.equal(value, wanted[key]) for key, value in found.model.state_dict().items())


def test_half_precision_is_kept(tmp_path):
    theirs = save(BertModel, tmp_path)
    theirs.to(torch.bfloat16).save_pretrained(tmp_path)
    found = read_bert(tmp_path)
    assert found.model.dtype == torch.bfloat16
    assert compare_with_bert(found) < 1e-4


def relative_bert(weights, ids, mask):
    """The encoder of ``transformers`` 4 with ``position_embedding_type = "relative_key"``, head by head."""
    w = {name.removeprefix("bert."): value for name, value in weights.items()}

    def linear(x, name):
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def norm(x, name):
        x = x - x.mean(-1, keepdim=True)
        return x / (x.pow(2).mean(-1, keepdim=True) + 1e-12).sqrt() * w[f"{name}.weight"] + w[f"{name}.bias"]

    x = w["embeddings.word_embeddings.weight"][ids] + w["embeddings.token_type_embeddings.weight"][0]
    x = norm(x, "embeddings.LayerNorm")
    place, size = torch.arange(ids.shape[1]), HIDDEN // HEADS
    for layer in ("encoder.layer.0", "encoder.layer.1"):
        own, outs = f"{layer}.attention.self", []
        query, key, value = (linear(x, f"{own}.{name}") for name in ("query", "key", "value"))
        distance = w[f"{own}.distance_embedding.weight"][place[:, None] - place[None] + LONGEST - 1]
        for head in range(HEADS):
            q, k, v = (part[..., head * size : (head + 1) * size] for part in (query, key, value))
            scores = q @ k.transpose(1, 2) + torch.einsum("bld,lrd->blr", q, distance)
            scores = (scores / math.sqrt(size)).masked_fill(~mask.bool()[:, None], float("-inf"))
            outs.append(scores.softmax(-1) @ v)
        x = norm(
            linear(torch.cat(outs, -1), f"{layer}.attention.output.dense") + x, f"{layer}.attention.output.LayerNorm"
        )
        inner = torch.nn.functional.gelu(linear(x, f"{layer}.intermediate.dense"))
        x = norm(linear(inner, f"{layer}.output.dense") + x, f"{layer}.output.LayerNorm")
    return x


def test_relative_positions_of_older_checkpoints(tmp_path):
    save(BertModel, tmp_path)
    rewrite(tmp_path, position_embedding_type="relative_key")
    weights = load_file(tmp_path / "model.safetensors")
    for layer in range(2):
        name = f"encoder.layer.{layer}.attention.self.distance_embedding.weight"
        weights[name] = torch.randn(2 * LONGEST - 1, HIDDEN // HEADS)
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    found = read_bert(tmp_path)
    assert found.left_out == ("embeddings.position_embeddings.weight",)
    ids, mask, _ = batch()
    with torch.no_grad():
        got, wanted = found.model(ids, mask).last_hidden_state, relative_bert(weights, ids, mask)
    torch.testing.assert_close(got[mask.bool()], wanted[mask.bool()], rtol=0, atol=1e-5)
    assert compare_with_bert(found) is None


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"model_type": "roberta"}, "model_type must be bert, but got 'roberta'"),
        ({"hidden_act": "relu"}, "hidden_act must be gelu"),
        ({"is_decoder": True}, "is_decoder must be false"),
        ({"add_cross_attention": True}, "add_cross_attention must be false"),
        ({"pruned_heads": {"0": [1]}}, "pruned_heads must be empty"),
        ({"position_embedding_type": "relative_key_query"}, "position_embedding_type must be relative_key or absolute"),
        ({"architectures": ["BertForQuestionAnswering"]}, "architectures must be one of BertModel"),
        ({"num_attention_heads": 5}, "heads"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_what_no_architecture_here_has_is_refused(change, field, tmp_path):
    save(BertModel, tmp_path)
    rewrite(tmp_path, **change)
    with pytest.raises(InputError, match=field):
        read_bert(tmp_path)


def test_damaged_or_missing_files_are_named(tmp_path):
    with pytest.raises(DataError, match=r"checkpoint must hold config\.json, the configuration of a model"):
        read_bert(tmp_path)
    save(BertModel, tmp_path)
    path = tmp_path / "model.safetensors"
    sound, weights = path.read_bytes(), load_file(path)
    path.write_bytes(sound[:-100])
    with pytest.raises(DataError, match=r"weights in .* must be readable"):
        read_bert(tmp_path)
    lacking = {name: value for name, value in weights.items() if "layer.1.output.dense" not in name}
    save_file(lacking, path, {"format": "pt"})
    with pytest.raises(DataError, match=r"be complete, but got 'layers\.1\.feed_forward_output\.bias"):
        read_bert(tmp_path)
    save_file({**weights, "encoder.layer.0.adapter.weight": torch.ones(1)}, path, {"format": "pt"})
    with pytest.raises(DataError, match=r"be those of a BERT, but got 'layers\.0\.adapter\.weight'"):
        read_bert(tmp_path)
    save_file({**weights, "pooler.dense.bias": torch.ones(3)}, path, {"format": "pt"})
    with pytest.raises(DataError, match=r"fit its config\.json"):
        read_bert(tmp_path)
    path.unlink()
    with pytest.raises(DataError, match=r"hold model\.safetensors or pytorch_model\.bin"):
        read_bert(tmp_path)


def test_a_model_with_other_outputs_is_found_out(tmp_path):
    save(BertModel, tmp_path)
    found = read_bert(tmp_path)
    with torch.no_grad():
        found.model.layers[1].output.bias[0] += 1e-3
    with pytest.raises(ExplorerError, match="differ from BERT's by"):
        compare_with_bert(found)


@pytest.mark.parametrize("prefix", ["student.", "base_model.model.", "_forward_module.", "net.text.bert_model."])
def test_a_bert_inside_of_another_module_is_found(tmp_path, prefix):
    save(BertForMaskedLM, tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    save_file({f"{prefix}{name}": value for name, value in weights.items()}, tmp_path / "model.safetensors")
    found = read_bert(tmp_path)
    assert any(f"took `{prefix.removesuffix('.')}" in note or "took `net.`" in note for note in found.files.notes)
    both = {f"{who}.{name}": value for who in ("student", "teacher") for name, value in weights.items()}
    save_file({name: value.clone() for name, value in both.items()}, tmp_path / "model.safetensors")
    with pytest.raises(DataError, match="complete"):
        read_bert(tmp_path)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"hidden_size": "16"}, r"config\.json: hidden_size must be a number, but got '16'"),
        ({"layer_norm_eps": "1e-12"}, r"config\.json: layer_norm_eps must be a number"),
        ({"hidden_dropout_prob": None}, r"config\.json: hidden_dropout_prob must be a number"),
        ({"intermediate_size": True}, r"config\.json: intermediate_size must be a number"),
        ({"initializer_range": "x"}, r"config\.json: initializer_range must be a number"),
        ({"dtype": "float8"}, r"config\.json must be a valid configuration of BERT"),
        ({"quantization_config": {"load_in_8bit": True}}, "quantization_config must be absent"),
        ({"architectures": [None]}, "architectures must be one of"),
        ({"architectures": [["BertModel"]]}, "architectures must be one of"),
        ({"architectures": {"a": 1}}, "architectures must be one of"),
    ],
)
def test_configurations_that_nothing_wrote_are_refused_in_one_line(tmp_path, change, rule):
    save(BertForMaskedLM, tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(InputError, match=rule):
        read_bert(tmp_path)


@pytest.mark.parametrize(
    ("changed", "rule"),
    [
        (lambda name, value: {name: value.to(torch.int8)}, "floating-point numbers.*before it is quantised"),
        (lambda name, value: {name: value * math.nan}, "be finite"),
        (
            lambda name, value: {name: value, name.replace(".weight", ".lora_A.weight"): value.clone()},
            "merge_and_unload",
        ),
        (lambda name, value: {name.replace(".weight", ".base_layer.weight"): value}, "merge_and_unload"),
    ],
)
def test_weights_that_are_no_plain_model_are_refused(tmp_path, changed, rule):
    save(BertForMaskedLM, tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    name = next(name for name in weights if name.endswith("query.weight"))
    save_file({**{key: value for key, value in weights.items() if key != name}, **changed(name, weights[name])},
              tmp_path / "model.safetensors")  # fmt: skip
    with pytest.raises(DataError, match=rule):
        read_bert(tmp_path)


@pytest.mark.parametrize("file", ["model.safetensors", "pytorch_model.bin"])
def test_a_text_in_the_place_of_weights_is_named(tmp_path, file):
    save(BertForMaskedLM, tmp_path)
    (tmp_path / "model.safetensors").unlink()
    for text, rule in (
        ("version https://git-lfs.github.com/spec/v1\noid sha256:a\nsize 4\n", "git lfs pull"),
        ("<!DOCTYPE html><html>404</html>", "not a web page"),
    ):
        (tmp_path / file).write_text(text)
        with pytest.raises(DataError, match=rule):
            read_bert(tmp_path)
    (tmp_path / file).unlink()
    torch.save(torch.nn.Linear(2, 2), tmp_path / "pytorch_model.bin")
    with pytest.raises(DataError, match=r"be readable without running code, but got an object of torch\.nn"):
        read_bert(tmp_path)
    torch.save([1], tmp_path / "pytorch_model.bin")
    with pytest.raises(DataError, match="it holds a list and no weights by name"):
        read_bert(tmp_path)
