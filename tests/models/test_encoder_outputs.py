"""What explainers and generic code ask of an encoder: embeddings as input, attentions, padding on either side."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from transformers import BertConfig, BertForTokenClassification

from explorer.models import (
    FlexiBertConfig,
    FlexiBertForMaskedLM,
    FlexiBertForSequenceClassification,
    FlexiBertForTokenClassification,
    FlexiBertModel,
)
from explorer.models.bert import read_bert
from explorer.models.checkpoint import find_checkpoint

LONGEST, WORDS = 12, 40
MIXED = {
    "l": 3,
    "o": [["sa_wma_8", "l_dft_8", "sa_sdp_8", "c_5_8"], ["l_dct_8", "c_3_8"], ["sa_sdp_4", "sa_sdp_4"]],
    "h": [16, 24, 16],
    "f": [[24], [24, 24], [8]],
}
ATTENDING = (2, 0, 2)
"""Self-attention heads of each layer of ``MIXED``."""
SHAPE = {"l": 2, "o": ["sa", "c"], "h": [8, 16], "n": [2, 2], "f": [[24], [24]], "p": ["sdp", 3], "b": 16}
CLASSES = [FlexiBertModel, FlexiBertForMaskedLM, FlexiBertForSequenceClassification, FlexiBertForTokenClassification]


def made(kind=FlexiBertModel, model_dict=MIXED, positions="relative_key", **settings):
    torch.manual_seed(0)
    config = FlexiBertConfig(
        model_dict=model_dict,
        vocab_size=WORDS,
        max_position_embeddings=LONGEST,
        position_embedding_type=positions,
        initializer_range=0.2,
        num_labels=3,
        **settings,
    )
    return kind(config).eval()


def batch(*masks):
    ids = torch.randint(1, WORDS, (len(masks), len(masks[0])), generator=torch.Generator().manual_seed(1))
    types = torch.randint(0, 2, ids.shape, generator=torch.Generator().manual_seed(2))
    return ids, torch.tensor(masks), types


ANYWHERE = ([0, 0, 0, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1, 1], [0, 0, 0, 0, 0, 0, 1], [0, 1, 1, 0, 0, 0, 0])


@pytest.mark.parametrize("positions", ["relative_key", "absolute"])
@pytest.mark.parametrize("model_dict", [MIXED, SHAPE], ids=["heads", "bottlenecks"])
def test_the_side_of_the_padding_changes_nothing(model_dict, positions):
    model = made(model_dict=model_dict, positions=positions)
    ids, mask, types = batch(*ANYWHERE)
    with torch.no_grad():
        together = model(ids, mask, types, output_attentions=True, output_hidden_states=True)
        for row, real in enumerate(mask.bool()):
            alone = model(
                ids[row, real][None], None, types[row, real][None], output_attentions=True, output_hidden_states=True
            )
            torch.testing.assert_close(together.pooler_output[row], alone.pooler_output[0], rtol=0, atol=1e-5)
            for states, own in zip(together.hidden_states, alone.hidden_states, strict=True):
                torch.testing.assert_close(states[row, real], own[0], rtol=0, atol=1e-5)
            for weights, own in zip(together.attentions, alone.attentions, strict=True):
                torch.testing.assert_close(weights[row][:, real][:, :, real], own[0], rtol=0, atol=1e-6)
    assert torch.equal(together.hidden_states[-1], together.last_hidden_state)


@pytest.mark.parametrize("kind", [FlexiBertForMaskedLM, FlexiBertForTokenClassification])
def test_labels_stay_with_their_tokens(kind):
    model = made(kind)
    ids, mask, _ = batch(*ANYWHERE)
    labels = torch.where(mask.bool(), ids % 3, -100)
    alone = [model(ids[row, real][None], labels=labels[row, real][None]).loss for row, real in enumerate(mask.bool())]
    expected = torch.stack(alone) @ mask.sum(1).float() / mask.sum()
    torch.testing.assert_close(model(ids, mask, labels=labels).loss, expected)


@pytest.mark.parametrize("mask", [[1, 0, 1], [0, 0, 0]], ids=["hole", "empty"])
def test_a_mask_that_is_not_one_block_is_refused(mask):
    ids, masks, _ = batch([1, 1, 1], mask)
    with pytest.raises(ValueError, match=r"one block of ones\. Pad on the right or on the left only"):
        made()(ids, masks)


@pytest.mark.slow
def test_a_compiled_model_pads_on_either_side_and_refuses_holes():
    torch.compiler.reset()
    model = made().double()
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    ids, mask, types = batch(*ANYWHERE)
    with torch.no_grad():
        wanted, got = (one(ids, mask, types).last_hidden_state[mask.bool()] for one in (model, compiled))
        torch.testing.assert_close(got, wanted, rtol=0, atol=1e-12)
        mask[1, 2] = 0
        with pytest.raises(RuntimeError, match="one block of ones"):
            compiled(ids, mask, types)


@pytest.mark.parametrize("kind", CLASSES)
def test_embeddings_take_the_place_of_ids(kind):
    model = made(kind, tie_word_embeddings=False)
    ids, mask, types = batch([1, 1, 1, 1], [0, 1, 1, 1])
    words = model.get_input_embeddings()(ids).detach().requires_grad_()
    out = model(inputs_embeds=words, attention_mask=mask, token_type_ids=types)[0]
    torch.testing.assert_close(out, model(ids, mask, types)[0], rtol=0, atol=0)
    (gradient,) = torch.autograd.grad(out[1, -1].flatten()[0], words)
    assert gradient[1, 1:].abs().sum() > 0
    assert not gradient[1, 0].any()  # padding
    for given in ({}, {"input_ids": ids, "inputs_embeds": words}):
        with pytest.raises(ValueError, match="exactly one of input_ids and inputs_embeds must be given, but got"):
            model(**given)
    with pytest.raises(ValueError, match="at most max_position_embeddings = 12 tokens long, but got 13"):
        model(inputs_embeds=torch.zeros(1, 13, 16))


@pytest.mark.parametrize("kind", CLASSES)
def test_attentions_are_weights_of_self_attention_heads(kind):
    model = made(kind)
    ids, mask, types = batch([1, 1, 1, 1], [1, 1, 0, 0])
    plain = model(ids, mask, types)
    assert plain.attentions is None
    out = model(ids, mask, types, output_attentions=True)
    assert [tuple(one.shape) for one in out.attentions] == [(2, heads, 4, 4) for heads in ATTENDING]
    for weights in out.attentions:
        torch.testing.assert_close(weights[1, :, :2, 2:], torch.zeros_like(weights[1, :, :2, 2:]))
        torch.testing.assert_close(weights.sum(-1)[0], torch.ones_like(weights[0, ..., 0]))
    real = mask.bool() if out[0].ndim == 3 else slice(None)
    torch.testing.assert_close(out[0][real], plain[0][real], rtol=0, atol=1e-5)  # The fused kernel and the plain one.
    # Attention maps are explained by their gradients, so they must be what the output was computed from.
    out.attentions[0].retain_grad()
    out[0][real].flatten()[1].backward()
    assert out.attentions[0].grad[0].flatten(1).abs().sum(-1).all()  # of every head


def test_attentions_by_configuration_as_transformers_has_it(tmp_path):
    made(FlexiBertForSequenceClassification).save_pretrained(tmp_path)
    model = FlexiBertForSequenceClassification.from_pretrained(
        tmp_path, output_attentions=True, output_hidden_states=True
    )
    ids, mask, _ = batch([1, 1, 1], [1, 1, 0])
    out = model(ids, mask)
    assert len(out.attentions) == 3
    assert len(out.hidden_states) == 4
    assert [type(part) for part in model(ids, mask, return_dict=False)] == [torch.Tensor, tuple, tuple]


def test_attentions_and_checkpointing_go_together():
    model = made(FlexiBertForMaskedLM).train()
    getattr(model, "activation_checkpointing_enable", model.gradient_checkpointing_enable)()
    ids, mask, _ = batch([0, 1, 1, 1], [1, 1, 1, 0])
    out = model(ids, mask, labels=ids, output_attentions=True)
    out.loss.backward()
    assert len(out.attentions) == 3
    assert all(value.grad is not None for value in model.parameters())


@pytest.mark.parametrize("side", ["left", "right"])
def test_attentions_and_embeddings_are_berts(side, tmp_path):
    sizes = {"hidden_size": 24, "num_attention_heads": 3, "intermediate_size": 40, "num_hidden_layers": 2}
    torch.manual_seed(0)
    config = BertConfig(vocab_size=WORDS, max_position_embeddings=LONGEST, initializer_range=0.3, **sizes)
    theirs = BertForTokenClassification._from_config(config, attn_implementation="eager").eval()
    theirs.save_pretrained(tmp_path)
    ours = read_bert(find_checkpoint(str(tmp_path))).model
    ids, mask, types = batch([1, 1, 1, 1, 1], [1, 1, 1, 0, 0])
    # BERT counts positions from the first column, real or not.
    positions = torch.arange(5).expand(2, 5)
    if side == "left":
        mask, positions = mask.flip(1), torch.tensor([[0, 1, 2, 3, 4], [0, 0, 0, 1, 2]])
    words = theirs.get_input_embeddings()(ids)
    asked = {"attention_mask": mask, "token_type_ids": types, "output_attentions": True}
    with torch.no_grad():
        wanted = theirs(inputs_embeds=words, position_ids=positions, **asked)
        got = ours(inputs_embeds=words, **asked)
    torch.testing.assert_close(got.logits[mask.bool()], wanted.logits[mask.bool()], rtol=0, atol=1e-5)
    for own, bert in zip(got.attentions, wanted.attentions, strict=True):
        for row, real in enumerate(mask.bool()):
            torch.testing.assert_close(own[row][:, real], bert[row][:, real], rtol=0, atol=1e-6)


def test_a_hook_on_the_embeddings_sees_one_tensor():
    """Explainers hook the embedding module and the layers, and expect a tensor from each."""
    model = made()
    seen: list[torch.Tensor] = []
    modules: list[nn.Module] = [model.embeddings, *model.layers]
    handles = [module.register_forward_hook(lambda _, __, output: seen.append(output)) for module in modules]
    states = model(torch.ones(1, 5, dtype=torch.long), output_hidden_states=True).hidden_states
    for handle in handles:
        handle.remove()
    assert all(torch.equal(a, b) for a, b in zip(seen, states, strict=True))
