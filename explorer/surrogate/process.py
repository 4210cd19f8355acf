"""A Gaussian process over an embedding's leading axes, averaged over number of axes, length scale and noise.

The axes of an embedding are ordered by falling variance. From few scores the leading ones say most; with many scores
the others add to it. So the numbers of axes are hypotheses of a mixture, like length scale and noise
(``explorer.surrogate.process_mixture``). Mean and deviation are explicit functions of the input and twice
differentiable. Targets are normal scores (``explorer.surrogate.warp``); no units.
"""

from __future__ import annotations

import torch
from torch import Tensor

from explorer.surrogate.contract import Points
from explorer.surrogate.process_mixture import CONSTANT, ProcessMixture, ProcessPart

LEADING = (0.375, 0.625, 1.0)
"""Shares of the axes to try: 6, 10 and 16 of 16."""
LENGTHS = (6.0, 20.0, 60.0)
"""Squared length scales, in units of half the mean squared distance of two points of the region on the same axes."""
NOISES = (0.1, 0.3, 1.0)
"""Variances of the noise, in units of the covariance's own."""
NEGLIGIBLE = 1e-3
"""Share of the evidence below which a covariance is dropped: most of them, once there are many scores."""
MOST_EXACT = 512
"""Most observations that the process is fitted to exactly, in time n³."""
ANCHORS = 256
"""Observed points through which it is fitted to more of them."""
_TINY = 1e-12


class AxesProcess:
    """Posterior mean and variance of a function of ``[N, d]`` points.

    Args:
        variance: variance of each coordinate over the region, ``[d]``.
        ordered_axes: whether the axes are ordered by falling variance; otherwise all of them are always used.
    """

    def __init__(self, variance: Points, ordered_axes: bool = True) -> None:
        dims = len(variance)
        shares = LEADING if ordered_axes else (1.0,)
        self._variance = torch.tensor(variance, dtype=torch.float64)
        self._axes = sorted({max(1, round(share * dims)) for share in shares})

    def fit(self, x: Tensor, targets: Tensor) -> AxesProcess:
        """Fit to points ``[n, d]`` and their normal scores ``[n]``, n ≥ 1."""
        grid = [(axes, unit * self._spread(axes)) for axes in self._axes for unit in LENGTHS]
        noises = torch.tensor(NOISES, dtype=torch.float64)
        if len(x) <= MOST_EXACT:
            self._anchors = x
            parts = [ProcessPart.fit(_covariance(x, x, *one), targets, noises, torch) for one in grid]
        else:
            self._anchors = z = x[_spread_out(x, ANCHORS)]
            parts = [
                ProcessPart.fit_sparsely(_covariance(z, z, *one), _covariance(x, z, *one), targets, noises, torch)
                for one in grid
            ]
        self._mixture = ProcessMixture(parts, noises, torch, NEGLIGIBLE)
        self._grid = [grid[i] for i in self._mixture.kept]
        return self

    def _spread(self, axes: int) -> float:
        """Return half the mean squared distance of two points of the region on the leading axes."""
        return max(float(self._variance[:axes].sum()), _TINY)

    def left_out(self) -> Tensor:
        """Return the error at each observed point if it were left out, ``[n]``."""
        errors: Tensor = self._mixture.left_out()
        return errors

    @property
    def noise(self) -> float:
        """Variance of the observations around the function."""
        return self._mixture.noise

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and variance of the function at ``x`` ``[M, d]``; ``[M]`` each, twice differentiable."""
        return self._mixture([_covariance(x, self._anchors, axes, length) for axes, length in self._grid])


def _covariance(first: Tensor, second: Tensor, axes: int, length: float) -> Tensor:
    """Return Matérn 5/2, twice differentiable, plus the covariance of the unknown mean, ``[M, N]``."""
    a, b = first[:, :axes], second[:, :axes]
    squared = a.square().sum(1)[:, None] + b.square().sum(1) - 2.0 * a @ b.T
    far = (5.0 / length * squared.clamp_min(0.0) + _TINY).sqrt()
    return (1.0 + far + far.square() / 3.0) * torch.exp(-far) + CONSTANT


def _spread_out(x: Tensor, count: int) -> Tensor:
    """Return the indices of points that are far from each other, ``[count]`` (farthest-first; Gonzalez, 1985)."""
    chosen = [int((x - x.mean(0)).square().sum(1).argmin())]
    distance = (x - x[chosen[0]]).square().sum(1)
    while len(chosen) < count:
        chosen.append(int(distance.argmax()))
        distance = torch.minimum(distance, (x - x[chosen[-1]]).square().sum(1))
    return torch.tensor(chosen)
