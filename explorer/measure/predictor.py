"""What a device would measure on an architecture, learned from what it measured on others, with an error bar.

Everything is about relative errors: a slip from 1 s to 2 s is as bad as one from 1 ms to 2 ms. Four ways to predict
compete, and the one with the least squared error of logarithms in cross-validation is taken:

* ``flops``: a constant and a multiple of the FLOPs, neither below 0. Hard to beat from few measurements.
* ``additive``: a constant and a multiple of every amount of ``explorer.measure.amounts``, none below 0 (non-negative
  least squares; Lawson and Hanson, 1974): a price list of the device. It can be continued beyond what was measured.
* ``trees``: extremely randomised trees (Geurts et al., 2006) on the logarithms.
* ``mean``: the geometric mean of the last two.

The error bar is the spread of the errors that cross-validation saw, so it holds for architectures like those measured.
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

from explorer.errors import InputError
from explorer.measure.amounts import SIZES, amounts
from explorer.space.spec import ArchitectureSpec

Array = NDArray[np.float64]
FEWEST = 8
"""Measured architectures from which a device is learned."""
FOLDS = 5
TREES = 100
SHRINKAGE = 1e-3
"""Weight of the squared prices, which decides between amounts that the measurements cannot tell apart."""


class Regressor(Protocol):
    """Logarithms of values from amounts ``[N, F]``."""

    def fit(self, rows: Array, logs: Array) -> Self:
        """Learn from amounts and the logarithms of their values ``[N]``."""

    def predict(self, rows: Array) -> Array:
        """Logarithms ``[N]``."""


class Additive:
    """A price of at least 0 for every amount, and a constant.

    Args:
        columns: the amounts that have a price; all if ``None``.
    """

    def __init__(self, columns: Sequence[int] | None = None) -> None:
        self._columns = columns

    def _terms(self, rows: Array) -> Array:
        chosen = rows if self._columns is None else rows[:, list(self._columns)]
        return np.concatenate([np.ones((len(rows), 1)), chosen / self._unit], axis=1)

    def fit(self, rows: Array, logs: Array) -> Self:
        """Prices that leave the least squared relative error."""
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
        """Logarithms of the sums of prices."""
        return np.asarray(np.log(np.maximum(self._terms(rows) @ self._prices, 1e-12)) + self._middle)


class Trees:
    """Extremely randomised trees.

    Args:
        seed: of the splits.
    """

    def __init__(self, seed: int) -> None:
        from sklearn.ensemble import ExtraTreesRegressor  # Pages import this module, and it takes a second.

        self._trees = ExtraTreesRegressor(TREES, min_samples_leaf=2, random_state=seed)

    def fit(self, rows: Array, logs: Array) -> Self:
        """Grow the trees."""
        self._trees.fit(rows, logs)
        return self

    def predict(self, rows: Array) -> Array:
        """Means of the leaves."""
        return np.asarray(self._trees.predict(rows))


class Mean:
    """The mean of the logarithms that others predict."""

    def __init__(self, *others: Regressor) -> None:
        self._others = others

    def fit(self, rows: Array, logs: Array) -> Self:
        """Fit all of them."""
        for other in self._others:
            other.fit(rows, logs)
        return self

    def predict(self, rows: Array) -> Array:
        """The mean."""
        return np.asarray(np.mean([other.predict(rows) for other in self._others], axis=0))


def candidates(seed: int) -> dict[str, Callable[[], Regressor]]:
    """The ways to predict that compete."""
    return {
        "flops": lambda: Additive([SIZES.index("flops")]),
        "additive": Additive,
        "trees": lambda: Trees(seed),
        "mean": lambda: Mean(Additive(), Trees(seed)),
    }


def held_out(make: Callable[[], Regressor], rows: Array, logs: Array, rng: np.random.Generator) -> Array:
    """What is predicted for each row ``[N]`` by those fitted on other folds."""
    fold = rng.permutation(len(rows)) % min(FOLDS, len(rows))
    predicted = np.empty(len(rows))
    for one in range(int(fold.max()) + 1):
        inside = fold == one
        predicted[inside] = make().fit(rows[~inside], logs[~inside]).predict(rows[inside])
    return predicted


def all_held_out(rows: Array, logs: Array, seed: int) -> dict[str, Array]:
    """``held_out`` of every candidate, in the same folds."""
    ways = candidates(seed)
    names = [name for name in ways if name != "mean"]
    found = {name: held_out(ways[name], rows, logs, np.random.default_rng(seed)) for name in names}
    # Fitting the mean's parts once more would give the same.
    return {**found, "mean": (found["additive"] + found["trees"]) / 2}


@dataclass(frozen=True)
class Estimate:
    """A predicted measurement, in the unit of the measurements learned from.

    Attributes:
        value: the most likely value.
        low, high: two of three true values lie between them.
        beyond: whether the architecture's FLOPs or parameters lie outside what was measured, so that the error bar
            says less.
    """

    value: float
    low: float
    high: float
    beyond: bool


@dataclass(frozen=True)
class DevicePredictor:
    """A device and a quantity, learned.

    Attributes:
        method: the way to predict that was chosen.
        count: measured architectures it learned from.
        spread: root mean squared error of the natural logarithm in cross-validation; 0.1 is about 10 %.
        rank_correlation: Spearman's, of the held-out predictions in the same cross-validation; NaN if all are equal.
        least, most: smallest and largest FLOPs and parameters learned from.
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
        """Learn from measurements.

        Args:
            specs: N measured architectures.
            values: ``[N]``, all above 0.
            seed: of folds and trees.

        Raises:
            InputError: there are fewer than ``FEWEST``, the lengths differ, or a value is not above 0.
        """
        measured = np.asarray(values, dtype=np.float64)
        if len(specs) < FEWEST or measured.shape != (len(specs),):
            rule = f"be those of at least {FEWEST} architectures, one each"
            raise InputError("measurements", rule, (len(specs), len(measured)), "Measure more with `archex measure`.")
        if not (np.isfinite(measured).all() and (measured > 0).all()):
            raise InputError("measurements", "be finite and above 0", float(measured.min()), "Leave the others out.")
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
        """An estimate for each architecture."""
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
