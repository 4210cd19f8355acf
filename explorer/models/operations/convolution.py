"""Span-based dynamic convolution heads (ConvBERT, arXiv 2008.02496, section 3.2)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from explorer.models.operations.group import Group, Heads
from explorer.models.padding import Padding

BAND_LIMIT = 8
"""Sequences up to this many kernels long are convolved by one banded matrix product, longer ones tap by tap."""


def convolve(weights: Tensor, values: Tensor) -> Tensor:
    """Apply every token's own kernel to the tokens around it; outside the sequence stand zeros.

    Args:
        weights: ``[B, H, S, K]``, K odd.
        values: ``[B, H, S, d]``.

    Returns:
        ``[B, H, S, d]``: ``out[i] = sum over t of weights[i, t] values[i + t - K // 2]``.
    """
    length, kernel = weights.shape[-2:]
    half = kernel // 2
    # An exported program serves every length, so it must not depend on the first one: it always goes tap by tap.
    if not torch.compiler.is_exporting() and length <= BAND_LIMIT * kernel:
        # Rows of S + K entries read as rows of S + K - 1 move row i to the right by i: a banded matrix.
        rows = F.pad(weights, (0, length)).flatten(-2)[..., : length * (length + kernel - 1)]
        return rows.unflatten(-1, (length, -1))[..., half : half + length] @ values
    padded = F.pad(values, (0, 0, half, half))
    out = weights[..., :1] * padded[:, :, :length]
    for tap in range(1, kernel):
        out = out + weights[..., tap : tap + 1] * padded[:, :, tap : tap + length]
    return out


class ConvolutionHeads(Heads):
    """A group of ``c`` heads of one kernel size.

    The kernel of token i in a head is ``softmax(Linear(separable_conv(x)[i] * q[i]))`` over the kernel axis; it weighs
    the values ``Linear(x)`` around token i. The depthwise part of the separable convolution is shared by the heads of
    the group; everything else is each head's own. Sequences end in zeros, so padding has no influence.
    """

    def __init__(self, group: Group, kernel: int) -> None:
        super().__init__(group, ("query", "value"), positional=False)
        self.kernel = kernel
        self.query = nn.Linear(group.hidden, group.width)
        self.value = nn.Linear(group.hidden, group.width)
        self.depthwise = nn.Conv2d(
            group.hidden, group.hidden, (1, kernel), padding=(0, kernel // 2), groups=group.hidden, bias=False
        )
        self.pointwise = nn.Linear(group.hidden, group.width)
        self.weight = nn.Parameter(torch.empty(group.heads, group.size, kernel).normal_(0, 0.02))
        self.bias = nn.Parameter(torch.zeros(group.heads, 1, kernel))

    def forward(self, x: Tensor, parts: Mapping[str, Tensor], scores: Tensor | None, padding: Padding) -> Tensor:
        """Convolve; see ``Heads.forward``. A convolution knows positions by itself."""
        group = self.group
        real = padding.clear(x)
        # A height of 1 makes it a two-dimensional convolution, for which the CPU has the faster depthwise kernel.
        spans = self.depthwise(real.transpose(1, 2)[:, :, None])[:, :, 0].transpose(1, 2)
        keys = group.split(self.pointwise(spans) * parts["query"])
        weights = torch.softmax(keys @ self.weight + self.bias, -1)  # [B, H, S, K]
        weights = F.dropout(weights, group.dropout, self.training)
        values = group.split(padding.clear(parts["value"]))
        return convolve(weights, values).transpose(1, 2).flatten(2)
