"""GOBI: climb a differentiable acquisition function in its input, from many starts in parallel, by Newton steps.

Source: gradient-based optimisation using backpropagation to the input (BOSHNAS, arXiv 2205.11656, section 3). The
released code estimates the Hessian's diagonal; with tens of dimensions the exact Hessian is cheap. No units.

A step replaces the Hessian's eigenvalues by their (floored) absolute values, so it always points uphill and leaves
saddles (arXiv 1406.2572). Its length is limited, several fractions of it are tried, and it is kept only if the
objective increases. Coordinates at a bound with an outward gradient are fixed, so the step is Newton's within the face.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from explorer.errors import InputError
from explorer.surrogate.ascent import ascend

Objective = Callable[[Tensor], Tensor]
"""Maps ``[K, d]`` points to ``[K]`` values, each depending on its own row only."""

METHODS = ("newton", "adahessian", "gradient")
"""Exact Newton steps; the paper's estimate of curvature; or its ablation without second order."""

LENGTHS = (1.0, 0.5, 0.25, 0.0625)
"""Fractions of a step to try."""


@dataclass(frozen=True)
class Climb:
    """End points of the ascent.

    Attributes:
        points: ``[K, d]``, in the order of the starts.
        values: the objective there, ``[K]``; never below that of the start.
    """

    points: NDArray[np.float64]
    values: NDArray[np.float64]


def derivatives(objective: Objective, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return value ``[K]``, gradient ``[K, d]`` and Hessian ``[K, d, d]`` of the objective at ``x`` ``[K, d]``."""
    x = x.detach().requires_grad_()
    values = objective(x)
    (gradient,) = torch.autograd.grad(values.sum(), x, create_graph=True)
    if not gradient.requires_grad:  # linear in x
        return values.detach(), gradient, torch.zeros(*x.shape, x.shape[1], dtype=x.dtype)
    count, dims = x.shape
    units = torch.eye(dims, dtype=x.dtype)[:, None].expand(dims, count, dims)
    # All rows of the Hessian in one batched pass, many times faster than one after the other.
    (rows,) = torch.autograd.grad(gradient, x, units, is_grads_batched=True, materialize_grads=True)
    return values.detach(), gradient.detach(), rows.transpose(0, 1)


def newton_step(gradient: Tensor, hessian: Tensor, held: Tensor, floor: float) -> Tensor:
    """Return the saddle-free uphill step ``|H|⁻¹ g``.

    Args:
        gradient: ``[K, d]``.
        hessian: ``[K, d, d]``.
        held: coordinates to keep fixed, boolean ``[K, d]``.
        floor: minimum curvature, as a fraction of the largest one at the same point.

    Returns:
        The step, ``[K, d]``.
    """
    free = (~held).to(gradient.dtype)
    symmetric = 0.5 * (hessian + hessian.transpose(1, 2)) * free[:, :, None] * free[:, None, :]
    curvature, axes = torch.linalg.eigh(symmetric)
    curvature = curvature.abs()
    least = (floor * curvature.amax(1, keepdim=True)).clamp_min(1e-12)
    along = (axes.transpose(1, 2) @ (gradient * free)[:, :, None]).squeeze(2) / torch.maximum(curvature, least)
    return (axes @ along[:, :, None]).squeeze(2) * free


def climb(
    objective: Objective,
    starts: NDArray[np.float64],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    steps: int = 10,
    reach: float = 0.25,
    floor: float = 1e-3,
    method: str = "newton",
) -> Climb:
    """Climb from every start.

    Args:
        objective: the function to maximise; float64 tensors in and out.
        starts: ``[K, d]``; clamped to the box first.
        low: lowest corner of the box, ``[d]``.
        high: highest corner, ``[d]``.
        steps: number of Newton steps.
        reach: maximum step length, as a fraction of the box's diagonal.
        floor: minimum curvature, as a fraction of the largest one at the same point.
        method: one of ``METHODS``; the first-order ones take several steps per Newton step (``ascent``).

    Raises:
        InputError: the method is unknown, shapes do not match, low exceeds high, or the objective does not return
            ``[K]`` values.
    """
    if method not in METHODS:
        raise InputError("method", f"be one of {', '.join(METHODS)}", method, "Use one of them.")
    if starts.ndim != 2 or low.shape != starts.shape[1:] or high.shape != low.shape or not (low <= high).all():
        shapes = (starts.shape, low.shape, high.shape)
        raise InputError("starts, low, high", "be [K, d], [d], [d] with low ≤ high", shapes, "Check the box.")
    lowest, highest = torch.tensor(low).double(), torch.tensor(high).double()
    x = torch.tensor(starts).double().clamp(lowest, highest)
    longest = reach * float((highest - lowest).norm())
    values = objective(x).detach()
    if values.shape != (len(x),):
        raise InputError("objective", "return one value per point", tuple(values.shape), "Return shape [K].")
    if method != "newton":
        generator = torch.Generator().manual_seed(0)
        ends, reached = ascend(objective, x, lowest, highest, steps, method == "adahessian", generator)
        return Climb(ends.numpy(), reached.numpy())
    for _ in range(steps):
        values, gradient, hessian = derivatives(objective, x)
        held = ((x <= lowest) & (gradient < 0)) | ((x >= highest) & (gradient > 0))
        step = newton_step(gradient, hessian, held, floor)
        step = step * (longest / step.norm(dim=1, keepdim=True).clamp_min(1e-300)).clamp_max(1.0)
        lengths = torch.tensor(LENGTHS, dtype=x.dtype)[:, None, None]
        trials = (x + lengths * step).clamp(lowest, highest)  # [lengths, K, d]
        with torch.no_grad():
            reached = objective(trials.reshape(-1, x.shape[1])).reshape(len(LENGTHS), len(x))
        reached = torch.nan_to_num(reached, nan=-torch.inf)
        best, which = reached.max(0)
        better = best > values
        if not bool(better.any()):
            break
        x = torch.where(better[:, None], trials[which, torch.arange(len(x))], x)
        values = torch.where(better, best, values)
    return Climb(x.numpy(), values.numpy())
