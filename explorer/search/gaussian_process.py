"""Gaussian process on the vectors of the graph kernel, by BoTorch, with an upper confidence bound.

The distances of the vectors are those of the kernel, so the covariance is a Matérn 5/2 with one length scale for all
dimensions. Length scale and noise maximise the posterior under BoTorch's own priors. A batch is chosen sequentially:
each choice, like each pending trial, counts as an observation of the posterior mean, which reduces the epistemic
uncertainty around it (GP-BUCB, arXiv 1206.6402).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pydantic import NonNegativeFloat, NonNegativeInt, PositiveInt
from pydantic.dataclasses import dataclass

from explorer.records import Proposal
from explorer.search.candidates import Candidates
from explorer.search.extra import import_extra
from explorer.search.initial_design import Array, Indices, InitialDesignPolicy, figures_at
from explorer.surrogate.settings import STRICT

if TYPE_CHECKING:
    from torch import Tensor

LENGTH_PRIOR = (math.sqrt(2.0) + 0.5 * math.log(6.0), math.sqrt(3.0))
"""BoTorch's log-normal prior of length scales for the 6-dimensional unit cube, where the mean squared distance is 1, as
here."""
LEAST_LENGTH = 0.025
ROWS = 1024
"""Points of one prediction; bounds the size of their joint covariance."""


@dataclass(frozen=True, config=STRICT)
class GaussianProcessSettings:
    """Settings of the search with a Gaussian process.

    Attributes:
        initial: random trials before the first fit (failed ones not counted).
        k: weight of the standard deviation in the upper confidence bound.
        iterations: maximum number of optimiser steps of a fit.
    """

    initial: NonNegativeInt = 10
    k: NonNegativeFloat = 1.0
    iterations: PositiveInt = 100


class GaussianProcess(InitialDesignPolicy):
    """Proposes the candidates with the highest upper confidence bound."""

    name: ClassVar[str] = "gp"
    settings_type: ClassVar[type[Any]] = GaussianProcessSettings
    uses_torch: ClassVar[bool] = True
    settings: GaussianProcessSettings

    def __init__(self, candidates: Candidates, seed: int, settings: Mapping[str, Any] | None = None) -> None:
        super().__init__(candidates, seed, settings)
        self._botorch = import_extra("botorch", self.name)
        vectors = candidates.vectors
        self._unit = float(np.sqrt(2.0 * vectors.var(axis=0).sum())) or 1.0  # root mean squared distance of two

    def _choose(self, count: int, free: Indices, number: int) -> list[Proposal]:
        observed, values = self._observed()
        ties = self._generator(1, self._next_number()).random(len(self.candidates))
        proposals: list[Proposal] = []
        with _without_warnings():
            model = self._fitted(observed, values)
            for index in self.pending.tolist():
                model = self._imagined(model, index)
            for _ in range(count):
                mean, deviation = self._posterior(model, free)
                bound = mean + self.settings.k * deviation
                place = int(np.lexsort((ties[free], -bound))[0])
                pick, figures = int(free[place]), figures_at(place, mean=mean, epistemic=deviation, ucb=bound)
                proposals.append(self._proposal(pick, "optimise", figures))
                free = np.delete(free, place)
                if len(proposals) < count:
                    model = self._imagined(model, pick)
        return proposals

    def _points(self, indices: Indices) -> Tensor:
        """Return vectors ``[M, d]`` scaled so that the mean squared distance of two candidates is 1."""
        import torch

        return torch.tensor(self.candidates.vectors[indices] / self._unit)

    def _fitted(self, observed: Indices, values: Array) -> Any:
        import torch
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
            self._points(observed), targets, covar_module=covariance, outcome_transform=None
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            try:
                options = {"maxiter": self.settings.iterations}
                fit_gpytorch_mll_scipy(ExactMarginalLogLikelihood(model.likelihood, model), options=options)
            except ModelFittingError:  # the model then keeps the modes of the priors
                pass
        return model.eval()

    def _imagined(self, model: Any, index: int) -> Any:
        """Return the model conditioned on its own mean at a candidate."""
        import torch

        point = self._points(np.array([index]))
        with torch.no_grad():
            return model.condition_on_observations(point, model.posterior(point).mean)

    def _posterior(self, model: Any, indices: Indices) -> tuple[Array, Array]:
        """Return mean and standard deviation of the function ``[M]``, in standardised units of the observed values."""
        import torch

        means, variances = [], []
        with torch.no_grad():
            for start in range(0, len(indices), ROWS):
                posterior = model.posterior(self._points(indices[start : start + ROWS]))
                means.append(posterior.mean[:, 0].numpy())
                variances.append(posterior.variance[:, 0].numpy())
        return np.concatenate(means), np.sqrt(np.maximum(np.concatenate(variances), 0.0))


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Hide the libraries' warnings (iteration limit, added jitter): the user cannot act on them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
