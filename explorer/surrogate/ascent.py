"""First-order-like ascent of an acquisition function: AdaHessian, as in the released BOSHNAS, and Adam.

AdaHessian (arXiv 2006.00719) divides the smoothed gradient by the smoothed magnitude of the Hessian's diagonal, which
it estimates from one random product with the Hessian per step (Hutchinson). Adam (arXiv 1412.6980) uses the gradient's
own magnitude instead, without second order. Both need many small steps where Newton's method (``gobi``) needs few. No
units.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8
STEPS_FOR_ONE = 5
"""Steps per Newton step; takes about the same time."""
RATE = 0.05
"""Length of a step along each coordinate, as a fraction of the box's longest side; falls linearly to 0."""


def ascend(
    objective: Callable[[Tensor], Tensor],
    x: Tensor,
    low: Tensor,
    high: Tensor,
    steps: int,
    second_order: bool,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Climb from every start and keep the best point of each trajectory.

    Args:
        objective: maps ``[K, d]`` to ``[K]``.
        x: starts in the box, ``[K, d]``.
        low: lowest corner, ``[d]``.
        high: highest corner, ``[d]``.
        steps: number of Newton steps to match.
        second_order: use AdaHessian, else Adam.
        generator: generator of the random products.

    Returns:
        Points ``[K, d]`` and the objective there ``[K]``, never below that of the start.
    """
    smooth, size = torch.zeros_like(x), torch.zeros_like(x)
    best, reached = x, objective(x).detach()
    total, length = steps * STEPS_FOR_ONE, RATE * float((high - low).max())
    for step in range(1, total + 1):
        here = x.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(objective(here).sum(), here, create_graph=second_order)
        measure = _diagonal(gradient, here, generator) if second_order else gradient
        smooth = BETA_1 * smooth + (1.0 - BETA_1) * gradient.detach()
        size = BETA_2 * size + (1.0 - BETA_2) * measure.square()
        way = smooth / (1.0 - BETA_1**step) / ((size / (1.0 - BETA_2**step)).sqrt() + EPSILON)
        # Where the diagonal is nearly 0, AdaHessian's step would leave the box immediately.
        way = way / way.abs().amax(1, keepdim=True).clamp_min(1.0)
        x = torch.minimum(torch.maximum(here.detach() + length * (1.0 - (step - 1) / total) * way, low), high)
        with torch.no_grad():
            values = torch.nan_to_num(objective(x), nan=-torch.inf)
        better = values > reached
        best, reached = torch.where(better[:, None], x, best), torch.where(better, values, reached)
    return best, reached


def _diagonal(gradient: Tensor, x: Tensor, generator: torch.Generator) -> Tensor:
    """Return an unbiased estimate of the Hessian's diagonal at each point, ``[K, d]``."""
    signs = torch.randint(0, 2, x.shape, generator=generator, dtype=x.dtype) * 2.0 - 1.0
    if not gradient.requires_grad:  # linear in x
        return torch.zeros_like(x)
    (product,) = torch.autograd.grad((gradient * signs).sum(), x)
    return product * signs
