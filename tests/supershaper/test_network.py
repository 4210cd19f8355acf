"""Slices against extracted models, gradients in their slices, merging, counts, and BERT as the largest shape."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertForMaskedLM, BertModel

from explorer.errors import InputError, SpecError
from explorer.measure.size import parameters
from explorer.models import (
    FlexiBertForMaskedLM,
    FlexiBertForSequenceClassification,
    FlexiBertModel,
    config_for,
    spec_of,
)
from explorer.space.backbones import Backbone
from explorer.supershaper.bottlenecks import merge_bottlenecks, start_as_identity, start_from_bert
from explorer.supershaper.network import SuperNetwork

NANO = Backbone(hidden=32, heads=4, feed_forward=48, layers=3)
SHAPES = [(32, 32, 32), (8, 8, 8), (16, 8, 32), (8, 32, 20)]
VOCABULARY, LENGTH = 61, 12


def super_network(positions="absolute", dropout=0.0, **settings) -> SuperNetwork:
    torch.manual_seed(0)
    config = config_for(
        NANO.spec((32,) * 3),
        vocab_size=VOCABULARY,
        max_position_embeddings=LENGTH,
        position_embedding_type=positions,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
        initializer_range=0.1,
        **settings,
    )
    network = SuperNetwork(FlexiBertForMaskedLM(config))
    with torch.no_grad():
        for parameter in network.model.parameters():  # biases and norms included
            parameter.add_(0.05 * torch.randn_like(parameter))
    return network


def batch(rows=5):
    chance = torch.Generator().manual_seed(1)
    ids = torch.randint(5, VOCABULARY, (rows, LENGTH), generator=chance)
    labels = torch.where(torch.rand(ids.shape, generator=chance) < 0.3, ids, -100)
    mask = (torch.arange(LENGTH) < torch.tensor([[LENGTH], [3], [7], [LENGTH], [1]])[:rows]).long()
    return {"input_ids": ids, "labels": labels * mask - 100 * (1 - mask), "attention_mask": mask}


def same(tensor, other):
    return torch.testing.assert_close(tensor, other, rtol=0, atol=0)


@pytest.mark.parametrize("positions", ["absolute", "relative_key"])
@pytest.mark.parametrize("widths", SHAPES)
def test_a_slice_computes_what_the_extracted_model_does_and_so_do_its_gradients(widths, positions):
    network = super_network(positions)
    network.model.train()
    network.zero_grad()
    sub, alone = network.sub_network(widths), network.extract(widths).train()
    assert spec_of(sub.config) == spec_of(alone.config) == NANO.spec(widths)
    loss, alone_loss = sub(**batch()).loss, alone(**batch()).loss
    torch.testing.assert_close(loss, alone_loss, rtol=1e-6, atol=0)
    network.backward(loss)
    alone_loss.backward()
    wanted = dict(alone.named_parameters())
    for name, parameter in network.model.named_parameters():
        place = tuple(slice(size) for size in wanted[name].shape)
        torch.testing.assert_close(parameter.grad[place], wanted[name].grad, rtol=1e-5, atol=1e-7)
        rest = parameter.grad.clone()
        rest[place] = 0
        assert not rest.any(), f"{name} has a gradient outside the slice"


def test_extraction_takes_leading_rows_and_columns_and_copies_them():
    network = super_network()
    alone = network.extract((16, 8, 32))
    whole, part = network.model.flexibert.layers[1], alone.flexibert.layers[1]
    same(part.projection.weight, whole.projection.weight[:8])
    same(part.expansion.weight, whole.expansion.weight[:, :8])
    same(part.heads["sa_sdp"].key.weight, whole.heads["sa_sdp"].key.weight[:8, :8])
    same(part.feed_forward[0].weight, whole.feed_forward[0].weight[:, :8])
    same(part.feed_forward_output.weight, whole.feed_forward_output.weight[:8])
    same(part.feed_forward_norm.bias, whole.feed_forward_norm.bias[:8])
    same(alone.flexibert.embeddings.word_embeddings.weight, network.model.flexibert.embeddings.word_embeddings.weight)
    with torch.no_grad():
        part.output.weight.zero_()
        assert whole.output.weight[:8, :8].all(), "an extracted model has weights of its own"


def test_gradients_of_several_sub_networks_add_up_and_a_step_moves_the_slices():
    network = super_network()
    network.model.train()
    network.zero_grad()
    for widths in SHAPES:
        network.backward(network.sub_network(widths)(**batch()).loss)
    wanted = {name: torch.zeros_like(value) for name, value in network.model.named_parameters()}
    for widths in SHAPES:
        alone = network.extract(widths).train()
        alone(**batch()).loss.backward()
        for name, parameter in alone.named_parameters():
            wanted[name][tuple(slice(size) for size in parameter.shape)] += parameter.grad
    for name, parameter in network.model.named_parameters():
        torch.testing.assert_close(parameter.grad, wanted[name], rtol=1e-4, atol=1e-6)
    optimizer = torch.optim.SGD(network.model.parameters(), lr=0.1)
    before, sub = network.sub_network(SHAPES[2])(**batch()).loss, network.sub_network(SHAPES[2])
    optimizer.step()
    after = network.extract(SHAPES[2]).train()(**batch()).loss
    torch.testing.assert_close(sub(**batch()).loss, after)  # one made before the step sees it
    assert after < before
    optimizer.zero_grad()  # drops the gradients, as the Trainer does
    network.zero_grad()
    network.backward(network.sub_network(SHAPES[1])(**batch()).loss)
    gradient = network.model.flexibert.layers[0].output.weight.grad
    assert gradient[:8, :8].any()
    assert not gradient[8:].any()


@pytest.mark.parametrize("widths", SHAPES)
@pytest.mark.parametrize("merged", [False, True])
def test_parameters_are_counted_by_the_formula(widths, merged):
    model = super_network().extract(widths)
    model = merge_bottlenecks(model) if merged else model
    counted = sum(parameter.numel() for parameter in model.flexibert.parameters())
    assert counted == parameters(NANO.spec(widths), VOCABULARY, LENGTH, merged=merged)


@pytest.mark.parametrize("widths", SHAPES)
@pytest.mark.parametrize("kind", [FlexiBertForMaskedLM, FlexiBertForSequenceClassification, FlexiBertModel])
def test_merged_bottlenecks_give_the_same_output(widths, kind):
    model = super_network().extract(widths)
    if kind is not FlexiBertForMaskedLM:
        other = kind(model.config)
        encoder = other if kind is FlexiBertModel else other.flexibert
        encoder.load_state_dict(model.flexibert.state_dict(), strict=False)
        model = other.eval()
    merged = merge_bottlenecks(model)
    assert isinstance(merged, kind)
    layers = merged.layers if kind is FlexiBertModel else merged.flexibert.layers
    assert [layer.expansion is None for layer in layers] == [True, True, False]
    inputs = {name: value for name, value in batch().items() if name != "labels"}
    with torch.no_grad():
        wanted, found = (one(**inputs, return_dict=True)[0] for one in (model, merged))
    real = inputs["attention_mask"].bool() if wanted.ndim == 3 else slice(None)
    torch.testing.assert_close(found[real], wanted[real], rtol=1e-5, atol=1e-5)
    with pytest.raises(InputError, match="merged already"):
        merge_bottlenecks(merged)


def test_dropout_is_scaled_by_width_inside_and_not_in_what_is_extracted():
    network = super_network(dropout=0.4)
    layers = network.sub_network((8, 16, 32)).flexibert.layers
    assert [layer.dropout.p for layer in layers] == pytest.approx([0.1, 0.2, 0.4])
    assert [layer.heads["sa_sdp"].group.dropout for layer in layers] == pytest.approx([0.1, 0.2, 0.4])
    assert network.model.flexibert.layers[0].dropout.p == 0.4
    assert {layer.dropout.p for layer in network.extract((8, 16, 32)).flexibert.layers} == {0.4}


def test_a_sub_network_follows_the_mode_of_the_super_network():
    network = super_network(dropout=0.4)
    network.model.eval()
    first = network.sub_network((8, 8, 8))
    same(first(**batch()).loss, first(**batch()).loss)
    network.model.train()
    assert all(module.training for module in network.sub_network((8, 8, 8)).modules())
    network.model.eval()
    assert not any(module.training for module in network.sub_network((8, 8, 8)).flexibert.layers[0].modules())


def test_what_is_no_super_network_is_refused():
    network = super_network()
    with pytest.raises(InputError, match="largest shape"):
        SuperNetwork(network.extract((8, 32, 32)))
    with pytest.raises(InputError, match="largest shape"):
        SuperNetwork(merge_bottlenecks(network.extract((32, 32, 32))))
    for widths in ((8, 8), (8, 8, 64), (8, 8, 9)):
        with pytest.raises(SpecError):
            network.sub_network(widths)


def bert_folder(folder, kind=BertForMaskedLM, **settings):
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_attention_heads": 4, "intermediate_size": 48, "num_hidden_layers": 3}
    config = BertConfig(
        vocab_size=VOCABULARY, max_position_embeddings=LENGTH, **{**sizes, **settings}, initializer_range=0.2
    )
    bert = kind(config).eval()
    bert.save_pretrained(folder)
    return bert


def test_the_largest_shape_starts_as_bert_itself(tmp_path):
    bert = bert_folder(tmp_path)
    network = super_network()
    start_from_bert(network.model, tmp_path)
    network.model.eval()
    inputs = {name: value for name, value in batch().items() if name != "labels"}
    with torch.no_grad():
        wanted = bert(**inputs).logits
        for model in (network.model, network.extract((32,) * 3), merge_bottlenecks(network.extract((32,) * 3))):
            real = inputs["attention_mask"].bool()
            torch.testing.assert_close(model(**inputs).logits[real], wanted[real], rtol=1e-5, atol=1e-5)


def test_an_encoder_alone_leaves_the_head_as_it_was(tmp_path):
    bert = bert_folder(tmp_path, BertModel)
    network = super_network()
    head = network.model.head.dense.weight.detach().clone()
    start_from_bert(network.model, tmp_path)
    same(network.model.head.dense.weight, head)
    same(network.model.flexibert.layers[2].output.weight, bert.encoder.layer[2].attention.output.dense.weight)


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"hidden_size": 48}, "embeddings"),
        ({"intermediate_size": 64}, "feed_forward"),
        ({"num_hidden_layers": 2}, "layers"),
        ({"layer_norm_eps": 1e-5}, "layer_norm_eps"),
    ],
)
def test_another_bert_is_refused(tmp_path, settings, field):
    bert_folder(tmp_path, **settings)
    with pytest.raises(InputError, match=field):
        start_from_bert(super_network().model, tmp_path)


def test_identity_bottlenecks_pass_on_the_leading_numbers():
    model = super_network().extract((16, 8, 32))
    start_as_identity(model)
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 32))).float()
    first = model.flexibert.layers[0]
    same(first.projection(x), x[:, :16])
    same(first.expansion(x[:, :16]), torch.cat([x[:, :16], torch.zeros(2, 16)], 1))
