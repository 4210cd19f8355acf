"""The optimiser of trainings: which parameters decay, and the learning rate by hand."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn

from explorer.training.loop import build_optimizer, learning_rate
from explorer.training.recipe import RECIPES


def test_matrices_decay_and_biases_and_norms_do_not() -> None:
    # Without a gradient AdamW's decay is all that moves a parameter: 1 - 0.1 · 0.5 a step.
    model = nn.Sequential(nn.Linear(3, 2), nn.LayerNorm(2))
    recipe = dataclasses.replace(RECIPES["quick"], weight_decay=0.5)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    optimizer = build_optimizer(model, 0.1, recipe)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    after = {name: parameter.detach() for name, parameter in model.named_parameters()}
    torch.testing.assert_close(after.pop("0.weight"), 0.95 * before.pop("0.weight"))
    assert set(after) == {"0.bias", "1.weight", "1.bias"}
    for name, parameter in after.items():
        assert torch.equal(parameter, before[name]), name


def test_the_learning_rate_rises_and_falls_linearly() -> None:
    # Ten steps, four of them warm-up: a quarter more each, then down in sevenths of the highest rate.
    rates = [learning_rate(step, 10, 0.7, 0.4) for step in range(10)]
    assert rates[:4] == pytest.approx([0.175, 0.35, 0.525, 0.7])
    assert rates[4:] == pytest.approx([0.6, 0.5, 0.4, 0.3, 0.2, 0.1])
    assert learning_rate(0, 10, 0.7, 0.0) == pytest.approx(0.7)
