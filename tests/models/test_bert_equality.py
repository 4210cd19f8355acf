"""An all-sdp encoder of equal width and absolute positions is BERT: same weights, same logits."""

from __future__ import annotations

import pytest
import torch
from transformers import BertConfig, BertForMaskedLM, BertForSequenceClassification, BertModel

from explorer.models import (
    FlexiBertForMaskedLM,
    FlexiBertForSequenceClassification,
    FlexiBertModel,
    config_for,
)
from explorer.space.spec import ArchitectureSpec, LayerSpec

NAMES = {
    "embeddings.LayerNorm": "embeddings.norm",
    "encoder.layer.": "layers.",
    "attention.self.": "heads.sa_sdp.",
    "attention.output.dense": "output",
    "attention.output.LayerNorm": "output_norm",
    "intermediate.dense": "feed_forward.0",
    "output.dense": "feed_forward_output",
    "output.LayerNorm": "feed_forward_norm",
    "pooler.dense": "pooler",
    "cls.predictions.transform.dense": "head.dense",
    "cls.predictions.transform.LayerNorm": "head.norm",
    "cls.predictions.decoder": "head.decoder",
    "bert.": "flexibert.",
}


def renamed(state):
    out = {}
    for name, value in state.items():
        for theirs, ours in NAMES.items():
            name = name.replace(theirs, ours)
        if name != "cls.predictions.bias":  # tied to the decoder's bias
            out[name] = value
    return out


@pytest.fixture(params=[0, 1], ids=["float32", "float64"])
def pair_settings(request):
    dtype = (torch.float32, torch.float64)[request.param]
    bert = BertConfig(
        vocab_size=101,
        hidden_size=48,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=96,
        max_position_embeddings=32,
        num_labels=3,
        initializer_range=0.2,
    )
    layer = LayerSpec.per_layer(48, "sa", "sdp", 4, (96,))
    ours = config_for(
        ArchitectureSpec((layer,) * 3),
        vocab_size=101,
        max_position_embeddings=32,
        position_embedding_type="absolute",
        num_labels=3,
    )
    return bert, ours, dtype


def inputs():
    generator = torch.Generator().manual_seed(5)
    ids = torch.randint(1, 101, (4, 20), generator=generator)
    types = torch.randint(0, 2, (4, 20), generator=generator)
    mask = (torch.arange(20) < torch.tensor([20, 13, 1, 7])[:, None]).long()
    return ids, types, mask


def pair(theirs, ours, dtype):
    theirs, ours = theirs.to(dtype).eval(), ours.to(dtype).eval()
    with torch.no_grad():  # BERT starts its biases at 0 and its norms at 1, which would hide mistakes
        for parameter in theirs.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)).to(dtype) * 0.1)
    ours.load_state_dict(renamed(theirs.state_dict()), strict=True)
    return theirs, ours


def assert_equal(ours, theirs, dtype):
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5 if dtype is torch.float32 else 1e-12)


@pytest.mark.parametrize("padded", [False, True])
def test_encoder_equals_bert(pair_settings, padded):
    bert, config, dtype = pair_settings
    theirs, ours = pair(BertModel(bert), FlexiBertModel(config), dtype)
    ids, types, mask = inputs()
    mask = mask if padded else None
    with torch.no_grad():
        wanted = theirs(ids, attention_mask=mask, token_type_ids=types)
        got = ours(ids, attention_mask=mask, token_type_ids=types)
    real = torch.ones_like(ids).bool() if mask is None else mask.bool()
    assert_equal(got.last_hidden_state[real], wanted.last_hidden_state[real], dtype)
    assert_equal(got.pooler_output, wanted.pooler_output, dtype)


@pytest.mark.parametrize("padded", [False, True])
def test_masked_lm_equals_bert(pair_settings, padded):
    bert, config, dtype = pair_settings
    theirs, ours = pair(BertForMaskedLM(bert), FlexiBertForMaskedLM(config), dtype)
    ids, _, mask = inputs()
    mask = mask if padded else torch.ones_like(mask)
    labels = torch.where(mask.bool() & (ids % 3 == 0), ids, -100)
    with torch.no_grad():
        wanted = theirs(ids, attention_mask=mask, labels=labels)
        got = ours(ids, attention_mask=mask, labels=labels)
    assert_equal(got.logits[mask.bool()], wanted.logits[mask.bool()], dtype)
    assert_equal(got.loss, wanted.loss, dtype)


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("labels", [3, 1])
def test_classification_equals_bert(pair_settings, padded, labels):
    bert, config, dtype = pair_settings
    bert.num_labels = config.num_labels = labels
    theirs, ours = pair(BertForSequenceClassification(bert), FlexiBertForSequenceClassification(config), dtype)
    ids, types, mask = inputs()
    mask = mask if padded else torch.ones_like(mask)
    truth = torch.tensor([0, 2, 1, 1]) if labels == 3 else torch.tensor([0.5, -1, 2, 0.1], dtype=dtype)
    with torch.no_grad():
        wanted = theirs(ids, attention_mask=mask, token_type_ids=types, labels=truth)
        got = ours(ids, attention_mask=mask, token_type_ids=types, labels=truth)
    assert_equal(got.logits, wanted.logits, dtype)
    assert_equal(got.loss, wanted.loss, dtype)
