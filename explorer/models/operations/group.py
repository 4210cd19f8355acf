"""What the operations share: the place of a group of equal heads in its layer, and relative positions."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Group:
    """Heads of one operation in one layer, computed in one batched call.

    Attributes:
        hidden: hidden size of the layer.
        heads: heads in this group.
        size: width of each head.
        first: index of the group's first head among the layer's heads.
        sliced: whether the layer's heads fill its hidden size exactly, so that each head has its own slice of it.
        alike: whether the layer has the per-layer form, in which heads share their ``wma`` matrix.
        relative: whether positions are relative.
        dropout: dropout probability of attention weights.
    """

    hidden: int
    heads: int
    size: int
    first: int
    sliced: bool
    alike: bool
    relative: bool
    dropout: float

    @property
    def width(self) -> int:
        """Width of the group's output: heads × size."""
        return self.heads * self.size

    @property
    def scale(self) -> float:
        """Factor of attention scores: 1 / sqrt(size)."""
        return 1 / math.sqrt(self.size)

    def split(self, x: Tensor) -> Tensor:
        """``[B, S, heads × size]`` to ``[B, heads, S, size]``."""
        return x.unflatten(-1, (self.heads, self.size)).transpose(1, 2)


def merge(x: Tensor) -> Tensor:
    """``[B, heads, S, size]`` to ``[B, S, heads × size]``."""
    return x.transpose(1, 2).flatten(2)


def relative_scores(query: Tensor, distances: Tensor) -> Tensor:
    """Scores of queries against relative positions (Shaw et al., arXiv 1803.02155, equation 5).

    Args:
        query: ``[B, H, S, d]``.
        distances: ``[2 S - 1, d]``, the embedding of distance ``key - query`` at row ``key - query + S - 1``.

    Returns:
        ``[B, H, S, S]``: entry ``(i, j)`` is ``query[i] · distances[j - i + S - 1]``.
    """
    length = query.shape[2]
    by_distance = (query @ distances.T).flatten(2)  # row i starts at i (2 S - 1); its key j stands at j - i + S - 1
    # Reading rows of 2 S - 2 instead of 2 S - 1 entries shifts row i by i, which turns distances into keys.
    if length == 1:
        return by_distance[..., None]
    rows = by_distance[..., length - 1 : length - 1 + length * (2 * length - 2)]
    return rows.unflatten(-1, (length, 2 * length - 2))[..., :length]
