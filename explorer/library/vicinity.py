"""What a space says of an architecture that may not be in it: the nearest known ones, and the score to expect.

Both are asked again and again while somebody edits an architecture, so the space's graphs and kernel features are read
once and kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from explorer.errors import InputError
from explorer.library.build import ITERATIONS
from explorer.similarity.graph import ArchitectureGraph, build_graph, graph_hash
from explorer.similarity.multi_view import MultiViewKernel
from explorer.similarity.weisfeiler_lehman import WeisfeilerLehman
from explorer.space.formats import from_json
from explorer.space.spec import ArchitectureSpec
from graphstore import GraphStore

FEWEST_SCORES = 5
FOLDS = 4
Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Vicinity:
    """A space's architectures, ready to be compared with any other one.

    Attributes:
        ids: N architectures.
        patterns: the Weisfeiler–Lehman kernel, fitted on them.
        kernel: the kernel of many views, fitted on them.
        graphs: theirs.
        rows: position of each id.
    """

    ids: tuple[str, ...]
    patterns: WeisfeilerLehman
    kernel: MultiViewKernel
    graphs: Sequence[ArchitectureGraph]
    rows: Mapping[str, int] = field(repr=False)

    @classmethod
    def of_specs(cls, ids: Sequence[str], specs: Sequence[ArchitectureSpec]) -> Vicinity:
        """The vicinity of some architectures. Raises InputError if there is none."""
        graphs = [build_graph(spec) for spec in specs]
        patterns, kernel = WeisfeilerLehman(ITERATIONS).fit(graphs), MultiViewKernel().fit(graphs)
        return cls(tuple(ids), patterns, kernel, graphs, {id: row for row, id in enumerate(ids)})

    @classmethod
    def of_space(cls, store: GraphStore, space: str) -> Vicinity:
        """The vicinity of a stored space; some five seconds for 9,312 architectures.

        Raises:
            InputError: the space has no architectures.
            NotFoundError: no such space.
        """
        summaries = store.summaries(space)
        return cls.of_specs([summary.id for summary in summaries], [from_json(summary.spec) for summary in summaries])

    def distances(self, spec: ArchitectureSpec) -> Array:
        """Squared distances ``[N]`` of an architecture to all of the space, by the kernel of many views."""
        return np.asarray(self.kernel.squared_distances([build_graph(spec)])[0])

    def nearest(self, spec: ArchitectureSpec, k: int) -> list[tuple[str, float]]:
        """The k nearest by exact Weisfeiler–Lehman dissimilarity, itself left out, ties by order: (id, value)."""
        graph = build_graph(spec)
        rows, values = self.patterns.nearest([graph], k, [self.rows.get(graph_hash(graph), -1)])
        return [(self.ids[row], float(value)) for row, value in zip(rows[0], values[0], strict=True)]


@dataclass(frozen=True)
class Forecast:
    """What to expect of an architecture's score.

    Attributes:
        mean: expected score.
        epistemic: standard deviation from not knowing the function.
        aleatoric: standard deviation of a training's noise.
        beyond: whether it is further from every scored architecture than each of these is from its nearest one.
    """

    mean: float
    epistemic: float
    aleatoric: float
    beyond: bool

    @property
    def deviation(self) -> float:
        """Standard deviation of one training's score."""
        return float(np.hypot(self.epistemic, self.aleatoric))


class Forecaster:
    """Learned from a space's comparable scores: a Gaussian process and a forest on the kernel's distances.

    Args:
        vicinity: of the space.
        scores: id → score; those of architectures that are not in the space, or not finite, are left out.

    Attributes:
        count: architectures learned from.
        equal: the score that all of them have, of which nothing can be learned; missing where they differ.
        rank_correlation: Spearman's, of predictions of held-out scores with these; missing where they are too few.
        covered: share of held-out scores within one predicted standard deviation; about 0.68 is right.

    Raises:
        InputError: there are fewer than ``FEWEST_SCORES``.
    """

    def __init__(self, vicinity: Vicinity, scores: Mapping[str, float]) -> None:
        # Imported late: it brings torch along, and a page shall draw what needs no surrogate first.
        from explorer.surrogate.kernel_regression import KernelRegression

        known = [(vicinity.rows[id], value) for id, value in scores.items() if id in vicinity.rows]
        known = [(row, float(value)) for row, value in known if np.isfinite(value)]
        if len(known) < FEWEST_SCORES:
            rule = f"be scored for at least {FEWEST_SCORES} architectures"
            raise InputError("task", rule, len(known), "Train or import more, or choose another task.")
        self._vicinity = vicinity
        self._rows = np.array([row for row, _ in known])
        values = np.array([value for _, value in known])
        graphs = [vicinity.graphs[row] for row in self._rows]
        distances = vicinity.kernel.squared_distances(graphs, graphs)
        np.fill_diagonal(distances, 0.0)
        self.count = len(known)
        self.equal = float(values[0]) if np.allclose(values, values[0], rtol=1e-9, atol=0.0) else None
        self._reach = float((distances + np.diag(np.full(self.count, np.inf))).min(axis=1).max())
        self._model = KernelRegression().fit(distances, values)
        self.rank_correlation, self.covered = self._tested(distances, values)

    def _tested(self, distances: Array, values: Array) -> tuple[float | None, float | None]:
        from explorer.surrogate.kernel_regression import KernelRegression

        if self.count < FOLDS * FEWEST_SCORES or self.equal is not None:
            return None, None
        fold = np.random.default_rng(0).permutation(self.count) % FOLDS
        mean, deviation = np.empty(self.count), np.empty(self.count)
        for number in range(FOLDS):
            rest, held = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
            model = KernelRegression().fit(distances[np.ix_(rest, rest)], values[rest])
            belief = model.predict(distances[np.ix_(held, rest)])
            mean[held], deviation[held] = belief.mean, np.hypot(belief.epistemic, belief.aleatoric)
        ranks = np.corrcoef(rankdata(mean), rankdata(values))[0, 1] if np.ptp(mean) > 0 else 0.0
        return float(ranks), float(np.mean(np.abs(values - mean) <= deviation))

    def forecast(self, spec: ArchitectureSpec) -> Forecast:
        """What to expect of an architecture, in the space or not."""
        distances = self._vicinity.distances(spec)[self._rows]
        belief = self._model.predict(distances[None])
        mean, epistemic, aleatoric = (float(part[0]) for part in (belief.mean, belief.epistemic, belief.aleatoric))
        return Forecast(mean, epistemic, aleatoric, bool(distances.min() > self._reach))
