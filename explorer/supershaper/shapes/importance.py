"""Importance of the layers' widths for perplexity: permutation importance, length scales and partial dependence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from explorer.errors import InputError
from explorer.supershaper.shapes.grid import Array, ShapeGrid, Shapes
from explorer.supershaper.shapes.predictors import PerplexityPredictor

REPEATS = 20


@dataclass(frozen=True, eq=False)
class LayerImportance:
    """Permutation importance of each layer's width.

    Attributes:
        importance: growth of the squared error of held-out losses, as a share of their variance, ``[L]``.
        low, high: 95 % interval over the permutations, ``[L]`` each.
    """

    importance: Array
    low: Array
    high: Array


def layer_importance(
    predictor: PerplexityPredictor,
    shapes: Shapes,
    perplexity: Array,
    rng: np.random.Generator,
    repeats: int = REPEATS,
) -> LayerImportance:
    """Compute the permutation importance (Breiman, 2001) of each layer.

    Args:
        predictor: predictor fitted to other shapes.
        shapes: held out, ``[N, L]``.
        perplexity: their perplexities ``[N]``.
        rng: generator of the permutations.
        repeats: permutations per layer.

    Raises:
        InputError: there are fewer than two shapes.
    """
    if len(shapes) < 2:
        raise InputError("held-out shapes", "be at least 2", len(shapes), "Hold out more.")
    losses = np.log(perplexity)

    def error(rows: Shapes) -> float:
        return float(np.mean(np.square(np.log(predictor.expected(rows)) - losses)) / losses.var())

    known = error(shapes)
    grown = np.empty((repeats, shapes.shape[1]))
    for turn, layer in np.ndindex(grown.shape):
        rows = shapes.copy()
        rows[:, layer] = rng.permutation(rows[:, layer])
        grown[turn, layer] = error(rows) - known
    low, high = np.quantile(grown, [0.025, 0.975], axis=0)
    return LayerImportance(grown.mean(0), low, high)


def width_effects(grid: ShapeGrid, predictor: PerplexityPredictor, shapes: Shapes) -> Array:
    """Return the partial dependence of perplexity on each layer's width, averaged over shapes, ``[L, W]``."""
    effects = np.empty((grid.layers, len(grid.widths)))
    for layer, place in np.ndindex(effects.shape):
        rows = shapes.copy()
        rows[:, layer] = grid.widths[place]
        effects[layer, place] = predictor.expected(rows).mean()
    return effects
