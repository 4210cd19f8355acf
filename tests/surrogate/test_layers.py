"""The optimiser of the surrogate's networks against arithmetic done by hand."""

from __future__ import annotations

import math

import pytest
import torch

from explorer.surrogate.layers import LARGEST_GRADIENT, train


def rates(epochs: int, first: float) -> list[float]:
    """A cosine from ``first`` towards 0."""
    return [first * 0.5 * (1.0 + math.cos(math.pi * epoch / epochs)) for epoch in range(epochs)]


def test_weights_decay_and_biases_do_not() -> None:
    # Without a gradient nothing but the decay moves a parameter.
    weight, bias = (torch.ones(shape, dtype=torch.float64).requires_grad_() for shape in ((3, 2), (1, 2)))
    train([weight, bias], lambda: 0.0 * (weight.sum() + bias.sum()), 5, 0.1, 0.5)
    expected = math.prod(1.0 - rate * 0.5 for rate in rates(5, 0.1))
    assert weight.tolist() == [[pytest.approx(expected)] * 2] * 3
    assert bias.tolist() == [[1.0, 1.0]]


def test_two_steps_are_adams() -> None:
    # 3 x² at x = 2 has the gradient 12, clipped to 10. After the first step, of length 0.1, it is 11.4, clipped too.
    x = torch.tensor([[2.0]], dtype=torch.float64).requires_grad_()
    seen: list[float] = []

    def loss() -> torch.Tensor:
        seen.append(float(x.detach()))
        return 3.0 * x.square().sum()

    last = train([x], loss, 2, 0.1, 0.0)
    first_rate, second_rate = rates(2, 0.1)
    assert (first_rate, second_rate) == pytest.approx((0.1, 0.05))
    g = LARGEST_GRADIENT
    mean = (0.9 * 0.1 * g + 0.1 * g) / (1.0 - 0.9**2)
    square = (0.999 * 0.001 * g * g + 0.001 * g * g) / (1.0 - 0.999**2)
    assert seen == pytest.approx([2.0, 1.9])
    assert float(x.detach()) == pytest.approx(1.9 - second_rate * mean / math.sqrt(square), abs=1e-7)
    assert last == pytest.approx(3.0 * 1.9**2)


def test_small_gradients_are_not_scaled() -> None:
    # Adam divides by the gradient's size, so only momentum shows a clip: the second gradient is 1 % of the first.
    x = torch.tensor([[0.0]], dtype=torch.float64).requires_grad_()
    slopes = iter((5.0, 0.05))
    train([x], lambda: next(slopes) * x.sum(), 2, 0.1, 0.0)
    mean = (0.9 * 0.1 * 5.0 + 0.1 * 0.05) / (1.0 - 0.9**2)
    square = (0.999 * 0.001 * 25.0 + 0.001 * 0.0025) / (1.0 - 0.999**2)
    assert float(x.detach()) == pytest.approx(-0.1 - 0.05 * mean / math.sqrt(square), abs=1e-7)
