"""Scaled dot-product self-attention heads: softmax(q kᵀ / √d) v (FlexiBERT, arXiv 2205.11656, section 3.1)."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn import functional as F

from explorer.models.operations.group import Group, Heads, merge
from explorer.models.padding import Padding


class DotProductHeads(Heads):
    """A group of ``sdp`` heads; relative positions add ``q · R / √d`` to the scores.

    Torch's fused attention kernels do the rest: without a mask for absolute positions and no padding.
    """

    def __init__(self, group: Group) -> None:
        super().__init__(group, ("query", "key", "value"), group.relative)
        self.query = nn.Linear(group.hidden, group.width)
        self.key = nn.Linear(group.hidden, group.width)
        self.value = nn.Linear(group.hidden, group.width)

    def compare(self, query: Tensor) -> Tensor:
        """What is multiplied with the keys: ``[B, H, S, d]`` from the query of the same shape."""
        return query

    def forward(self, x: Tensor, parts: Mapping[str, Tensor], scores: Tensor | None, padding: Padding) -> Tensor:
        """Attend; see ``Heads.forward``."""
        group = self.group
        query, key, value = (group.split(parts[name]) for name in self.projections)
        mask = padding.keys if scores is None and padding.lengths is not None else scores
        dropout = group.dropout if self.training else 0.0
        return merge(F.scaled_dot_product_attention(self.compare(query), key, value, mask, dropout))
