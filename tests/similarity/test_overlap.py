"""Neighbours by overlap against naive loops."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from explorer.similarity.overlap import by_overlap, leading_overlap
from explorer.space.spec import ArchitectureSpec, LayerSpec

LAYERS = [LayerSpec.per_layer(8, family, parameter, 2, (16,)) for family, parameter in (("sa", "sdp"), ("l", "dft"))]
SPECS = st.lists(st.sampled_from(LAYERS), min_size=1, max_size=4).map(lambda layers: ArchitectureSpec(tuple(layers)))


def naive(first: ArchitectureSpec, second: ArchitectureSpec) -> int:
    return max(n for n in range(5) if first.layers[:n] == second.layers[:n] and n <= min(first.depth, second.depth))


@given(SPECS, st.lists(st.tuples(SPECS, st.integers(0, 2)), max_size=20), st.none() | st.integers(0, 25))
def test_the_order_is_that_of_a_naive_sort(spec, others, k):
    specs, ties = [other for other, _ in others], [tie for _, tie in others]
    found = by_overlap(spec, specs, lambda rows: [ties[row] for row in rows], k)
    order = sorted(range(len(specs)), key=lambda row: (-naive(spec, specs[row]), ties[row], row))
    assert found == [(row, naive(spec, specs[row])) for row in order][:k]


def test_layers_after_the_first_difference_do_not_count():
    one, two = LAYERS
    assert leading_overlap(ArchitectureSpec((one, two, one)), ArchitectureSpec((one, one, one))) == 1
    assert leading_overlap(ArchitectureSpec((one,)), ArchitectureSpec((one, one))) == 1
    assert leading_overlap(ArchitectureSpec((one,)), ArchitectureSpec((two,))) == 0


def test_ties_are_asked_for_only_where_they_count():
    one, two = LAYERS
    asked: list[list[int]] = []

    def tie(rows):
        asked.append(list(rows))
        return np.zeros(len(rows))

    others = [ArchitectureSpec((two,)), ArchitectureSpec((one, two)), ArchitectureSpec((one, one))]
    assert by_overlap(ArchitectureSpec((one, one)), others, tie, k=2) == [(2, 2), (1, 1)]
    assert asked == [[2], [1]]
