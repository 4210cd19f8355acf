"""Losses and outputs of the masked-LM and the classification model."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from explorer.models import FlexiBertConfig, FlexiBertForMaskedLM, FlexiBertForSequenceClassification, FlexiBertModel

MODEL = {"l": 3, "o": ["sa", "l", "c"], "h": [16, 8, 24], "n": [2, 2, 2], "f": [[24]] * 3, "p": ["wma", "dct", 3]}


def config(**settings):
    still = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    return FlexiBertConfig(model_dict=MODEL, vocab_size=40, max_position_embeddings=12, **{**still, **settings})


@pytest.fixture
def batch():
    ids = torch.randint(1, 40, (3, 9), generator=torch.Generator().manual_seed(0))
    mask = (torch.arange(9) < torch.tensor([9, 4, 2])[:, None]).long()
    return ids, mask, torch.where(mask.bool() & (ids % 2 == 0), ids, -100)


def test_masked_lm_scores_only_labelled_tokens_in_training(batch):
    ids, mask, labels = batch
    torch.manual_seed(0)
    model = FlexiBertForMaskedLM(config())
    training = model.train()(ids, mask, labels=labels)
    evaluation = model.eval()(ids, mask, labels=labels)
    assert evaluation.logits.shape == (3, 9, 40)
    assert training.logits.shape == ((labels != -100).sum(), 40)
    torch.testing.assert_close(training.logits, evaluation.logits[labels != -100], rtol=0, atol=1e-5)
    wanted = F.cross_entropy(evaluation.logits.view(-1, 40), labels.view(-1), ignore_index=-100)
    torch.testing.assert_close(evaluation.loss, wanted)
    torch.testing.assert_close(training.loss, wanted)
    assert model.train()(ids, mask).logits.shape == (3, 9, 40)


@pytest.mark.parametrize("training", [True, False])
def test_masked_lm_without_any_label_has_loss_zero(batch, training):
    ids, mask, labels = batch
    loss = FlexiBertForMaskedLM(config()).train(training)(ids, mask, labels=torch.full_like(labels, -100)).loss
    assert loss.item() == 0
    loss.backward()


@pytest.mark.parametrize(("family", "parameter"), [("sa", "wma"), ("l", "dft"), ("c", 5)])
def test_masked_lm_learns_a_rule(family, parameter):
    """Every token stands twice, so a masked one is mostly known from its neighbour; chance is log 18 = 2.9."""
    torch.manual_seed(0)
    model_dict = {"l": 2, "o": [family] * 2, "h": [32] * 2, "n": [2] * 2, "f": [[64]] * 2, "p": [parameter] * 2}
    settings = FlexiBertConfig(
        model_dict=model_dict,
        vocab_size=20,
        max_position_embeddings=8,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    model = FlexiBertForMaskedLM(settings).train()
    optimiser = torch.optim.AdamW(model.parameters(), 3e-3)
    generator = torch.Generator().manual_seed(0)
    losses = []
    for _ in range(250):
        ids = torch.randint(2, 20, (32, 4), generator=generator).repeat_interleave(2, 1)
        masked = torch.rand(ids.shape, generator=generator) < 0.15
        loss = model(torch.where(masked, 1, ids), labels=torch.where(masked, ids, -100)).loss
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        losses.append(loss.item())
    assert sum(losses[-30:]) / 30 < 2.0  # 1.2 to 1.5 with this seed


def test_regression_and_classification_losses(batch):
    ids, mask, _ = batch
    torch.manual_seed(0)
    regression = FlexiBertForSequenceClassification(config(num_labels=1)).eval()
    truth = torch.tensor([0, 3, 5])  # whole numbers too, as a data collator gives them
    out = regression(ids, mask, labels=truth)
    assert out.logits.shape == (3, 1)
    torch.testing.assert_close(out.loss, (out.logits[:, 0] - truth).square().mean())
    classes = FlexiBertForSequenceClassification(config(num_labels=4)).eval()
    out = classes(ids, mask, labels=truth.clamp(max=3))
    torch.testing.assert_close(out.loss, F.cross_entropy(out.logits, truth.clamp(max=3)))
    assert classes(ids, mask).loss is None


def test_hidden_states_and_tuples(batch):
    ids, mask, _ = batch
    model = FlexiBertModel(config(), add_pooling_layer=False).eval()
    out = model(ids, mask, output_hidden_states=True)
    assert [state.shape[-1] for state in out.hidden_states] == [16, 16, 8, 24]
    assert out.hidden_states[-1] is out.last_hidden_state
    assert out.pooler_output is None
    assert model(ids, mask).hidden_states is None
    (only,) = model(ids, mask, return_dict=False)
    torch.testing.assert_close(only, out.last_hidden_state)


def test_dropout_acts_in_training_only(batch):
    ids, mask, _ = batch
    torch.manual_seed(0)
    for settings in ({"hidden_dropout_prob": 0.5}, {"attention_probs_dropout_prob": 0.5}):
        model = FlexiBertModel(config(**settings))
        first, second = (model.train()(ids, mask).last_hidden_state for _ in range(2))
        assert not torch.allclose(first, second)
        first, second = (model.eval()(ids, mask).last_hidden_state for _ in range(2))
        assert torch.equal(first, second)


def test_the_same_seed_gives_the_same_model_and_loss(batch):
    ids, mask, labels = batch
    losses = []
    for _ in range(2):
        torch.manual_seed(7)
        model = FlexiBertForMaskedLM(config(hidden_dropout_prob=0.1)).train()
        losses.append(model(ids, mask, labels=labels).loss.item())
    assert losses[0] == losses[1]
