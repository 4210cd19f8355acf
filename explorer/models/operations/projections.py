"""The Linears that the heads of a layer apply to its input, as one product while gradients are computed.

A layer of several operations has about ten Linears of few heads each. Side by side they are one matrix, whose product
and gradients cost less than theirs one by one. Every head keeps its own parameters; they are joined anew in each pass.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from explorer.models.operations.group import Heads


def project(x: Tensor, groups: Sequence[Heads]) -> tuple[list[dict[str, Tensor]], Tensor | None]:
    """Apply the Linears of several groups of heads to one input.

    Without gradients they are applied one by one, as there joining weights costs more than it saves; likewise where a
    Linear was replaced by another module.

    Args:
        x: ``[B, S, hidden]``.
        groups: the groups of heads of a layer.

    Returns:
        For every group its Linears' outputs ``[B, S, width]`` by name, and the outputs named ``query`` of the groups
        with ``positional`` heads side by side (``None`` without such groups).
    """
    queried = [index for index, heads in enumerate(groups) if heads.positional]
    first = [(index, "query") for index in queried]
    rest = [(index, name) for index, heads in enumerate(groups) for name in heads.projections]
    # Equal roles stand beside each other, queries that meet positions first.
    order = first + sorted((pair for pair in rest if pair not in first), key=lambda pair: pair[1])
    linears = [getattr(groups[index], name) for index, name in order]
    parts: list[dict[str, Tensor]] = [{} for _ in groups]
    joined = None
    if torch.is_grad_enabled() and len(linears) > 1 and all(type(linear) is nn.Linear for linear in linears):
        widths = [linear.out_features for linear in linears]
        weight, bias = torch.cat([linear.weight for linear in linears]), torch.cat([linear.bias for linear in linears])
        together = F.linear(x, weight, bias)
        if queried:
            number = len(queried)
            joined, *others = together.split([sum(widths[:number]), *widths[number:]], -1)
            outputs = [*(joined.split(widths[:number], -1) if number > 1 else [joined]), *others]
        else:
            outputs = list(together.split(widths, -1))
    else:
        outputs = [linear(x) for linear in linears]
        if queried:
            joined = torch.cat(outputs[: len(queried)], -1) if len(queried) > 1 else outputs[0]
    for (index, name), output in zip(order, outputs, strict=True):
        parts[index][name] = output
    return parts, joined
