"""Student: a 64-32-1 MLP with softplus output that learns the teacher's spread, because ξ must be differentiable.

Source: BOSHNAS (FlexiBERT, arXiv 2205.11656, section 3). No units.
"""

from __future__ import annotations

import torch
from torch import Tensor

from explorer.surrogate.layers import Perceptron, train


class Student:
    """A smooth, positive function of the input.

    Args:
        inputs: d.
        generator: generator of the initial weights.
    """

    def __init__(self, inputs: int, generator: torch.Generator) -> None:
        self._network = Perceptron((inputs, 64, 32, 1), generator)
        self._scale = 1.0

    def fit(self, x: Tensor, spread: Tensor, epochs: int, learning_rate: float, weight_decay: float) -> float:
        """Minimise the squared error of the spread ``[N]`` at points ``[N, d]``, and return the last loss.

        The spread is divided by its mean first, so that one learning rate suits every scale.
        """
        self._scale = max(float(spread.mean()), 1e-9)
        target = spread / self._scale

        def loss() -> Tensor:
            return (self._relative(x) - target).square().mean()

        return train(self._network.parameters, loss, epochs, learning_rate, weight_decay)

    def _relative(self, x: Tensor) -> Tensor:
        return torch.nn.functional.softplus(self._network(x))

    def __call__(self, x: Tensor) -> Tensor:
        """Return the epistemic uncertainty ξ ``[N]`` at ``x`` ``[N, d]``, differentiable."""
        return self._scale * self._relative(x)
