"""Multisets of operations, for layers with an operation per head.

The order of a layer's heads has no meaning (the graph's id ignores it), so a layer of n heads chooses a *multiset* of n
of the K operations, not a list: C(n + K - 1, n) choices instead of K^n. Multisets are ascending tuples, indexed in
lexicographic order.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import comb


def count_multisets(kinds: int, size: int) -> int:
    """Return the number of multisets of ``size`` elements of ``kinds`` kinds."""
    return comb(size + kinds - 1, size)


def multiset_at(index: int, kinds: int, size: int) -> tuple[int, ...]:
    """Return the multiset with this index, from 0 to ``count_multisets(kinds, size) - 1``.

    Returns:
        ``size`` kinds, each from 0 to ``kinds - 1``, ascending.
    """
    picks: list[int] = []
    kind = 0
    for rest in range(size - 1, -1, -1):
        # Multisets whose next element is `kind` choose the remaining ones among the kinds from `kind` upwards.
        while index >= (count := count_multisets(kinds - kind, rest)):
            index -= count
            kind += 1
        picks.append(kind)
    return tuple(picks)


def multiset_index(picks: Sequence[int], kinds: int) -> int:
    """Return the index of an ascending multiset; the inverse of ``multiset_at``."""
    index, lowest = 0, 0
    for place, kind in enumerate(picks):
        rest = len(picks) - place - 1
        index += sum(count_multisets(kinds - skipped, rest) for skipped in range(lowest, kind))
        lowest = kind
    return index
