"""GOBI: climb a differentiable acquisition function in its input, many starts at once, by exact Newton steps.

Source: gradient-based optimisation using backpropagation to the input (BOSHNAS, arXiv 2205.11656, section 3). The
released code uses an estimate of the Hessian's diagonal; with tens of dimensions the exact Hessian is cheap. No
units.

A step solves with the Hessian's eigenvalues replaced by their (floored) absolute values, so it always points uphill and
leaves saddles (arXiv 1406.2572). It is clipped to a part of the box, tried at several lengths, and kept only if it
climbs. Coordinates that sit at a bound and are pushed outwards are held, so Newton's step is right within the face.
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
"""How to climb: by exact Newton steps, by the paper's estimate of curvature, or (its ablation) without second order."""

LENGTHS = (1.0, 0.5, 0.25, 0.0625)
"""Fractions of a step that are tried."""


@dataclass(frozen=True)
class Climb:
    """Where the starts ended.

    Attributes:
        points: ``[K, d]``, in the order of the starts.
        values: the objective there, ``[K]``; never below the start's.
    """

    points: NDArray[np.float64]
    values: NDArray[np.float64]


def derivatives(objective: Objective, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Value ``[K]``, gradient ``[K, d]`` and Hessian ``[K, d, d]`` of the objective at ``x`` ``[K, d]``."""
    x = x.detach().requires_grad_()
    values = objective(x)
    (gradient,) = torch.autograd.grad(values.sum(), x, create_graph=True)
    if not gradient.requires_grad:  # linear in x
        return values.detach(), gradient, torch.zeros(*x.shape, x.shape[1], dtype=x.dtype)
    rows = []
    for i in range(x.shape[1]):
        (row,) = torch.autograd.grad(gradient[:, i].sum(), x, retain_graph=True, materialize_grads=True)
        rows.append(row)
    return values.detach(), gradient.detach(), torch.stack(rows, dim=1)


def newton_step(gradient: Tensor, hessian: Tensor, held: Tensor, floor: float) -> Tensor:
    """Saddle-free uphill step ``|H|⁻¹ g``.

    Args:
        gradient: ``[K, d]``.
        hessian: ``[K, d, d]``.
        held: coordinates that must not move, boolean ``[K, d]``.
        floor: least curvature, as a fraction of the largest of the same point.

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
        objective: what to maximise; float64 tensors in and out.
        starts: ``[K, d]``; clamped to the box first.
        low: lowest corner of the box, ``[d]``.
        high: highest corner, ``[d]``.
        steps: how many Newton steps.
        reach: longest step, as a fraction of the box's diagonal.
        floor: least curvature, as a fraction of the largest of the same point.
        method: one of ``METHODS``; the others than Newton's take several steps for each (``ascent``).

    Raises:
        InputError: the method is unknown, shapes do not fit, the box is turned around, or the objective does not
            return ``[K]`` values.
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
