"""Climbing by smoothed steps of a set length: AdaHessian, as the released BOSHNAS does, and by the gradient alone.

AdaHessian (arXiv 2006.00719) divides the smoothed gradient by the smoothed size of the Hessian's diagonal, which it
estimates from one random product with the Hessian a step (Hutchinson). Without second order the gradient's own size
takes its place, which is Adam (arXiv 1412.6980). Both need many small steps where Newton's (``gobi``) takes few. No
units.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8
STEPS_FOR_ONE = 5
"""Steps taken for each step of Newton's: about what the same time allows."""
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
    """Climb from every start and keep the best point of each way.

    Args:
        objective: maps ``[K, d]`` to ``[K]``.
        x: starts in the box, ``[K, d]``.
        low: lowest corner, ``[d]``.
        high: highest corner, ``[d]``.
        steps: as many as Newton's method would be given.
        second_order: by AdaHessian, else by Adam.
        generator: source of the random products.

    Returns:
        Points ``[K, d]`` and the objective there ``[K]``, never below the start's.
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
        # A flat diagonal would send AdaHessian out of the box at once.
        way = way / way.abs().amax(1, keepdim=True).clamp_min(1.0)
        x = torch.minimum(torch.maximum(here.detach() + length * (1.0 - (step - 1) / total) * way, low), high)
        with torch.no_grad():
            values = torch.nan_to_num(objective(x), nan=-torch.inf)
        better = values > reached
        best, reached = torch.where(better[:, None], x, best), torch.where(better, values, reached)
    return best, reached


def _diagonal(gradient: Tensor, x: Tensor, generator: torch.Generator) -> Tensor:
    """An unbiased estimate of the Hessian's diagonal at each point, ``[K, d]``."""
    signs = torch.randint(0, 2, x.shape, generator=generator, dtype=x.dtype) * 2.0 - 1.0
    if not gradient.requires_grad:  # linear in x
        return torch.zeros_like(x)
    (product,) = torch.autograd.grad((gradient * signs).sum(), x)
    return product * signs
