"""What the linear-transform heads share (FlexiBERT, arXiv 2205.11656, section 3.1; FNet, arXiv 2105.03824)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from explorer.models.operations.group import Group, merge, relative_scores
from explorer.models.padding import Padding


class MixingHeads(nn.Module):
    """A group of heads that mix tokens and features by a fixed two-dimensional linear transform.

    A head transforms its slice of the input ``x[..., o : o + size]``. Where the layer's heads do not fill its hidden
    size, the slices are those of one learned Linear. With relative positions, attention by relative position alone,
    ``softmax(q · R / √d) v``, is added; with absolute positions there are no query, key or value.
    """

    def __init__(self, group: Group) -> None:
        super().__init__()
        self.group = group
        self.input = None if group.sliced else nn.Linear(group.hidden, group.width)
        self.query = nn.Linear(group.hidden, group.width) if group.relative else None
        self.value = nn.Linear(group.hidden, group.width) if group.relative else None

    def transform(self, x: Tensor, padding: Padding) -> Tensor:
        """The transform of ``x [B, S, heads, size]`` over its second and last axis, as ``[B, S, heads × size]``."""
        raise NotImplementedError

    def forward(self, x: Tensor, distances: Tensor | None, padding: Padding) -> Tensor:
        """Mix.

        Args:
            x: ``[B, S, hidden]``.
            distances: ``[2 S - 1, d]`` embeddings of relative positions, or ``None`` with absolute positions.
            padding: which tokens are real.

        Returns:
            ``[B, S, heads × size]``; the transform is zero at padding.
        """
        group = self.group
        offset = group.first * group.size
        own = x[..., offset : offset + group.width] if self.input is None else self.input(x)
        mixed = self.transform(own.unflatten(-1, (group.heads, group.size)), padding)
        if distances is None or self.query is None or self.value is None:
            return mixed
        scores = relative_scores(group.split(self.query(x)) * group.scale, distances)
        if padding.lengths is not None:
            scores = scores + padding.bias
        weights = F.dropout(torch.softmax(scores, -1), group.dropout, self.training)
        return mixed + merge(weights @ group.split(self.value(x)))
