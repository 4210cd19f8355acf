"""What BOSHNAS asks of a surrogate: a belief about performance, and an acquisition that can be climbed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from explorer.errors import InputError
from explorer.records import Prediction

Points = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Region:
    """Where a surrogate is asked.

    Attributes:
        points: points that stand for the region, ``[M, d]``, M ≥ 1, finite; for example all candidates.
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
    """Belief about performance at any point of a region; larger is better."""

    @abstractmethod
    def fit(self, x: Points, y: Points, region: Region | None = None, start: Self | None = None) -> Self:
        """Learn; the same for the same seed, data and start.

        Args:
            x: observed points, ``[N, d]``; one point may occur more than once.
            y: their performance, ``[N]``.
            region: where it will be asked; around ``x`` if not given.
            start: a surrogate of the same settings, fitted to fewer points, whose networks training goes on from.

        Returns:
            Itself.

        Raises:
            InputError: shapes do not fit, nothing was observed, or a value is not finite.
        """

    @abstractmethod
    def acquisition(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Upper confidence bound μ + k₁σ + k₂ξ at ``x`` ``[N, d]``, and its uncertain part k₁σ + k₂ξ.

        Returns:
            ``[N]`` each, float64, twice differentiable; on a scale of the surrogate's own on which more is better.

        Raises:
            InputError: nothing was fitted yet.
        """

    @abstractmethod
    def predict(self, x: Points) -> Prediction:
        """Belief at points ``x`` ``[N, d]``, in the units of the targets. Raises InputError if nothing was fitted."""

    def ucb(self, x: Tensor) -> Tensor:
        """The upper confidence bound alone, ``[N]``: what is climbed."""
        return self.acquisition(x)[0]


def check_observed(x: Points, y: Points, region: Region | None) -> tuple[Points, Points, Region]:
    """The observations as float64, and a region. Raises InputError as ``Surrogate.fit`` does."""
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
