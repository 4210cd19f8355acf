"""An ensemble of multi-layer perceptrons, trained together as batched matrices. Used by BANANAS (arXiv 1910.11858)."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor

from explorer.surrogate.contract import Points
from explorer.surrogate.layers import DTYPE, train

WIDTHS = (32, 32)
LEARNING_RATE = 0.01
WEIGHT_DECAY = 1e-4


def ensemble_predictions(x: Points, y: Points, at: Points, members: int, epochs: int, seed: int) -> Points:
    """Train an ensemble by the squared error and return its predictions.

    Args:
        x: observed points, ``[N, F]``.
        y: their standardised values, ``[N]``.
        at: points to predict, ``[P, F]``.
        members: E networks.
        epochs: full-batch training steps.
        seed: seed of the initial weights.

    Returns:
        ``[E, P]``.
    """
    ensemble = _Ensemble(members, x.shape[1], torch.Generator().manual_seed(seed))
    points, targets = torch.tensor(x), torch.tensor(y)
    train(
        ensemble.parameters,
        lambda: (ensemble(points) - targets).square().mean(dim=1).sum(),
        epochs,
        LEARNING_RATE,
        WEIGHT_DECAY,
    )
    with torch.no_grad():
        predictions: Points = ensemble(torch.tensor(at)).numpy()
    return predictions


class _Ensemble:
    """E multi-layer perceptrons of one shape, as batched matrices."""

    def __init__(self, members: int, inputs: int, generator: torch.Generator) -> None:
        self._weights, self._biases = [], []
        for a, b in pairwise((inputs, *WIDTHS, 1)):
            weight = torch.randn((members, a, b), generator=generator, dtype=DTYPE) * math.sqrt(2.0 / a)
            self._weights.append(weight.requires_grad_())
            self._biases.append(torch.zeros((members, 1, b), dtype=DTYPE).requires_grad_())

    @property
    def parameters(self) -> list[Tensor]:
        return [*self._weights, *self._biases]

    def __call__(self, x: Tensor) -> Tensor:
        """Return predictions ``[E, N]`` at ``x`` ``[N, F]``."""
        h = x
        for weight, bias in zip(self._weights[:-1], self._biases[:-1], strict=True):
            h = torch.relu(h @ weight + bias)
        return (h @ self._weights[-1] + self._biases[-1]).squeeze(-1)
