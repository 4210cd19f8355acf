"""A kernel of many views: Weisfeiler–Lehman counts under several labellings, each brought to one scale, then summed.

For view v let φ_v be a graph's pattern counts (``explorer.similarity.views``) and s_v their total variance over the
fitted graphs. With weights w_v that sum to 1,

    d²(x, y) = Σ_v w_v |φ_v(x) − φ_v(y)|² / s_v,

so that the influence of a view is its weight and not the size of its counts, and random pairs of the fitted graphs have
d² = 2 on average. Counts are not scaled to unit length as in ``weisfeiler_lehman``, because the number of layers and
heads matters. The similarity exp(−d² / 2) is positive definite, and 1 for graphs that no view distinguishes. Weights
are equal, but each refinement of a view halves its weight.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from explorer.errors import InputError
from explorer.similarity.blocks import squared_norms
from explorer.similarity.distances import TINY
from explorer.similarity.explanation import Explanation, explain_counts
from explorer.similarity.graph import ArchitectureGraph
from explorer.similarity.kernel import Array, EdgeDirection, Graphs, State, checked, entries
from explorer.similarity.nodes import Counted
from explorer.similarity.patterns import PatternKernel
from explorer.similarity.views import Attribute, LabelledNodes, Levels, Position, View, default_views

ROUNDING = 1e-11
"""Rounding error of the squared distance of equal graphs, relative to their squared lengths."""


class MultiViewKernel(PatternKernel):
    """Sum of Weisfeiler–Lehman kernels over views of the labels.

    Args:
        views: the views, ``default_views()`` unless given.
        weights: one for each view, at least 0; their prior weights unless given. ``fit`` scales them to sum 1 over the
            views that see a difference among its graphs.

    Raises:
        InputError: the views are empty, or the weights do not fit.
    """

    name = "views"
    direction = EdgeDirection.EITHER

    def __init__(
        self,
        views: Sequence[View | Sequence[Any]] | None = None,
        weights: Sequence[float] | NDArray[np.float64] | None = None,
    ) -> None:
        super().__init__()
        given = default_views() if views is None else views
        self.views = tuple(view if isinstance(view, View) else _read(view) for view in given)
        if not self.views:
            raise InputError("views", "hold at least one view", self.views, "Leave them out for the default ones.")
        prior = [view.prior_weight for view in self.views] if weights is None else weights
        self.weights = np.asarray(prior, dtype=np.float64)
        finite = np.isfinite(self.weights).all() and (self.weights >= 0).all()
        if self.weights.shape != (len(self.views),) or not finite or self.weights.sum() <= 0:
            rule = f"be {len(self.views)} finite numbers, none below 0 and one above"
            raise InputError("weights", rule, self.weights.tolist(), "Give one weight for each view.")
        self._levels: Levels = {}

    @property
    def parameters(self) -> dict[str, Any]:
        """The constructor's arguments as JSON values; empty for the defaults."""
        prior = [view.prior_weight for view in self.views]
        default = self.views == default_views() and self.weights.tolist() == prior
        views = [[str(view.attribute), str(view.position), view.depth] for view in self.views]
        return {} if default else {"views": views, "weights": self.weights.tolist()}

    def _count(self, graphs: Graphs, fitting: bool) -> Counted:
        nodes = LabelledNodes(graphs, max(view.depth for view in self.views))
        if fitting:
            self._levels = nodes.levels()
        return Counted(nodes.counts, tuple(nodes.counted(view, self._levels) for view in self.views))

    def _factors(self, counts: Sequence[sparse.csr_matrix]) -> Array:
        variances = np.array([_variance(count) for count in counts])
        weights = np.where(variances > 0, self.weights, 0.0)
        weights = weights / max(float(weights.sum()), TINY)
        return np.asarray(np.sqrt(weights / np.maximum(variances, TINY)))

    def _squared(self, products: Array, first: Array, second: Array) -> Array:
        products *= -2.0
        products += first[:, None]
        products += second
        lengths = max(float(first.max(initial=0.0)), float(second.max(initial=0.0)))
        products[products < ROUNDING * (1.0 + lengths)] = 0.0
        return products

    def _dissimilarity(self, squared: Array) -> Array:
        return np.asarray(-np.expm1(-0.5 * squared))

    def explain(self, first: ArchitectureGraph, second: ArchitectureGraph) -> Explanation:
        """Take d² apart into the patterns of each view; see ``explain_counts``."""
        checked([first, second])
        return explain_counts(first, second, self.views, self._levels, self._library.factors)

    def state(self) -> State:
        """Return everything fitted. See ``GraphKernel.state``."""
        levels = {str(attribute): list(values) for attribute, values in self._levels.items()}
        return super().state() | {"levels": levels}

    @classmethod
    def from_state(cls, state: State) -> MultiViewKernel:
        """Restore a fitted kernel. See ``GraphKernel.from_state``."""
        kernel = super().from_state(state)
        levels = entries(state, "levels")[0]
        kernel._levels = {Attribute(name): tuple(values) for name, values in levels.items()}
        return kernel


def _read(view: Sequence[Any]) -> View:
    attribute, position, depth = view
    return View(Attribute(attribute), Position(position), depth)


def _variance(counts: sparse.csr_matrix) -> float:
    """Return the total variance of counts ``[N, V]``; 0 where it is only rounding."""
    mean = np.asarray(counts.mean(axis=0)).ravel()
    length = float(squared_norms(counts).mean())
    spread = length - float(mean @ mean)
    return spread if spread > ROUNDING * length else 0.0
