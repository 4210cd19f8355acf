"""Alignment of a donor's neurons to a recipient's by optimal transport (arXiv 1910.05653).

Neurons are compared by the weights that write them, after those were mapped to the recipient's inputs, so alignments
are computed layer by layer. Two trained models are aligned with each other. The neurons of an untrained recipient are
random; there the target is the barycentre with free support, the means of the neurons that are moved together, which
minimises the loss: none at equal widths or where a width is multiplied by an integer.
"""

from __future__ import annotations

import importlib
import warnings
from typing import Any

import torch
from torch import Tensor

from explorer.errors import InputError

ROUNDS = 10
"""Maximum number of barycentre updates; it usually converges earlier."""
MOST_PIVOTS = 10_000_000


def optimal_transport() -> Any:
    """Import the library POT. Raises InputError if it is not installed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # It warns about missing array libraries.
            return importlib.import_module("ot")
    except ModuleNotFoundError as error:
        remedy = "Install it with `pip install 'architecture-explorer[transport]'`, or choose another method."
        raise InputError("transfer method transport", "find the library ot (POT)", str(error), remedy) from None


def transport_plan(rows: Tensor, support: Tensor, entropy: float = 0.0) -> Tensor:
    """Return the transport plan of minimum squared distance between two sets of points with uniform weights.

    Args:
        rows: ``[old, F]``, the donor's neurons.
        support: ``[new, F]``, the targets.
        entropy: 0 for the exact plan, else Sinkhorn's regularisation relative to the largest squared distance.

    Returns:
        ``[old, new]`` in float64; sums to 1.

    Raises:
        InputError: POT is not installed.
    """
    ot = optimal_transport()
    cost = torch.cdist(rows, support).square()
    cost = cost / cost.max().clamp_min(1e-300)
    old, new = cost.shape
    sources = torch.full((old,), 1 / old, dtype=torch.float64)
    targets = torch.full((new,), 1 / new, dtype=torch.float64)
    if entropy > 0:
        plan = ot.sinkhorn(sources, targets, cost, entropy, method="sinkhorn_log", warn=False)
    else:
        plan = ot.emd(sources, targets, cost, numItermax=MOST_PIVOTS)
    return torch.as_tensor(plan, dtype=torch.float64)


def hardened(plan: Tensor) -> Tensor:
    """Round a plan: every neuron of the wider side goes whole to its largest target, and no neuron is left out."""
    old, new = plan.shape
    hard = torch.zeros_like(plan)
    if new >= old:
        hard[plan.argmax(0), torch.arange(new)] = 1
    else:
        hard[torch.arange(old), plan.argmax(1)] = 1
    for row in (hard.sum(1) == 0).nonzero().flatten().tolist():
        hard[row, plan[row].argmax()] = 1
    for column in (hard.sum(0) == 0).nonzero().flatten().tolist():
        hard[plan[:, column].argmax(), column] = 1
    return hard


def free_plan(rows: Tensor, start: Tensor, entropy: float = 0.0) -> Tensor:
    """Return the plan ``[old, new]`` from ``rows [old, F]`` to their barycentre with as many points as the recipient.

    Equal widths and multiples need no search: each neuron is kept or copied, at no cost.

    Args:
        rows: the donor's neurons.
        start: ``[new, F]``, the recipient's own neurons; the second of two starts, after the leading neurons.
        entropy: as in ``transport_plan``.

    Raises:
        InputError: POT is not installed.
    """
    old, new = len(rows), len(start)
    leading = torch.arange(new) % old
    if new % old == 0:
        optimal_transport()
        return torch.eye(old, dtype=torch.float64)[:, leading] / new
    found = [_settle(rows, support, entropy) for support in (rows[leading], start)]
    return min(found, key=lambda entry: entry[0])[1]


def _settle(rows: Tensor, support: Tensor, entropy: float) -> tuple[float, Tensor]:
    """Update a support until the cost stops decreasing; return cost and plan."""
    best, chosen = float("inf"), torch.empty(0)
    for _ in range(ROUNDS):
        plan = transport_plan(rows, support, entropy)
        support = (plan / plan.sum(0)).T @ rows
        cost = float((plan * torch.cdist(rows, support).square()).sum())
        if not cost < best * (1 - 1e-9):
            break
        best, chosen = cost, plan
    return best, chosen
