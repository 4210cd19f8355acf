"""Integer codes of design choices, for mutation and one-hot features."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from explorer.space.spec import ArchitectureSpec, LayerSpec


def _layer_choices(layer: LayerSpec) -> tuple[Hashable, ...]:
    return (
        (layer.family, layer.parameter) if layer.main else layer.heads,
        layer.hidden,
        len(layer.heads),
        len(layer.feed_forward),
        layer.feed_forward[0] if len(set(layer.feed_forward)) == 1 else layer.feed_forward,
    )


def encode_choices(specs: Sequence[ArchitectureSpec]) -> NDArray[np.int64]:
    """Encode every design choice as an integer.

    Args:
        specs: N architectures of at most L layers.

    Returns:
        ``[N, 1 + 5 L]``: the depth, then per layer operation, hidden size, heads, stack depth and stack width, each
        as the rank of first occurrence of its value; -1 where an architecture has no such layer.
    """
    depth = max((spec.depth for spec in specs), default=0)
    codes = np.full((len(specs), 1 + 5 * depth), -1, dtype=np.int64)
    tables: list[dict[Hashable, int]] = [{} for _ in range(6)]
    for row, spec in enumerate(specs):
        codes[row, 0] = tables[0].setdefault(spec.depth, len(tables[0]))
        for index, layer in enumerate(spec.layers):
            for aspect, value in enumerate(_layer_choices(layer)):
                table = tables[1 + aspect]
                codes[row, 1 + 5 * index + aspect] = table.setdefault(value, len(table))
    return codes
