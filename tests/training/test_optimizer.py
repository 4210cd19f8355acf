"""The optimiser of pre-training and fine-tuning."""

from __future__ import annotations

import dataclasses

import torch
from torch import nn

from explorer.training.loop import build_optimizer
from explorer.training.recipe import RECIPES


def test_weight_decay_shrinks_matrices_and_leaves_biases_and_norms():
    torch.manual_seed(0)
    model = nn.ModuleDict({"words": nn.Embedding(5, 3), "linear": nn.Linear(3, 2), "norm": nn.LayerNorm(2)})
    nn.init.normal_(model["norm"].weight)
    nn.init.normal_(model["norm"].bias)
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    optimizer = build_optimizer(model, 0.1, dataclasses.replace(RECIPES["nano"], weight_decay=0.5))
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)  # Only the decay moves the parameters.
    optimizer.step()
    for name, value in model.named_parameters():
        factor = 1 - 0.1 * 0.5 if name in ("words.weight", "linear.weight") else 1.0
        torch.testing.assert_close(value.detach(), before[name] * factor, rtol=1e-6, atol=0)
