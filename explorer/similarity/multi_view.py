"""A kernel of many views: Weisfeiler–Lehman counts under several labellings, each brought to one scale, then summed.

For view v let φ_v be a graph's pattern counts (``explorer.similarity.views``) and s_v their total variance over
reference graphs, normally those of the space. With weights w_v that sum to 1,

    d²(x, y) = Σ_v w_v |φ_v(x) − φ_v(y)|² / s_v,

so that a view weighs what its weight says, whatever it counts, and random pairs of the reference have d² = 2 on
average. Counts are not scaled to unit length as in ``weisfeiler_lehman``: how many layers and heads there are matters.
The similarity is exp(−d² / 2): 1 for graphs that no view tells apart, positive definite. The weights are equal but for
refined views, or learned from scores (``explorer.similarity.weights``).

Since d is a Euclidean distance of sparse vectors, classical scaling of all pairs is their principal component
analysis: an embedding needs no matrix of pairs, and any other graph is placed by one product (``principal_axes``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import LinearOperator, svds

from explorer.errors import InputError
from explorer.similarity.blocks import BLOCK_ROWS, RowProducts, squared_norms
from explorer.similarity.contract import Direction, GraphKernel
from explorer.similarity.graph import ArchitectureGraph
from explorer.similarity.views import LabelledNodes, Levels, View, default_views

TINY = 1e-12
ROUNDING = 1e-11
"""What rounding leaves of the squared distance of equal graphs, relative to the squared lengths it comes from."""


@dataclass(frozen=True)
class _Scale:
    """What the reference graphs say.

    Attributes:
        levels: thresholds of the sizes.
        patterns: the patterns of each view, ascending.
        variances: s_v of each view; 0 for one that sees no difference.
    """

    levels: Levels
    patterns: tuple[NDArray[np.uint64], ...]
    variances: NDArray[np.float64]


@dataclass(frozen=True)
class Axes:
    """Principal axes of a library's features; its embedding is ``place(features)``, and so is any other graph's.

    Attributes:
        mean: mean of the features, ``[F]``.
        directions: unit columns ``[F, d]`` by falling variance; zero where there is none left.
        share: part of the total variance that the d axes hold, 0 to 1.
    """

    mean: NDArray[np.float64]
    directions: NDArray[np.float64]
    share: float

    def place(self, features: sparse.csr_matrix) -> NDArray[np.float64]:
        """Coordinates ``[N, d]`` of graphs from their features ``[N, ≥ F]``; columns past F have no part in them."""
        known = features[:, : len(self.mean)]
        return np.asarray(known @ self.directions - self.mean @ self.directions)


class MultiViewKernel(GraphKernel):
    """Sum of Weisfeiler–Lehman kernels over views of the labels.

    Args:
        reference: graphs that thresholds and scales come from, for example those of the space or a sample of it; the
            value of two graphs depends on them and on these two alone.
        views: the views, ``default_views()`` unless given.
        weights: one for each view, at least 0; their prior weights unless given. They are scaled to sum 1 over the
            views that see a difference in the reference.

    Raises:
        InputError: there is no reference graph or no view, a graph has no nodes, or the weights do not fit.
    """

    name = "multi_view"
    direction = Direction.EITHER

    def __init__(
        self,
        reference: Sequence[ArchitectureGraph],
        views: Sequence[View] | None = None,
        weights: Sequence[float] | NDArray[np.float64] | None = None,
    ) -> None:
        super().__init__()
        self.views = default_views() if views is None else tuple(views)
        if not self.views:
            raise InputError("views", "hold at least one view", self.views, "Leave them out for the default ones.")
        if not reference or not all(len(graph) for graph in reference):
            raise InputError("reference", "hold graphs with nodes", len(reference), "Give graphs of the space.")
        self._scale = _scale(reference, self.views)
        given = [view.prior_weight for view in self.views] if weights is None else weights
        self.weights = self._normalised(np.asarray(given, dtype=np.float64))

    def _normalised(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        fits = weights.shape == (len(self.views),) and bool(np.isfinite(weights).all() and (weights >= 0).all())
        if not fits or weights.sum() <= 0:
            rule = f"be {len(self.views)} finite numbers, none below 0 and one above"
            raise InputError("weights", rule, weights.tolist(), "Give one weight for each view.")
        live = np.where(self._scale.variances > 0, weights, 0.0)
        return live / max(float(live.sum()), TINY)

    def weighted(self, weights: Sequence[float] | NDArray[np.float64]) -> MultiViewKernel:
        """A kernel with the same reference and views, fitted on nothing, and other weights ``[V]``.

        Raises:
            InputError: the weights do not fit.
        """
        other = MultiViewKernel.__new__(MultiViewKernel)
        GraphKernel.__init__(other)
        other.views, other._scale = self.views, self._scale
        other.weights = other._normalised(np.asarray(weights, dtype=np.float64))
        return other

    def features(self, graphs: Sequence[ArchitectureGraph]) -> sparse.csr_matrix:
        """Weighted counts ``[N, F + E]``, whose squared Euclidean distances are d².

        The first F columns are the patterns of the reference, the same in every call. The last E are those that occur
        in these graphs only; rows of two calls compare exactly where one of the two has none of them.
        """
        factors = np.sqrt(self.weights / np.maximum(self._scale.variances, TINY))
        blocks = [counts * factor for counts, factor in zip(self._view_counts(graphs), factors, strict=True)]
        sizes = [len(patterns) for patterns in self._scale.patterns]
        known = [block[:, :size] for block, size in zip(blocks, sizes, strict=True)]
        others = [block[:, size:] for block, size in zip(blocks, sizes, strict=True)]
        return sparse.csr_matrix(sparse.hstack([*known, *others], format="csr"))

    def compare(
        self, rows: tuple[ArchitectureGraph, ...], columns: tuple[ArchitectureGraph, ...]
    ) -> NDArray[np.float64]:
        """exp(−d² / 2) ``[M, N]``."""
        features = self.features(columns if rows is columns else (*columns, *rows))
        fitted, others = features[: len(columns)], features[0 if rows is columns else len(columns) :]
        return np.asarray(np.exp(-0.5 * squared_distances(others, fitted)))

    def view_grams(self, graphs: Sequence[ArchitectureGraph]) -> NDArray[np.float64]:
        """Inner products ``[V, N, N]`` of each view's counts, less their mean over ``graphs``, divided by s_v.

        What ``explorer.similarity.weights.learn_weights`` learns from.
        """
        grams = np.zeros((len(self.views), len(graphs), len(graphs)))
        for gram, counts, variance in zip(grams, self._view_counts(graphs), self._scale.variances, strict=True):
            if variance > 0:
                product = np.asarray((counts @ counts.T).toarray()) / variance
                product -= product.mean(axis=0)
                gram[:] = product - product.mean(axis=1, keepdims=True)
        return grams

    def _view_counts(self, graphs: Sequence[ArchitectureGraph]) -> Iterator[sparse.csr_matrix]:
        """Counts of the reference's patterns, then of others, view by view; zeros for one that sees no difference."""
        scale, nodes = self._scale, LabelledNodes(graphs, _depth(self.views))
        for view, patterns, variance in zip(self.views, scale.patterns, scale.variances, strict=True):
            empty = sparse.csr_matrix((len(graphs), len(patterns)))
            yield _counts(nodes, view, scale.levels, patterns) if variance > 0 else empty


def _scale(reference: Sequence[ArchitectureGraph], views: Sequence[View]) -> _Scale:
    nodes = LabelledNodes(reference, _depth(views))
    levels = nodes.levels()
    patterns, variances = [], []
    for view in views:
        found = [numbers for _, numbers in nodes.patterns(view, levels)]
        patterns.append(np.unique(np.concatenate([np.empty(0, dtype=np.uint64), *found])))
        counts = _counts(nodes, view, levels, patterns[-1])
        mean = np.asarray(counts.mean(axis=0)).ravel()
        length = float(squared_norms(counts).mean())
        spread = length - float(mean @ mean)
        variances.append(spread if spread > ROUNDING * length else 0.0)
    return _Scale(levels, tuple(patterns), np.array(variances))


def _depth(views: Sequence[View]) -> int:
    return max(view.depth for view in views)


def _counts(nodes: LabelledNodes, view: View, levels: Levels, patterns: NDArray[np.uint64]) -> sparse.csr_matrix:
    """How often each graph has each pattern ``[N, F + E]``: the F given ones in their order, then the others found."""
    found = list(nodes.patterns(view, levels))
    classes = np.concatenate([np.empty(0, dtype=np.int64), *(classes for classes, _ in found)])
    numbers = np.concatenate([np.empty(0, dtype=np.uint64), *(numbers for _, numbers in found)])
    distinct, column = np.unique(numbers, return_inverse=True)
    others = np.setdiff1d(distinct, patterns, assume_unique=True)
    everything = np.concatenate([patterns, others])
    order = np.argsort(everything)
    place = order[np.searchsorted(everything, distinct, sorter=order)]
    shape = (nodes.counts.shape[1], len(everything))
    meaning = sparse.csr_matrix((np.ones(len(classes)), (classes, place[column])), shape=shape)
    return sparse.csr_matrix(nodes.counts @ meaning)


def squared_distances(first: sparse.csr_matrix, second: sparse.csr_matrix) -> NDArray[np.float64]:
    """d² ``[M, N]`` from features of graphs; columns that only one of the two has count for lengths.

    Args:
        first: rows ``[M, F]`` of ``MultiViewKernel.features``.
        second: rows ``[N, G]``.
    """
    shared = min(first.shape[1], second.shape[1])
    lengths = [squared_norms(rows) for rows in (first, second)]
    squares = (first[:, :shared] @ second[:, :shared].T).toarray()
    squares *= -2.0
    squares += lengths[0][:, None]
    squares += lengths[1]
    squares[squares < _rounding(np.concatenate(lengths))] = 0.0
    return np.asarray(squares)


def _rounding(lengths: NDArray[np.float64]) -> float:
    """Below this a squared distance is what rounding left of 0."""
    return ROUNDING * (1.0 + float(lengths.max(initial=0.0)))


def dissimilarity_blocks(
    features: sparse.csr_matrix, block_rows: int = BLOCK_ROWS
) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Dissimilarities 1 − exp(−d² / 2) of all pairs in blocks of rows, so that memory stays bounded.

    Args:
        features: rows ``[N, F]`` of ``MultiViewKernel.features``.
        block_rows: rows per block.

    Yields:
        (first row, dissimilarities ``[rows, N]`` in [0, 1]).
    """
    products = RowProducts(features)
    tiny = _rounding(products.squares)
    for start in range(0, features.shape[0], block_rows):
        stop = min(start + block_rows, features.shape[0])
        squares = products.block(start, stop)
        squares *= -2.0
        squares += products.squares[start:stop, None]
        squares += products.squares
        squares[squares < tiny] = 0.0
        here = np.arange(stop - start)
        squares[here, start + here] = 0.0
        yield start, -np.expm1(-0.5 * squares)


def principal_axes(features: sparse.csr_matrix, dimensions: int, rng: np.random.Generator) -> Axes:
    """Axes of the embedding that keeps d² best: classical scaling of all pairs, without the pairs.

    Args:
        features: rows ``[N, F]`` of ``MultiViewKernel.features`` of the library.
        dimensions: d, at least 1.
        rng: where the iteration starts.

    Returns:
        The axes; a sign is such that the axis' largest entry is positive.
    """
    count, width = features.shape
    mean = np.asarray(features.mean(axis=0)).ravel()
    total = float(squared_norms(features).sum() - count * (mean @ mean))
    if dimensions < min(count, width) - 1:
        centred = LinearOperator(
            (count, width),
            matvec=lambda x: features @ np.ravel(x) - mean @ np.ravel(x),
            rmatvec=lambda x: features.T @ np.ravel(x) - mean * np.sum(x),
            dtype=np.float64,
        )
        _, values, rows = svds(centred, k=dimensions, v0=rng.standard_normal(min(count, width)))
    else:
        _, values, rows = np.linalg.svd(features.toarray() - mean, full_matrices=False)
    order = np.argsort(values)[::-1][:dimensions]
    order = order[values[order] > 1e-9 * max(float(values.max(initial=0.0)), TINY)]
    chosen = rows[order].T
    signs = np.sign(chosen[np.abs(chosen).argmax(axis=0), np.arange(chosen.shape[1])])
    directions = np.zeros((width, dimensions))
    directions[:, : len(order)] = chosen * signs
    return Axes(mean, directions, float(np.square(values[order]).sum()) / max(total, TINY))
