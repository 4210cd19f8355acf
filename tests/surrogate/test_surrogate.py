"""The surrogate as a whole: shapes, units, determinism, ignorance away from the data, derivatives."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy.stats import spearmanr

from explorer.errors import InputError
from explorer.surrogate import Region, SurrogateSettings
from explorer.surrogate.student import Student
from explorer.surrogate.surrogate import BoshnasSurrogate
from explorer.surrogate.teacher import Teacher


def problem(count: int = 60, dims: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(seed).uniform(-1, 1, size=(count, dims))
    return x, np.sin(2 * x[:, 0]) + x[:, 1] ** 2 - 0.5 * x[:, 2]


def test_prediction_has_one_float64_per_point_and_ranks_unseen_points() -> None:
    x, y = problem(200)
    surrogate = BoshnasSurrogate(0).fit(x[:100], y[:100])
    prediction = surrogate.predict(x[100:])
    for part in (prediction.mean, prediction.aleatoric, prediction.epistemic):
        assert part.shape == (100,)
        assert part.dtype == np.float64
        assert np.isfinite(part).all()
    assert (prediction.aleatoric > 0).all()
    assert (prediction.epistemic > 0).all()
    # The function is smooth and almost free of noise; a linear fit reaches 0.9 on it.
    assert spearmanr(prediction.mean, y[100:])[0] > 0.95


def test_predictions_follow_the_units_of_targets_and_inputs() -> None:
    x, y = problem()
    plain = BoshnasSurrogate(0).fit(x, y).predict(x)
    scaled = BoshnasSurrogate(0).fit(10.0 * x + 3.0, 100.0 * y - 7.0).predict(10.0 * x + 3.0)
    np.testing.assert_allclose(scaled.mean, 100.0 * plain.mean - 7.0, rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(scaled.aleatoric, 100.0 * plain.aleatoric, rtol=1e-5)
    np.testing.assert_allclose(scaled.epistemic, 100.0 * plain.epistemic, rtol=1e-5)


def test_a_seed_decides_and_the_global_generator_is_left_alone() -> None:
    x, y = problem(20)
    quick = SurrogateSettings(epochs=10)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = BoshnasSurrogate(3, quick).fit(x, y).predict(x)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    again, other = (BoshnasSurrogate(seed, quick).fit(x, y).predict(x) for seed in (3, 4))
    np.testing.assert_array_equal(again.mean, first.mean)
    np.testing.assert_array_equal(again.epistemic, first.epistemic)
    assert not np.allclose(other.mean, first.mean)


def test_ucb_is_the_sum_with_the_weights_given() -> None:
    x, y = problem(20)
    surrogate = BoshnasSurrogate(0, SurrogateSettings(epochs=10, k_aleatoric=0.3, k_epistemic=2.0)).fit(x, y)
    prediction = surrogate.predict(x)
    expected = prediction.mean + 0.3 * prediction.aleatoric + 2.0 * prediction.epistemic
    np.testing.assert_allclose(surrogate.ucb(torch.tensor(x)).detach().numpy(), expected)


def test_ucb_has_right_first_and_second_derivatives() -> None:
    x, y = problem(20)
    surrogate = BoshnasSurrogate(0, SurrogateSettings(epochs=10)).fit(x, y)
    points = torch.tensor(x[:3]).requires_grad_()
    assert torch.autograd.gradcheck(surrogate.ucb, (points,))
    assert torch.autograd.gradgradcheck(surrogate.ucb, (points,))


def test_the_student_follows_the_teachers_spread() -> None:
    # Data in one corner of the box, so that the spread varies over it.
    generator = torch.Generator().manual_seed(0)
    seen = torch.rand((60, 3), generator=generator, dtype=torch.float64) - 1.0
    teacher = Teacher(3, 0.1, generator)
    teacher.fit(seen, seen.sum(1).sin(), 150, 0.03, 0.01)
    points = 2.0 * torch.rand((400, 3), generator=generator, dtype=torch.float64) - 1.0
    student = Student(3, generator)
    student.fit(points[:250], teacher.spread(points[:250], 64), 150, 0.03, 0.01)
    with torch.no_grad():
        learned = student(points[250:])
    told = teacher.spread(points[250:], 256)
    assert (learned > 0).all()
    assert spearmanr(learned, told)[0] > 0.85
    assert float(learned.mean()) == pytest.approx(float(told.mean()), rel=0.2)


def test_ignorance_grows_away_from_the_data() -> None:
    generator = np.random.default_rng(0)
    seen = generator.uniform(-1, 0, size=(60, 3))
    region = Region(np.array([np.full(3, -1.0), np.full(3, 1.0)]))
    surrogate = BoshnasSurrogate(0).fit(seen, np.sin(3 * seen.sum(1)), region)
    far = generator.uniform(0.5, 1, size=(60, 3))
    assert surrogate.predict(far).epistemic.mean() > 1.5 * surrogate.predict(seen).epistemic.mean()


def test_passes_are_functions_drawn_from_one_distribution() -> None:
    generator = torch.Generator().manual_seed(0)
    teacher = Teacher(2, 0.3, generator)
    x = torch.tensor([[0.2, 0.4], [0.2, 0.4], [0.9, -0.3]]).double()
    passes = teacher.passes(x, 16)
    assert passes.shape == (16, 3)
    assert torch.equal(passes[:, 0], passes[:, 1])
    assert (passes[:, 0].std() > 0).item()


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("value", [0.0, 5.0, 1e200])
def test_few_and_equal_values_still_give_a_belief(count: int, value: float) -> None:
    x = problem(count)[0]
    surrogate = BoshnasSurrogate(0, SurrogateSettings(epochs=20)).fit(x, np.full(count, value))
    prediction = surrogate.predict(x)
    assert all(np.isfinite(part).all() for part in (prediction.mean, prediction.aleatoric, prediction.epistemic))


def test_huge_values_do_not_overflow() -> None:
    x, y = problem(20)
    quick = SurrogateSettings(epochs=10)
    plain, huge = BoshnasSurrogate(0, quick).fit(x, y), BoshnasSurrogate(0, quick).fit(x, 1e250 * y)
    np.testing.assert_allclose(huge.predict(x).mean / 1e250, plain.predict(x).mean, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (np.zeros((3, 2)), np.zeros(2)),
        (np.zeros(3), np.zeros(3)),
        (np.zeros((0, 2)), np.zeros(0)),
        (np.zeros((2, 2)), np.array([1.0, np.nan])),
    ],
)
def test_bad_data_is_refused(x: np.ndarray, y: np.ndarray) -> None:
    with pytest.raises(InputError, match="x and y must be"):
        BoshnasSurrogate(0).fit(x, y)


def test_a_region_of_other_dimensions_is_refused() -> None:
    with pytest.raises(InputError, match="region"):
        BoshnasSurrogate(0).fit(*problem(5), region=Region(np.ones((2, 3))))


def test_no_prediction_before_a_fit() -> None:
    with pytest.raises(InputError, match="fitted before"):
        BoshnasSurrogate(0).predict(np.zeros((1, 2)))


@pytest.mark.parametrize(
    "bad",
    [{"epochs": 0}, {"passes": 1}, {"dropout": 0.0}, {"learning_rate": 0.0}, {"prior": -1.0}, {"k_epistemic": -1.0}],
)
def test_settings_out_of_range_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match=next(iter(bad))):
        SurrogateSettings(**bad)  # type: ignore[arg-type]
