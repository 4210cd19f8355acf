"""What every surrogate inherits, on one whose acquisition function is a formula; and the checks of observations."""

import numpy as np
import pytest
import torch

from explorer.errors import InputError
from explorer.surrogate.contract import ROWS, Region, Surrogate, check_observed


class Plane(Surrogate):
    """μ = x₀ + 10 x₁ with an uncertainty of x₁; records how many points it is asked for at once."""

    def __init__(self):
        self.asked = []

    def fit(self, x, y, region=None, start=None):
        return self

    def acquisition(self, x):
        self.asked.append(len(x))
        return x[:, 0] + 11 * x[:, 1], x[:, 1]

    def predict(self, x):
        raise NotImplementedError


def test_the_bound_alone_is_the_first_part_of_the_acquisition_function():
    x = torch.tensor([[1.0, 2.0], [3.0, -1.0]], dtype=torch.float64)
    assert Plane().ucb(x).tolist() == [23.0, -8.0]


def test_bounds_of_many_points_come_in_their_order_from_bounded_batches():
    points = np.random.default_rng(0).random((ROWS + 5, 2))
    plane = Plane()
    ucb, uncertainty = plane.bounds(points)
    assert plane.asked == [ROWS, 5]
    np.testing.assert_array_equal(ucb, points[:, 0] + 11 * points[:, 1])
    np.testing.assert_array_equal(uncertainty, points[:, 1])
    assert ucb.dtype == uncertainty.dtype == np.float64


def test_bounds_need_no_gradients():
    class Learned(Plane):
        def acquisition(self, x):
            weight = torch.ones((), dtype=torch.float64, requires_grad=True)
            return weight * x[:, 0], weight * x[:, 1]

    ucb, uncertainty = Learned().bounds(np.array([[1.0, 2.0]]))
    assert (ucb.tolist(), uncertainty.tolist()) == ([1.0], [2.0])


def test_a_region_knows_its_box_and_the_variance_of_each_coordinate():
    region = Region(np.array([[0.0, 5.0], [2.0, 5.0], [4.0, -1.0]]))
    low, high = region.box
    assert (low.tolist(), high.tolist()) == ([0.0, -1.0], [4.0, 5.0])
    assert region.variance == pytest.approx([8 / 3, 8.0])


def test_observations_become_float64_and_are_their_own_region():
    x, y, region = check_observed([[1, 2], [3, 4]], [5, 6], None)
    assert (x.dtype, y.dtype) == (np.float64, np.float64)
    assert (x.tolist(), y.tolist()) == ([[1.0, 2.0], [3.0, 4.0]], [5.0, 6.0])
    assert region.points is x


def test_a_region_that_is_given_is_kept():
    region = Region(np.zeros((1, 2)))
    assert check_observed(np.ones((3, 2)), np.zeros(3), region)[2] is region


@pytest.mark.parametrize(
    ("x", "y", "field"),
    [
        (np.ones(3), np.ones(3), "x and y"),
        (np.ones((3, 2)), np.ones(2), "x and y"),
        (np.ones((3, 2)), np.ones((3, 1)), "x and y"),
        (np.ones((0, 2)), np.ones(0), "x and y"),
        (np.ones((3, 0)), np.ones(3), "x and y"),
        (np.array([[np.nan]]), np.ones(1), "x and y"),
        (np.array([[np.inf]]), np.ones(1), "x and y"),
        (np.ones((1, 1)), np.array([np.nan]), "x and y"),
        (np.ones((1, 1)), np.array([-np.inf]), "x and y"),
    ],
)
def test_observations_of_wrong_shape_or_value_are_refused(x, y, field):
    with pytest.raises(InputError) as refused:
        check_observed(x, y, None)
    assert refused.value.field == field


@pytest.mark.parametrize(
    "points", [np.ones(2), np.ones((2, 3)), np.ones((0, 2)), np.array([[0.0, np.nan]]), np.array([[np.inf, 0.0]])]
)
def test_a_region_that_does_not_fit_the_observations_is_refused(points):
    with pytest.raises(InputError) as refused:
        check_observed(np.ones((1, 2)), np.ones(1), Region(points))
    assert refused.value.field == "region"
