"""Teacher: a 64-32-1 MLP with Monte-Carlo dropout, whose spread over passes is the epistemic uncertainty.

Source: BOSHNAS (FlexiBERT, arXiv 2205.11656, section 3); MC dropout (arXiv 1506.02142). No units: inputs and targets
are standardised by the caller.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from explorer.surrogate.layers import Perceptron, dropout_masks, train

HIDDEN = (64, 32)


class Teacher:
    """MLP with dropout after each hidden layer.

    Args:
        inputs: d.
        dropout: dropout rate, between 0 and 1.
        generator: generator of weights and masks.
    """

    def __init__(self, inputs: int, dropout: float, generator: torch.Generator) -> None:
        self._network = Perceptron((inputs, *HIDDEN, 1), generator)
        self._dropout = dropout
        self._generator = generator

    def copy(self, generator: torch.Generator) -> Teacher:
        """Return a copy to train further, whose masks come from ``generator``."""
        other = Teacher.__new__(Teacher)
        other._network = copy.deepcopy(self._network)
        other._dropout, other._generator = self._dropout, generator
        return other

    def fit(self, x: Tensor, y: Tensor, epochs: int, learning_rate: float, weight_decay: float) -> float:
        """Minimise the squared error of ``y`` ``[N]`` at ``x`` ``[N, d]`` under dropout, and return the last loss."""

        def loss() -> Tensor:
            masks = dropout_masks((len(x),), HIDDEN, self._dropout, self._generator)
            return (self._network(x, masks) - y).square().mean()

        return train(self._network.parameters, loss, epochs, learning_rate, weight_decay)

    @torch.no_grad()
    def passes(self, x: Tensor, count: int) -> Tensor:
        """Return predictions ``[count, N]`` at ``x`` ``[N, d]``, in one forward pass.

        A pass drops the same units at all points, like one sampled network, so its predictions form a function.
        """
        masks = dropout_masks((count, 1), HIDDEN, self._dropout, self._generator)
        return self._network(x, masks)

    def spread(self, x: Tensor, count: int) -> Tensor:
        """Return the epistemic uncertainty ξ ``[N]`` at ``x`` ``[N, d]``: standard deviation over ``count`` passes."""
        return self.passes(x, count).std(0)
