"""The grid of shapes and their sizes, vectorised over shapes.

A shape is a row of L widths, one per layer; N shapes are an integer array ``[N, L]``. Parameters are those of
``explorer.measure.size`` (read from tables, so that a million shapes take a second), by default counted as
in the paper: 28,996 tokens, adjacent bottlenecks merged, no pooler and no language head.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from explorer.errors import SpecError
from explorer.measure.size import parameter_cost
from explorer.space.backbones import BERT_BASE, WIDTHS, Backbone
from explorer.space.constraints import AdditiveCost
from explorer.space.spec import ArchitectureSpec

Array = NDArray[np.float64]
Shapes = NDArray[np.int64]
VOCABULARY = 28_996
"""Size of BERT's cased vocabulary, which the paper uses."""


@dataclass(frozen=True, eq=False)
class ChainTable:
    """Q quantities that are sums over layers and pairs of adjacent layers, tabulated over the W widths.

    All entries are relative to the narrowest shape.

    Attributes:
        base: quantities of the narrowest shape, ``[Q]``.
        layer: increment of another width of one layer, ``[L, W, Q]``.
        pair: additional increment of two adjacent widths, ``[W, W, Q]``.
    """

    base: Array
    layer: Array
    pair: Array

    @classmethod
    def of(cls, quantities: Callable[[Shapes], Array], layers: int, widths: int) -> ChainTable:
        """Fit the table from the quantities ``[N, Q]`` of about 140 shapes given by width indices ``[N, L]``."""
        single = np.zeros((layers, widths, layers), dtype=np.int64)
        for layer in range(layers):
            single[layer, :, layer] = np.arange(widths)
        double = np.zeros((widths, widths, layers), dtype=np.int64)
        if layers > 1:
            double[..., 0], double[..., 1] = np.indices((widths, widths))
        found = [quantities(rows.reshape(-1, layers)) for rows in (single[:1, :1], single, double)]
        base = found[0][0]
        alone = found[1].reshape(layers, widths, -1) - base
        pair = found[2].reshape(widths, widths, -1) - base
        if layers > 1:
            pair = pair - alone[0][:, None] - alone[1][None]
        return cls(base, alone, pair)

    def __call__(self, places: NDArray[np.int64]) -> Array:
        """Return the quantities ``[N, Q]`` of shapes given by width indices ``[N, L]``."""
        total = self.base + np.zeros((len(places), 1))
        for layer, column in enumerate(places.T):
            total = total + self.layer[layer, column]
            if layer:
                total = total + self.pair[places[:, layer - 1], column]
        return total


@dataclass(frozen=True)
class ShapeGrid:
    """All shapes with certain widths on a backbone.

    Attributes:
        widths: W choices of each layer, ascending.
        backbone: sizes that all shapes share.
        vocabulary: vocabulary size, for the number of parameters.
        merged: whether parameters are counted with adjacent bottlenecks merged, as a shape is deployed.

    Raises:
        SpecError: the widths are not ascending or do not fit the backbone.
    """

    widths: tuple[int, ...] = WIDTHS
    backbone: Backbone = BERT_BASE
    vocabulary: int = VOCABULARY
    merged: bool = True

    def __post_init__(self) -> None:
        if not self.widths or list(self.widths) != sorted(set(self.widths)):
            raise SpecError("widths", "ascend", list(self.widths), "Sort them and remove duplicates.")
        for width in self.widths:
            self.backbone.spec([width] * self.layers)

    @property
    def layers(self) -> int:
        """L, the number of layers of every shape."""
        return self.backbone.layers

    @property
    def count(self) -> int:
        """The number of shapes."""
        return len(self.widths) ** self.layers

    def check(self, shapes: ArrayLike) -> Shapes:
        """Return the shapes as an integer array ``[N, L]``.

        Raises:
            SpecError: a row does not have one width per layer, or a width is not in the grid.
        """
        rows = np.asarray(shapes)
        if rows.ndim != 2 or rows.shape[1] != self.layers:
            rule = f"have {self.layers} widths each, one per layer"
            raise SpecError("shapes", rule, rows.shape, "Give one row of widths per shape.")
        unknown = rows[~np.isin(rows, self.widths)]
        if unknown.size:
            rule = f"be one of {', '.join(map(str, self.widths))}"
            raise SpecError("width", rule, unknown[0].item(), "Choose the nearest of them.")
        return rows.astype(np.int64)

    def places(self, shapes: Shapes) -> NDArray[np.int64]:
        """Return the indices of the widths in the grid, ``[N, L]``."""
        return np.searchsorted(self.widths, shapes)

    def at(self, places: NDArray[np.int64]) -> Shapes:
        """Return the shapes with these width indices."""
        return np.asarray(self.widths, dtype=np.int64)[places]

    def random(self, count: int, rng: np.random.Generator) -> Shapes:
        """Draw shapes uniformly with replacement."""
        return self.at(rng.integers(len(self.widths), size=(count, self.layers)))

    def spec(self, shape: ArrayLike) -> ArchitectureSpec:
        """Return one shape ``[L]`` as an architecture."""
        return self.backbone.spec([int(width) for width in np.asarray(shape)])

    def table(self, quantities: Callable[[Sequence[ArchitectureSpec]], ArrayLike]) -> ChainTable:
        """Tabulate quantities ``[N, Q]`` of architectures that are sums over layers and adjacent pairs."""

        def values(places: NDArray[np.int64]) -> Array:
            return np.asarray(quantities([self.spec(row) for row in self.at(places)]), dtype=np.float64)

        return ChainTable.of(values, self.layers, len(self.widths))

    @property
    def size(self) -> AdditiveCost:
        """Return the parameters of an architecture, which sampling can target."""
        return parameter_cost(self.vocabulary, backbone=self.backbone.hidden, merged=self.merged)

    @cached_property
    def size_table(self) -> ChainTable:
        """The table of parameters, Q = 1."""
        size = self.size
        return self.table(lambda specs: [[size(spec)] for spec in specs])

    def parameters(self, shapes: Shapes) -> NDArray[np.int64]:
        """Return the parameters ``[N]`` of shapes of the grid."""
        return np.rint(self.size_table(self.places(shapes))[:, 0]).astype(np.int64)

    def counting(self, merged: bool) -> ShapeGrid:
        """Return the same grid with parameters counted merged or unmerged."""
        return self if merged == self.merged else replace(self, merged=merged)

    @cached_property
    def extent(self) -> tuple[int, int]:
        """The parameters of the smallest and of the largest shape."""
        ends = self.parameters(np.array([[self.widths[0]] * self.layers, [self.widths[-1]] * self.layers]))
        return int(ends[0]), int(ends[1])
