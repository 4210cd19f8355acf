"""Closed-form moments against sampling and quadrature; the heteroscedastic fit."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import norm

from explorer.surrogate.npn import NaturalParameterNetwork, gaussian_nll, linear_moments, relu_moments


@pytest.mark.parametrize("mean", [-8.0, -1.0, 0.0, 0.3, 2.0, 30.0])
@pytest.mark.parametrize("variance", [1e-4, 0.25, 4.0])
def test_relu_moments_are_those_of_a_rectified_gaussian(mean: float, variance: float) -> None:
    deviation = math.sqrt(variance)
    low, high = max(0.0, mean - 12 * deviation), max(0.0, mean + 12 * deviation)

    def moment(power: int, centre: float) -> float:
        inside = quad(lambda x: (x - centre) ** power * norm.pdf(x, mean, deviation), low, high, epsabs=1e-14)[0]
        return inside + (-centre) ** power * norm.cdf(0.0, mean, deviation)

    expected = moment(1, 0.0)
    got_mean, got_variance = relu_moments(torch.tensor(mean).double(), torch.tensor(variance).double())
    assert float(got_mean) == pytest.approx(expected, rel=1e-6, abs=1e-9)
    assert float(got_variance) == pytest.approx(moment(2, expected), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("point", [True, False])
def test_linear_moments_against_sampling(point: bool) -> None:
    # 400,000 samples: the standard error of a mean is 0.16 % of the deviation, of a variance about 0.3 % of it.
    g = torch.Generator().manual_seed(0)
    mean, weight, bias = (torch.randn(shape, generator=g).double() for shape in ((1, 3), (3, 2), (1, 2)))
    variances = [torch.rand(shape, generator=g).double() for shape in ((1, 3), (3, 2), (1, 2))]

    def draw(centre: torch.Tensor, variance: torch.Tensor) -> torch.Tensor:
        noise = torch.randn((400_000, *centre.shape), generator=g, dtype=torch.float64)
        return centre + variance.sqrt() * noise

    x = mean if point else draw(mean, variances[0])
    samples = x @ draw(weight, variances[1]) + draw(bias, variances[2])
    got = linear_moments(mean, None if point else variances[0], (weight, variances[1]), (bias, variances[2]))
    torch.testing.assert_close(got[0], samples.mean(0), rtol=0.0, atol=0.01 * float(samples.std()))
    torch.testing.assert_close(got[1], samples.var(0), rtol=0.02, atol=0.0)


def test_a_whole_network_against_sampled_networks() -> None:
    # Between layers the method takes units as independent and Gaussian; with weights as noisy as these the error of
    # that is below 5 % of the deviation and 12 % of the variance, while dropping any term of the moments breaks both.
    g = torch.Generator().manual_seed(1)
    network = NaturalParameterNetwork((4, 32, 32, 1), g)
    x = torch.randn((3, 4), generator=g, dtype=torch.float64)
    with torch.no_grad():
        mean, variance = network(x)
        h = x.expand(8_000, 3, 4)
        for i, (weight, bias) in enumerate(network.layers()):
            w, b = (
                m + v.sqrt() * torch.randn((8_000, *m.shape), generator=g, dtype=torch.float64)
                for m, v in (weight, bias)
            )
            h = h @ w + b if i == 2 else (h @ w + b).relu()
    samples = h.squeeze(-1)
    assert ((mean - samples.mean(0)).abs() < 0.05 * samples.std(0)).all()
    torch.testing.assert_close(variance, samples.var(0), rtol=0.12, atol=0.0)


def test_gaussian_nll_is_minus_the_log_density_without_its_constant() -> None:
    expected = -norm.logpdf(1.5, 0.5, math.sqrt(0.3)) - 0.5 * math.log(2 * math.pi)
    got = gaussian_nll(*(torch.tensor(v).double() for v in (0.5, 0.3, 1.5)))
    assert float(got) == pytest.approx(expected)


def test_divergence_is_that_of_the_weights_from_the_prior() -> None:
    network = NaturalParameterNetwork((3, 5, 1), torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = sum(
            torch.distributions.kl_divergence(
                torch.distributions.Normal(mean, variance.sqrt()),
                torch.distributions.Normal(torch.zeros_like(mean), math.sqrt(2.0 / len(mean))),
            ).sum()
            for (mean, variance), _ in network.layers()
        )
        torch.testing.assert_close(network.divergence(), expected)


def test_noise_is_found_where_it_is() -> None:
    generator = np.random.default_rng(0)
    x = generator.uniform(-1, 1, size=(300, 1))
    noise = np.where(x[:, 0] < 0, 0.05, 0.8)
    y = np.sin(2 * x[:, 0]) + noise * generator.normal(size=300)
    network = NaturalParameterNetwork((1, 32, 32, 1), torch.Generator().manual_seed(0))
    network.fit(torch.tensor(x), torch.tensor(y), 150, 0.03, 1.0)
    with torch.no_grad():
        mean, variance = network(torch.tensor([[-0.6], [0.6]]).double())
    quiet, loud = variance.sqrt().tolist()
    assert loud > 2.5 * quiet
    assert loud == pytest.approx(0.8, rel=0.35)
    assert float(mean[0]) == pytest.approx(math.sin(-1.2), abs=0.15)
