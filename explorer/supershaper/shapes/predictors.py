"""Predictors of the perplexity and latency of unmeasured shapes, with error bars.

There are two predictors of perplexity:

* ``gp``: a Gaussian process with one length scale per layer, fitted by marginal likelihood (Rasmussen and Williams,
  2006, chapter 5), on square roots of widths, because wider layers gain less from the same step.
* ``trees``: gradient-boosted trees (Friedman, 2001), the paper's choice; error bars are quantiles of its held-out
  residuals, so they have the same width everywhere.

Both predict the natural logarithm of perplexity, the loss. Intervals are 95 % intervals of a measurement. Latency is
predicted by ``explorer.measure.predictor`` from the amounts of work of a shape.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from explorer.errors import InputError
from explorer.measure.amounts import amounts
from explorer.measure.predictor import DevicePredictor
from explorer.supershaper.shapes.grid import Array, ShapeGrid, Shapes

if TYPE_CHECKING:
    # scikit-learn is imported lazily, because it takes a second and the app's pages import this module.
    from sklearn.ensemble import GradientBoostingRegressor

FEWEST = 20
"""Fewest scored shapes for a predictor of perplexity."""
DEVIATIONS = 1.959964
"""Half width of a normal 95 % interval in standard deviations."""
TAIL = 0.025
FOLDS = 5


@dataclass(frozen=True, eq=False)
class ShapePrediction:
    """Predictions for N shapes.

    Attributes:
        value: expectations ``[N]``.
        low, high: ends of the 95 % interval of a measurement, ``[N]`` each.
    """

    value: Array
    low: Array
    high: Array


class PerplexityPredictor(ABC):
    """A predictor of the perplexity of shapes with any widths; extrapolation is cautious."""

    name: ClassVar[str]

    def fit(self, shapes: Shapes, perplexity: Array) -> Self:
        """Fit to shapes ``[n, L]`` and their perplexities ``[n]``.

        Raises:
            InputError: there are fewer than ``FEWEST``, or a perplexity is not positive and finite.
        """
        values = np.asarray(perplexity, dtype=np.float64)
        if len(shapes) < FEWEST or values.shape != (len(shapes),):
            rule = f"be those of at least {FEWEST} shapes, one each"
            raise InputError("perplexities", rule, (len(shapes), len(values)), "Score more shapes.")
        if not (np.isfinite(values).all() and (values > 0).all()):
            raise InputError("perplexities", "be finite and above 0", float(values.min()), "Leave the others out.")
        self._unit = float(np.max(shapes))
        self._learn(np.asarray(shapes, dtype=np.float64), np.log(values))
        return self

    def predict(self, shapes: Shapes) -> ShapePrediction:
        """Return forecasts for shapes ``[N, L]``."""
        if not len(shapes):
            return ShapePrediction(*np.zeros((3, 0)))
        value, low, high = self._losses(np.asarray(shapes, dtype=np.float64))
        return ShapePrediction(np.exp(value), np.exp(low), np.exp(high))

    def expected(self, shapes: Shapes) -> Array:
        """Return only the expected perplexities ``[N]``, which is faster."""
        return np.exp(self._expected(np.asarray(shapes, dtype=np.float64)))

    @abstractmethod
    def _learn(self, widths: Array, losses: Array) -> None:
        """Fit to losses ``[n]`` of widths ``[n, L]``."""

    @abstractmethod
    def _losses(self, widths: Array) -> tuple[Array, Array, Array]:
        """Return expected losses ``[N]`` and the limits of their intervals."""

    @abstractmethod
    def _expected(self, widths: Array) -> Array:
        """Return expected losses ``[N]``."""


class ProcessPredictor(PerplexityPredictor):
    """A Gaussian process: Matérn 5/2 with a length scale per layer, and noise."""

    name: ClassVar[str] = "gp"

    def _points(self, widths: Array) -> Array:
        return np.sqrt(widths / self._unit)

    def _learn(self, widths: Array, losses: Array) -> None:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

        smooth = Matern(np.full(widths.shape[1], 5.0), (1e-2, 1e4), nu=2.5)
        kernel = ConstantKernel(30.0, (1e-3, 1e5)) * smooth + WhiteKernel(1e-2, (1e-9, 1e1))
        self._process = GaussianProcessRegressor(kernel, normalize_y=True)
        with warnings.catch_warnings():
            # A length scale at its bound means an irrelevant layer or zero noise; it is not an error.
            warnings.simplefilter("ignore", ConvergenceWarning)
            self._process.fit(self._points(widths), losses)

    def _losses(self, widths: Array) -> tuple[Array, Array, Array]:
        value, deviation = self._process.predict(self._points(widths), return_std=True)
        return value, value - DEVIATIONS * deviation, value + DEVIATIONS * deviation

    def _expected(self, widths: Array) -> Array:
        return np.asarray(self._process.predict(self._points(widths)))

    @property
    def length_scales(self) -> Array:
        """Length scales per layer ``[L]`` in units of the square root of the relative width; short ones matter more."""
        return np.asarray(self._process.kernel_.k1.k2.length_scale)

    @property
    def noise(self) -> float:
        """Standard deviation of the measurement noise of the loss."""
        return float(np.sqrt(self._process.kernel_.k2.noise_level) * self._process._y_train_std)


class TreesPredictor(PerplexityPredictor):
    """Gradient-boosted trees.

    Args:
        seed: seed of the row subsampling and of the folds.
        trees: number of trees.
    """

    name: ClassVar[str] = "trees"

    def __init__(self, seed: int = 0, trees: int = 1000) -> None:
        self._seed, self._trees = seed, trees

    def _ensemble(self) -> GradientBoostingRegressor:
        from sklearn.ensemble import GradientBoostingRegressor

        return GradientBoostingRegressor(
            n_estimators=self._trees, max_depth=2, learning_rate=0.05, subsample=0.5, random_state=self._seed
        )

    def _learn(self, widths: Array, losses: Array) -> None:
        from sklearn.model_selection import KFold

        self._mean = self._ensemble().fit(widths, losses)
        errors = np.empty(len(losses))
        for inside, outside in KFold(FOLDS, shuffle=True, random_state=self._seed).split(widths):
            predicted = self._ensemble().fit(widths[inside], losses[inside]).predict(widths[outside])
            errors[outside] = losses[outside] - predicted
        self._low, self._high = np.quantile(errors, [TAIL, 1 - TAIL])

    def _losses(self, widths: Array) -> tuple[Array, Array, Array]:
        value = self._expected(widths)
        return value, value + self._low, value + self._high

    def _expected(self, widths: Array) -> Array:
        return np.asarray(self._mean.predict(widths))


class LatencyPredictor:
    """A predictor of the latency of shapes on one machine, in seconds.

    Args:
        grid: the shapes' grid.
        seed: of folds and trees.
    """

    def __init__(self, grid: ShapeGrid, seed: int = 0) -> None:
        self._grid, self._seed = grid, seed

    def fit(self, shapes: Shapes, seconds: Array) -> Self:
        """Fit to shapes ``[n, L]`` and their latencies ``[n]``. Raises InputError: see ``DevicePredictor.fit``."""
        self.learned = DevicePredictor.fit([self._grid.spec(shape) for shape in shapes], seconds, self._seed)
        self._amounts = self._grid.table(amounts)
        return self

    def predict(self, shapes: Shapes) -> ShapePrediction:
        """Return forecasts for shapes ``[N, L]`` with 95 % intervals."""
        value = self.expected(shapes)
        factor = np.exp(DEVIATIONS * self.learned.spread)
        return ShapePrediction(value, value / factor, value * factor)

    def expected(self, shapes: Shapes) -> Array:
        """Return expected seconds ``[N]``."""
        if not len(shapes):
            return np.zeros(0)
        return np.exp(self.learned.regressor.predict(self._amounts(self._grid.places(shapes))))


PREDICTORS: dict[str, Callable[[int], PerplexityPredictor]] = {
    ProcessPredictor.name: lambda seed: ProcessPredictor(),
    TreesPredictor.name: TreesPredictor,
}
"""Factories of the predictors of perplexity by name; the argument is a seed."""
