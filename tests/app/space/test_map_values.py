"""What the map of a space is asked: areas, names, shares, limits."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as some

from explorer.app.space.map_values import (
    MOST_CORNERS,
    area_of,
    area_text,
    drawn_ids,
    find_ids,
    inside,
    layer_shares,
    read_area,
)

NUMBERS = some.floats(-1e6, 1e6, allow_nan=False)


def cloud(count: int = 500, seed: int = 0) -> pd.DataFrame:
    return pd.DataFrame(np.random.default_rng(seed).normal(size=(count, 2)), columns=["x", "y"])


@pytest.mark.parametrize("seed", range(5))
def test_a_convex_area_holds_what_is_on_the_inner_side_of_all_its_edges(seed):
    generator, points = np.random.default_rng(seed), cloud()
    angles = np.sort(generator.uniform(0, 2 * np.pi, 9))
    corners = np.column_stack([np.cos(angles), np.sin(angles)])
    edges = np.roll(corners, -1, axis=0) - corners
    beside = points.to_numpy()[:, None] - corners
    wanted = (edges[:, 0] * beside[..., 1] - edges[:, 1] * beside[..., 0] > 0).all(axis=1)
    assert np.array_equal(inside(points, [tuple(map(tuple, corners))]), wanted)
    assert 0 < wanted.sum() < len(points)


def test_a_box_may_begin_at_any_corner_and_areas_add_up():
    points = cloud()
    box = ((1.0, -0.5), (-0.5, 1.0))
    wanted = points["x"].between(-0.5, 1.0) & points["y"].between(-0.5, 1.0)
    assert np.array_equal(inside(points, [box]), wanted)
    triangle = ((-3.0, -3.0), (-1.0, -3.0), (-1.0, 3.0))
    both = inside(points, [box, triangle])
    assert np.array_equal(both, inside(points, [box]) | inside(points, [triangle]))


@settings(max_examples=100, deadline=None)
@given(some.lists(some.tuples(NUMBERS, NUMBERS), min_size=2, max_size=200))
@example([(0.0, 0.0), (0.0, -0.0)])
@example([(0.0, -0.0), (1.0, 1.0)])
def test_an_areas_text_states_the_area(corners):
    area = area_of(*zip(*corners, strict=True))
    if area is None:
        kept = corners[:: max(1, -(-len(corners) // MOST_CORNERS))]
        assert len({(float(f"{x:.5g}"), float(f"{y:.5g}")) for x, y in kept}) < 2
        return
    assert "-0," not in f"{area_text(area)},".replace(" ", ",")
    assert 2 <= len(area) <= MOST_CORNERS
    assert read_area(area_text(area)) == area


@settings(max_examples=200, deadline=None)
@given(some.text(max_size=60))
def test_no_text_breaks_the_reading_of_an_area(text):
    area = read_area(text)
    assert area is None or np.isfinite(area).all()


def test_architectures_are_found_by_id_and_name():
    points = pd.DataFrame({"name": ["", "Mine", "Mine too"]}, ["abcdef12", "abc99999", "ffff0000"])
    assert find_ids(points, "abc") == ["abcdef12", "abc99999"]
    assert find_ids(points, " ABCDEF ") == ["abcdef12"]
    assert find_ids(points, "mine") == ["abc99999"]
    assert find_ids(points, "min") == ["abc99999", "ffff0000"]
    assert find_ids(points, "ff") == []
    assert find_ids(points, "") == find_ids(points, "[") == find_ids(points, "BERT-Mini") == []


def test_shares_of_operations_add_up_to_one():
    layers = pd.DataFrame({"id": ["a", "a", "a", "b"], "operation": ["x", "x", "y", "y"]})
    shares = layer_shares(layers)
    assert shares.loc["a"].to_dict() == pytest.approx({"x": 2 / 3, "y": 1 / 3})
    assert shares.loc["b"].to_dict() == {"x": 0.0, "y": 1.0}


def test_too_many_points_are_thinned_evenly_but_for_those_that_count():
    points = pd.DataFrame(index=[f"id{n}" for n in range(1000)])
    drawn = drawn_ids(points, ["id3", "id998"], 100)
    assert {"id3", "id998"} <= set(drawn)
    assert 100 <= len(drawn) <= 102
    places = np.array([int(id[2:]) for id in drawn])
    assert np.histogram(places, 10)[0].min() >= 9
    assert list(drawn_ids(points, [], 1000)) == list(points.index)
