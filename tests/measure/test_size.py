"""Parameter and FLOP formulas against built models and counts by hand."""

from __future__ import annotations

import random

import pytest
import torch

from explorer.errors import InputError
from explorer.measure.size import flops, parameters
from explorer.models import FlexiBertModel, config_for
from explorer.space.formats import from_model_dict
from explorer.space.spec import ArchitectureSpec, HeadOp, LayerSpec

OPERATIONS = [("sa", "sdp"), ("sa", "wma"), ("l", "dft"), ("l", "dct"), ("c", "5"), ("c", "9"), ("c", "13")]


def random_spec(rng):
    layers = []
    per_head = rng.random() < 0.5
    for _ in range(rng.randint(1, 4)):
        hidden, stack = rng.choice([16, 24, 32]), tuple(rng.choice([8, 24]) for _ in range(rng.randint(1, 3)))
        if per_head:
            size = rng.choice([4, 8])
            heads = tuple(HeadOp(*rng.choice(OPERATIONS), size) for _ in range(rng.randint(1, 6)))
            layers.append(LayerSpec(hidden, heads, stack))
        else:
            layers.append(LayerSpec.per_layer(hidden, *rng.choice(OPERATIONS), rng.choice([2, 4]), stack))
    return ArchitectureSpec(tuple(layers))


@pytest.mark.parametrize("seed", range(60))
def test_parameters_are_those_of_the_built_model(seed):
    rng = random.Random(seed)
    spec, pooler = random_spec(rng), rng.random() < 0.5
    positions = rng.choice(["relative_key", "absolute"])
    config = config_for(
        spec, vocab_size=53, max_position_embeddings=19, type_vocab_size=3, position_embedding_type=positions
    )
    with torch.device("meta"):
        model = FlexiBertModel(config, add_pooling_layer=pooler)
    sizes = {"vocab_size": 53, "max_positions": 19, "token_types": 3, "positions": positions, "pooler": pooler}
    embedded = sum(parameter.numel() for parameter in model.embeddings.parameters())
    assert parameters(spec, **sizes) == model.num_parameters()
    assert parameters(spec, **sizes, embeddings=False) == model.num_parameters() - embedded


def model_dict(depth, family, parameter, hidden, heads, stack):
    return from_model_dict(
        {
            "l": depth,
            "o": [family] * depth,
            "h": [hidden] * depth,
            "n": [heads] * depth,
            "f": [list(stack)] * depth,
            "p": [parameter] * depth,
        }
    )


FLEXIBERT_MINI = from_model_dict(
    {
        "l": 4,
        "o": ["sa", "sa", "l", "l"],
        "h": [256, 256, 128, 128],
        "n": [2, 2, 4, 4],
        "f": [[512] * 3] * 2 + [[1024]] * 2,
        "p": ["sdp", "sdp", "dct", "dct"],
    }
)


@pytest.mark.parametrize(
    ("depth", "hidden", "heads", "width", "published"),
    [(2, 128, 2, 512, 4_385_920), (4, 256, 4, 1024, 11_170_560), (12, 768, 12, 3072, 109_482_240)],
    ids=["BERT-Tiny", "BERT-Mini", "BERT-Base"],
)
def test_parameters_of_published_bert_checkpoints(depth, hidden, heads, width, published):
    """The counts of google/bert_uncased_L-*_H-*_A-* and bert-base-uncased, with pooler."""
    spec = model_dict(depth, "sa", "sdp", hidden, heads, (width,))
    assert parameters(spec, positions="absolute", pooler=True) == published


def test_flexibert_mini_has_three_percent_fewer_parameters_than_bert_mini():
    """As the paper says (arXiv 2205.11656, abstract); it holds with relative positions, its default."""
    bert_mini = parameters(model_dict(4, "sa", "sdp", 256, 4, (1024,)))
    assert parameters(FLEXIBERT_MINI) / bert_mini == pytest.approx(0.97, abs=0.005)


def test_flops_by_hand():
    # S = 3, h = 4, two heads of size 2, f = 5. Linears: q, k, v, output 4 of 4x4; 4x5; 5x4.
    linears = 2 * 3 * (4 * 16 + 20 + 20)
    attention = 2 * (2 * 3 * 3 * 2 + 2 * 3 * 3 * 2)
    distances = 2 * (2 * 3 * 5 * 2)
    sdp = model_dict(1, "sa", "sdp", 4, 2, (5,))
    assert flops(sdp, 3, "absolute") == linears + attention
    assert flops(sdp, 3) == linears + attention + distances
    wma = model_dict(1, "sa", "wma", 4, 2, (5,))
    assert flops(wma, 3, "absolute") == linears + attention + 2 * (2 * 3 * 2 * 2)
    mixing = 2 * 3 * (16 + 20 + 20)
    # 5 N log2 N with N = 3 * 2 is 77.5 a head, which rounds to 78 for the DFT and 39 for the DCT.
    assert flops(model_dict(1, "l", "dft", 4, 2, (5,)), 3, "absolute") == mixing + 2 * 78
    assert flops(model_dict(1, "l", "dct", 4, 2, (5,)), 3, "absolute") == mixing + 2 * 39
    assert flops(model_dict(1, "l", "dct", 4, 2, (5,)), 3) == (
        mixing + 2 * 39 + 2 * 3 * 2 * 16 + distances + 2 * (2 * 3 * 3 * 2)
    )
    # One sdp head and one convolution of kernel 3: three 4x2 Linears each, depthwise, kernels and their application.
    convolution = 2 * 3 * (6 * 8 + 16 + 20 + 20) + attention // 2 + 2 * 3 * 4 * 3 + 2 * (2 * 3 * 2 * 3)
    assert flops(model_dict(1, "c", 3, 4, 2, (5,)), 3, "absolute") == convolution


def test_flops_count_projections_and_grow_with_length():
    wide, narrow = LayerSpec.per_layer(8, "sa", "sdp", 2, (8,)), LayerSpec.per_layer(4, "sa", "sdp", 2, (8,))
    alone = flops(ArchitectureSpec((wide,)), 7) + flops(ArchitectureSpec((narrow,)), 7)
    assert flops(ArchitectureSpec((wide, narrow)), 7) == alone + 2 * 7 * 8 * 4
    assert flops(FLEXIBERT_MINI, 64) < flops(FLEXIBERT_MINI, 128) < flops(FLEXIBERT_MINI, 512)


def test_flops_of_attention_layers_are_what_torch_counts():
    """Torch's own counter sees every product of an attention encoder, so the two must be equal.

    But for two spare distances of every query, which the model computes for the sake of aligned memory.
    """
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    spec = model_dict(2, "sa", "wma", 32, 4, (24, 48))
    for positions in ("absolute", "relative_key"):
        config = config_for(spec, vocab_size=30, position_embedding_type=positions)
        model = FlexiBertModel(config, add_pooling_layer=False).eval()
        with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
            model(torch.ones(1, 17, dtype=torch.long))
        spare = 2 * 2 * 4 * 17 * 8 * 2 if positions == "relative_key" else 0  # layers, heads, tokens, head size
        assert counter.get_total_flops() == flops(spec, 17, positions) + spare


def test_wrong_arguments_are_named():
    spec = model_dict(1, "sa", "sdp", 4, 2, (5,))
    with pytest.raises(InputError, match=r"^positions must"):
        parameters(spec, positions="rotary")
    with pytest.raises(InputError, match=r"^positions must"):
        flops(spec, positions="rotary")
    with pytest.raises(InputError, match=r"^length must"):
        flops(spec, 0)
