"""Shapes made to order have the parameters asked for, and are the nearest to their profile that have."""

import numpy as np
import pytest

from explorer.errors import InputError
from explorer.supershaper.shapes.grid import ShapeGrid
from explorer.supershaper.shapes.heuristics import (
    GOOD,
    ShapeFamily,
    generate,
    nearest_shape,
    random_shapes,
)
from shapes import derive_profile
from tests.supershaper.shapes.conftest import law


@pytest.mark.parametrize("family", list(ShapeFamily))
@pytest.mark.parametrize("budget", [40e6, 63e6, 100e6])
def test_every_family_at_every_budget(family, budget):
    grid = ShapeGrid()
    made = generate(grid, family, budget)
    assert made.parameters == grid.parameters(grid.check([made.widths]))[0]
    assert abs(made.parameters / budget - 1) <= 0.01
    assert made == generate(grid, family, budget)


def test_what_the_families_look_like():
    grid = ShapeGrid()
    made = {family: np.array(generate(grid, family, 63e6).widths) for family in ShapeFamily}
    assert made[ShapeFamily.BOTTLE][:6].max() < made[ShapeFamily.BOTTLE][6:].min()
    assert (np.diff(made[ShapeFamily.TRIANGLE]) >= 0).all()
    assert (made[ShapeFamily.INVERTED_TRIANGLE] == made[ShapeFamily.TRIANGLE][::-1]).all()
    assert (np.diff(made[ShapeFamily.DIAMOND][:6]) >= 0).all()
    assert (np.diff(made[ShapeFamily.DIAMOND][6:]) <= 0).all()
    assert (np.diff(made[ShapeFamily.INVERTED_DIAMOND][:6]) <= 0).all()
    assert np.ptp(made[ShapeFamily.RECTANGLE]) <= 120
    assert made[ShapeFamily.GOOD].argmax() == 11
    assert len(GOOD) == 12
    assert np.mean(GOOD) == pytest.approx(1.0, abs=0.01)


def test_a_rectangle_of_the_grid_is_found_as_it_is():
    grid = ShapeGrid()
    size = int(grid.parameters(np.array([[480] * 12]))[0])
    made = generate(grid, ShapeFamily.RECTANGLE, size)
    assert made.widths == (480,) * 12
    assert made.off < 0.02


@pytest.mark.parametrize("seed", range(6))
def test_the_nearest_of_all(small, every, seed):
    """Against listing all: nearest to a random target within the tolerance, up to what partial sizes are rounded by."""
    rng = np.random.default_rng(seed)
    target = rng.uniform(12, 60, size=4)
    budget = float(rng.choice(small.parameters(every)))
    shape = nearest_shape(small, target, budget, 0.02)
    sizes = small.parameters(every)
    distances = np.square(every - target).sum(1)
    fitting = abs(sizes / budget - 1) <= 0.02
    surely = abs(sizes / budget - 1) <= 0.01
    assert shape is not None
    own = np.square(np.array(shape) - target).sum()
    assert abs(small.parameters(np.array([shape]))[0] / budget - 1) <= 0.02
    assert distances[fitting].min() <= own + 1e-9
    assert own <= distances[surely].min() + 1e-9


def test_none_where_none_has_so_many(small, every):
    sizes = np.sort(small.parameters(every))
    place = int(np.argmax(np.diff(sizes)))
    middle = float(sizes[place : place + 2].mean())
    assert nearest_shape(small, np.full(4, 36.0), middle, 1e-6) is None
    with pytest.raises(InputError, match="tolerance"):
        generate(small, ShapeFamily.GOOD, middle, 1e-6)


def test_random_shapes_are_even(small, every):
    """Each of the shapes within the range comes about as often as the others (chance of a false alarm below 1e-4)."""
    from scipy.stats import chisquare

    sizes = small.parameters(every)
    budget = float(np.median(sizes))
    fitting = every[abs(sizes / budget - 1) <= 0.05]
    drawn = random_shapes(small, budget, 40 * len(fitting), np.random.default_rng(0), 0.05)
    kinds, counts = np.unique(drawn, axis=0, return_counts=True)
    assert (kinds == np.unique(fitting, axis=0)).all()
    assert chisquare(counts).pvalue > 1e-4


@pytest.mark.parametrize(("parameters", "tolerance"), [(1e6, 0.01), (1e9, 0.01), (63e6, 0.0), (float("nan"), 0.01)])
def test_budgets_that_no_shape_has(parameters, tolerance):
    with pytest.raises(InputError):
        generate(ShapeGrid(), ShapeFamily.GOOD, parameters, tolerance)


def test_the_profile_of_the_best(small):
    """The last layer matters most in the law, the second least."""
    profile = derive_profile(small, law, [90_000, 110_000]).mean(0)
    assert profile.shape == (4,)
    assert profile.argmax() == 3
    assert profile.argmin() == 1
