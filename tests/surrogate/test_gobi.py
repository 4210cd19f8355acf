"""GOBI on functions whose maxima are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from explorer.errors import InputError
from explorer.surrogate.gobi import climb, derivatives, newton_step

DIMS = 5
LOW, HIGH = -2.0 * np.ones(DIMS), 2.0 * np.ones(DIMS)


def quadratic(seed: int = 0) -> tuple[Tensor, Tensor]:
    """A positive definite matrix of condition about 100 and a maximum inside the box."""
    g = torch.Generator().manual_seed(seed)
    q, _ = torch.linalg.qr(torch.randn((DIMS, DIMS), generator=g, dtype=torch.float64))
    matrix = q @ torch.diag(torch.logspace(-1, 1, DIMS, dtype=torch.float64)) @ q.T
    return matrix, torch.rand(DIMS, generator=g, dtype=torch.float64) - 0.5


def starts(count: int = 12, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(LOW, HIGH, size=(count, DIMS))


def test_one_step_solves_a_quadratic() -> None:
    matrix, best = quadratic()

    def objective(x: Tensor) -> Tensor:
        return 3.0 - 0.5 * ((x - best) @ matrix * (x - best)).sum(1)

    found = climb(objective, starts(), LOW, HIGH, steps=1, reach=10.0)
    np.testing.assert_allclose(found.points, np.tile(best.numpy(), (12, 1)), atol=1e-9)
    np.testing.assert_allclose(found.values, 3.0)


def test_a_step_is_no_longer_than_its_reach() -> None:
    matrix, best = quadratic()
    begin = starts()
    found = climb(lambda x: -((x - best) @ matrix * (x - best)).sum(1), begin, LOW, HIGH, steps=1, reach=0.05)
    lengths = np.linalg.norm(found.points - begin, axis=1)
    assert (lengths <= 0.05 * np.linalg.norm(HIGH - LOW) + 1e-12).all()
    assert (lengths > 0).all()


def test_derivatives_against_differences() -> None:
    # Central differences of step 1e-4 err by about 1e-8 in the gradient and, by rounding, 1e-7 in the Hessian.
    def objective(x: Tensor) -> Tensor:
        return (x[:, 0] * x[:, 1].exp() + (x * x.roll(1, 1)).sum(1)).sin()

    points = torch.tensor(starts(4))
    values, gradient, hessian = derivatives(objective, points)
    torch.testing.assert_close(values, objective(points))
    step = 1e-4 * torch.eye(DIMS, dtype=torch.float64)
    for i in range(DIMS):
        slope = (objective(points + step[i]) - objective(points - step[i])) / 2e-4
        torch.testing.assert_close(gradient[:, i], slope, rtol=1e-4, atol=1e-5)
        for j in range(DIMS):
            up, down = (objective(points + step[i] + s * step[j]) for s in (1, -1))
            up_low, down_low = (objective(points - step[i] + s * step[j]) for s in (1, -1))
            bend = (up - down - up_low + down_low) / 4e-8
            torch.testing.assert_close(hessian[:, i, j], bend, rtol=1e-4, atol=1e-4)


def test_a_step_goes_uphill_even_where_newtons_would_not() -> None:
    # A saddle x² - y² at (1, 1): Newton goes to the saddle, the saddle-free step away from it in x.
    gradient = torch.tensor([[2.0, -2.0]]).double()
    hessian = torch.diag(torch.tensor([2.0, -2.0]).double())[None]
    held = torch.zeros((1, 2), dtype=torch.bool)
    torch.testing.assert_close(newton_step(gradient, hessian, held, 1e-3), torch.tensor([[1.0, -1.0]]).double())


def test_flat_directions_are_floored() -> None:
    gradient = torch.tensor([[1.0, 1.0]]).double()
    hessian = torch.diag(torch.tensor([-10.0, 0.0]).double())[None]
    held = torch.zeros((1, 2), dtype=torch.bool)
    torch.testing.assert_close(newton_step(gradient, hessian, held, 0.01), torch.tensor([[0.1, 10.0]]).double())


def test_the_maximum_on_the_border_is_found() -> None:
    # The free maximum lies outside; the constrained one is not its projection, as the matrix is not diagonal.
    matrix, _ = quadratic()
    outside = torch.tensor([3.0, 0.0, -2.5, 0.3, 0.0]).double()

    def objective(x: Tensor) -> Tensor:
        return -((x - outside) @ matrix * (x - outside)).sum(1)

    found = climb(objective, starts(), LOW, HIGH, steps=60)
    fine = torch.tensor(starts()).double()
    for _ in range(20_000):  # oracle: projected gradient ascent with a small step
        fine = (fine - 0.04 * (fine - outside) @ matrix).clamp(-2.0, 2.0)
    np.testing.assert_allclose(found.values, objective(fine).numpy(), rtol=1e-6)


def test_many_starts_find_the_best_of_many_maxima() -> None:
    # cos(3x) on top of a bowl: 4^5 local maxima or so in the box, the best at 0 with value 5.
    def objective(x: Tensor) -> Tensor:
        return (torch.cos(3.0 * x) - 0.3 * x.square()).sum(1)

    begin = starts(300)
    found = climb(objective, begin, LOW, HIGH, steps=30)
    before = objective(torch.tensor(begin)).numpy()
    assert (found.values >= before).all()
    np.testing.assert_allclose(found.values, objective(torch.tensor(found.points)).numpy())
    assert found.values.max() == pytest.approx(5.0, abs=1e-9)
    assert found.values.max() > before.max() + 0.5


def test_rows_do_not_see_each_other() -> None:
    def objective(x: Tensor) -> Tensor:
        return (torch.cos(3.0 * x) - 0.3 * x.square()).sum(1)

    begin = starts(6)
    together = climb(objective, begin, LOW, HIGH).points
    alone = np.concatenate([climb(objective, row[None], LOW, HIGH).points for row in begin])
    np.testing.assert_allclose(together, alone, atol=1e-9)


def test_a_linear_objective_ends_in_the_corner() -> None:
    slope = torch.tensor([1.0, -1.0, 2.0, -0.5, 0.1]).double()
    found = climb(lambda x: x @ slope, starts(), LOW, HIGH, steps=40)
    np.testing.assert_allclose(found.points, np.tile(2.0 * np.sign(slope.numpy()), (12, 1)))


def test_starts_outside_are_brought_in_and_a_flat_objective_moves_nothing() -> None:
    found = climb(lambda x: 0.0 * x.sum(1), 5.0 * np.ones((1, DIMS)), LOW, HIGH)
    np.testing.assert_array_equal(found.points, HIGH[None])


def test_a_step_into_nan_is_not_taken() -> None:
    # log is undefined beyond x = 1.5; the full step from near there would cross.
    def objective(x: Tensor) -> Tensor:
        return (x + 0.1 * torch.log(1.5 - x)).sum(1)

    found = climb(objective, np.zeros((1, DIMS)), LOW, HIGH, steps=40)
    np.testing.assert_allclose(found.points, 1.4 * np.ones((1, DIMS)), atol=1e-6)


@pytest.mark.parametrize(
    ("begin", "low", "high"), [(starts()[0], LOW, HIGH), (starts(), LOW[:2], HIGH), (starts(), HIGH, LOW)]
)
def test_bad_boxes_are_refused(begin: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
    with pytest.raises(InputError, match="low ≤ high"):
        climb(lambda x: x.sum(1), begin, low, high)


def test_an_objective_of_the_wrong_shape_is_refused() -> None:
    with pytest.raises(InputError, match="one value per point"):
        climb(lambda x: x, starts(), LOW, HIGH)
