"""BOSHNAS's surrogate, improved: a Gaussian process for mean and epistemic uncertainty, an NPN for the noise.

The paper's networks (``explorer.surrogate.surrogate``) learn slowly from the ten to fifty scores of a search. Here a
process over the embedding's leading axes gives the mean μ and the epistemic deviation ξ in closed form. Its
leave-one-out errors train a natural-parameter network, which learns where the noise is larger than elsewhere; the
average level of the aleatoric noise σ is the process's own. All three are twice differentiable, so GOBI climbs
μ + k₁σ + k₂ξ exactly. The acquisition function is on the scale of normal scores.
"""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import Tensor

from explorer.errors import InputError
from explorer.records import Prediction
from explorer.surrogate.contract import ROWS, Points, Region, Surrogate, check_observed
from explorer.surrogate.layers import DTYPE
from explorer.surrogate.npn import NaturalParameterNetwork
from explorer.surrogate.process import AxesProcess
from explorer.surrogate.settings import ProcessSettings
from explorer.surrogate.warp import Warp, normal_scores

WIDTHS = (32, 32)
FEWEST_FOR_NOISE = 8
"""Number of scores below which the noise is assumed to be the same everywhere."""
MOST_FOR_NOISE = 1000
"""Errors that the noise network learns from: a random part if there are more."""


class ProcessSurrogate(Surrogate):
    """Posterior of the score at any point of a region.

    Args:
        seed: seed of all random numbers.
        settings: training and acquisition.
        ordered_axes: whether the coordinates are ordered by falling variance; not so for one-hot features.
    """

    def __init__(self, seed: int, settings: ProcessSettings | None = None, ordered_axes: bool = True) -> None:
        self._seed, self._ordered_axes = seed, ordered_axes
        self.settings = settings or ProcessSettings()
        self._process: AxesProcess | None = None
        self._noise: NaturalParameterNetwork | None = None

    def fit(
        self, x: Points, y: Points, region: Region | None = None, start: ProcessSurrogate | None = None
    ) -> ProcessSurrogate:
        """Fit to observations. See the contract."""
        x, y, region = check_observed(x, y, region)
        low, high = region.box
        self._middle, self._half = torch.tensor((low + high) / 2.0), float((high - low).max()) / 2.0 or 1.0
        self._unit = float(np.abs(y).max()) or 1.0  # avoids overflow of squared huge values
        self._warp = Warp.fit(y / self._unit)
        points, targets = torch.tensor(x), torch.tensor(normal_scores(y))
        self._process = AxesProcess(region.variance, self._ordered_axes).fit(points, targets)
        self._noise = None
        if self.settings.heteroscedastic and len(x) >= FEWEST_FOR_NOISE:
            self._fit_noise(points, self._process.left_out(), None if start is None else start._noise)
        return self

    def _fit_noise(self, points: Tensor, errors: Tensor, start: NaturalParameterNetwork | None) -> None:
        s = self.settings
        if start is not None:
            network, epochs = copy.deepcopy(start), -(-s.epochs // 3)
        else:
            generator = torch.Generator().manual_seed(self._seed)
            network, epochs = NaturalParameterNetwork((points.shape[1], *WIDTHS, 1), generator), s.epochs
        scaled, errors = self._scaled(points), errors / errors.square().mean().sqrt().clamp_min(1e-9)
        some = np.random.default_rng(self._seed).permutation(len(errors))[:MOST_FOR_NOISE]
        part = torch.tensor(some) if len(errors) > MOST_FOR_NOISE else slice(None)
        network.fit(scaled[part], errors[part], epochs, s.learning_rate, s.prior)
        with torch.no_grad():
            self._usual = float(network(scaled)[1].mean())
        self._noise = network

    def _scaled(self, x: Tensor) -> Tensor:
        return (x - self._middle) / self._half

    def _moments(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return mean, noise variance and variance of the function at ``x``, as normal scores."""
        if self._process is None:
            raise InputError("surrogate", "be fitted before it predicts", None, "Call fit first.")
        mean, variance = self._process(x)
        noise = torch.full_like(mean, self._process.noise)
        if self._noise is not None:
            noise = noise * self._noise(self._scaled(x))[1] / self._usual
        return mean, noise, variance

    def acquisition(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return UCB and its uncertain part, as normal scores. See the contract."""
        mean, noise, variance = self._moments(x.to(DTYPE))
        uncertain = self.settings.k_aleatoric * noise.sqrt() + self.settings.k_epistemic * variance.sqrt()
        return mean + uncertain, uncertain

    @torch.no_grad()
    def predict(self, x: Points) -> Prediction:
        """Return the posterior at ``x`` ``[N, d]``, in the units of the targets."""
        points = torch.tensor(np.asarray(x, dtype=np.float64))
        moments = [torch.stack(self._moments(rows)) for rows in points.split(ROWS)]
        mean, noise, variance = torch.cat(moments, 1).numpy() if moments else np.empty((3, 0))
        found = self._warp.posterior(mean, variance, noise)
        return Prediction(self._unit * found.mean, self._unit * found.aleatoric, self._unit * found.epistemic)
