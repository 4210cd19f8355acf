"""One encoder layer: heads, then a feed-forward stack, each with residual and LayerNorm (FlexiBERT, section 3.1)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from explorer.models.config import FlexiBertConfig
from explorer.models.operations import Group, Heads, build_heads, project
from explorer.models.operations.group import relative_scores
from explorer.models.padding import Padding
from explorer.space.spec import Family, LayerSpec


@dataclass(frozen=True)
class Link:
    """How a layer is tied to what is around it.

    Attributes:
        before: width of what comes in.
        project: whether a Linear takes it to the layer's hidden size.
        after: width that a Linear takes the layer's output to; ``None`` for none.
    """

    before: int
    project: bool
    after: int | None = None


def links(config: FlexiBertConfig) -> list[Link]:
    """The links of all layers of an architecture, input to output."""
    layers, backbone = config.spec.layers, config.spec.backbone
    sizes = [layer.hidden for layer in layers]
    if backbone is None:
        return [Link(a, a != b) for a, b in zip([config.embedding_size, *sizes], sizes, strict=False)]
    if not config.merged_bottlenecks:
        return [Link(backbone, True, backbone)] * len(layers)
    afters = [None] * (len(sizes) - 1) + [backbone]
    return [Link(before, True, after) for before, after in zip([backbone, *sizes[:-1]], afters, strict=True)]


class EncoderLayer(nn.Module):
    """Heads → Linear → dropout → add & norm → (Linear, GELU) repeated → Linear → dropout → add & norm.

    Args:
        spec: the layer.
        link: the Linears before and after it.
        config: dropout, positions and norms.
    """

    def __init__(self, spec: LayerSpec, link: Link, config: FlexiBertConfig) -> None:
        super().__init__()
        hidden, size, count = spec.hidden, spec.head_size, len(spec.heads)
        self.projection = nn.Linear(link.before, hidden) if link.project else None
        positional = config.relative and any(head.family is not Family.CONVOLUTION for head in spec.heads)
        self.distances = nn.Embedding(2 * config.max_position_embeddings - 1, size) if positional else None
        self.heads = nn.ModuleDict()
        first = 0
        for operation, equal in groupby(spec.heads):
            heads = len(list(equal))
            group = Group(
                hidden=hidden,
                heads=heads,
                size=size,
                first=first,
                sliced=count * size == hidden,
                alike=spec.main is not None,
                relative=config.relative,
                dropout=config.attention_probs_dropout_prob,
            )
            self.heads[f"{operation.family}_{operation.parameter}"] = build_heads(operation, group)
            first += heads
        self.output = nn.Linear(count * size, hidden)
        self.output_norm = nn.LayerNorm(hidden, eps=config.layer_norm_eps)
        widths = (hidden, *spec.feed_forward)
        self.feed_forward = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        self.feed_forward_output = nn.Linear(widths[-1], hidden)
        self.feed_forward_norm = nn.LayerNorm(hidden, eps=config.layer_norm_eps)
        self.expansion = nn.Linear(hidden, link.after) if link.after is not None else None
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.longest = config.max_position_embeddings

    def forward(self, x: Tensor, padding: Padding) -> Tensor:
        """``[B, S, before]`` to ``[B, S, after]``, where nothing comes after to ``[B, S, hidden]``."""
        if self.projection is not None:
            x = self.projection(x)
        mixed = self._mix(x, padding)
        mixed_all = mixed[0] if len(mixed) == 1 else torch.cat(mixed, -1)
        x = self.output_norm(x + self.dropout(self.output(mixed_all)))
        y = x
        for linear in self.feed_forward:
            y = F.gelu(linear(y))
        x = self.feed_forward_norm(x + self.dropout(self.feed_forward_output(y)))
        return x if self.expansion is None else self.expansion(x)

    def _mix(self, x: Tensor, padding: Padding) -> list[Tensor]:
        """What every group of heads makes of ``x [B, S, hidden]``, each ``[B, S, heads × size]``."""
        groups = cast(list[Heads], list(self.heads.values()))
        parts, queries = project(x, groups)
        scores: list[Tensor | None] = [None] * len(groups)
        if self.distances is not None and queries is not None:
            length, size = x.shape[1], self.distances.embedding_dim
            # Distances are fewer than queries, so it is them that are scaled.
            distances = self.distances.weight[self.longest - length : self.longest + length - 1] / math.sqrt(size)
            together = relative_scores(queries.unflatten(-1, (-1, size)).transpose(1, 2), distances)
            if padding.lengths is not None:
                together = together + padding.bias
            counts = [heads.group.heads for heads in groups if heads.positional]
            each = iter(together.split(counts, 1) if len(counts) > 1 else [together])
            scores = [next(each) if heads.positional else None for heads in groups]
        return [heads(x, part, own, padding) for heads, part, own in zip(groups, parts, scores, strict=True)]
