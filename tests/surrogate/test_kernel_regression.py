"""Regression on distances: against a plain Gaussian process, on planted data, its units and its deviations."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.stats import multivariate_normal, spearmanr

from explorer.errors import InputError
from explorer.surrogate.kernel_regression import NOISES, KernelRegression, _covariance
from explorer.surrogate.process_mixture import PRIOR_NOISE, ProcessMixture, ProcessPart
from explorer.surrogate.warp import Warp, normal_scores


def planted(count: int, noise: float, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points, a smooth function of them, and noisy scores."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((count, 4))
    truth = x[:, 0] + np.sin(x[:, 1]) - 0.5 * x[:, 2] * x[:, 0]
    return x, truth, truth + noise * rng.standard_normal(count)


def squares(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return cdist(first, second, "sqeuclidean")


def test_the_process_is_the_textbook_one() -> None:
    x, _, y = planted(25, 0.2, 0)
    known, new = x[:20], x[20:]
    targets = (y[:20] - y[:20].mean()) / y[:20].std()

    def covariance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        r = np.sqrt(3.0 * squares(a, b) / 5.0)
        return (1 + r) * np.exp(-r) + 1.0

    np.testing.assert_allclose(_covariance(squares(known, new), 5.0), covariance(known, new))
    part = ProcessPart.fit(covariance(known, known), targets, np.array(NOISES), np)
    evidence = []
    for index, noise in enumerate(NOISES):
        noisy = covariance(known, known) + noise * np.eye(20)
        scale = targets @ np.linalg.solve(noisy, targets) / 20
        solved = np.linalg.solve(noisy, covariance(known, new))
        single = ProcessPart.fit(covariance(known, known), targets, np.array([noise]), np)
        alone = ProcessMixture([single], np.array([noise]), np)
        mean, variance = alone([covariance(new, known)])
        np.testing.assert_allclose(mean, targets @ solved, atol=1e-8)
        expected = scale * (covariance(new, new).diagonal() - (covariance(known, new) * solved).sum(axis=0))
        np.testing.assert_allclose(variance, expected, atol=1e-8)
        assert alone.noise == pytest.approx(scale * noise)
        others = np.arange(1, 20)
        without = covariance(known[:1], known[1:]) @ np.linalg.solve(noisy[np.ix_(others, others)], targets[1:])
        assert part.left_out()[0, index] == pytest.approx(targets[0] - without[0])
        assert alone.left_out()[0] == pytest.approx(targets[0] - without[0])
        log_prior = -0.5 * np.log(noise / PRIOR_NOISE) ** 2
        evidence.append(multivariate_normal(np.zeros(20), scale * noisy).logpdf(targets) + log_prior)
    np.testing.assert_allclose(np.diff(part.evidence), np.diff(evidence), atol=1e-7)


def test_ranks_unseen_points_better_than_the_mean_does_and_the_same_for_a_seed() -> None:
    x, truth, y = planted(160, 0.2, 1)
    model = KernelRegression(3).fit(squares(x[:80], x[:80]), y[:80])
    found = model.predict(squares(x[80:], x[:80]))
    assert spearmanr(found.mean, truth[80:]).statistic > 0.9
    assert np.square(found.mean - truth[80:]).mean() < 0.25 * truth[80:].var()
    again = KernelRegression(3).fit(squares(x[:80], x[:80]), y[:80]).predict(squares(x[80:], x[:80]))
    np.testing.assert_array_equal(again.mean, found.mean)


def test_trees_take_part_where_they_help_and_not_elsewhere() -> None:
    x, _, _ = planted(200, 0.0, 2)
    steps = np.sign(x[:, 0]) + 2.0 * ((x[:, 1] > 0) & (x[:, 2] > 0))
    smooth = x @ np.array([1.0, 0.5, -0.3, 0.2])
    distances = squares(x, x)
    assert KernelRegression().fit(distances, steps).forest_share > 0.1
    assert KernelRegression().fit(distances, smooth).forest_share < 0.05


def test_deviations_cover_as_they_say() -> None:
    inside = []
    for seed in range(4):
        x, _, y = planted(300, 0.5, seed)
        model = KernelRegression(trees=30).fit(squares(x[:100], x[:100]), y[:100])
        found = model.predict(squares(x[100:], x[:100]))
        inside.append(np.abs(y[100:] - found.mean) < np.hypot(found.aleatoric, found.epistemic))
    # One deviation of a normal belief covers 0.68; 800 points leave an error of 0.016, the model the rest.
    assert 0.58 < np.mean(inside) < 0.78


def test_ignorance_grows_away_from_the_scored_points() -> None:
    x, _, y = planted(60, 0.1, 3)
    model = KernelRegression().fit(squares(x, x), y)
    near, far = (model.predict(squares(points, x)).epistemic for points in (x, x + 8.0))
    assert near.max() < far.min()


def test_predictions_follow_the_units_of_the_scores_and_not_those_of_the_distances() -> None:
    x, _, y = planted(40, 0.2, 4)
    plain = KernelRegression().fit(squares(x, x), y).predict(squares(x, x))
    scaled = KernelRegression().fit(9.0 * squares(x, x), 100.0 * y - 7.0).predict(9.0 * squares(x, x))
    np.testing.assert_allclose(scaled.mean, 100.0 * plain.mean - 7.0, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(scaled.aleatoric, 100.0 * plain.aleatoric, rtol=1e-6)
    np.testing.assert_allclose(scaled.epistemic, 100.0 * plain.epistemic, rtol=1e-6)


def test_one_lost_training_does_not_bend_the_others() -> None:
    x, truth, y = planted(120, 0.1, 5)
    bad = y.copy()
    bad[0] -= 1000.0
    scored, others = squares(x[:60], x[:60]), squares(x[60:], x[:60])
    model = KernelRegression().fit(scored, bad[:60])
    assert spearmanr(model.predict(others).mean, truth[60:]).statistic > 0.85


def test_normal_scores_of_ties_and_back() -> None:
    scores = np.array([3.0, 1.0, 1.0, 2.0])
    normal = normal_scores(scores)
    assert normal[1] == normal[2] < normal[3] < normal[0]
    warp = Warp.fit(scores)
    np.testing.assert_allclose(warp.back(normal), scores)
    beyond = warp.back(np.array([normal.min() - 1.0, normal.max() + 1.0]))
    assert beyond[0] < 1.0
    assert beyond[1] > 3.0


@pytest.mark.parametrize("scores", [[1.0, 1.0, 1.0], [0.0, 1.0]])
def test_few_or_equal_scores(scores: list[float]) -> None:
    x = np.arange(float(len(scores)))[:, None]
    found = KernelRegression().fit(squares(x, x), np.array(scores)).predict(squares(x, x))
    for part in (found.mean, found.aleatoric, found.epistemic):
        assert np.isfinite(part).all()


def test_equal_points() -> None:
    distances = np.zeros((12, 12))
    found = KernelRegression().fit(distances, np.arange(12.0)).predict(distances)
    np.testing.assert_allclose(found.mean, found.mean[0])
    assert 4.0 < found.mean[0] < 7.0


def test_what_does_not_fit_is_refused() -> None:
    model = KernelRegression()
    with pytest.raises(InputError, match="fitted"):
        model.predict(np.zeros((1, 1)))
    for distances, scores in (
        (np.zeros((2, 3)), np.zeros(2)),
        (np.zeros((1, 1)), np.zeros(1)),
        (np.zeros((2, 2)), np.array([0.0, np.nan])),
        (-np.ones((2, 2)), np.zeros(2)),
    ):
        with pytest.raises(InputError, match="distances and scores"):
            model.fit(distances, scores)
    model.fit(1.0 - np.eye(3), np.arange(3.0))
    with pytest.raises(InputError, match=r"\[M, 3\]"):
        model.predict(np.zeros((2, 2)))
