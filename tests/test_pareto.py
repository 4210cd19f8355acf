"""The Pareto set of two objectives, which has a way of its own, against the definition."""

from __future__ import annotations

import numpy as np
import pytest

from explorer.pareto import pareto_set


@pytest.mark.parametrize("seed", range(60))
def test_pairs_are_those_of_the_definition(seed):
    draw = np.random.default_rng(seed)
    points = draw.integers(0, 6, (draw.integers(0, 30), 2)).astype(float)
    if len(points) and seed % 3 == 0:
        points[draw.integers(len(points)), seed % 2] = draw.choice([-np.inf, np.inf])

    def beaten(i: int) -> bool:
        return any((p >= points[i]).all() and (p > points[i]).any() for p in points)

    assert pareto_set(points).tolist() == [i for i in range(len(points)) if not beaten(i)]


def test_a_front_of_all_points():
    better = np.sort(np.random.default_rng(0).random(20_000))
    assert len(pareto_set(np.column_stack([-better, better]))) == 20_000
