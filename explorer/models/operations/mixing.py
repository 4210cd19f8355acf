"""What the linear-transform heads share (FlexiBERT, arXiv 2205.11656, section 3.1; FNet, arXiv 2105.03824)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from explorer.models.operations.group import Group, Heads, merge
from explorer.models.padding import Padding


class MixingHeads(Heads):
    """A group of heads that mix tokens and features by a fixed two-dimensional linear transform.

    A head transforms its slice of the input ``x[..., o : o + size]``. Where the layer's heads do not fill its hidden
    size, the slices are those of one learned Linear. With relative positions, attention by relative position alone,
    ``softmax(q · R / √d) v``, is added; with absolute positions there are no query, key or value.
    """

    def __init__(self, group: Group) -> None:
        names = [] if group.sliced else ["input"]
        super().__init__(group, (*names, *(["query", "value"] if group.relative else [])), group.relative)
        self.input = None if group.sliced else nn.Linear(group.hidden, group.width)
        self.query = nn.Linear(group.hidden, group.width) if group.relative else None
        self.value = nn.Linear(group.hidden, group.width) if group.relative else None

    def transform(self, x: Tensor, padding: Padding) -> Tensor:
        """The transform of ``x [B, S, heads, size]`` over its second and last axis, as ``[B, S, heads × size]``."""
        raise NotImplementedError

    def forward(self, x: Tensor, parts: Mapping[str, Tensor], scores: Tensor | None, padding: Padding) -> Tensor:
        """Mix; see ``Heads.forward``. The transform is zero at padding."""
        group = self.group
        offset = group.first * group.size
        own = x[..., offset : offset + group.width] if self.input is None else parts["input"]
        mixed = self.transform(own.unflatten(-1, (group.heads, group.size)), padding)
        if scores is None:
            return mixed
        weights = F.dropout(torch.softmax(scores, -1), group.dropout, self.training)
        return mixed + merge(weights @ group.split(parts["value"]))
