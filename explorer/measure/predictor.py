"""Predictions of measurements on a device, fitted to its measurements of other architectures, with an error bar.

All errors are relative: 2 s instead of 1 s is as bad as 2 ms instead of 1 ms. Of four regressors the one with the
lowest mean squared error of logarithms in cross-validation is used:

* ``flops``: a constant and a multiple of the FLOPs, both non-negative. Hard to improve on with few measurements.
* ``additive``: a constant and a multiple of every amount of ``explorer.measure.amounts``, by non-negative least squares
  (Lawson and Hanson, 1974): the device's price of each amount. It extrapolates.
* ``trees``: extremely randomised trees (Geurts et al., 2006) on the logarithms.
* ``mean``: the geometric mean of the last two.

The error bar is the root mean squared error in cross-validation, so it holds for architectures like those measured.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls
from scipy.stats import spearmanr

from explorer.errors import Advice, InputError, Remedy
from explorer.measure.amounts import SIZES, amounts
from explorer.space.spec import ArchitectureSpec

Array = NDArray[np.float64]
FEWEST = 8
"""Minimum number of measured architectures."""
FOLDS = 5
TREES = 100
SHRINKAGE = 1e-3
"""Ridge penalty of the prices, for amounts that are collinear in the measurements."""


class Regressor(Protocol):
    """A regressor of logarithms of values on amounts ``[N, F]``."""

    def fit(self, rows: Array, logs: Array) -> Self:
        """Fit to amounts and the logarithms of their values ``[N]``."""

    def predict(self, rows: Array) -> Array:
        """Predict logarithms ``[N]``."""


class Additive:
    """Linear regression with a non-negative price for every amount and a non-negative constant.

    Args:
        columns: the amounts that have a price; all if ``None``.
    """

    def __init__(self, columns: Sequence[int] | None = None) -> None:
        self._columns = columns

    def _terms(self, rows: Array) -> Array:
        chosen = rows if self._columns is None else rows[:, list(self._columns)]
        return np.concatenate([np.ones((len(rows), 1)), chosen / self._unit], axis=1)

    def fit(self, rows: Array, logs: Array) -> Self:
        """Fit the prices by least squares of relative errors."""
        chosen = rows if self._columns is None else rows[:, list(self._columns)]
        self._unit = np.maximum(chosen.max(axis=0), 1e-300)
        self._middle = float(np.median(logs))
        terms = self._terms(rows)
        relative = terms / np.exp(logs - self._middle)[:, None]
        shrinking = SHRINKAGE * math.sqrt(len(rows)) * np.eye(terms.shape[1])
        targets = np.concatenate([np.ones(len(rows)), np.zeros(terms.shape[1])])
        self._prices, _ = nnls(np.concatenate([relative, shrinking]), targets)
        return self

    def predict(self, rows: Array) -> Array:
        """Predict the logarithms of the sums of prices."""
        return np.asarray(np.log(np.maximum(self._terms(rows) @ self._prices, 1e-12)) + self._middle)


class Trees:
    """Extremely randomised trees.

    Args:
        seed: seed of the splits.
    """

    def __init__(self, seed: int) -> None:
        from sklearn.ensemble import (
            ExtraTreesRegressor,  # Imported late: pages load this module, and sklearn takes a second.
        )

        self._trees = ExtraTreesRegressor(TREES, min_samples_leaf=2, random_state=seed)

    def fit(self, rows: Array, logs: Array) -> Self:
        """Fit the trees."""
        self._trees.fit(rows, logs)
        return self

    def predict(self, rows: Array) -> Array:
        """Predict the means of the leaves."""
        return np.asarray(self._trees.predict(rows))


class Mean:
    """The mean of the predictions of other regressors."""

    def __init__(self, *others: Regressor) -> None:
        self._others = others

    def fit(self, rows: Array, logs: Array) -> Self:
        """Fit all regressors."""
        for other in self._others:
            other.fit(rows, logs)
        return self

    def predict(self, rows: Array) -> Array:
        """Predict the mean."""
        return np.asarray(np.mean([other.predict(rows) for other in self._others], axis=0))


def candidates(seed: int) -> dict[str, Callable[[], Regressor]]:
    """Return the regressors to choose from, by name."""
    return {
        "flops": lambda: Additive([SIZES.index("flops")]),
        "additive": Additive,
        "trees": lambda: Trees(seed),
        "mean": lambda: Mean(Additive(), Trees(seed)),
    }


def held_out(make: Callable[[], Regressor], rows: Array, logs: Array, rng: np.random.Generator) -> Array:
    """Predict each row ``[N]`` by a regressor fitted to the other folds."""
    fold = rng.permutation(len(rows)) % min(FOLDS, len(rows))
    predicted = np.empty(len(rows))
    for one in range(int(fold.max()) + 1):
        inside = fold == one
        predicted[inside] = make().fit(rows[~inside], logs[~inside]).predict(rows[inside])
    return predicted


def all_held_out(rows: Array, logs: Array, seed: int) -> dict[str, Array]:
    """Return the ``held_out`` predictions of every candidate, in the same folds."""
    ways = candidates(seed)
    names = [name for name in ways if name != "mean"]
    found = {name: held_out(ways[name], rows, logs, np.random.default_rng(seed)) for name in names}
    # Reuse the predictions of the mean's parts: fitting them again would give the same.
    return {**found, "mean": (found["additive"] + found["trees"]) / 2}


@dataclass(frozen=True)
class Estimate:
    """A predicted measurement, in the unit of the measurements.

    Attributes:
        value: the prediction.
        low, high: about two thirds of the true values lie between them.
        beyond: whether the architecture's FLOPs or parameters lie outside the range of the measured ones, so that the
            error bar is less reliable.
    """

    value: float
    low: float
    high: float
    beyond: bool


@dataclass(frozen=True)
class DevicePredictor:
    """A fitted predictor of one quantity on one device.

    Attributes:
        method: name of the regressor that was chosen.
        count: number of measured architectures.
        spread: root mean squared error of the natural logarithm in cross-validation; 0.1 is about 10 %.
        rank_correlation: Spearman's, of the held-out predictions in the same cross-validation; NaN if all are equal.
        least, most: smallest and largest FLOPs and parameters of the measured architectures.
    """

    method: str
    count: int
    spread: float
    rank_correlation: float
    least: tuple[float, float]
    most: tuple[float, float]
    regressor: Regressor

    @classmethod
    def fit(cls, specs: Sequence[ArchitectureSpec], values: Sequence[float] | Array, seed: int = 0) -> DevicePredictor:
        """Fit to measurements.

        Args:
            specs: N measured architectures.
            values: ``[N]``, all above 0.
            seed: seed of folds and trees.

        Raises:
            InputError: there are fewer than ``FEWEST`` measurements, the lengths differ, or a value is not positive.
        """
        measured = np.asarray(values, dtype=np.float64)
        if len(specs) < FEWEST or measured.shape != (len(specs),):
            rule = f"be those of at least {FEWEST} architectures, one each"
            raise InputError("measurements", rule, (len(specs), len(measured)), Advice(Remedy.MEASURE_MORE))
        if not (np.isfinite(measured).all() and (measured > 0).all()):
            raise InputError(
                "measurements", "be finite and above 0", float(measured.min()), "Leave out the other values."
            )
        rows, logs = amounts(specs), np.log(measured)
        ways = candidates(seed)
        found = all_held_out(rows, logs, seed)
        method = min(found, key=lambda name: float(np.square(found[name] - logs).mean()))
        ranked = np.ptp(found[method]) > 0 and np.ptp(logs) > 0
        return cls(
            method,
            len(specs),
            float(np.sqrt(np.square(found[method] - logs).mean())),
            float(spearmanr(found[method], logs).statistic) if ranked else math.nan,
            (float(rows[:, 0].min()), float(rows[:, 1].min())),
            (float(rows[:, 0].max()), float(rows[:, 1].max())),
            ways[method]().fit(rows, logs),
        )

    def predict(self, specs: Sequence[ArchitectureSpec]) -> list[Estimate]:
        """Return an estimate for each architecture."""
        if not specs:
            return []
        rows = amounts(specs)
        logs, sizes = self.regressor.predict(rows), rows[:, :2]
        beyond = np.any((sizes < np.array(self.least)) | (sizes > np.array(self.most)), axis=1)
        factor = math.exp(self.spread)
        return [
            Estimate(float(value), float(value) / factor, float(value) * factor, bool(outside))
            for value, outside in zip(np.exp(logs), beyond, strict=True)
        ]
