"""Gradient checkpointing, compiling, half precision and replaced Linears change how a model runs, not what it says."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from explorer.models import FlexiBertConfig, FlexiBertForMaskedLM, FlexiBertModel
from explorer.models.flexibert.modeling_flexibert import MatrixCache, Padding, Transform

EVERY_OPERATION = {
    "l": 2,
    "o": [["sa_sdp_8", "sa_wma_8", "l_dft_8", "l_dct_8", "c_5_8", "c_3_8"], ["l_dct_8", "l_dft_8"]],
    "h": [16, 16],
    "f": [[24], [24, 24]],
}
LENGTHS = (12, 5, 1, 11)


def config(positions, **settings):
    return FlexiBertConfig(
        model_dict=EVERY_OPERATION,
        vocab_size=50,
        max_position_embeddings=16,
        position_embedding_type=positions,
        initializer_range=0.2,
        **settings,
    )


def batch():
    ids = torch.randint(1, 50, (len(LENGTHS), max(LENGTHS)), generator=torch.Generator().manual_seed(2))
    mask = (torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS)[:, None]).long()
    return ids, mask


def loss_and_gradients(model, mask):
    ids, everywhere = batch()
    torch.manual_seed(7)  # Dropout is drawn again in the recomputation, which must draw the same.
    loss = model(ids, mask, labels=torch.where(everywhere.bool(), ids, -100)).loss
    gradients = torch.autograd.grad(loss, list(model.parameters()))
    return loss.detach(), gradients


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("positions", ["relative_key", "absolute"])
def test_gradient_checkpointing_changes_no_gradient(positions, padded):
    torch.manual_seed(0)
    model = FlexiBertForMaskedLM(config(positions)).double().train()
    mask = batch()[1] if padded else None
    wanted, gradients = loss_and_gradients(model, mask)
    # Transformers gave the switch another name in the course of version 5.
    getattr(model, "activation_checkpointing_enable", model.gradient_checkpointing_enable)()
    calls = []
    for layer in model.flexibert.layers:
        layer.register_forward_pre_hook(lambda *_: calls.append(1))
    loss, recomputed = loss_and_gradients(model, mask)
    assert len(calls) == 2 * len(model.flexibert.layers)
    torch.testing.assert_close(loss, wanted, rtol=0, atol=0)
    for got, true in zip(recomputed, gradients, strict=True):
        torch.testing.assert_close(got, true, rtol=0, atol=1e-12)
    getattr(model, "activation_checkpointing_disable", model.gradient_checkpointing_disable)()
    calls.clear()
    loss_and_gradients(model, mask)
    assert len(calls) == len(model.flexibert.layers)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("heads", "positions", "padded"),
    [
        (["sa_sdp_4", "sa_wma_4", "l_dft_4", "l_dct_4", "c_3_4"], "relative_key", True),
        (["l_dft_4", "l_dct_4"], "absolute", False),
    ],
)
def test_an_encoder_is_one_graph(heads, positions, padded):
    """Traced for compilation, with forward and backward; the graph is run by torch itself, not by a compiled kernel."""
    torch.manual_seed(0)
    settings = config(positions, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    settings.model_dict = {"l": 1, "o": [heads], "h": [16], "f": [[8]]}
    model = FlexiBertModel(settings).double()
    ids, mask = batch()
    given = mask if padded else None
    torch.compiler.reset()
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    outputs = [one(ids, given).last_hidden_state[mask.bool() | (not padded)] for one in (model, compiled)]
    torch.testing.assert_close(outputs[1], outputs[0], rtol=0, atol=1e-12)
    encoder = [p for name, p in model.named_parameters() if not name.startswith("pooler")]
    upstream = torch.randn(outputs[0].shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for got, true in zip(*(torch.autograd.grad(out, encoder, upstream) for out in outputs[::-1]), strict=True):
        torch.testing.assert_close(got, true, rtol=0, atol=1e-10)


@pytest.mark.parametrize("positions", ["relative_key", "absolute"])
def test_half_precision_stays_near(positions):
    """Autocast to bfloat16: 8 bits of mantissa, two layers of width 16, outputs of size 1."""
    torch.manual_seed(0)
    model = FlexiBertModel(config(positions)).eval()
    ids, mask = batch()
    for given in (mask, None):
        with torch.no_grad():
            wanted = model(ids, given).last_hidden_state
            with torch.autocast("cpu", dtype=torch.bfloat16):
                got = model(ids, given).last_hidden_state.float()
        kept = (mask.bool() if given is not None else torch.ones_like(mask).bool())[:, :, None]
        assert ((got - wanted) * kept).abs().mean() < 0.05
        assert ((got - wanted) * kept).abs().max() > 0  # It was half precision indeed.


def test_transform_matrices_have_autocasts_type():
    x = torch.randn(2, 6, 8)
    padding = Padding(None, MatrixCache(), x)
    assert padding.features(Transform.DFT, x).dtype is torch.float32
    with torch.autocast("cpu", dtype=torch.bfloat16):
        lower = Padding(None, MatrixCache(), x)
        assert lower.features(Transform.DCT, x).dtype is torch.bfloat16
        assert lower.transforms(Transform.DCT, x).dtype is torch.bfloat16


class Doubled(nn.Linear):
    """Stands for what adapters and quantisation put in a Linear's place."""

    def forward(self, x):
        return 2 * super().forward(x)


def test_a_replaced_linear_is_used():
    torch.manual_seed(0)
    plain = FlexiBertModel(config("relative_key")).double().eval()
    replaced = copy.deepcopy(plain)
    heads, other = replaced.layers[0].heads["sa_sdp"], plain.layers[0].heads["sa_sdp"]
    value = Doubled(heads.value.in_features, heads.value.out_features).double()
    value.load_state_dict(heads.value.state_dict())
    heads.value = value
    with torch.no_grad():
        other.value.weight.mul_(2)
        other.value.bias.mul_(2)
    ids, mask = batch()
    torch.testing.assert_close(
        replaced(ids, mask).last_hidden_state[mask.bool()], plain(ids, mask).last_hidden_state[mask.bool()]
    )
