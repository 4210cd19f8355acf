"""Configurations and models on disk: what is loaded is what was saved, by our classes and by the Auto classes."""

from __future__ import annotations

import json
import math
import re

import pytest
import torch
from transformers import AutoConfig, AutoModel, AutoModelForMaskedLM, AutoModelForSequenceClassification

from explorer.models import (
    FlexiBertConfig,
    FlexiBertForMaskedLM,
    FlexiBertForSequenceClassification,
    FlexiBertModel,
    config_for,
    spec_of,
)
from explorer.space.formats import from_model_dict, to_model_dict

PER_LAYER = {
    "l": 4,
    "o": ["sa", "l", "c", "l"],
    "h": [16, 24, 8, 16],
    "n": [2, 4, 2, 2],
    "f": [[24], [32, 8], [24, 24, 24], [16]],
    "p": ["wma", "dft", 5, "dct"],
}
PER_HEAD = {
    "l": 2,
    "o": [["l_dct_8", "sa_sdp_8", "c_5_8", "sa_wma_8"], ["sa_wma_4"]],
    "h": [16, 24],
    "f": [[8], [8, 8]],
}
CLASSES = [
    (FlexiBertModel, AutoModel),
    (FlexiBertForMaskedLM, AutoModelForMaskedLM),
    (FlexiBertForSequenceClassification, AutoModelForSequenceClassification),
]


def small(model_dict, **settings):
    return FlexiBertConfig(model_dict=model_dict, vocab_size=40, max_position_embeddings=12, **settings)


def ids_and_mask():
    ids = torch.randint(1, 40, (3, 9), generator=torch.Generator().manual_seed(0))
    return ids, (torch.arange(9) < torch.tensor([9, 4, 1])[:, None]).long()


@pytest.mark.parametrize("positions", ["relative_key", "absolute"])
@pytest.mark.parametrize("model_dict", [PER_LAYER, PER_HEAD], ids=["per layer", "per head"])
@pytest.mark.parametrize(("own", "auto"), CLASSES, ids=["encoder", "masked LM", "classification"])
def test_saving_and_loading_twice_changes_nothing(own, auto, model_dict, positions, tmp_path):
    torch.manual_seed(0)
    model = own(small(model_dict, position_embedding_type=positions, num_labels=3)).eval()
    ids, mask = ids_and_mask()
    with torch.no_grad():
        wanted = model(ids, mask)[0]
        for turn, loader in enumerate((own, auto)):
            model.save_pretrained(tmp_path / str(turn))
            model = loader.from_pretrained(tmp_path / str(turn))
            assert type(model) is own
            assert not model.training
            assert torch.equal(model(ids, mask)[0], wanted)
    first, second = ((tmp_path / turn / "config.json").read_text() for turn in "01")
    assert first == second


def test_a_masked_lm_becomes_a_classifier_with_the_same_encoder(tmp_path):
    torch.manual_seed(0)
    lm = FlexiBertForMaskedLM(small(PER_HEAD))
    lm.save_pretrained(tmp_path)
    classifier = AutoModelForSequenceClassification.from_pretrained(tmp_path, num_labels=4)
    saved = lm.flexibert.state_dict()
    loaded = classifier.flexibert.state_dict()
    assert {key for key in loaded if key not in saved} == {"pooler.weight", "pooler.bias"}
    assert all(torch.equal(loaded[key], value) for key, value in saved.items())
    assert classifier.classifier.weight.shape == (4, 24)
    assert 0 < classifier.classifier.weight.abs().max() < 0.2


def test_decoder_and_embeddings_are_one(tmp_path):
    model = FlexiBertForMaskedLM(small(PER_LAYER))
    for _ in range(2):
        assert model.head.decoder.weight is model.flexibert.embeddings.word_embeddings.weight
        model.save_pretrained(tmp_path)
        model = FlexiBertForMaskedLM.from_pretrained(tmp_path)
    model.resize_token_embeddings(45)
    assert model.head.decoder.weight is model.flexibert.embeddings.word_embeddings.weight
    assert model(torch.tensor([[44]])).logits.shape == (1, 1, 45)
    untied = FlexiBertForMaskedLM(small(PER_LAYER, tie_word_embeddings=False))
    assert untied.head.decoder.weight is not untied.flexibert.embeddings.word_embeddings.weight


def test_initial_weights():
    torch.manual_seed(0)
    hidden, heads = 128, 2
    model_dict = {"l": 2, "o": ["sa", "c"], "h": [hidden] * 2, "n": [heads] * 2, "f": [[8], [8]], "p": ["wma", 9]}
    model = FlexiBertModel(FlexiBertConfig(model_dict=model_dict, vocab_size=300, initializer_range=0.05))
    matrix = model.layers[0].heads["sa_wma"].weight
    assert matrix.shape == (64, 64)
    assert matrix.abs().max() <= 0.1
    assert matrix.std().item() == pytest.approx(0.1 / math.sqrt(3), rel=0.05)  # a uniform variable's
    convolution = model.layers[1].heads["c_9"]
    assert convolution.weight.shape == (1, 64, 9)
    for weight in (convolution.weight, convolution.depthwise.weight, model.layers[0].output.weight):
        assert weight.std().item() == pytest.approx(0.05, rel=0.15)
    assert not convolution.bias.any()
    assert not model.embeddings.word_embeddings.weight[0].any()
    assert model.layers[0].distances.weight.shape == (1023, 64)


def test_config_reads_either_form_and_survives_json(tmp_path):
    # The same architecture, written per head: heads in any order, convolution layers with their attention heads.
    written = {"l": 1, "o": [["sa_sdp_4", "c_5_4", "c_5_4", "sa_sdp_4"]], "h": [16], "f": [[8]]}
    config = small(written, num_labels=1, hidden_dropout_prob=0.3, pad_token_id=3)
    per_layer = {"l": 1, "o": ["c"], "h": [16], "n": [4], "f": [[8]], "p": [5]}
    assert config.layers == small(per_layer).layers
    assert config.layers[0].groups == (("c_5", 2), ("sa_sdp", 2))
    assert config_for(spec_of(config)).model_dict == per_layer
    assert spec_of(config) == from_model_dict(written)
    assert (config.embedding_size, config.hidden_size, config.num_hidden_layers) == (16, 16, 1)
    config.save_pretrained(tmp_path)
    loaded = AutoConfig.from_pretrained(tmp_path)
    assert isinstance(loaded, FlexiBertConfig)
    config.name_or_path = loaded.name_or_path
    config.transformers_version = loaded.transformers_version
    assert loaded.to_dict() == config.to_dict()
    assert loaded.num_labels == 1
    assert json.loads((tmp_path / "config.json").read_text())["model_dict"] == config.model_dict


def test_config_defaults_are_bert_tiny_and_from_spec_is_the_same():
    default = FlexiBertConfig()
    bert_tiny = {"l": 2, "o": ["sa"] * 2, "h": [128] * 2, "n": [2] * 2, "f": [[512]] * 2, "p": ["sdp"] * 2}
    assert default.model_dict == bert_tiny
    assert config_for(from_model_dict(bert_tiny)).to_dict() == default.to_dict()
    assert to_model_dict(spec_of(default)) == bert_tiny
    assert default.relative
    assert default.layer_norm_eps == 1e-12


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"vocab_size": 0}, "vocab_size"),
        ({"vocab_size": "many"}, "vocab_size"),
        ({"max_position_embeddings": True}, "max_position_embeddings"),
        ({"type_vocab_size": 1.5}, "type_vocab_size"),
        ({"hidden_dropout_prob": 1}, "hidden_dropout_prob"),
        ({"attention_probs_dropout_prob": -0.1}, "attention_probs_dropout_prob"),
        ({"layer_norm_eps": 0}, "layer_norm_eps"),
        ({"initializer_range": float("nan")}, "initializer_range"),
        ({"position_embedding_type": "rotary"}, "position_embedding_type"),
        ({"pad_token_id": 30522}, "pad_token_id"),
        ({"pad_token_id": "[PAD]"}, "pad_token_id"),
    ],
)
def test_config_names_what_is_wrong(settings, field):
    with pytest.raises(ValueError, match=f"^{field} must .*{re.escape(repr(settings[field]))}$"):
        FlexiBertConfig(**settings)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"l": 5}, "IndexError"),
        ({"l": "four"}, "l must be a whole number"),
        ({"h": [16, 24, 8, 0]}, r"h\[3\] must be a whole number"),
        ({"h": None}, "TypeError"),
        ({"n": [3, 4, 2, 2]}, r"n\[0\] must divide the hidden size"),
        ({"n": [2, 4, 1, 2]}, r"n\[2\] must divide the hidden size and be even for c"),
        ({"f": [[], [8], [8], [8]]}, "layer 0 must have at least one head and one feed-forward width"),
        ({"o": [["sa_sdp_4", "sa_sdp_8"]] * 4}, r"o\[0\] must list heads of one size"),
        ({"o": [["sa_sdp"]] * 4}, "not enough values"),
        ({"b": 0}, "b must be a whole number"),
    ],
)
def test_config_refuses_a_broken_architecture(changes, message):
    with pytest.raises(ValueError, match=f"model_dict must describe an encoder: .*{message}"):
        FlexiBertConfig(model_dict={**PER_LAYER, **changes})


def test_an_unknown_operation_is_refused():
    with pytest.raises(ValueError, match="operation must be one of sa_sdp, sa_wma, l_dft, l_dct, c, but got 'sa_nope'"):
        FlexiBertModel(FlexiBertConfig(model_dict={**PER_LAYER, "p": ["nope", "dft", 5, "dct"]}))
