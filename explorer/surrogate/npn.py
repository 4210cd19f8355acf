"""Natural-parameter network with Gaussian weights: mean and variance go through every layer in closed form.

Source: NPN (arXiv 1611.00448); BOSHNAS uses it for performance and aleatoric noise. Each activation is a Gaussian
given by (mean, variance), independent of the others. A linear layer with independent Gaussian weights keeps both
moments exact; for ReLU the first two moments of a rectified Gaussian are exact too, and smooth as long as the
variance is positive. No units: inputs and targets are standardised by the caller.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from explorer.surrogate.layers import DTYPE, seeded_weight, train

VARIANCE_FLOOR = 1e-4
"""Minimum noise variance in standardised targets: bounds the likelihood when few points are fitted exactly."""
_TINY = 1e-12
_INITIAL_RHO = -4.0  # softplus(-4) = 0.018: little noise in the weights at first


def linear_moments(
    mean: Tensor, variance: Tensor | None, weight: tuple[Tensor, Tensor], bias: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor]:
    """Return the moments of ``x W + b`` for independent Gaussian x, W and b.

    Args:
        mean: of x, ``[..., N, in]``.
        variance: of x, same shape; ``None`` for a point.
        weight: mean and variance of W, ``[..., in, out]`` each.
        bias: mean and variance of b, ``[..., 1, out]`` each.

    Returns:
        Mean and variance, ``[..., N, out]`` each.
    """
    out_mean = mean @ weight[0] + bias[0]
    second = mean.square() if variance is None else mean.square() + variance
    out_variance = second @ weight[1] + bias[1]
    if variance is not None:
        out_variance = out_variance + variance @ weight[0].square()
    return out_mean, out_variance


def relu_moments(mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    """Return the exact mean and variance of ``max(x, 0)`` for Gaussian x, elementwise."""
    deviation = (variance + _TINY).sqrt()
    z = mean / deviation
    below = 0.5 * torch.erfc(z / math.sqrt(2.0))  # P(x < 0)
    above = 0.5 * torch.erfc(-z / math.sqrt(2.0))
    density = torch.exp(-0.5 * z.square()) / math.sqrt(2.0 * math.pi)
    out_mean = mean * above + deviation * density
    # Var = E[max(x, 0)²] - E[max(x, 0)]², rearranged to avoid cancellation of large squares far from zero.
    out_variance = variance * above + out_mean * (mean * below - deviation * density)
    return out_mean, out_variance.clamp_min(0.0)


def gaussian_nll(mean: Tensor, variance: Tensor, target: Tensor) -> Tensor:
    """Return the negative log-likelihood of ``target`` without its constant, elementwise."""
    return 0.5 * (variance.log() + (target - mean).square() / variance)


class NaturalParameterNetwork:
    """Network with Gaussian weights and ReLU activations.

    Args:
        sizes: widths from input to output; ``(d, 32, 32, 1)`` in BOSHNAS.
        generator: generator of the initial weights.
    """

    def __init__(self, sizes: Sequence[int], generator: torch.Generator) -> None:
        pairs = list(pairwise(sizes))
        gains = [math.sqrt(2.0)] * (len(pairs) - 1) + [1.0]
        self._means = [seeded_weight(a, b, gain, generator) for (a, b), gain in zip(pairs, gains, strict=True)]
        self._rhos = [torch.full((a, b), _INITIAL_RHO, dtype=DTYPE).requires_grad_() for a, b in pairs]
        self._bias_means = [torch.zeros(1, b, dtype=DTYPE).requires_grad_() for _, b in pairs]
        self._bias_rhos = [torch.full((1, b), _INITIAL_RHO, dtype=DTYPE).requires_grad_() for _, b in pairs]

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and noise variance of the score at ``x`` ``[N, d]``; ``[N]`` each."""
        mean: Tensor = x
        variance: Tensor | None = None
        last = len(self._means) - 1
        for i, (weight, bias) in enumerate(self.layers()):
            mean, moment = linear_moments(mean, variance, weight, bias)
            mean, variance = (mean, moment) if i == last else relu_moments(mean, moment)
        assert variance is not None
        return mean.squeeze(-1), variance.squeeze(-1) + VARIANCE_FLOOR

    def layers(self) -> list[tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]]:
        """Return mean and variance of the weights ``[in, out]`` and of the biases ``[1, out]`` of each layer."""
        softplus = torch.nn.functional.softplus
        return [
            ((weight, softplus(rho) / len(weight)), (bias, softplus(bias_rho)))
            for weight, rho, bias, bias_rho in zip(
                self._means, self._rhos, self._bias_means, self._bias_rhos, strict=True
            )
        ]

    def divergence(self) -> Tensor:
        """Return the Kullback-Leibler divergence of all weights from their prior N(0, 2 / inputs), summed."""
        total = torch.zeros((), dtype=DTYPE)
        for (mean, variance), _ in self.layers():
            prior = 2.0 / len(mean)
            ratio = variance / prior
            total = total + 0.5 * (ratio + mean.square() / prior - 1.0 - ratio.log()).sum()
        return total

    def fit(
        self, x: Tensor, y: Tensor, epochs: int, learning_rate: float, prior: float, heteroscedastic: bool = True
    ) -> float:
        """Minimise the Gaussian negative log-likelihood of ``y`` ``[N]`` at ``x`` ``[N, d]``.

        The divergence from the prior, times ``prior / N``, is added. It acts as weight decay of the right strength for
        every N, and keeps the noise from vanishing when few points are fitted. Without ``heteroscedastic`` the squared
        error replaces the likelihood (the paper's ablation), and the predicted variance has no meaning.

        Returns:
            The loss before the last step.
        """

        def loss() -> Tensor:
            mean, variance = self(x)
            error = gaussian_nll(mean, variance, y) if heteroscedastic else 0.5 * (y - mean).square()
            return error.mean() + prior / len(y) * self.divergence()

        parameters = [*self._means, *self._rhos, *self._bias_means, *self._bias_rhos]
        return train(parameters, loss, epochs, learning_rate, 0.0)
