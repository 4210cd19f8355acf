"""The contract of a surrogate: a posterior of the score, and an acquisition function that can be differentiated."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from explorer.errors import InputError
from explorer.records import Prediction

if TYPE_CHECKING:
    from torch import Tensor

Points = NDArray[np.float64]
ROWS = 2048
"""Points evaluated in one batch; bounds memory."""


@dataclass(frozen=True, eq=False)
class Region:
    """The region where a surrogate predicts.

    Attributes:
        points: points that represent the region, ``[M, d]``, M ≥ 1, finite; for example all candidates.
    """

    points: Points

    @cached_property
    def box(self) -> tuple[Points, Points]:
        """Lowest and highest corner of the smallest box around the points, ``[d]`` each."""
        return self.points.min(0), self.points.max(0)

    @cached_property
    def variance(self) -> Points:
        """Variance of each coordinate, ``[d]``."""
        return np.asarray(self.points.var(axis=0))


class Surrogate(ABC):
    """Posterior of the score at any point of a region; larger scores are better."""

    @abstractmethod
    def fit(self, x: Points, y: Points, region: Region | None = None, start: Self | None = None) -> Self:
        """Fit to observations; deterministic given seed, data and start.

        Args:
            x: observed points, ``[N, d]``; a point may occur more than once.
            y: their scores, ``[N]``.
            region: where it will predict; the points ``x`` by default.
            start: a surrogate of the same settings, fitted to fewer points, whose networks are trained further.

        Returns:
            Itself.

        Raises:
            InputError: shapes do not match, the observations are empty, or a value is not finite.
        """

    @abstractmethod
    def acquisition(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the upper confidence bound μ + k₁σ + k₂ξ at ``x`` ``[N, d]``, and its uncertain part k₁σ + k₂ξ.

        Returns:
            ``[N]`` each, float64, twice differentiable; on the surrogate's own scale, on which larger is better.

        Raises:
            InputError: the surrogate has not been fitted.
        """

    @abstractmethod
    def predict(self, x: Points) -> Prediction:
        """Return the posterior at ``x`` ``[N, d]``, in the units of the scores. Raises InputError if not fitted."""

    def ucb(self, x: Tensor) -> Tensor:
        """Return the upper confidence bound alone, ``[N]``: the objective of the ascent."""
        return self.acquisition(x)[0]

    def bounds(self, x: Points) -> tuple[Points, Points]:
        """Return ``acquisition`` at many points ``[N, d]``, without gradients; ``[N]`` each."""
        import torch

        with torch.no_grad():
            parts = [self.acquisition(rows) for rows in torch.tensor(x).split(ROWS)]
        ucb, uncertainty = (torch.cat(column).numpy() for column in zip(*parts, strict=True))
        return ucb, uncertainty


def check_observed(x: Points, y: Points, region: Region | None) -> tuple[Points, Points, Region]:
    """Return the observations as float64, and a region. Raises InputError as ``Surrogate.fit`` does."""
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if x.ndim != 2 or y.shape != x.shape[:1] or x.size == 0:
        raise InputError("x and y", "be [N, d] and [N], N ≥ 1", (x.shape, y.shape), "Give one value per point.")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise InputError("x and y", "be finite", "NaN or infinity", "Leave failed trials out.")
    if region is None:
        return x, y, Region(x)
    points = region.points
    if points.ndim != 2 or points.shape[1] != x.shape[1] or len(points) == 0 or not np.isfinite(points).all():
        rule = f"be finite, [M, {x.shape[1]}] with M ≥ 1"
        raise InputError("region", rule, points.shape, "Give the candidates' vectors.")
    return x, y, region
