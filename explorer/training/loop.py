"""Parts shared by pre-training and fine-tuning (seeding, learning rate, optimiser), and the loop of fine-tuning."""

from __future__ import annotations

import math
import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from explorer.errors import ExplorerError, TrainingFailed
from explorer.training.recipe import Recipe

REPORTS = 100
"""Number of progress reports and stop polls per phase."""


class TrainingStopped(ExplorerError):  # noqa: N818 - someone asked for it
    """Raised when a training stops on request; finished work is kept and it can be resumed."""


def best_device() -> torch.device:
    """Return the GPU if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@contextmanager
def reproducible(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch's RNGs inside the block and restore the caller's RNG state and determinism flag."""
    before, python, numpy = torch.are_deterministic_algorithms_enabled(), random.getstate(), np.random.get_state()
    cuda = device.type == "cuda"
    with torch.random.fork_rng(devices=[torch.cuda.current_device()] if cuda else []):
        torch.manual_seed(seed)
        try:
            if cuda:
                # cuBLAS is reproducible only with a fixed workspace; it reads this when it starts.
                os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
                torch.use_deterministic_algorithms(True)
            yield
        finally:
            torch.use_deterministic_algorithms(before)
            random.setstate(python)
            np.random.set_state(numpy)


def not_finite(value: float, step: int, steps: int, rate: float) -> TrainingFailed:
    """Return the failure reason for a loss that is not finite at step ``step`` (from 1)."""
    return TrainingFailed(f"the loss became {value} at step {step} of {steps} (learning rate {rate:.2g})")


def learning_rate(step: int, steps: int, highest: float, warmup_share: float) -> float:
    """Return the learning rate of step ``step`` (from 0): linear warm-up, then linear decay that ends above 0."""
    warmup = max(1, round(warmup_share * steps))
    if step < warmup:
        return highest * (step + 1) / warmup
    return highest * (steps - step) / max(1, steps - warmup + 1)


def build_optimizer(model: nn.Module, rate: float, recipe: Recipe) -> torch.optim.AdamW:
    """Return AdamW (β 0.9 and 0.98, ε 1e-6) with weight decay on matrices only, as in FlexiBERT's recipe."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.dim() >= 2], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.98), eps=1e-6, fused=True)


def optimise(
    model: nn.Module,
    losses: Iterator[Callable[[], Tensor]],
    steps: int,
    rate: float,
    recipe: Recipe,
    on_step: Callable[[int, float], None],
    should_stop: Callable[[], bool],
) -> list[float]:
    """Take optimiser steps.

    Args:
        model: the model, on its device.
        losses: endless iterator of functions that compute one batch's loss.
        steps: number of steps.
        rate: peak learning rate.
        recipe: warm-up, weight decay and clipping.
        on_step: called with the number of finished steps and the latest loss, about a hundred times.
        should_stop: polled as often.

    Returns:
        The loss of every step.

    Raises:
        TrainingStopped: ``should_stop`` returned true.
        TrainingFailed: the loss is not a finite number.
    """
    model.train()
    optimizer = build_optimizer(model, rate, recipe)
    history: list[float] = []
    every = max(1, steps // REPORTS)
    for step in range(steps):
        if step % every == 0 and should_stop():
            raise TrainingStopped(f"stopped on request before step {step + 1} of {steps}")
        now = learning_rate(step, steps, rate, recipe.warmup_share)
        for group in optimizer.param_groups:
            group["lr"] = now
        optimizer.zero_grad(set_to_none=True)
        loss = next(losses)()
        value = loss.item()
        if not math.isfinite(value):
            raise not_finite(value, step + 1, steps, now)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
        optimizer.step()
        history.append(value)
        if (step + 1) % every == 0 or step + 1 == steps:
            on_step(step + 1, value)
    return history
