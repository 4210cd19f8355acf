"""Published numbers of parameters, each by the convention of its paper."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import nn

from explorer.errors import InputError
from explorer.measure.conventions import CONVENTIONS, OWN, Counting, Head, count_parameters
from explorer.models import FlexiBertForMaskedLM, FlexiBertModel, config_for
from explorer.space.backbones import Backbone, shape_spec
from explorer.space.formats import from_model_dict
from explorer.space.named import named_model
from explorer.space.spec import ArchitectureSpec, HeadOp, LayerSpec


def count(spec, name, merged=False, **changes):
    convention = CONVENTIONS[name]
    return count_parameters(spec, convention, replace(convention.counting, **changes), merged)


@pytest.mark.parametrize(
    ("name", "encoder", "masked_lm"),
    [
        ("BERT-Tiny", 4_385_920, 4_416_698),
        ("BERT-Mini", 11_170_560, 11_201_594),
        ("BERT-Base", 109_482_240, 109_514_298),
    ],
)
def test_checkpoints_of_bert(name, encoder, masked_lm):
    """google/bert_uncased_L-*_H-*_A-* and bert-base-uncased as BertModel, and as BertForMaskedLM without a pooler."""
    spec = named_model(name)
    assert count(spec, "bert").total == encoder
    found = count(spec, "bert", pooler=False, head=Head.MLM)
    assert found.total == masked_lm
    untied = count(spec, "bert", pooler=False, head=Head.MLM, tied=False)
    assert untied.total - found.total == 30_522 * spec.layers[0].hidden


@pytest.mark.parametrize(
    ("widths", "unmerged", "merged"),
    [
        ((768,) * 12, 121.89, 115.40),
        ((120,) * 12, 34.48, 32.60),
        ((360,) * 12, 62.15, 57.49),
        ((480, 240, 360, 240, 540, 480, 360, 360, 360, 360, 540, 480), 67.77, 62.82),
        ((360, 120, 120, 120, 360, 360, 360, 360, 360, 360, 540, 540), None, 55.15),
    ],
)
def test_shapes_of_supershaper(widths, unmerged, merged):
    spec = shape_spec(widths)
    assert round(count(spec, "supershaper", merged=True).total / 1e6, 2) == merged
    assert unmerged in (None, round(count(spec, "supershaper").total / 1e6, 2))


EDGETRAN = {  # Architectures of EdgeTran's global search, and their sizes in millions as its notebook prints them.
    37.40: {
        "l": 2,
        "o": [["l_dft_128", "c_5_128", "c_5_128", "c_13_128"], ["l_dft_64", "l_dft_64", "l_dft_64", "c_5_64"]],
        "h": [512, 256],
        "f": [[512, 256, 2048], [2048, 3072]],
    },
    63.28: {
        "l": 4,
        "o": [
            ["sa_wma_128", "sa_wma_128", "sa_wma_128", "l_dft_128"],
            ["sa_wma_256", "l_dft_256"],
            ["l_dft_64", "c_5_64", "c_13_64", "c_13_64"],
            ["sa_sdp_64", "l_dct_64", "l_dct_64", "c_9_64"],
        ],
        "h": [512, 512, 256, 256],
        "f": [[3072, 512, 256], [1024, 4096, 4096], [4096, 512, 256], [512, 3072, 512]],
    },
    37.17: {
        "l": 2,
        "o": [
            ["sa_wma_42"] * 2 + ["l_dft_42"] * 2 + ["l_dct_42"] * 3 + ["c_13_42"] * 5,
            ["sa_wma_21"] * 8 + ["c_5_21"] * 2 + ["c_9_21", "c_13_21"],
        ],
        "h": [512, 256],
        "f": [[512, 256, 2048], [2048, 3072]],
    },
}
PRINTED = {  # All sizes of the same table, by the beginning of the architecture's hash.
    **{"f36d5c40": 70.20, "e3ea4dd7": 111.66, "cc085bb5": 103.37, "bec57821": 81.76, "2a886313": 37.40},
    **{"1d41e1cd": 36.56, "49ef529d": 74.44, "cbf26e71": 63.28, "dc7733ef": 69.57, "89ca0068": 110.78},
    **{"fb76fc6b": 102.34, "fb04cff1": 80.72, "7cf1bfa8": 37.17, "081cb169": 35.12, "ae87fe8c": 73.14},
    "9f4a1d6d": 62.82,
}


@pytest.mark.parametrize("millions", EDGETRAN)
def test_architectures_of_edgetran(millions):
    assert round(count(from_model_dict(EDGETRAN[millions]), "edgetran").total / 1e6, 2) == millions


def test_all_printed_sizes_of_edgetran(shared_data):
    rows = json.loads((shared_data / "architectures" / "edgetran" / "codesign_dataset.json").read_text())
    specs = {key[:8]: from_model_dict(row["model_dict"]) for key, row in rows.items()}
    found = {key: round(count(specs[key], "edgetran").total / 1e6, 2) for key in PRINTED}
    assert found == PRINTED


def test_flexibert_mini_is_three_percent_smaller_than_bert_mini():
    """arXiv 2205.11656, abstract; by the default settings of the released code."""
    mini, bert = (count(named_model(name), "flexibert").total for name in ("FlexiBERT-Mini", "BERT-Mini"))
    assert (mini, bert) == (11_121_344, 11_450_112)
    assert round(100 * (1 - mini / bert)) == 3


def released_heads(layer, positions):
    """The parameters of the heads of FlexiBERT's released code, module by module."""
    hidden, size, n = layer.hidden, layer.head_size, len(layer.heads)
    yield nn.Embedding(2 * positions - 1, size)
    if layer.main.family == "c":
        kernel, half, width = int(layer.main.parameter), n // 2, n // 2 * size
        yield from (nn.Linear(hidden, width) for _ in ("query", "key", "value", "convolved"))
        yield nn.Conv1d(hidden, hidden, kernel, groups=hidden, bias=False)
        yield nn.Conv1d(hidden, width, 1)
        yield nn.Linear(width, half * kernel)
        return
    yield from (nn.Linear(hidden, hidden) for _ in ("query", "key", "value"))
    if layer.main.family == "sa":
        yield nn.Linear(size, size, bias=False)


@pytest.mark.parametrize("seed", range(8))
def test_flexiberts_layers_module_by_module(seed):
    rng = random.Random(seed)
    operations = [("sa", "sdp"), ("sa", "wma"), ("l", "dft"), ("l", "dct"), ("c", "5"), ("c", "9")]
    layers = [
        LayerSpec.per_layer(
            rng.choice([16, 32]), *rng.choice(operations), rng.choice([2, 4]), (24, 8)[: rng.randint(1, 2)]
        )
        for _ in range(4)
    ]
    modules = [nn.Embedding(number, layers[0].hidden) for number in (50, 20, 3)] + [nn.LayerNorm(layers[0].hidden)]
    with torch.device("meta"):
        for layer, after in zip(layers, [*layers[1:], layers[-1]], strict=True):
            hidden, widths = layer.hidden, (layer.hidden, *layer.feed_forward, layer.hidden)
            modules += [
                *released_heads(layer, 20),
                nn.Linear(hidden, hidden),
                nn.LayerNorm(hidden),
                nn.LayerNorm(hidden),
            ]
            modules += [nn.Linear(a, b) for a, b in pairwise(widths)]
            modules += [nn.Linear(hidden, after.hidden)] if after.hidden != hidden else []
        modules.append(nn.Linear(layers[-1].hidden, layers[-1].hidden))
    expected = sum(parameter.numel() for module in modules for parameter in module.parameters())
    spec, sizes = ArchitectureSpec(tuple(layers)), {"vocab_size": 50, "max_positions": 20, "token_types": 3}
    found = count(spec, "flexibert", **sizes)
    assert found.total == expected
    absolute = count(spec, "flexibert", **sizes, positions="absolute")
    assert found.total - absolute.total == 39 * sum(layer.head_size for layer in layers)


SPECS = {
    "per head": ArchitectureSpec(
        (
            LayerSpec(16, (HeadOp("sa", "sdp", 8), HeadOp("l", "dct", 8), HeadOp("c", "5", 8)), (24,)),
            LayerSpec.per_layer(24, "sa", "wma", 2, (8, 8)),
        )
    ),
    "shape": Backbone(hidden=24, heads=3, feed_forward=40, layers=3).spec((6, 24, 12)),
}


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("positions", ["absolute", "relative_key"])
@pytest.mark.parametrize("spec", SPECS.values(), ids=list(SPECS))
def test_this_packages_own_models(spec, positions, tied):
    settings = {
        "vocab_size": 53,
        "max_position_embeddings": 19,
        "type_vocab_size": 3,
        "position_embedding_type": positions,
    }
    config = config_for(spec, **settings, tie_word_embeddings=tied)
    with torch.device("meta"):
        lm, encoder = FlexiBertForMaskedLM(config), FlexiBertModel(config)
    lm.tie_weights()
    sizes = {"vocab_size": 53, "max_positions": 19, "token_types": 3, "positions": positions, "tied": tied}
    assert count(spec, OWN, **sizes, head=Head.MLM).total == lm.num_parameters()
    found = count(spec, OWN, **sizes, pooler=True)
    assert found.total == encoder.num_parameters()
    assert found.pooler == sum(parameter.numel() for parameter in encoder.pooler.parameters())
    assert found.embeddings == sum(parameter.numel() for parameter in encoder.embeddings.parameters())


def test_conventions_that_do_not_fit_are_refused():
    mixed, shape, tiny = SPECS["per head"], SPECS["shape"], named_model("BERT-Tiny")
    with pytest.raises(InputError, match=r"be used with layers of one operation.*Use edgetran"):
        count(mixed, "flexibert")
    assert count(mixed, "edgetran").total > 0  # as the remedy says
    with pytest.raises(InputError, match=r"be used with shapes.*Use explorer"):
        count(tiny, "supershaper")
    for name in ("bert", "flexibert", "edgetran"):
        with pytest.raises(InputError, match=r"without a backbone.*Use explorer for it, or supershaper"):
            count(shape, name)
    assert count(shape, "supershaper").total > 0
    with pytest.raises(InputError, match=r"head mlm must be untied.*tied=False"):
        count(mixed, "edgetran", head=Head.MLM)
    assert count(mixed, "edgetran", head=Head.MLM, tied=False).head > 0
    with pytest.raises(InputError, match="positions must be relative_key or absolute"):
        count_parameters(tiny, CONVENTIONS[OWN], Counting(positions="rotary"))
