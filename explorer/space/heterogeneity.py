"""The heterogeneity index: how much the layers of one architecture differ from each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence

from explorer.space.spec import ArchitectureSpec


def diversity(values: Sequence[Hashable]) -> float:
    """Return the Gini–Simpson diversity of values, scaled to 0 (all equal) … 1 (all different)."""
    count = len(values)
    if count < 2:
        return 0.0
    simpson = 1.0 - sum((n / count) ** 2 for n in Counter(values).values())
    return simpson / (1.0 - 1.0 / count)


def heterogeneity(spec: ArchitectureSpec) -> float:
    """Return the heterogeneity index, 0 (homogeneous) to 1: mean diversity of operation, hidden size, heads, stack."""
    layers = spec.layers
    aspects: list[list[Hashable]] = [
        [(layer.family, layer.parameter) for layer in layers],
        [layer.hidden for layer in layers],
        [len(layer.heads) for layer in layers],
        [layer.feed_forward for layer in layers],
    ]
    return sum(diversity(aspect) for aspect in aspects) / len(aspects)
