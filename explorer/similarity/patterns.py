"""Kernels that count patterns: sparse features, exact products, principal axes, explanations.

A pattern kernel reads graphs as counts of patterns, in one or more groups of columns (a group for each view, say).
Nodes that no pattern tells apart form a class, and there are far fewer classes than nodes; so the counts ``[N, V]`` are
kept as a product of two small sparse matrices, nodes of each class in each graph ``[N, C]`` and patterns of each class
``[C, V]``. Comparing one graph with a whole library is a product with both and never forms the counts.

Squared distances are Euclidean in the features, so classical scaling of all pairs is their principal component
analysis: vectors need no matrix of pairs, and any other graph is placed by one product (``principal_axes``). Patterns
that occur in no fitted graph add to a graph's length and to nothing else.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from explorer.errors import InputError
from explorer.similarity.blocks import BLOCK_ROWS, DECIMALS, RowProducts, nearest_in_rows, squared_norms
from explorer.similarity.distances import SAME, Axes, principal_axes, rank_agreement
from explorer.similarity.kernel import DIMENSIONS, SEED, Array, GraphKernel, Graphs, Report, State, checked, entries
from explorer.similarity.nodes import Counted, Vocabulary, narrow

QUERY_ROWS = 64
AGREEMENT_PAIRS = 50_000


@dataclass(frozen=True)
class _Fitted:
    """A fitted library.

    Attributes:
        vocabulary: V columns, the axes' ones first and by group.
        base: number of the axes' columns.
        factors: factor of the counts of each group ``[G]``.
        nodes: nodes of each class in each graph ``[N, C]``.
        patterns: how often a node of each class counts for each column ``[C, V]``.
        squares: squared length of each graph's features ``[N]``.
        count: number of graphs that were fitted; those appended come after them.
    """

    vocabulary: Vocabulary
    base: int
    factors: Array
    nodes: sparse.csr_matrix
    patterns: sparse.csr_matrix
    squares: Array
    count: int


class PatternKernel(GraphKernel):
    """A kernel that counts patterns.

    Attributes:
        integral: whether the features are whole numbers, whose products are exact.
    """

    integral: ClassVar[bool] = False

    def __init__(self) -> None:
        self._fitted: _Fitted | None = None
        self._axes: Axes | None = None
        self._rows: sparse.csr_matrix | None = None

    @abstractmethod
    def _count(self, graphs: Graphs, fitting: bool) -> Counted:
        """Count the patterns of some graphs; while fitting, learn first what the counting depends on."""

    @abstractmethod
    def _factors(self, counts: Sequence[sparse.csr_matrix]) -> Array:
        """Return the factor of the counts of each group ``[G]``, given the fitted graphs' counts by group."""

    @abstractmethod
    def _squared(self, products: Array, first: Array, second: Array) -> Array:
        """Return squared distances ``[M, N]`` from products of features and their squared lengths ``[M]`` and ``[N]``.

        The products may be overwritten.
        """

    @abstractmethod
    def _dissimilarity(self, squared: Array) -> Array:
        """Return dissimilarities from squared distances."""

    def _embedded(self, features: sparse.csr_matrix, squares: Array) -> sparse.csr_matrix:
        """Return rows whose Euclidean distances are the kernel's; the features themselves unless overridden."""
        return features

    @property
    def _library(self) -> _Fitted:
        if self._fitted is None:
            raise InputError("kernel", "be fitted first", self.name, "Call fit with the graphs of the library.")
        return self._fitted

    @property
    def axes(self) -> Axes:
        """Principal axes of the fitted graphs, without those appended; found when they are first asked for."""
        if self._axes is None:
            library = self._library
            features = self._known()[: library.count, : library.base]
            rows = self._embedded(features, library.squares[: library.count])
            axes = principal_axes(rows, DIMENSIONS, np.random.default_rng(SEED))
            # Whole-number features have many columns: saving axes in single precision halves the state.
            kept = axes.directions.astype(np.float32).astype(np.float64) if self.integral else axes.directions
            self._axes = Axes(axes.mean, kept, axes.share)
        return self._axes

    def turned_to(self, vectors: NDArray[np.float32]) -> Self:
        """Return a kernel whose axes are turned so that its graphs lie where ``vectors`` ``[N, 16]`` has them.

        Axes of equal variance may be turned and mirrored among themselves, so those that are fitted again on another
        machine may differ. The rotation is that of the orthogonal Procrustes problem.
        """
        if np.allclose(self.vectors, vectors, rtol=0.0, atol=SAME):
            return self
        left, _, right = np.linalg.svd(self.vectors.T.astype(np.float64) @ vectors)
        turned = copy(self)
        turned._axes = Axes(self.axes.mean, self.axes.directions @ (left @ right), self.axes.share)
        return turned

    @property
    def groups(self) -> NDArray[np.int64]:
        """The group of each fitted column ``[V]``."""
        return self._library.vocabulary.owners

    @property
    def factors(self) -> Array:
        """Factor of the counts of each group ``[G]``; 0 for a group that distinguishes no graphs."""
        return self._library.factors

    def __len__(self) -> int:
        """Return the number of fitted graphs, 0 before ``fit``."""
        return 0 if self._fitted is None else len(self._fitted.squares)

    def fit(self, graphs: Graphs) -> Self:
        """Learn patterns, scales and axes from the graphs of a library. See ``GraphKernel.fit``."""
        if not graphs:
            raise InputError("graphs", "hold at least one graph", 0, "Give the graphs of the space.")
        counted = self._count(checked(graphs), fitting=True)
        vocabulary = Vocabulary(*counted.keys(distinct=True))
        patterns = _patterns(counted, vocabulary)
        counts = _counts_by_group(counted.nodes, patterns, vocabulary.owners, len(counted.groups))
        factors = self._factors(counts)
        features = _scaled_blocks(counts, factors)
        squares = squared_norms(features)
        base, count = len(vocabulary), len(graphs)
        self._fitted = _Fitted(vocabulary, base, factors, counted.nodes, patterns, squares, count)
        self._axes, self._rows = None, features
        return self

    def append(self, graphs: Graphs) -> Self:
        """Add graphs to those that ``nearest`` finds. See ``GraphKernel.append``."""
        library = self._library
        if not graphs:
            return self
        self._axes = self.axes
        counted = self._count(checked(graphs), fitting=False)
        vocabulary = library.vocabulary.extended(*counted.keys())
        patterns = _patterns(counted, vocabulary)
        squares = squared_norms(self._features(counted.nodes, patterns, vocabulary))
        known = sparse.csr_matrix(library.patterns)
        known.resize(known.shape[0], len(vocabulary))
        self._fitted = _Fitted(
            vocabulary,
            library.base,
            library.factors,
            sparse.csr_matrix(sparse.block_diag([library.nodes, counted.nodes], format="csr")),
            sparse.csr_matrix(sparse.vstack([known, patterns], format="csr")),
            np.append(library.squares, squares),
            library.count,
        )
        self._rows = None
        return self

    def without_graphs(self) -> Self:
        """Return a kernel with the same axes and no graphs. See ``GraphKernel.without_graphs``."""
        library = self._library
        empty = copy(self)
        empty._axes, empty._rows = self.axes, None
        vocabulary = Vocabulary(library.vocabulary.keys[: library.base], library.vocabulary.owners[: library.base])
        nodes, patterns = sparse.csr_matrix((0, 0)), sparse.csr_matrix((0, library.base))
        empty._fitted = _Fitted(vocabulary, library.base, library.factors, nodes, patterns, np.empty(0), 0)
        return empty

    def features(self, graphs: Graphs) -> sparse.csr_matrix:
        """Return features ``[N, V + E]``: the fitted columns, then patterns that occur in these graphs only."""
        counted = self._count(checked(graphs), fitting=False)
        vocabulary = self._library.vocabulary.extended(*counted.keys())
        return self._features(counted.nodes, _patterns(counted, vocabulary), vocabulary)

    def _features(
        self, nodes: sparse.csr_matrix, patterns: sparse.csr_matrix, vocabulary: Vocabulary
    ) -> sparse.csr_matrix:
        library = self._library
        base, owners, factors = library.base, vocabulary.owners, library.factors
        # One product a group, in the order of fitting: sums in another order would change vectors in their last bit.
        counts = _counts_by_group(nodes, patterns[:, :base], owners[:base], len(factors))
        known = _scaled_blocks(counts, factors)
        if base == len(owners):
            return known
        others = sparse.csr_matrix(nodes @ patterns[:, base:]) @ sparse.diags_array(factors[owners[base:]])
        return sparse.csr_matrix(sparse.hstack([known, others], format="csr"))

    def transform(self, graphs: Graphs) -> NDArray[np.float32]:
        """Return vectors ``[N, 16]`` of any graphs. See ``GraphKernel.transform``."""
        if not len(graphs):
            return np.empty((0, DIMENSIONS), dtype=np.float32)
        features = self.features(graphs)
        return self._placed(features, squared_norms(features))

    def _placed(self, features: sparse.csr_matrix, squares: Array) -> NDArray[np.float32]:
        known = self._embedded(features[:, : self._library.base], squares)
        return self.axes.place(known).astype(np.float32)

    @property
    def vectors(self) -> NDArray[np.float32]:
        """What ``transform`` returns for the fitted graphs ``[N, 16]``."""
        return self._placed(self._known(), self._library.squares)

    def _known(self) -> sparse.csr_matrix:
        """Features of the fitted graphs ``[N, V]``."""
        if self._rows is None:
            library = self._library
            self._rows = self._features(library.nodes, library.patterns, library.vocabulary)
        return self._rows

    def agreement(self, graphs: Graphs | None = None) -> float:
        """Return the rank correlation of embedded and exact distances. See ``GraphKernel.agreement``."""
        features = self._known() if graphs is None else self.features(graphs)
        if features.shape[0] < 3:
            return 1.0
        squares = squared_norms(features)
        first, second = _some_pairs(features.shape[0])
        rows = self._embedded(features, squares)
        difference = rows[first] - rows[second]
        exact = np.sqrt(np.asarray(difference.multiply(difference).sum(axis=1)).ravel())
        return rank_agreement(self._placed(features, squares), first, second, exact)

    def squared_distances(self, graphs: Graphs, others: Graphs | None = None) -> Array:
        """Return exact squared distances ``[M, N]``. See ``GraphKernel.squared_distances``."""
        if others is not None:
            features = self.features([*graphs, *others])
            first, second = features[: len(graphs)], features[len(graphs) :]
            products = np.asarray((first @ second.T).toarray(), dtype=np.float64)
            return self._squared(products, squared_norms(first), squared_norms(second))
        library = self._library
        features = self.features(graphs)
        squares = squared_norms(features)
        columns = len(library.vocabulary)
        weighted = features[:, :columns] @ sparse.diags_array(library.factors[library.vocabulary.owners])
        found = np.empty((len(graphs), len(self)))
        for start in range(0, len(graphs), QUERY_ROWS):
            stop = start + QUERY_ROWS
            at_classes = library.patterns @ weighted[start:stop].T.toarray()
            products = np.ascontiguousarray((library.nodes @ at_classes).T)
            found[start:stop] = self._squared(products, squares[start:stop], library.squares)
        return found

    def dissimilarities(self, graphs: Graphs, others: Graphs | None = None) -> Array:
        """Return exact dissimilarities ``[M, N]``. See ``GraphKernel.dissimilarities``."""
        return np.round(self._dissimilarity(self.squared_distances(graphs, others)), DECIMALS)

    def nearest(
        self, graphs: Graphs, k: int, exclude: Sequence[int] | NDArray[np.int64] | None = None
    ) -> tuple[NDArray[np.int64], Array]:
        """Return the k nearest fitted graphs of each graph. See ``GraphKernel.nearest``."""
        left_out = None if exclude is None else np.asarray(exclude, dtype=np.int64)
        return nearest_in_rows(self._dissimilarity(self.squared_distances(graphs)), k, left_out)

    def neighbors(self, k: int, report: Report | None = None) -> tuple[NDArray[np.int64], Array]:
        """Return the k nearest others of every fitted graph. See ``GraphKernel.neighbors``."""
        indices, values = [], []
        for start, block in self.blocks():
            near, far = nearest_in_rows(block, k, np.arange(start, start + len(block)))
            indices.append(near)
            values.append(far)
            if report is not None:
                report(start + len(block), len(self))
        return np.concatenate(indices), np.concatenate(values)

    def blocks(self, block_rows: int = BLOCK_ROWS) -> Iterator[tuple[int, Array]]:
        """Compute dissimilarities of all fitted pairs in blocks of rows, so that memory stays bounded.

        Yields:
            (first row, dissimilarities ``[rows, N]`` in [0, 1]).
        """
        features = self._known()
        products = RowProducts(features.astype(np.int64) if self.integral else features)
        squares = products.squares
        for start in range(0, len(squares), block_rows):
            stop = min(start + block_rows, len(squares))
            block = products.block(start, stop).astype(np.float64)
            here = np.arange(stop - start)
            block[here, start + here] = squares[start:stop]
            block = self._dissimilarity(self._squared(block, squares[start:stop], squares))
            block[here, start + here] = 0.0
            yield start, block

    def state(self) -> State:
        """Return everything fitted. See ``GraphKernel.state``."""
        library = self._library
        return {
            "kernel": self.name,
            "parameters": self.parameters,
            "keys": library.vocabulary.keys,
            "owners": narrow(library.vocabulary.owners),
            "base": library.base,
            "factors": library.factors,
            "squares": library.squares,
            "count": library.count,
            "mean": self.axes.mean,
            "directions": self.axes.directions.astype(np.float32 if self.integral else np.float64),
            "share": self.axes.share,
            **_sparse_state("nodes", library.nodes),
            **_sparse_state("patterns", library.patterns),
        }

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Restore a fitted kernel. See ``GraphKernel.from_state``."""
        kernel = cls(**entries(state, "parameters")[0])
        names = ("keys", "owners", "base", "factors", "squares", "count", "mean", "directions", "share")
        keys, owners, base, factors, squares, count, mean, directions, share = entries(state, *names)
        vocabulary = Vocabulary(keys, owners.astype(np.int64))
        nodes = _sparse_from("nodes", state, len(squares))
        patterns = _sparse_from("patterns", state, nodes.shape[1])
        kernel._fitted = _Fitted(vocabulary, base, factors, nodes, patterns, squares, count)
        kernel._axes = Axes(mean, directions.astype(np.float64), share)
        return kernel


def _some_pairs(count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return all pairs of rows, or ``AGREEMENT_PAIRS`` random ones if there are more."""
    if count * (count - 1) // 2 <= AGREEMENT_PAIRS:
        first, second = np.triu_indices(count, 1)
        return first, second
    first, second = np.random.default_rng(1).integers(0, count, size=(2, AGREEMENT_PAIRS))
    return first[first != second], second[first != second]


def _patterns(counted: Counted, vocabulary: Vocabulary) -> sparse.csr_matrix:
    """Return how often a node of each class counts for each column ``[C, V]``; other patterns are left out."""
    classes = np.concatenate([classes for classes, _ in counted.groups])
    columns = vocabulary.columns(counted.keys()[0])
    known = columns >= 0
    shape = (counted.nodes.shape[1], len(vocabulary))
    ones = np.ones(int(known.sum()))
    return sparse.csr_matrix((ones, (classes[known], columns[known])), shape=shape)


def _counts_by_group(
    nodes: sparse.csr_matrix, patterns: sparse.csr_matrix, owners: NDArray[np.int64], groups: int
) -> list[sparse.csr_matrix]:
    """Return counts of the patterns of each group ``[N, V of the group]``; the columns are in order of group."""
    bounds = np.searchsorted(owners, np.arange(groups + 1)).tolist()
    return [sparse.csr_matrix(nodes @ patterns[:, low:high]) for low, high in pairwise(bounds)]


def _scaled_blocks(counts: Sequence[sparse.csr_matrix], factors: Array) -> sparse.csr_matrix:
    blocks = [count * factor for count, factor in zip(counts, factors, strict=True)]
    return sparse.csr_matrix(sparse.hstack(blocks, format="csr"))


def _sparse_state(name: str, matrix: sparse.csr_matrix) -> State:
    """Return a matrix of whole numbers as narrow arrays."""
    sizes = np.diff(matrix.indptr)
    return {
        f"{name}_width": int(matrix.shape[1]),
        f"{name}_sizes": narrow(sizes),
        f"{name}_columns": narrow(matrix.indices),
        f"{name}_values": narrow(matrix.data),
    }


def _sparse_from(name: str, state: State, rows: int) -> sparse.csr_matrix:
    width, sizes, columns, values = entries(
        state, *(f"{name}_{part}" for part in ("width", "sizes", "columns", "values"))
    )
    starts = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
    index = np.int32
    arrays = (values.astype(np.float64), columns.astype(index), starts.astype(index))
    return sparse.csr_matrix(arrays, shape=(rows, width))
