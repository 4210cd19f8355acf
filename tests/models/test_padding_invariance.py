"""Padding never changes what an encoder says about real tokens, whatever its operations."""

from __future__ import annotations

import pytest
import torch

from explorer.models import (
    FlexiBertConfig,
    FlexiBertForMaskedLM,
    FlexiBertForSequenceClassification,
    FlexiBertModel,
    config_for,
    spec_of,
)
from explorer.space.formats import from_model_dict
from explorer.space.spec import ArchitectureSpec, LayerSpec

LENGTHS = (12, 5, 1, 11)


def uniform(family, parameter):
    return {"l": 2, "o": [family] * 2, "h": [16] * 2, "n": [2, 4], "f": [[24], [24]], "p": [parameter] * 2}


MODELS = {
    "sdp": uniform("sa", "sdp"),
    "wma": uniform("sa", "wma"),
    "dft": uniform("l", "dft"),
    "dct": uniform("l", "dct"),
    "convolution 3": uniform("c", 3),
    "convolution 31": uniform("c", 31),
    "mixed hidden sizes": {
        "l": 4,
        "o": ["sa", "l", "c", "l"],
        "h": [16, 24, 8, 16],
        "n": [2, 4, 2, 2],
        "f": [[24], [32, 8], [24, 24, 24], [16]],
        "p": ["wma", "dft", 5, "dct"],
    },
    "mixed heads": {
        "l": 3,
        "o": [
            ["sa_sdp_8", "sa_wma_8", "l_dft_8", "l_dct_8", "c_5_8", "c_13_8"],
            ["l_dct_4", "c_9_4", "sa_wma_4", "sa_wma_4"],
            ["c_3_8", "l_dft_8"],
        ],
        "h": [16, 16, 24],
        "f": [[24], [24, 24], [8]],
    },
}


def config(name, positions, **settings):
    # Weights ten times larger than usual let attention and kernels look at single tokens, so that leaks show.
    return FlexiBertConfig(
        model_dict=MODELS[name],
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


@pytest.mark.parametrize("positions", ["relative_key", "absolute"])
@pytest.mark.parametrize("name", MODELS)
def test_a_sequence_alone_is_a_sequence_in_a_batch(name, positions):
    torch.manual_seed(0)
    model = FlexiBertModel(config(name, positions)).eval()
    ids, mask = batch()
    with torch.no_grad():
        together = model(ids, mask)
        other_padding = model(torch.where(mask.bool(), ids, 7), mask)
        for row, length in enumerate(LENGTHS):
            alone = model(ids[row : row + 1, :length])
            real = together.last_hidden_state[row, :length]
            torch.testing.assert_close(real, alone.last_hidden_state[0], rtol=0, atol=1e-5)
            torch.testing.assert_close(together.pooler_output[row], alone.pooler_output[0], rtol=0, atol=1e-5)
            torch.testing.assert_close(real, other_padding.last_hidden_state[row, :length], rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_gradients_do_not_depend_on_batching(name):
    torch.manual_seed(0)
    model = FlexiBertForMaskedLM(
        config(name, "relative_key", hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    )
    model = model.double().train()
    ids, mask = batch()
    labels = torch.where(mask.bool(), ids, -100)
    model(ids, mask, labels=labels).loss.backward()
    together = {key: value.grad.clone() for key, value in model.named_parameters()}
    model.zero_grad()
    total = sum(LENGTHS)
    for row, length in enumerate(LENGTHS):
        only = ids[row : row + 1, :length]
        (model(only, labels=only).loss * (length / total)).backward()
    for key, value in model.named_parameters():
        torch.testing.assert_close(together[key], value.grad, rtol=0, atol=1e-10, msg=key)


@pytest.mark.parametrize("name", MODELS)
def test_real_tokens_do_influence_each_other(name):
    """The counterpart: a change of the last real token reaches the first, so the tests above are not empty."""
    torch.manual_seed(0)
    model = FlexiBertModel(config(name, "absolute")).eval()
    ids, mask = batch()
    changed = ids.clone()
    changed[1, LENGTHS[1] - 1] = ids[1, LENGTHS[1] - 1] % 49 + 1
    with torch.no_grad():
        difference = model(ids, mask).last_hidden_state[1, 0] - model(changed, mask).last_hidden_state[1, 0]
    assert difference.abs().max() > 1e-4


def test_a_mask_of_another_shape_is_refused():
    model = FlexiBertModel(config("sdp", "absolute"))
    with pytest.raises(ValueError, match="attention_mask must have one entry for each token"):
        model(torch.ones(2, 3, dtype=torch.long), torch.ones(2, 4))


def test_too_long_sequences_are_refused():
    model = FlexiBertModel(config("sdp", "relative_key"))
    with pytest.raises(ValueError, match="at most max_position_embeddings = 16 tokens"):
        model(torch.ones(1, 17, dtype=torch.long))


@pytest.mark.parametrize("positions", ["relative_key", "absolute"])
@pytest.mark.parametrize("name", MODELS)
def test_gradients_reach_every_parameter(name, positions):
    torch.manual_seed(0)
    settings = config(name, positions, num_labels=3)
    ids, mask = batch()
    lm = FlexiBertForMaskedLM(settings).double()
    lm(ids, mask, labels=torch.where(mask.bool(), ids, -100)).loss.backward()
    classifier = FlexiBertForSequenceClassification(settings).double()
    classifier(ids, mask, labels=torch.tensor([0, 1, 2, 1])).loss.backward()
    for model in (lm, classifier):
        for key, value in model.named_parameters():
            assert value.grad is not None, key
            # A key's bias adds the same to all scores of a query, which the softmax takes away again.
            assert key.endswith("key.bias") or value.grad.abs().max() > 1e-12, key


@pytest.mark.parametrize("name", MODELS)
def test_bfloat16_autocast_trains(name):
    torch.manual_seed(0)
    model = FlexiBertForMaskedLM(config(name, "relative_key")).train()
    ids, mask = batch()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses = [model(ids, m, labels=torch.where(mask.bool(), ids, -100)).loss for m in (mask, None)]
    sum(losses).backward()
    assert all(torch.isfinite(value.grad).all() for value in model.parameters())


def test_lengths_of_a_named_model_up_to_its_longest():
    mini = {
        "l": 4,
        "o": ["sa", "sa", "l", "l"],
        "h": [256, 256, 128, 128],
        "n": [2, 2, 4, 4],
        "f": [[512] * 3] * 2 + [[1024]] * 2,
        "p": ["sdp", "sdp", "dct", "dct"],
    }
    assert from_model_dict(mini).layers[0] == LayerSpec.per_layer(256, "sa", "sdp", 2, (512,) * 3)
    model = FlexiBertModel(config_for(from_model_dict(mini), vocab_size=500)).eval()
    with torch.no_grad():
        for length in (1, 2, 512):
            out = model(torch.ones(1, length, dtype=torch.long))
            assert out.last_hidden_state.shape == (1, length, 128)
            assert torch.isfinite(out.last_hidden_state).all()
    assert isinstance(spec_of(model.config), ArchitectureSpec)
