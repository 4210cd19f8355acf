"""The process over leading axes, and the surrogate made of it: against a plain Gaussian process, and what it learns."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy.spatial.distance import cdist
from scipy.stats import multivariate_normal, norm, spearmanr

from explorer.errors import InputError
from explorer.surrogate import ProcessSettings, Region
from explorer.surrogate.process import LENGTHS, NOISES, AxesProcess
from explorer.surrogate.process_mixture import CONSTANT, PRIOR_NOISE
from explorer.surrogate.process_surrogate import ProcessSurrogate
from explorer.surrogate.warp import normal_scores


def planted(count: int, seed: int = 0, dims: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Points whose axes come by falling variance, and a smooth function of the leading two."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((count, dims)) * np.linspace(1.0, 0.1, dims)
    return x, x[:, 0] + np.sin(2.0 * x[:, 1])


def matern(a: np.ndarray, b: np.ndarray, axes: int, length: float) -> np.ndarray:
    far = np.sqrt(5.0 * cdist(a[:, :axes], b[:, :axes], "sqeuclidean") / length)
    return (1.0 + far + far**2 / 3.0) * np.exp(-far) + CONSTANT


def naive(x: np.ndarray, y: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, variance and left-out errors by dense solves, every member of the grid on its own."""
    variance = x.var(axis=0)
    weights, means, variances, errors = [], [], [], []
    for axes in (3, 5, 8):
        for unit in LENGTHS:
            length = unit * variance[:axes].sum()
            for noise in NOISES:
                gram = matern(x, x, axes, length) + noise * np.eye(len(x))
                scale = y @ np.linalg.solve(gram, y) / len(y)
                likelihood = multivariate_normal(np.zeros(len(y)), scale * gram).logpdf(y)
                weights.append(likelihood + norm(0.0, 1.0).logpdf(np.log(noise / PRIOR_NOISE)))
                seen = matern(others, x, axes, length)
                means.append(seen @ np.linalg.solve(gram, y))
                variances.append(scale * (1.0 + CONSTANT - np.einsum("ij,ji->i", seen, np.linalg.solve(gram, seen.T))))
                gone = []
                for i in range(len(x)):
                    rest = np.arange(len(x)) != i
                    inner = gram[np.ix_(rest, rest)]
                    gone.append(y[i] - (gram[i, rest] @ np.linalg.solve(inner, y[rest])))
                errors.append(gone)
    share = np.exp(np.array(weights) - max(weights))
    share /= share.sum()
    mean = share @ np.array(means)
    variance = share @ (np.array(variances) + (np.array(means) - mean) ** 2)
    return mean, variance, share @ np.array(errors)


def test_it_equals_dense_gaussian_processes_averaged_by_their_likelihood(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("explorer.surrogate.process.NEGLIGIBLE", 0.0)
    x, y = planted(12)
    targets, others = normal_scores(y), planted(30, 1)[0]
    process = AxesProcess(x.var(axis=0)).fit(torch.tensor(x), torch.tensor(targets))
    mean, variance, errors = naive(x, targets, others)
    found = process(torch.tensor(others))
    np.testing.assert_allclose(found[0], mean, atol=1e-6)
    np.testing.assert_allclose(found[1], variance, atol=1e-6)
    np.testing.assert_allclose(process.left_out(), errors, atol=1e-6)


def test_what_is_left_out_hardly_matters() -> None:
    x, y = planted(60)
    process = AxesProcess(x.var(axis=0)).fit(torch.tensor(x), torch.tensor(normal_scores(y)))
    mean, _, _ = naive(x, normal_scores(y), x)
    np.testing.assert_allclose(process(torch.tensor(x))[0], mean, atol=0.02)


def test_the_acquisition_can_be_differentiated_twice() -> None:
    x, y = planted(12)
    surrogate = ProcessSurrogate(0, ProcessSettings(epochs=5)).fit(x, y)
    points = torch.tensor(planted(2, 5)[0]).requires_grad_()
    assert torch.autograd.gradcheck(surrogate.ucb, (points,))
    assert torch.autograd.gradgradcheck(surrogate.ucb, (points,))
    # At an observed point the distance's root has no derivative, but the covariance has.
    at_observed = torch.tensor(x[:2]).requires_grad_()
    (gradient,) = torch.autograd.grad(surrogate.ucb(at_observed).sum(), at_observed, create_graph=True)
    (second,) = torch.autograd.grad(gradient.sum(), at_observed)
    assert torch.isfinite(gradient).all()
    assert torch.isfinite(second).all()


def test_it_ranks_what_it_has_not_seen_from_few_scores() -> None:
    x, y = planted(300)
    prediction = ProcessSurrogate(0).fit(x[:20], y[:20], Region(x)).predict(x[20:])
    assert spearmanr(prediction.mean, y[20:])[0] > 0.85
    assert prediction.mean.min() > y.min() - 3.0
    assert prediction.mean.max() < y.max() + 3.0


def test_noise_is_found_where_it_is() -> None:
    # Left of 0 the function is exact, right of it every value is off by about 1.
    rng = np.random.default_rng(0)
    x = rng.uniform(-1.0, 1.0, (200, 2))
    y = x[:, 1] + np.where(x[:, 0] > 0, rng.normal(0.0, 1.0, 200), 0.0)
    grid = np.stack([np.repeat([-0.6, 0.6], 20), np.tile(np.linspace(-0.8, 0.8, 20), 2)], axis=1)
    found = ProcessSurrogate(0).fit(x, y).predict(grid)
    left, right = found.aleatoric[:20].mean(), found.aleatoric[20:].mean()
    assert right > 2.0 * left
    same = ProcessSurrogate(0, ProcessSettings(heteroscedastic=False)).fit(x, y)
    with torch.no_grad():
        _, noise, _ = same._moments(torch.tensor(grid))
    assert float(noise.std()) == 0.0


def test_ignorance_grows_away_from_the_data() -> None:
    rng = np.random.default_rng(0)
    seen, far = rng.uniform(-1, 0, (40, 3)), rng.uniform(0.5, 1, (40, 3))
    region = Region(np.array([np.full(3, -1.0), np.full(3, 1.0)]))
    surrogate = ProcessSurrogate(0).fit(seen, np.sin(seen.sum(1)), region)
    with torch.no_grad():
        assert surrogate._moments(torch.tensor(far))[2].mean() > 2.0 * surrogate._moments(torch.tensor(seen))[2].mean()


def test_what_is_odd_is_survived_or_refused() -> None:
    x, y = planted(20)
    for values in (np.zeros(20), np.full(20, 1e300), np.where(np.arange(20) == 3, -1e308, y)):
        prediction = ProcessSurrogate(0).fit(x, values).predict(x)
        assert np.isfinite(prediction.mean).all()
    for few in (1, 2):
        assert np.isfinite(ProcessSurrogate(0).fit(x[:few], y[:few]).predict(x).mean).all()
    assert np.isfinite(ProcessSurrogate(0).fit(np.zeros((5, 3)), np.arange(5.0)).predict(np.zeros((2, 3))).mean).all()
    with pytest.raises(InputError, match="fitted"):
        ProcessSurrogate(0).predict(x)
    with pytest.raises(InputError, match="finite"):
        ProcessSurrogate(0).fit(x, np.where(np.arange(20) == 3, np.nan, y))
    with pytest.raises(ValidationError, match="epochs"):
        ProcessSettings(epochs=0)
