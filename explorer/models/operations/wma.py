"""Weighted multiplicative self-attention heads: softmax(q W kᵀ / √d) v (FlexiBERT, arXiv 2205.11656, section 3.1)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from explorer.models.operations.group import Group
from explorer.models.operations.sdp import DotProductHeads

INITIAL_RANGE = 0.1
"""The matrix starts uniform in ± this."""


class MultiplicativeHeads(DotProductHeads):
    """A group of ``wma`` heads.

    The learned matrix W is ``[d, d]``, shared by the heads, in a layer of the per-layer form, else ``[heads, d, d]``.
    """

    def __init__(self, group: Group) -> None:
        super().__init__(group)
        shape = (group.size, group.size) if group.alike else (group.heads, group.size, group.size)
        self.weight = nn.Parameter(torch.empty(shape).uniform_(-INITIAL_RANGE, INITIAL_RANGE))

    def compare(self, query: Tensor) -> Tensor:
        """``q W``: ``[B, H, S, d]``."""
        return query @ self.weight
