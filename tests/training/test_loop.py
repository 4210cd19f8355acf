"""The optimiser of trainings: which parameters decay, and the learning rate by hand."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn

from explorer.training.loop import build_optimizer, learning_rate
from explorer.training.recipe import RECIPES


def test_matrices_decay_and_biases_and_norms_do_not() -> None:
    torch.manual_seed(0)
    model = nn.ModuleDict({"words": nn.Embedding(5, 3), "linear": nn.Linear(3, 2), "norm": nn.LayerNorm(2)})
    nn.init.normal_(model["norm"].weight)
    nn.init.normal_(model["norm"].bias)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    optimizer = build_optimizer(model, 0.1, dataclasses.replace(RECIPES["quick"], weight_decay=0.5))
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)  # Without a gradient AdamW's decay is all that moves a parameter.
    optimizer.step()
    for name, parameter in model.named_parameters():
        share = 1 - 0.1 * 0.5 if name in ("words.weight", "linear.weight") else 1.0
        torch.testing.assert_close(parameter.detach(), share * before[name], rtol=1e-6, atol=0)


def test_the_learning_rate_rises_and_falls_linearly() -> None:
    # Ten steps, four of them warm-up: a quarter more each, then down in sevenths of the highest rate.
    rates = [learning_rate(step, 10, 0.7, 0.4) for step in range(10)]
    assert rates[:4] == pytest.approx([0.175, 0.35, 0.525, 0.7])
    assert rates[4:] == pytest.approx([0.6, 0.5, 0.4, 0.3, 0.2, 0.1])
    assert learning_rate(0, 10, 0.7, 0.0) == pytest.approx(0.7)
