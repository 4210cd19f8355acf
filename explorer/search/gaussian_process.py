"""Gaussian process on the vectors of the graph kernel, by BoTorch.

The vectors' distances are those of the kernel, so the covariance is a Matérn 5/2 of them with one length for all
dimensions. Length and noise are the most probable ones under BoTorch's own priors. A batch is chosen one by one;
each choice, and each trial under way, counts as observed where the mean says, so it takes the doubt around it away
(GP-BUCB, arXiv 1206.6402).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch

from explorer.errors import InputError
from explorer.search.extra import import_extra
from explorer.search.modelled import Array, Choice, Indices, ModelledPolicy, figures_at
from explorer.search.settings import read_settings

LENGTH_PRIOR = (math.sqrt(2.0) + 0.5 * math.log(6.0), math.sqrt(3.0))
"""BoTorch's log-normal prior of lengths for the 6-dimensional unit cube, whose mean squared distance is 1 as here."""
LEAST_LENGTH = 0.025
ROWS = 1024
"""Points of one prediction; their joint covariance is built in between."""


@dataclass(frozen=True)
class GaussianProcessSettings:
    """Settings of the search by a Gaussian process.

    Attributes:
        initial: trials drawn at random before any is learned from (failed ones not counted).
        k: weight of the deviation in the upper confidence bound.
        iterations: most steps of the fit.
    """

    initial: int = 10
    k: float = 1.0
    iterations: int = 100

    def __post_init__(self) -> None:
        if self.iterations < 1:
            raise InputError("gp setting iterations", "be at least 1", self.iterations, "The default is 100.")


class GaussianProcess(ModelledPolicy):
    """Proposes the candidates with the highest upper confidence bound."""

    name: ClassVar[str] = "gp"
    _settings: GaussianProcessSettings

    def _configure(self, settings: Mapping[str, Any]) -> None:
        self._settings = read_settings(GaussianProcessSettings, settings, self.name)
        self._botorch = import_extra("botorch", self.name)
        vectors = self.candidates.vectors
        unit = float(np.sqrt(2.0 * vectors.var(axis=0).sum())) or 1.0  # root of the mean squared distance of two
        self._points = torch.tensor(vectors / unit)

    def _choose(self, count: int, free: Indices) -> list[Choice]:
        observed, values = self._observed()
        ties = self._generator(1, self._next_number()).random(len(self.candidates))
        chosen: list[Choice] = []
        with _quietly():
            model = self._fitted(observed, values)
            for index in self._pending().tolist():
                model = self._imagined(model, index)
            left = free
            for _ in range(count):
                mean, deviation = self._believe(model, left)
                bound = mean + self._settings.k * deviation
                place = int(np.lexsort((ties[left], -bound))[0])
                figures = figures_at(place, mean=mean, epistemic=deviation, ucb=bound)
                chosen.append(Choice(int(left[place]), "optimise", figures))
                left = np.delete(left, place)
                if len(chosen) < count:
                    model = self._imagined(model, chosen[-1].index)
        return chosen

    def _fitted(self, observed: Indices, values: Array) -> Any:
        from botorch.exceptions.errors import ModelFittingError
        from botorch.optim.fit import fit_gpytorch_mll_scipy
        from gpytorch.constraints import GreaterThan
        from gpytorch.kernels import MaternKernel
        from gpytorch.mlls import ExactMarginalLogLikelihood
        from gpytorch.priors import LogNormalPrior

        targets = torch.tensor(values)[:, None]
        prior = LogNormalPrior(*LENGTH_PRIOR)
        least = GreaterThan(LEAST_LENGTH, transform=None, initial_value=prior.mode)
        covariance = MaternKernel(2.5, lengthscale_prior=prior, lengthscale_constraint=least)
        model = self._botorch.models.SingleTaskGP(
            self._points[observed], targets, covar_module=covariance, outcome_transform=None
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            try:
                options = {"maxiter": self._settings.iterations}
                fit_gpytorch_mll_scipy(ExactMarginalLogLikelihood(model.likelihood, model), options=options)
            except ModelFittingError:  # it keeps the priors' values then
                pass
        return model.eval()

    def _imagined(self, model: Any, index: int) -> Any:
        """The model as if a candidate had the value that is expected of it."""
        point = self._points[[index]]
        with torch.no_grad():
            return model.condition_on_observations(point, model.posterior(point).mean)

    def _believe(self, model: Any, indices: Indices) -> tuple[Array, Array]:
        """Mean and deviation of the function ``[M]``, in deviations of the values seen."""
        means, variances = [], []
        with torch.no_grad():
            for start in range(0, len(indices), ROWS):
                posterior = model.posterior(self._points[indices[start : start + ROWS]])
                means.append(posterior.mean[:, 0].numpy())
                variances.append(posterior.variance[:, 0].numpy())
        return np.concatenate(means), np.sqrt(np.maximum(np.concatenate(variances), 0.0))


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep the libraries' remarks (steps ran out, jitter was added) from the user, who cannot act on them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
