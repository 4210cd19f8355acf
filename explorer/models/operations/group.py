"""What the operations share: the contract of a group of equal heads, its place in its layer, relative positions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from explorer.models.padding import Padding


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


class Heads(nn.Module):
    """A group of heads of one operation; each operation is one subclass.

    Attributes:
        group: its place in the layer.
        projections: names of its Linears that are applied to the layer's input; the layer does that.
        positional: whether its queries meet relative positions. It then has a projection ``query``.
    """

    def __init__(self, group: Group, projections: tuple[str, ...], positional: bool) -> None:
        super().__init__()
        self.group, self.projections, self.positional = group, projections, positional

    def forward(self, x: Tensor, parts: Mapping[str, Tensor], scores: Tensor | None, padding: Padding) -> Tensor:
        """Mix tokens.

        Args:
            x: the layer's input, ``[B, S, hidden]``.
            parts: what its projections made of ``x``, by name, each ``[B, S, heads × size]``.
            scores: scores of its queries against relative positions, scaled, minus infinity at padded keys, ``[B,
                heads, S, S]``; ``None`` if its heads are not positional.
            padding: which tokens are real.

        Returns:
            ``[B, S, heads × size]``. What it holds at padding has no meaning.
        """
        raise NotImplementedError


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
    # Rows of 2 S + 1 entries, of which the first and the last are not used, read as rows of 2 S move row i by i: that
    # turns distances into keys. Starting at S, a multiple of 8 for usual lengths, suits the GPU's attention kernels.
    by_distance = (query @ F.pad(distances, (0, 0, 1, 1)).T).flatten(2)
    return by_distance[..., length:].unflatten(-1, (length, 2 * length))[..., :length]
