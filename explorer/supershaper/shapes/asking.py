"""Predictions and constrained search of shapes, for the command line and the app."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from explorer.errors import InputError
from explorer.supershaper.shapes.evolution import EvolutionResult, EvolutionSettings, Limit, Quantity, search_shapes
from explorer.supershaper.shapes.grid import ShapeGrid, Shapes
from explorer.supershaper.shapes.predictors import PREDICTORS, LatencyPredictor, PerplexityPredictor
from explorer.supershaper.shapes.tables import ShapeTable


class ShapeObjective(StrEnum):
    """The quantity that a search minimises."""

    PERPLEXITY = "perplexity"
    PARAMETERS = "parameters"
    LATENCY = "latency"


@dataclass(frozen=True)
class Interval:
    """A predicted number and the 95 % interval of a measurement."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class ShapeReport:
    """Sizes and predictions of a shape.

    Attributes:
        widths: of its layers.
        parameters: with the bottlenecks between layers merged.
        parameters_unmerged: with all bottlenecks.
        perplexity: predicted perplexity; ``None`` without measured ones.
        latency_s: predicted seconds by machine.
    """

    widths: tuple[int, ...]
    parameters: int
    parameters_unmerged: int
    perplexity: Interval | None
    latency_s: Mapping[str, Interval] = field(default_factory=dict)


@dataclass(frozen=True)
class ShapeLimits:
    """Upper limits of a shape; each is optional.

    Attributes:
        parameters: largest number of parameters, as the grid counts them.
        perplexity: largest predicted perplexity.
        latency_s: largest predicted latency in seconds, by machine.
    """

    parameters: float | None = None
    perplexity: float | None = None
    latency_s: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class ShapePredictors:
    """Fitted predictors of one table.

    Attributes:
        grid: the shapes.
        perplexity: predictor of perplexity; ``None`` if the table has none.
        latency: predictor of latency by machine.
    """

    grid: ShapeGrid
    perplexity: PerplexityPredictor | None
    latency: Mapping[str, LatencyPredictor]

    @classmethod
    def learn(
        cls,
        table: ShapeTable,
        grid: ShapeGrid,
        method: str = "gp",
        devices: Sequence[str] | None = None,
        seed: int = 0,
    ) -> ShapePredictors:
        """Fit to a table.

        Args:
            table: measured shapes.
            grid: their grid.
            method: predictor of perplexity, ``gp`` or ``trees``.
            devices: machines to fit; all machines of the table if ``None``.
            seed: seed of folds and trees.

        Raises:
            InputError: the method is unknown, or there are too few measurements.
            DataError: the table has no such machine.
        """
        if method not in PREDICTORS:
            raise InputError("predictor", f"be one of {', '.join(PREDICTORS)}", method, "Choose one of them.")
        shapes, perplexity = table.scored
        predictor: PerplexityPredictor | None = None
        if len(shapes):
            predictor = PREDICTORS[method](seed).fit(shapes, perplexity)
        wanted = table.latency if devices is None else devices
        latency = {device: LatencyPredictor(grid, seed).fit(*table.timed(device)) for device in wanted}
        return cls(grid, predictor, latency)

    def reports(self, shapes: Shapes) -> list[ShapeReport]:
        """Return the predictions for shapes ``[N, L]`` of the grid."""
        predicted = None if self.perplexity is None else self.perplexity.predict(shapes)
        times = {device: predictor.predict(shapes) for device, predictor in self.latency.items()}
        merged, unmerged = (grid.parameters(shapes) for grid in (self.grid.counting(True), self.grid.counting(False)))
        return [
            ShapeReport(
                tuple(int(width) for width in shape),
                int(merged[row]),
                int(unmerged[row]),
                None
                if predicted is None
                else Interval(float(predicted.value[row]), float(predicted.low[row]), float(predicted.high[row])),
                {
                    device: Interval(float(one.value[row]), float(one.low[row]), float(one.high[row]))
                    for device, one in times.items()
                },
            )
            for row, shape in enumerate(shapes)
        ]

    def _quantity(self, objective: ShapeObjective, device: str | None = None) -> Quantity:
        if objective is ShapeObjective.PARAMETERS:
            return lambda shapes: self.grid.parameters(shapes).astype(np.float64)
        if objective is ShapeObjective.PERPLEXITY:
            if self.perplexity is None:
                raise InputError("perplexity", "have been measured", "none", "Give a table with perplexities.")
            return self.perplexity.expected
        if device is None or device not in self.latency:
            rule = f"be one of: {', '.join(self.latency) or 'none was learned'}"
            raise InputError("device", rule, device, "Name a machine of the table.")
        return self.latency[device].expected

    def search(
        self,
        limits: ShapeLimits,
        objective: ShapeObjective = ShapeObjective.PERPLEXITY,
        device: str | None = None,
        seed: int = 0,
        settings: EvolutionSettings | None = None,
        keep: int = 10,
    ) -> EvolutionResult:
        """Return the shapes with the smallest objective within limits.

        Args:
            limits: limits that must hold.
            objective: quantity to minimise.
            device: machine of the objective, if it is latency.
            seed: seed of the search.
            settings: settings of the evolution.
            keep: number of shapes to return.

        Raises:
            InputError: no limit is given, a quantity was not measured, or no shape within the limits was found.
        """
        kept = []
        if limits.parameters is not None:
            kept.append(Limit("parameters", self._quantity(ShapeObjective.PARAMETERS), limits.parameters))
        if limits.perplexity is not None:
            kept.append(Limit("perplexity", self._quantity(ShapeObjective.PERPLEXITY), limits.perplexity))
        for name, seconds in limits.latency_s.items():
            kept.append(Limit(f"latency in s on {name}", self._quantity(ShapeObjective.LATENCY, name), seconds))
        if not kept:
            raise InputError("limits", "be at least one", "none", "Limit parameters, latency or perplexity.")
        return search_shapes(self.grid, self._quantity(objective, device), kept, seed, settings, keep)
