"""How far latency depends on the shape at equal parameters, on one machine and across machines.

The variance of a logarithm (of seconds, or of perplexity for comparison) over measured shapes is split into three by
predictions of held-out shapes:

* **parameters**: the share that a smooth curve of the number of parameters explains;
* **shape**: the additional share that the widths of the layers explain;
* **rest**: the remainder: measurement noise, and effects outside a linear model in the one-hot widths of all layers and
  the products of adjacent ones.

A share may be slightly negative, which means 0. Intervals of 95 % come from resampling the shapes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import rankdata, spearmanr

from explorer.errors import InputError
from explorer.supershaper.shapes.grid import Array, ShapeGrid, Shapes

if TYPE_CHECKING:
    # scikit-learn is imported lazily, because it takes a second and the app's pages import this module.
    from sklearn.model_selection import KFold
    from sklearn.pipeline import Pipeline

FEWEST = 20
"""Fewest shapes for a split of the variance."""
FOLDS = 10
RESAMPLES = 1000
STRENGTHS = tuple(float(strength) for strength in np.geomspace(1e-1, 1e4, 11))
Interval = tuple[float, float]


@dataclass(frozen=True)
class VarianceShares:
    """The split of the variance of a logarithm over shapes.

    Attributes:
        count: measured shapes.
        spread: standard deviation of the natural logarithm; 0.1 is about 10 %.
        parameters, shape, rest: shares that add up to 1.
        shape_range: 95 % interval of ``shape``.
        at_equal_parameters: standard deviation of the logarithm around the curve of the parameters.
        explained_there: share of that variance that the shape explains.
        explained_range: 95 % interval of it.
    """

    count: int
    spread: float
    parameters: float
    shape: float
    rest: float
    shape_range: Interval
    at_equal_parameters: float
    explained_there: float
    explained_range: Interval


@dataclass(frozen=True, eq=False)
class Agreement:
    """Rank correlations (Spearman) of machines, for shapes that all of them timed.

    Attributes:
        devices: D machines.
        count: shapes.
        overall: of the latencies, ``[D, D]``.
        at_equal_parameters: of the residuals after the parameters, ``[D, D]``. Near 0, being fast for its size on one
            machine says nothing about another.
        parameters: of each machine's latencies with the number of parameters, ``[D]``.
    """

    devices: tuple[str, ...]
    count: int
    overall: Array
    at_equal_parameters: Array
    parameters: Array


def _curve() -> Pipeline:
    from sklearn.linear_model import LinearRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import PolynomialFeatures, StandardScaler

    return make_pipeline(StandardScaler(), PolynomialFeatures(3), LinearRegression())


def _folds(seed: int) -> KFold:
    from sklearn.model_selection import KFold

    return KFold(FOLDS, shuffle=True, random_state=seed)


def _features(grid: ShapeGrid, shapes: Shapes) -> Array:
    """Return one-hot widths of all layers, counts of each width, and products of adjacent widths."""
    hot = np.eye(len(grid.widths))[grid.places(shapes)]  # [N, L, W]
    joints = 1.0 / grid.widths[-1] ** 2 * shapes[:, :-1] * shapes[:, 1:]
    return np.concatenate([hot.reshape(len(shapes), -1), hot.sum(1), joints], axis=1)


def _checked(shapes: Shapes, values: Array) -> Array:
    if len(shapes) < FEWEST or np.shape(values) != (len(shapes),):
        rule = f"be those of at least {FEWEST} shapes, one each"
        raise InputError("measurements", rule, (len(shapes), len(values)), "Measure more shapes.")
    if not (np.isfinite(values).all() and (values > 0).all()):
        raise InputError("measurements", "be finite and above 0", float(np.min(values)), "Leave the others out.")
    return np.log(values)


def beyond_parameters(grid: ShapeGrid, shapes: Shapes, values: Array, seed: int = 0) -> Array:
    """Return the logarithms ``[N]`` of values relative to held-out predictions from parameters: 0.01 is 1 % more.

    Args:
        grid: the shapes' grid.
        shapes: ``[N, L]``.
        values: measured, above 0, ``[N]``.
        seed: seed of the folds.

    Raises:
        InputError: there are fewer than ``FEWEST``, or a value is not above 0.
    """
    from sklearn.model_selection import cross_val_predict

    logs = _checked(shapes, values)
    sizes = np.log(grid.parameters(shapes).astype(np.float64))[:, None]
    return logs - cross_val_predict(_curve(), sizes, logs, cv=_folds(seed))


def variance_shares(grid: ShapeGrid, shapes: Shapes, values: Array, seed: int = 0) -> VarianceShares:
    """Split the variance of measurements, see the module. Arguments and errors are those of ``beyond_parameters``."""
    from sklearn.linear_model import RidgeCV
    from sklearn.model_selection import cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    left = beyond_parameters(grid, shapes, values, seed)
    logs = np.log(values)
    total = np.square(logs - logs.mean())
    model = make_pipeline(StandardScaler(), RidgeCV(STRENGTHS))
    predicted = cross_val_predict(model, _features(grid, shapes), left, cv=_folds(seed + 1))
    before, after = np.square(left), np.square(left - predicted)
    drawn = np.random.default_rng(seed).integers(len(logs), size=(RESAMPLES, len(logs)))
    sums = [part[drawn].sum(1) for part in (total, before, after)]
    shares = (sums[1] - sums[2]) / sums[0]
    explained = 1.0 - sums[2] / sums[1]
    return VarianceShares(
        len(logs),
        float(np.sqrt(total.mean())),
        float(1.0 - before.sum() / total.sum()),
        float((before.sum() - after.sum()) / total.sum()),
        float(after.sum() / total.sum()),
        _interval(shares),
        float(np.sqrt(before.mean())),
        float(1.0 - after.sum() / before.sum()),
        _interval(explained),
    )


def _interval(values: Array) -> Interval:
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def device_agreement(grid: ShapeGrid, shapes: Shapes, latency: Mapping[str, Array], seed: int = 0) -> Agreement:
    """Return the rank correlations between machines.

    Args:
        grid: the shapes' grid.
        shapes: ``[N, L]``.
        latency: seconds ``[N]`` by machine; NaN where not measured.
        seed: seed of the folds.

    Raises:
        InputError: the table has no machine, or fewer than ``FEWEST`` shapes were timed by all.
    """
    if not latency:
        raise InputError("latencies", "have at least one machine", 0, "Measure some.")
    seconds = np.stack(list(latency.values()), axis=1)
    known = np.isfinite(seconds).all(axis=1)
    shapes, seconds = shapes[known], seconds[known]
    left = np.stack([beyond_parameters(grid, shapes, column, seed) for column in seconds.T], axis=1)
    sizes = grid.parameters(shapes)
    return Agreement(
        tuple(latency),
        len(shapes),
        _ranked(seconds),
        _ranked(left),
        np.array([spearmanr(sizes, column).statistic for column in seconds.T]),
    )


def _ranked(columns: Array) -> Array:
    """Return Spearman's correlations ``[D, D]`` of columns ``[N, D]``."""
    return np.atleast_2d(np.corrcoef(rankdata(columns, axis=0), rowvar=False))
