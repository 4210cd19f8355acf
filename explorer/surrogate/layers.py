"""Building blocks of the surrogate's networks: seeded weights, a small smooth MLP, full-batch training. No units.

All random numbers come from a generator that the caller passes; torch's global generator is not used.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor

DTYPE = torch.float64
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8
LARGEST_GRADIENT = 10.0  # gradient clipping: norm over all parameters


def seeded_weight(inputs: int, outputs: int, gain: float, generator: torch.Generator) -> Tensor:
    """Return trainable normal weights of variance ``gain² / inputs``, ``[inputs, outputs]``."""
    weight = torch.randn((inputs, outputs), generator=generator, dtype=DTYPE) * (gain / math.sqrt(inputs))
    return weight.requires_grad_()


class Perceptron:
    """MLP with one output and SiLU activations: Newton steps on the input need second derivatives.

    Args:
        sizes: widths from input to output, for example ``(16, 64, 32, 1)``.
        generator: generator of the initial weights.
    """

    def __init__(self, sizes: Sequence[int], generator: torch.Generator) -> None:
        pairs = list(pairwise(sizes))
        self._weights = [seeded_weight(a, b, math.sqrt(2.0), generator) for a, b in pairs]
        self._biases = [torch.zeros(1, b, dtype=DTYPE).requires_grad_() for _, b in pairs]

    @property
    def parameters(self) -> list[Tensor]:
        """All trainable tensors."""
        return [*self._weights, *self._biases]

    def __call__(self, x: Tensor, masks: Sequence[Tensor] | None = None) -> Tensor:
        """Run the network.

        Args:
            x: ``[N, d]``.
            masks: factors for each hidden layer's output (dropout), ``[N, width]``, or ``[P, 1, width]`` for P passes.

        Returns:
            ``[N]``, or ``[P, N]``.
        """
        h = x
        for i, (weight, bias) in enumerate(zip(self._weights, self._biases, strict=True)):
            h = h @ weight + bias
            if i < len(self._weights) - 1:
                h = torch.nn.functional.silu(h)
                if masks is not None:
                    h = h * masks[i]
        return h.squeeze(-1)


def dropout_masks(
    shape: tuple[int, ...], widths: Sequence[int], rate: float, generator: torch.Generator
) -> list[Tensor]:
    """Return inverted-dropout factors, 0 or ``1 / (1 - rate)``: ``[*shape, width]`` for each width."""
    keep = 1.0 - rate
    return [(torch.rand((*shape, width), generator=generator, dtype=DTYPE) < keep).to(DTYPE) / keep for width in widths]


def train(
    parameters: Sequence[Tensor], loss: Callable[[], Tensor], epochs: int, learning_rate: float, weight_decay: float
) -> float:
    """Minimise ``loss`` by full-batch AdamW (arXiv 1711.05101) with a cosine schedule.

    Weights decay, biases ``[1, width]`` do not. This replaces ``torch.optim``, whose import takes several seconds,
    longer than the training of these small networks.

    Args:
        parameters: tensors to train in place.
        loss: returns the loss for their present values.
        epochs: number of steps.
        learning_rate: initial learning rate; decays to 0.
        weight_decay: decoupled, times the learning rate. Tensors with one row do not decay.

    Returns:
        The loss before the last step.
    """
    first = [torch.zeros_like(p) for p in parameters]
    second = [torch.zeros_like(p) for p in parameters]
    last = math.nan
    for epoch in range(epochs):
        rate = learning_rate * 0.5 * (1.0 + math.cos(math.pi * epoch / epochs))
        value = loss()
        gradients = torch.autograd.grad(value, parameters, materialize_grads=True)
        norm = math.sqrt(sum(float(g.square().sum()) for g in gradients))
        clip = min(1.0, LARGEST_GRADIENT / norm) if norm > 0.0 else 1.0
        with torch.no_grad():
            for p, g, m, v in zip(parameters, gradients, first, second, strict=True):
                m.mul_(BETA_1).add_(g, alpha=(1.0 - BETA_1) * clip)
                v.mul_(BETA_2).addcmul_(g, g, value=(1.0 - BETA_2) * clip * clip)
                if p.shape[0] > 1:
                    p.mul_(1.0 - rate * weight_decay)
                size = (v / (1.0 - BETA_2 ** (epoch + 1))).sqrt_().add_(EPSILON)
                p.addcdiv_(m, size, value=-rate / (1.0 - BETA_1 ** (epoch + 1)))
        last = float(value.detach())
    return last
