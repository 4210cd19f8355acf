"""Neighbours by biased overlap: the number of equal leading layers (FlexiBERT, arXiv 2205.11656, section 3.4).

Weights are transferred layer by layer from the input while the layers are equal, so the best source of weights is the
architecture with the most equal leading layers.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from explorer.space.spec import ArchitectureSpec

Tie = Callable[[Sequence[int]], ArrayLike]
"""Maps rows to the values ``[K]`` that order them, smallest first."""


def leading_overlap(first: ArchitectureSpec, second: ArchitectureSpec) -> int:
    """Return the number of equal leading layers."""
    for count, (one, two) in enumerate(zip(first.layers, second.layers, strict=False)):
        if one != two:
            return count
    return min(first.depth, second.depth)


def by_overlap(
    spec: ArchitectureSpec, others: Sequence[ArchitectureSpec], tie: Tie, k: int | None = None
) -> list[tuple[int, int]]:
    """Order architectures by the number of leading layers that they share with another one, most first.

    Args:
        spec: the architecture that needs weights.
        others: the architectures to order.
        tie: orders the rows of ``others`` that share equally many layers; equal values keep the order of the rows. It
            is called for those groups only that are among the first ``k``.
        k: most architectures to return; ``None`` for all.

    Returns:
        (row, number of equal leading layers) of each.
    """
    groups: dict[int, list[int]] = defaultdict(list)
    for row, other in enumerate(others):
        groups[leading_overlap(spec, other)].append(row)
    found: list[tuple[int, int]] = []
    for shared in sorted(groups, reverse=True):
        if k is not None and len(found) >= k:
            break
        rows = groups[shared]
        found += [(rows[place], shared) for place in np.argsort(np.asarray(tie(rows)), kind="stable")]
    return found[:k]
