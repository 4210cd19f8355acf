"""Variance is split as it was made: by parameters, by shape, by noise."""

import numpy as np
import pytest

from explorer.errors import InputError
from explorer.supershaper.shapes.devices import beyond_parameters, device_agreement, variance_shares
from explorer.supershaper.shapes.grid import ShapeGrid
from shapes import in_bins


@pytest.fixture
def made():
    """300 shapes and three parts of a logarithm: of the parameters, of the shape beyond them, of chance."""
    grid, rng = ShapeGrid(), np.random.default_rng(0)
    shapes = grid.random(300, rng)
    sizes = np.log(grid.parameters(shapes))
    by_size = 0.1 * (sizes - sizes.mean()) / sizes.std()
    first = shapes[:, 0] - shapes[:, 1]
    by_shape = 0.03 * (first - first.mean()) / first.std()
    return grid, shapes, by_size, by_shape, 0.01 * rng.standard_normal(300)


def test_shares(made):
    grid, shapes, by_size, by_shape, noise = made
    whole = 0.1**2 + 0.03**2 + 0.01**2
    found = variance_shares(grid, shapes, np.exp(by_size + by_shape + noise))
    assert found.parameters + found.shape + found.rest == pytest.approx(1.0)
    assert found.parameters == pytest.approx(0.1**2 / whole, abs=0.03)
    assert found.shape == pytest.approx(0.03**2 / whole, abs=0.03)
    assert found.rest == pytest.approx(0.01**2 / whole, abs=0.01)
    assert found.explained_there == pytest.approx(0.9, abs=0.07)
    assert found.shape_range[0] < found.shape < found.shape_range[1]
    assert found.at_equal_parameters == pytest.approx(np.hypot(0.03, 0.01), rel=0.15)
    assert found.count == 300


def test_no_share_where_there_is_none(made):
    grid, shapes, by_size, _, noise = made
    found = variance_shares(grid, shapes, np.exp(by_size + noise))
    assert abs(found.shape) < 0.005
    assert found.explained_there < 0.1
    assert np.log1p(0) == 0


def test_agreement_of_machines(made):
    grid, shapes, by_size, by_shape, noise = made
    one, same, other = (np.exp(by_size + part) for part in (by_shape + noise, by_shape - noise, -by_shape + noise))
    one[:5] = np.nan
    found = device_agreement(grid, shapes, {"one": one, "same": same, "other": other})
    assert found.count == 295
    assert found.devices == ("one", "same", "other")
    assert np.diag(found.overall) == pytest.approx(1.0)
    assert found.at_equal_parameters[0, 1] > 0.7
    assert found.at_equal_parameters[0, 2] < -0.5
    assert found.overall[0, 2] > 0.7
    assert (found.parameters > 0.85).all()


def test_ranks_are_spearmans(made):
    from scipy.stats import spearmanr

    grid, shapes, by_size, by_shape, noise = made
    latency = {"a": np.exp(by_size), "b": np.exp(by_shape + noise)}
    found = device_agreement(grid, shapes, latency)
    assert found.overall[0, 1] == pytest.approx(spearmanr(*latency.values()).statistic)
    left = [beyond_parameters(grid, shapes, column) for column in latency.values()]
    assert found.at_equal_parameters[0, 1] == pytest.approx(spearmanr(*left).statistic)


def test_bins(made):
    grid, shapes, by_size, by_shape, noise = made
    found = in_bins(grid, shapes, np.exp(by_size + by_shape + noise), bins=3)
    assert found.count == (100, 100, 100)
    assert (np.diff(found.parameters) > 0).all()
    assert found.spread == pytest.approx(np.hypot(0.03, 0.01), rel=0.25)


@pytest.mark.parametrize("values", [np.ones(3), np.zeros(300), np.full(300, np.inf)])
def test_measurements_are_checked(made, values):
    grid, shapes = made[:2]
    with pytest.raises(InputError, match="measurements"):
        variance_shares(grid, shapes[: len(values)], values)


def test_at_least_one_machine(made):
    with pytest.raises(InputError, match="latencies"):
        device_agreement(made[0], made[1], {})
