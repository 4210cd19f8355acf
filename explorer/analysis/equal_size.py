"""Does heterogeneity help at equal size?

Larger architectures may score higher and differ more from layer to layer, so heterogeneity and score are compared among
those of about one size, or with what the size explains taken out.

Scores are such that more is better, parameters are counted as everywhere, heterogeneity runs from 0 to 1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

FEWEST = 5
"""Scored architectures below which a rank correlation says nothing."""
RESAMPLES = 1000
BAND = (0.025, 0.975)
KINDS = ("homogeneous", "heterogeneous")
Array = NDArray[np.float64]


@dataclass(frozen=True)
class RankCorrelation:
    """Spearman's, with a bootstrap interval.

    Attributes:
        rho: -1 to 1; not a number where there are too few architectures or nothing differs.
        low: 2.5 % quantile over bootstrap samples.
        high: 97.5 % quantile.
        scored: architectures behind it.
    """

    rho: float
    low: float
    high: float
    scored: int


def rank_correlation(points: pd.DataFrame, given_size: bool = False, seed: int = 0) -> RankCorrelation:
    """Rank correlation of heterogeneity and score.

    Args:
        points: ``heterogeneity, score, parameters``, one row per architecture, without gaps.
        given_size: whether what the ranks of the parameters explain is taken out of both first (partial correlation).
        seed: of the bootstrap.
    """
    columns = [points[name].to_numpy(dtype=np.float64) for name in ("heterogeneity", "score", "parameters")]
    count = len(points)
    rho = _rho(columns, given_size)
    if count < FEWEST or not math.isfinite(rho):
        return RankCorrelation(math.nan, math.nan, math.nan, count)
    generator = np.random.default_rng(seed)
    drawn = [generator.integers(count, size=count) for _ in range(RESAMPLES)]
    found = np.array([_rho([column[rows] for column in columns], given_size) for rows in drawn])
    found = found[np.isfinite(found)]
    low, high = np.quantile(found, BAND) if len(found) else (math.nan, math.nan)
    return RankCorrelation(rho, float(low), float(high), count)


def _rho(columns: list[Array], given_size: bool) -> float:
    x, y, size = (rankdata(column) for column in columns)
    if given_size:
        x, y = _without(x, size), _without(y, size)
    x, y = x - x.mean(), y - y.mean()
    scale = math.sqrt(float(x @ x) * float(y @ y))
    # What rounding leaves of equal values is no difference.
    return float(x @ y) / scale if scale > 1e-9 * len(x) ** 2 else math.nan


def _without(values: Array, size: Array) -> Array:
    """The values less what a line through the sizes explains of them."""
    centred = size - size.mean()
    square = float(centred @ centred)
    slope = float(centred @ (values - values.mean())) / square if square > 0 else 0.0
    return np.asarray(values - values.mean() - slope * centred, dtype=np.float64)


def size_bins(points: pd.DataFrame, bins: int) -> pd.Series:
    """The bin of size that each architecture is in: ``1: 31,344 to 82,000 parameters``, by quantiles.

    Args:
        points: indexed by id, with ``parameters``.
        bins: how many, as far as the sizes differ.
    """
    sizes = points["parameters"].astype(float)
    codes = pd.qcut(sizes, bins, labels=False, duplicates="drop") if sizes.nunique() > 1 else sizes * 0.0
    titles = {
        code: f"{int(code) + 1}: {group.min():,.0f} to {group.max():,.0f} parameters"
        for code, group in sizes.groupby(codes)
    }
    return codes.map(titles).rename("bin")


def beyond_size(points: pd.DataFrame) -> pd.Series:
    """Score less what a line through the logarithm of the parameters explains of it, by id."""
    logs = np.log(points["parameters"].to_numpy(dtype=np.float64).clip(min=1.0))
    rest = _without(points["score"].to_numpy(dtype=np.float64), logs)
    return pd.Series(rest, points.index, name="beyond")


def kinds(points: pd.DataFrame, most: float) -> pd.Series:
    """``homogeneous`` up to this heterogeneity, ``heterogeneous`` above it, by id."""
    return points["heterogeneity"].gt(most + 1e-9).map({False: KINDS[0], True: KINDS[1]}).rename("kind")


def frontier(points: pd.DataFrame) -> pd.Index:
    """Ids of those that no other beats in size or score without losing in the other, by size."""
    ordered = points.sort_values(["parameters", "score"], ascending=[True, False], kind="stable")
    kept: list[bool] = []
    last = (math.nan, -math.inf)  # size and score of the newest one on the frontier
    for size, score in zip(ordered["parameters"], ordered["score"], strict=True):
        # Equals of a frontier's architecture are on it as well.
        kept.append(score > last[1] or (size, score) == last)
        last = (size, score) if score > last[1] else last
    return ordered.index[np.array(kept, dtype=bool)]


def frontiers(points: pd.DataFrame, kind: pd.Series) -> Mapping[str, pd.Index]:
    """The frontier of each kind by itself; empty where there is none of it."""
    return {name: frontier(points[kind == name]) for name in KINDS}
