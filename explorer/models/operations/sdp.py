"""Scaled dot-product self-attention heads: softmax(q kᵀ / √d) v (FlexiBERT, arXiv 2205.11656, section 3.1)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from explorer.models.operations.group import Group, merge, relative_scores
from explorer.models.padding import Padding


class DotProductHeads(nn.Module):
    """A group of ``sdp`` heads; relative positions add ``q · R / √d`` to the scores."""

    def __init__(self, group: Group) -> None:
        super().__init__()
        self.group = group
        self.query = nn.Linear(group.hidden, group.width)
        self.key = nn.Linear(group.hidden, group.width)
        self.value = nn.Linear(group.hidden, group.width)

    def compare(self, query: Tensor) -> Tensor:
        """What is multiplied with the keys: ``[B, H, S, d]`` from the query of the same shape."""
        return query

    def forward(self, x: Tensor, distances: Tensor | None, padding: Padding) -> Tensor:
        """Attend.

        Args:
            x: ``[B, S, hidden]``.
            distances: ``[2 S - 1, d]`` embeddings of relative positions, or ``None`` with absolute positions.
            padding: which tokens are real.

        Returns:
            ``[B, S, heads × size]``.
        """
        group = self.group
        query, key, value = group.split(self.query(x)), group.split(self.key(x)), group.split(self.value(x))
        mask = padding.keys if padding.lengths is not None else None
        if distances is not None:
            mask = relative_scores(query * group.scale, distances)
            if padding.lengths is not None:
                mask = mask + padding.bias
        dropout = group.dropout if self.training else 0.0
        return merge(F.scaled_dot_product_attention(self.compare(query), key, value, mask, dropout))
