"""A mixture of Gaussian processes over a grid of covariances and noises, weighted by their marginal likelihoods.

Neither length scale nor noise of a covariance is known. All values of a small grid are fitted in closed form from one
eigendecomposition per covariance, and averaged by their marginal likelihoods and a prior of the noise (Rasmussen and
Williams, 2006, chapter 5). Arrays are numpy's or torch's: ``xp`` is the module. With torch, the prediction can be
differentiated in its input.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from scipy.special import softmax

PRIOR_NOISE = 0.3
"""Median of the noise's log-normal prior, in units of the covariance's own variance; its logarithm has deviation 1.
Repeated trainings agree only roughly, and from few scores the likelihood alone often takes all of the spread for
signal."""
CONSTANT = 1.0
"""Covariance of the unknown mean. A covariance of a point with itself is 1 without it."""
_LEAST_SCALE, _TINY, _JITTER = 1e-9, 1e-12, 1e-6

Array = Any
"""A numpy array or a torch tensor."""


@dataclass(frozen=True)
class ProcessPart:
    """Gaussian processes with one covariance and Q noise variances.

    Its posterior at a point with covariances ``k`` ``[m]`` to the m anchors has the mean ``k @ coefficients``, and the
    variance of the prior is reduced by ``square(k @ vectors) @ inverse``. The anchors are the observed points, or some
    of them.

    Attributes:
        coefficients: weights of the anchors in the mean, ``[m, Q]``.
        vectors: directions of the anchors that are known independently, ``[m, m]``.
        inverse: how well each is known, ``[m, Q]``.
        scale: variance of the covariance, ``[Q]``.
        evidence: log marginal likelihood plus log prior, ``[Q]``.
        left_out: computes the error at each observed point if it were left out, ``[n, Q]``; takes time n².
    """

    coefficients: Array
    vectors: Array
    inverse: Array
    scale: Array
    evidence: Array
    left_out: Callable[[], Array]

    @classmethod
    def fit(cls, covariance: Array, targets: Array, noises: Array, xp: ModuleType) -> ProcessPart:
        """Fit to the covariance ``[n, n]`` of the observed points and their targets ``[n]``."""
        values, vectors = xp.linalg.eigh(covariance)
        spectrum = values.clip(min=0.0)[:, None] + noises
        projected = (vectors.T @ targets)[:, None]
        # The maximum-likelihood scale of each noise is known in closed form.
        scale = (xp.square(projected) / spectrum).mean(0).clip(min=_LEAST_SCALE)
        evidence = -0.5 * (len(targets) * xp.log(scale) + xp.log(spectrum).sum(0))
        evidence = evidence - 0.5 * xp.square(xp.log(noises / PRIOR_NOISE))
        coefficients = vectors @ (projected / spectrum)

        def left_out() -> Array:
            return coefficients / (xp.square(vectors) @ (1.0 / spectrum))

        return cls(coefficients, vectors, 1.0 / spectrum, scale, evidence, left_out)

    @classmethod
    def fit_sparsely(cls, anchors: Array, seen: Array, targets: Array, noises: Array, xp: ModuleType) -> ProcessPart:
        """Fit to n observed points through m anchors, in time n m².

        The function at the observed points is taken for its projection on the anchors (deterministic training
        conditional; Quiñonero-Candela and Rasmussen, 2005, section 5). With all points as anchors it is ``fit``.

        Args:
            anchors: covariance of the anchors, ``[m, m]``.
            seen: covariance of the observed points with the anchors, ``[n, m]``.
            targets: normal scores of the observed points, ``[n]``.
            noises: noise variances, ``[Q]``.
            xp: ``numpy`` or ``torch``.
        """
        count, size = seen.shape
        # Some anchors may be equal.
        root = xp.linalg.inv(xp.linalg.cholesky(anchors + _JITTER * xp.eye(size, dtype=anchors.dtype))).T
        values, axes = xp.linalg.eigh(root.T @ (seen.T @ seen) @ root)
        values, vectors = values.clip(min=0.0)[:, None], root @ axes
        spectrum = values + noises
        projected = (vectors.T @ (seen.T @ targets))[:, None]
        unexplained = (targets @ targets - (xp.square(projected) / spectrum).sum(0)) / noises
        scale = (unexplained / count).clip(min=_LEAST_SCALE)
        determinant = xp.log(spectrum).sum(0) + (count - size) * xp.log(noises)
        evidence = -0.5 * (count * xp.log(scale) + determinant) - 0.5 * xp.square(xp.log(noises / PRIOR_NOISE))
        coefficients = vectors @ (projected / spectrum)

        def left_out() -> Array:
            free = 1.0 - xp.square(seen @ vectors) @ (1.0 / spectrum)
            return (targets[:, None] - seen @ coefficients) / free

        return cls(coefficients, vectors, values / spectrum, scale, evidence, left_out)


class ProcessMixture:
    """A mixture of Gaussian processes, fitted to n observed points.

    Args:
        parts: processes of P hypotheses about the covariance.
        noises: Q noise variances, in units of the covariance's own.
        xp: ``numpy`` or ``torch``.
        negligible: parts with a smaller share of the evidence are dropped.

    Attributes:
        kept: indices of the covariances that were not dropped.
    """

    def __init__(self, parts: Sequence[ProcessPart], noises: Array, xp: ModuleType, negligible: float = 0.0) -> None:
        self._xp, self._noises = xp, noises
        evidence = xp.stack([part.evidence for part in parts])
        weights = getattr(xp, "softmax", softmax)(evidence.reshape(-1), 0).reshape(evidence.shape)
        kept = weights.sum(1) >= negligible
        self.kept = [i for i, keep in enumerate(kept.tolist()) if keep]
        self._parts = [parts[i] for i in self.kept]
        self._weights = weights[kept] / weights[kept].sum()  # [P kept, Q]

    def left_out(self) -> Array:
        """Return the error at each observed point if it were left out, averaged as the mean is, ``[n]``."""
        weighted = [part.left_out() @ weight for part, weight in zip(self._parts, self._weights, strict=True)]
        return self._xp.stack(weighted).sum(0)

    @property
    def noise(self) -> float:
        """Variance of the observations around the function."""
        scales = self._xp.stack([part.scale for part in self._parts])
        return float((self._weights * scales * self._noises).sum())

    def __call__(self, seen: Sequence[Array]) -> tuple[Array, Array]:
        """Return mean and variance of the function at M points, ``[M]`` each.

        Args:
            seen: covariance of the M points with the anchors under each kept hypothesis, ``[M, m]`` each.
        """
        xp = self._xp
        means, variances = [], []
        for covariance, part, weight in zip(seen, self._parts, self._weights, strict=True):
            means.append(covariance @ part.coefficients)  # [M, Q]
            # All noises share the eigenvectors, so sum over the noises before the product.
            known = xp.square(covariance @ part.vectors) @ (part.inverse * part.scale * weight).sum(1)
            variances.append((1.0 + CONSTANT) * (part.scale * weight).sum() - known)
        every = xp.stack(means)  # [P, M, Q]
        weights = self._weights[:, None, :]
        mean = (weights * every).sum((0, 2))
        between = (weights * xp.square(every - mean[:, None])).sum((0, 2))
        return mean, xp.stack(variances).sum(0).clip(min=_TINY) + between
