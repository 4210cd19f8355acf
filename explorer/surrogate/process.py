"""A Gaussian process over an embedding's leading axes, averaged over how many matter, how smooth, and how noisy.

An embedding's axes come by falling variance. From few scores the leading ones say most, from many the others add to
it, and neither number, nor length scale, nor noise is known: all of a small grid are fitted in closed form and averaged
by their marginal likelihoods (Rasmussen and Williams, 2006, chapter 5). Everything is an explicit function of the
input, so mean and deviation can be differentiated twice. Targets are normal scores (``explorer.surrogate.warp``); no
units.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from explorer.surrogate.contract import Points

LEADING = (0.375, 0.625, 1.0)
"""Shares of the axes that are tried: 6, 10 and 16 of 16."""
LENGTHS = (6.0, 20.0, 60.0)
"""Squared length scales, in units of half the mean squared distance of two points of the region on the same axes."""
NOISES = (0.1, 0.3, 1.0)
"""Variances of the noise, in units of the covariance's own."""
PRIOR_NOISE = 0.3
"""Middle of the noise's log-normal prior, which spreads over one power of e. From ten scores the likelihood alone often
takes all of their spread for signal."""
CONSTANT = 1.0
"""Covariance of the unknown mean."""
NEGLIGIBLE = 1e-3
"""Share of the evidence below which a part is left out: most of them, once there are many scores."""
_TINY = 1e-12
_LEAST_SCALE = 1e-9


@dataclass(frozen=True)
class _Part:
    """The process on some axes with one length, for all noises at once.

    Attributes:
        axes: how many leading axes.
        length: squared length scale in the units of the inputs.
        coefficients: weights of the observed points in the mean, for each noise ``[n, Q]``.
        vectors: eigenvectors of the observed points' covariance, ``[n, n]``.
        inverse: 1 / (eigenvalue + noise), ``[n, Q]``.
        scale: variance of the covariance, ``[Q]``.
        evidence: log marginal likelihood and prior, ``[Q]``.
        left_out: error at each observed point if it were left out, ``[n, Q]``.
    """

    axes: int
    length: float
    coefficients: Tensor
    vectors: Tensor
    inverse: Tensor
    scale: Tensor
    evidence: Tensor
    left_out: Tensor


class AxesProcess:
    """Mean and deviation of a function of ``[N, d]`` points.

    Args:
        variance: of each coordinate over the region, ``[d]``.
        ordered_axes: whether the axes are ordered by falling variance; otherwise all of them are always used.
    """

    def __init__(self, variance: Points, ordered_axes: bool = True) -> None:
        dims = len(variance)
        shares = LEADING if ordered_axes else (1.0,)
        self._variance = torch.tensor(variance, dtype=torch.float64)
        self._axes = sorted({max(1, round(share * dims)) for share in shares})

    def fit(self, x: Tensor, targets: Tensor) -> AxesProcess:
        """Learn from points ``[n, d]`` and their normal scores ``[n]``, n ≥ 1."""
        self._x = x
        parts = [self._fit_part(axes, length, targets) for axes in self._axes for length in LENGTHS]
        evidence = torch.stack([part.evidence for part in parts])
        weights = torch.softmax(evidence.flatten(), 0).view_as(evidence)
        kept = weights.sum(1) >= NEGLIGIBLE
        self._parts = [part for part, keep in zip(parts, kept.tolist(), strict=True) if keep]
        self._weights = weights[kept] / weights[kept].sum()
        return self

    def _fit_part(self, axes: int, unit_length: float, targets: Tensor) -> _Part:
        length = unit_length * max(float(self._variance[:axes].sum()), _TINY)
        values, vectors = torch.linalg.eigh(_covariance(self._x, self._x, axes, length))
        noises = torch.tensor(NOISES, dtype=torch.float64)
        spectrum = values.clamp_min(0.0)[:, None] + noises
        projected = (vectors.T @ targets)[:, None]
        # The best scale for each noise is known in closed form.
        scale = (projected.square() / spectrum).mean(0).clamp_min(_LEAST_SCALE)
        evidence = -0.5 * (len(targets) * scale.log() + spectrum.log().sum(0))
        evidence = evidence - 0.5 * (noises / PRIOR_NOISE).log().square()
        coefficients = vectors @ (projected / spectrum)
        own = vectors.square() @ (1.0 / spectrum)
        return _Part(axes, length, coefficients, vectors, 1.0 / spectrum, scale, evidence, coefficients / own)

    def left_out(self) -> Tensor:
        """Error at each observed point if it were left out, averaged as the mean is, ``[n]``."""
        weighted = (part.left_out @ weight for part, weight in zip(self._parts, self._weights, strict=True))
        return torch.stack(list(weighted)).sum(0)

    @property
    def noise(self) -> float:
        """Variance of the observations around the function."""
        noises = torch.tensor(NOISES, dtype=torch.float64)
        scales = torch.stack([part.scale for part in self._parts])
        return float((self._weights * scales * noises).sum())

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance of the function at ``x`` ``[M, d]``; ``[M]`` each, twice differentiable."""
        means, variances = [], []
        for part, weight in zip(self._parts, self._weights, strict=True):
            seen = _covariance(x, self._x, part.axes, part.length)
            means.append(seen @ part.coefficients)  # [M, Q]
            # All noises share the eigenvectors, so their variances are summed before the product is taken.
            known = (seen @ part.vectors).square() @ (part.inverse * part.scale * weight).sum(1)
            variances.append((1.0 + CONSTANT) * (part.scale * weight).sum() - known)
        every = torch.stack(means)  # [parts, M, Q]
        weights = self._weights[:, None, :]
        mean = (weights * every).sum((0, 2))
        between = (weights * (every - mean[:, None]).square()).sum((0, 2))
        return mean, torch.stack(variances).sum(0).clamp_min(_TINY) + between


def _covariance(first: Tensor, second: Tensor, axes: int, length: float) -> Tensor:
    """Matérn 5/2, twice differentiable, and the unknown mean, ``[M, N]``."""
    a, b = first[:, :axes], second[:, :axes]
    squared = a.square().sum(1)[:, None] + b.square().sum(1) - 2.0 * a @ b.T
    far = (5.0 / length * squared.clamp_min(0.0) + _TINY).sqrt()
    return (1.0 + far + far.square() / 3.0) * torch.exp(-far) + CONSTANT
