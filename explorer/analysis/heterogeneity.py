"""Whether heterogeneity helps at equal size.

Larger architectures may score higher and differ more from layer to layer. So heterogeneity and score are compared among
architectures of similar size, or controlled for size. Scores are larger where better; heterogeneity runs from 0 to 1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from explorer.pareto import pareto_set

FEWEST = 5
"""Fewest scored architectures for a rank correlation."""
RESAMPLES = 1000
BLOCK = 1_000_000
"""Numbers that are ranked together."""
BAND = (0.025, 0.975)
KINDS = ("homogeneous", "heterogeneous")
Array = NDArray[np.float64]


@dataclass(frozen=True)
class RankCorrelation:
    """Spearman's rank correlation with a bootstrap interval.

    Attributes:
        rho: -1 to 1; NaN if there are too few architectures or all values are equal.
        low: 2.5 % quantile over bootstrap samples.
        high: 97.5 % quantile.
        scored: number of architectures.
    """

    rho: float
    low: float
    high: float
    scored: int


def rank_correlation(points: pd.DataFrame, given_size: bool = False, seed: int = 0) -> RankCorrelation:
    """Return the rank correlation of heterogeneity and score.

    Args:
        points: ``heterogeneity, score, parameters``, one row per architecture, without missing values.
        given_size: whether to control for the ranks of the parameters (partial correlation).
        seed: seed of the bootstrap.
    """
    columns = [points[name].to_numpy(dtype=np.float64) for name in ("heterogeneity", "score", "parameters")]
    count = len(points)
    rho = float(_rho(columns, given_size))
    if count < FEWEST or not math.isfinite(rho):
        return RankCorrelation(math.nan, math.nan, math.nan, count)
    generator = np.random.default_rng(seed)
    drawn = np.array([generator.integers(count, size=count) for _ in range(RESAMPLES)])
    blocks = np.array_split(drawn, -(-drawn.size // BLOCK))
    found = np.concatenate([_rho([column[rows] for column in columns], given_size) for rows in blocks])
    found = found[np.isfinite(found)]
    low, high = np.quantile(found, BAND) if len(found) else (math.nan, math.nan)
    return RankCorrelation(rho, float(low), float(high), count)


def _rho(columns: list[Array], given_size: bool) -> Array:
    """Return the rank correlation of the first two columns ``[..., n]``, ``[...]``."""
    x, y, size = (rankdata(column, axis=-1) for column in columns)
    if given_size:
        x, y = _without(x, size), _without(y, size)
    x, y = x - x.mean(axis=-1, keepdims=True), y - y.mean(axis=-1, keepdims=True)
    scale = np.sqrt((x * x).sum(axis=-1) * (y * y).sum(axis=-1))
    # Rounding errors of equal values must not count as differences.
    differ = scale > 1e-9 * x.shape[-1] ** 2
    return np.where(differ, (x * y).sum(axis=-1) / np.where(differ, scale, 1.0), math.nan)


def _without(values: Array, size: Array) -> Array:
    """Return the residuals of a linear regression of the values ``[..., n]`` on the sizes."""
    values, centred = (one - one.mean(axis=-1, keepdims=True) for one in (values, size))
    square = (centred * centred).sum(axis=-1, keepdims=True)
    slope = (centred * values).sum(axis=-1, keepdims=True) / np.where(square > 0, square, 1.0)
    return np.asarray(values - slope * centred, dtype=np.float64)


def size_bins(points: pd.DataFrame, bins: int) -> pd.Series:
    """Return the size bin of each architecture, by quantiles, for example ``1: 31,344 to 82,000 parameters``.

    Args:
        points: indexed by id, with ``parameters``.
        bins: number of bins; fewer result if many sizes are equal.
    """
    sizes = points["parameters"].astype(float)
    codes = pd.qcut(sizes, bins, labels=False, duplicates="drop") if sizes.nunique() > 1 else sizes * 0.0
    titles = {
        code: f"{int(code) + 1}: {group.min():,.0f} to {group.max():,.0f} parameters"
        for code, group in sizes.groupby(codes)
    }
    return codes.map(titles).rename("bin")


def beyond_size(points: pd.DataFrame) -> pd.Series:
    """Return the residuals of a linear regression of the scores on the log of the parameters, by id."""
    logs = np.log(points["parameters"].to_numpy(dtype=np.float64).clip(min=1.0))
    rest = _without(points["score"].to_numpy(dtype=np.float64), logs)
    return pd.Series(rest, points.index, name="beyond")


def kinds(points: pd.DataFrame, most: float) -> pd.Series:
    """Return ``homogeneous`` up to this heterogeneity and ``heterogeneous`` above it, by id."""
    return points["heterogeneity"].gt(most + 1e-9).map({False: KINDS[0], True: KINDS[1]}).rename("kind")


def frontier(points: pd.DataFrame) -> pd.Index:
    """Return the ids of the Pareto set of score and size, by size."""
    gains = np.column_stack([-points["parameters"].to_numpy(float), points["score"].to_numpy(float)])
    front = points.iloc[pareto_set(gains)]
    return front.sort_values("parameters", kind="stable").index


def frontiers(points: pd.DataFrame, kind: pd.Series) -> Mapping[str, pd.Index]:
    """Return the frontier of each kind, computed among its own architectures; empty where there are none."""
    return {name: frontier(points[kind == name]) for name in KINDS}
