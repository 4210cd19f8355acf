"""Heuristic shapes at any number of parameters: good ones by a rule, and the shapes compared in the paper.

A family is a profile: the relative widths of the layers from input to output. Its shape has the requested number of
parameters within a tolerance and is, among all such shapes of the grid, the one nearest to the scaled profile. The
profile of good shapes was derived from searched ones (``benchmarks/shapes.py``):

* the first layer as wide as the mean,
* the next three narrower: 0.8, 0.75 and 0.85 of the mean,
* the middle as the mean, growing slowly,
* the last by far the widest: 1.4 times the mean, as far as the widest choice allows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from explorer.errors import InputError
from explorer.space.backbones import shape_widths
from explorer.space.constraints import Constraint
from explorer.space.sampling import sample_within
from explorer.supershaper.shapes.grid import Array, ShapeGrid, Shapes

TOLERANCE = 0.01
"""Share by which the parameters of a generated shape may differ from the requested number."""
GOOD = (1.0, 0.8, 0.75, 0.85, 0.95, 1.0, 1.0, 1.0, 1.05, 1.05, 1.1, 1.4)
"""The profile of good shapes over twelve layers; its mean is near 1."""
NARROW = 0.2
"""Narrowest relative to widest layer in the paper's families."""
BUCKETS = 4
"""Number of size bins per tolerance; partial shapes in one bin count as equally large."""
BISECTIONS = 30


class ShapeFamily(StrEnum):
    """Kinds of shapes: the rule's, the paper's comparisons, and random."""

    GOOD = "good"
    RECTANGLE = "rectangle"
    BOTTLE = "bottle"
    INVERTED_BOTTLE = "inverted-bottle"
    DIAMOND = "diamond"
    INVERTED_DIAMOND = "inverted-diamond"
    TRIANGLE = "triangle"
    INVERTED_TRIANGLE = "inverted-triangle"
    RANDOM = "random"


def _rising(share: Array) -> Array:
    return NARROW + (1.0 - NARROW) * share


PROFILES: dict[ShapeFamily, Callable[[Array], Array]] = {
    ShapeFamily.GOOD: lambda x: np.interp(x, np.linspace(0.0, 1.0, len(GOOD)), GOOD),
    ShapeFamily.RECTANGLE: np.ones_like,
    ShapeFamily.BOTTLE: lambda x: np.where(x < 0.5, NARROW, 1.0),
    ShapeFamily.INVERTED_BOTTLE: lambda x: np.where(x < 0.5, 1.0, NARROW),
    ShapeFamily.DIAMOND: lambda x: _rising(1.0 - np.abs(2.0 * x - 1.0)),
    ShapeFamily.INVERTED_DIAMOND: lambda x: _rising(np.abs(2.0 * x - 1.0)),
    ShapeFamily.TRIANGLE: _rising,
    ShapeFamily.INVERTED_TRIANGLE: lambda x: _rising(1.0 - x),
}
"""Return relative widths at depths from 0 (first layer) to 1 (last). A triangle is widest at the output."""


@dataclass(frozen=True)
class Generated:
    """A generated shape.

    Attributes:
        widths: widths of the layers.
        parameters: as the grid counts them.
        off: root-mean-square deviation of its widths from the scaled profile, relative to their mean. It is large if
            the grid or the number of parameters does not allow the profile, and 0 for random shapes.
    """

    widths: tuple[int, ...]
    parameters: int
    off: float


def check_budget(grid: ShapeGrid, parameters: float, tolerance: float = TOLERANCE) -> None:
    """Reject a number of parameters that no shape of the grid is close to. Raises InputError."""
    low, high = grid.extent
    if not low * (1 - tolerance) <= parameters <= high * (1 + tolerance):
        raise InputError("parameters", f"be from {low:,} to {high:,}", parameters, "Choose a number in this range.")
    if not 0 < tolerance < 1:
        raise InputError("tolerance", "be above 0 and below 1", tolerance, "Use for example 0.01.")


def random_shapes(
    grid: ShapeGrid, parameters: float, count: int, rng: np.random.Generator, tolerance: float = TOLERANCE
) -> Shapes:
    """Draw shapes ``[count, L]`` uniformly with replacement from all with this number of parameters.

    Raises:
        InputError: no shape has this number.
    """
    check_budget(grid, parameters, tolerance)
    window = Constraint("parameters", grid.size, parameters * (1 - tolerance), parameters * (1 + tolerance))
    found = sample_within(grid.backbone.space(grid.widths), count, rng, [window])
    return np.array([shape_widths(spec) for spec in found])


def nearest_shape(
    grid: ShapeGrid, target: Array, parameters: float, tolerance: float = TOLERANCE
) -> tuple[int, ...] | None:
    """Return the shape with this number of parameters and the smallest squared distance to a target.

    Dynamic programming over layers keeps the nearest partial shape for each last width and size. Sizes are binned by a
    fraction of the tolerance, which is the only approximation.

    Args:
        grid: the shapes.
        target: widths ``[L]``, not necessarily of the grid.
        parameters: number of parameters.
        tolerance: share by which the parameters may differ.

    Returns:
        The widths; ``None`` if no shape has this number of parameters.
    """
    table, widths = grid.size_table, np.array(grid.widths, dtype=np.float64)
    low, high = parameters * (1 - tolerance), parameters * (1 + tolerance)
    bucket = tolerance * parameters / BUCKETS
    least, most = _remaining(grid)
    rows = np.zeros((1, 0), dtype=np.int64)
    sizes, distances = np.array([table.base[0]]), np.zeros(1)
    for layer in range(grid.layers):
        wide = np.tile(np.arange(len(widths)), len(rows))
        before = np.repeat(np.arange(len(rows)), len(widths))
        added = table.layer[layer, wide, 0]
        if layer:
            added = added + table.pair[rows[before, -1], wide, 0]
        new_sizes = sizes[before] + added
        new_distances = distances[before] + np.square(widths[wide] - target[layer])
        open_ = (new_sizes + least[layer][wide] <= high) & (new_sizes + most[layer][wide] >= low)
        kept = np.flatnonzero(open_)
        kept = kept[np.argsort(new_distances[kept], kind="stable")]
        groups = np.stack([wide[kept], np.floor(new_sizes[kept] / bucket).astype(np.int64)], axis=1)
        kept = kept[np.unique(groups, axis=0, return_index=True)[1]]
        rows = np.concatenate([rows[before[kept]], wide[kept][:, None]], axis=1)
        sizes, distances = new_sizes[kept], new_distances[kept]
    if not len(rows):
        return None
    return tuple(int(width) for width in grid.at(rows[int(np.argmin(distances))]))


def _remaining(grid: ShapeGrid) -> tuple[Array, Array]:
    """Return the smallest and largest sizes of the layers after each layer, by its width, ``[L, W]`` each."""
    table, shape = grid.size_table, (grid.layers, len(grid.widths))
    least, most = np.zeros(shape), np.zeros(shape)
    for layer in range(grid.layers - 2, -1, -1):
        step = table.pair[:, :, 0] + table.layer[layer + 1, :, 0]
        least[layer] = (step + least[layer + 1]).min(1)
        most[layer] = (step + most[layer + 1]).max(1)
    return least, most


def shape_like(grid: ShapeGrid, profile: Array, parameters: float, tolerance: float = TOLERANCE) -> Generated:
    """Return the shape with this number of parameters that is nearest to a profile.

    Args:
        grid: the shapes.
        profile: relative widths ``[L]``, above 0.
        parameters: number of parameters.
        tolerance: share by which the parameters may differ.

    Raises:
        InputError: no shape has this number of parameters.
    """
    check_budget(grid, parameters, tolerance)
    widths = np.array(grid.widths, dtype=np.float64)

    def target(scale: float) -> Array:
        return np.clip(scale * profile, widths[0], widths[-1])

    # The scale at which the profile itself would have these parameters if every width were allowed.
    low, high = widths[0] / profile.max(), widths[-1] / profile.min()
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        size = grid.size(grid.backbone.spec(_whole(grid, target(middle))))
        low, high = (middle, high) if size < parameters else (low, middle)
    wanted = target((low + high) / 2)
    shape = nearest_shape(grid, wanted, parameters, tolerance)
    if shape is None:
        rule = f"be had by a shape within {tolerance:.2%}"
        raise InputError("parameters", rule, parameters, "Allow a larger tolerance, or choose another number.")
    off = float(np.sqrt(np.mean(np.square(np.array(shape) - wanted))) / wanted.mean())
    return Generated(shape, int(grid.parameters(np.array([shape]))[0]), off)


def _whole(grid: ShapeGrid, widths: Array) -> list[int]:
    """Return the nearest widths that are multiples of the number of heads."""
    heads = grid.backbone.heads
    return [int(heads * max(1, round(width / heads))) for width in widths]


def generate(
    grid: ShapeGrid,
    family: ShapeFamily,
    parameters: float,
    tolerance: float = TOLERANCE,
    rng: np.random.Generator | None = None,
) -> Generated:
    """Return a shape of a family with this number of parameters.

    Args:
        grid: the shapes.
        family: the family.
        parameters: number of parameters, as the grid counts them.
        tolerance: share by which they may differ.
        rng: generator of random shapes; seed 0 if ``None``.

    Raises:
        InputError: no shape has this number of parameters.
    """
    if family is ShapeFamily.RANDOM:
        shape = random_shapes(grid, parameters, 1, rng or np.random.default_rng(0), tolerance)
        return Generated(tuple(int(width) for width in shape[0]), int(grid.parameters(shape)[0]), 0.0)
    profile = PROFILES[family](np.linspace(0.0, 1.0, grid.layers))
    return shape_like(grid, profile, parameters, tolerance)
