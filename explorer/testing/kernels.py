"""The contract suite of graph kernels: the test class of every kernel inherits ``GraphKernelSuite``.

The graphs are a few architectures of the shipped nano space and random labelled graphs; the laws are those of
``explorer.similarity.kernel``.
"""

# ruff: noqa: D102 - the names of the tests say what they test

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from numpy.typing import NDArray

from explorer.errors import DataError, InputError
from explorer.similarity.graph import ArchitectureGraph, build_graph
from explorer.similarity.kernel import EdgeDirection, GraphKernel, State, state_from_bytes, state_to_bytes
from explorer.similarity.patterns import PatternKernel
from explorer.similarity.registry import kernel_from_state
from explorer.space.grammar import load_space

ROUNDING = 2e-12
"""Dissimilarities are rounded to 12 decimals."""
VECTOR_ROUNDING = 1e-6
"""Vectors are float32."""
Values = NDArray[np.float64]


def labelled_graph(labels: str, *edges: tuple[int, int]) -> ArchitectureGraph:
    """A graph with one node per letter."""
    return ArchitectureGraph(("node",) * len(labels), tuple(labels), (0,) * len(labels), edges)


def random_graphs(count: int, seed: int, most: int = 8) -> list[ArchitectureGraph]:
    """Labelled acyclic graphs of 1 to ``most`` nodes, connected or not, with three labels."""
    rng = np.random.default_rng(seed)
    graphs = []
    for _ in range(count):
        nodes = int(rng.integers(1, most + 1))
        edges = [(a, b) for a in range(nodes) for b in range(a + 1, nodes) if rng.random() < 0.4]
        graphs.append(labelled_graph("".join(rng.choice(list("xyz"), nodes)), *edges))
    return graphs


def architectures(count: int, seed: int, space: str = "nano") -> list[ArchitectureGraph]:
    """Graphs of architectures drawn from a shipped space."""
    return [build_graph(spec) for spec in load_space(space).sample(count, np.random.default_rng(seed))]


def permuted(graph: ArchitectureGraph, seed: int) -> ArchitectureGraph:
    """The same graph with its nodes numbered in another order and its edges listed in another order."""
    rng = np.random.default_rng(seed)
    place = [int(at) for at in rng.permutation(len(graph))]
    order = [int(node) for node in np.argsort(place)]
    edges = [(place[source], place[target]) for source, target in graph.edges]
    return ArchitectureGraph(
        tuple(graph.kinds[node] for node in order),
        tuple(graph.labels[node] for node in order),
        tuple(graph.layers[node] for node in order),
        tuple(edges[int(index)] for index in rng.permutation(len(edges))),
    )


def gram(kernel: GraphKernel, graphs: Sequence[ArchitectureGraph]) -> Values:
    """Fit a kernel and return its similarities ``[N, N]``, not rounded, where d² = 2 − 2k."""
    return 1.0 - kernel.fit(graphs).squared_distances(graphs) / 2.0


def reversed_graph(graph: ArchitectureGraph) -> ArchitectureGraph:
    """The graph with every edge turned around; nodes are numbered backwards, which keeps them in topological order."""
    last = len(graph) - 1
    return ArchitectureGraph(
        graph.kinds[::-1],
        graph.labels[::-1],
        graph.layers[::-1],
        tuple((last - target, last - source) for source, target in graph.edges),
    )


class GraphKernelSuite(ABC):
    """Laws of a kernel. Give ``make_kernel``; its parameters should keep a pair of small graphs fast."""

    @abstractmethod
    def make_kernel(self) -> GraphKernel:
        """Make the kernel under test, not fitted, the same every time."""

    def load(self, state: State) -> GraphKernel:
        """Load a kernel from its state; override it for a kernel outside the registry."""
        return kernel_from_state(state)

    def restored(self, kernel: GraphKernel) -> GraphKernel:
        """Save a kernel to bytes and load it again."""
        return self.load(state_from_bytes(state_to_bytes(kernel.state())))

    @pytest.fixture(scope="class")
    @classmethod
    def graphs(cls) -> list[ArchitectureGraph]:
        """Fourteen graphs, two of them equal."""
        found = [*architectures(5, 1), *random_graphs(8, 2)]
        return [*found, found[0]]

    @pytest.fixture(scope="class")
    @classmethod
    def others(cls) -> list[ArchitectureGraph]:
        """Graphs with patterns and labels that ``graphs`` lacks."""
        return [*architectures(3, 5), *random_graphs(4, 6), labelled_graph("pqx", (0, 1), (1, 2))]

    @pytest.fixture(scope="class")
    @classmethod
    def fitted_once(cls, graphs: list[ArchitectureGraph]) -> GraphKernel:
        """The kernel fitted on ``graphs``, once for all laws; a test takes ``fitted``, its own copy."""
        return cls().make_kernel().fit(graphs)

    @pytest.fixture
    def fitted(self, fitted_once: GraphKernel) -> GraphKernel:
        return deepcopy(fitted_once)

    @pytest.fixture(scope="class")
    @classmethod
    def values(cls, fitted_once: GraphKernel, graphs: list[ArchitectureGraph]) -> Values:
        """Dissimilarities of ``graphs``, read-only."""
        found = deepcopy(fitted_once).dissimilarities(graphs, graphs)
        found.flags.writeable = False
        return found

    def test_says_what_it_is(self) -> None:
        kernel = self.make_kernel()
        assert kernel.name
        assert isinstance(kernel.direction, EdgeDirection)
        assert kernel.positive_semidefinite in (True, False)
        assert len(kernel) == 0
        assert type(kernel)(**kernel.parameters).parameters == kernel.parameters

    def test_dissimilarities_are_symmetric_0_for_itself_and_at_most_1(self, values: Values) -> None:
        np.testing.assert_allclose(values, values.T, rtol=0, atol=ROUNDING)
        np.testing.assert_allclose(np.diag(values), 0.0, rtol=0, atol=ROUNDING)
        assert values.min() >= 0
        assert values.max() <= 1

    def test_equal_graphs_are_as_one(self, values: Values) -> None:
        assert values[0, -1] == pytest.approx(0.0, abs=ROUNDING)
        np.testing.assert_allclose(values[0], values[-1], rtol=0, atol=ROUNDING)

    def test_gram_is_positive_semidefinite_if_it_claims_so(
        self, fitted: GraphKernel, graphs: list[ArchitectureGraph]
    ) -> None:
        if not fitted.positive_semidefinite:
            pytest.skip(f"{fitted.name} does not claim it")
        more = [*graphs, *random_graphs(40, 3), *architectures(20, 4)]
        eigenvalues = np.linalg.eigvalsh(1.0 - fitted.dissimilarities(more, more))
        assert eigenvalues.min() > -1e-8 * eigenvalues.max()

    def test_numbering_of_nodes_does_not_matter(
        self, fitted: GraphKernel, graphs: list[ArchitectureGraph], values: Values
    ) -> None:
        for seed in range(3):
            again = [permuted(graph, seed) for graph in graphs]
            np.testing.assert_allclose(fitted.dissimilarities(again, again), values, rtol=0, atol=ROUNDING)
            np.testing.assert_allclose(fitted.transform(again), fitted.vectors, rtol=0, atol=VECTOR_ROUNDING)
        assert np.diag(fitted.dissimilarities(again)) == pytest.approx(0.0, abs=ROUNDING)

    def test_fitted_graphs_are_compared_like_others(
        self, fitted: GraphKernel, graphs: list[ArchitectureGraph], others: list[ArchitectureGraph]
    ) -> None:
        found = fitted.dissimilarities(others)
        np.testing.assert_allclose(found, fitted.dissimilarities(others, graphs), rtol=0, atol=ROUNDING)
        np.testing.assert_allclose(found.T, fitted.dissimilarities(graphs, others), rtol=0, atol=ROUNDING)
        joint = fitted.dissimilarities([*others, *graphs], [*others, *graphs])
        np.testing.assert_allclose(found, joint[: len(others), len(others) :], rtol=0, atol=ROUNDING)

    def test_dissimilarity_grows_with_the_squared_distance(
        self, fitted: GraphKernel, others: list[ArchitectureGraph]
    ) -> None:
        squares, values = fitted.squared_distances(others).ravel(), fitted.dissimilarities(others).ravel()
        order = np.argsort(squares)
        assert squares.min() >= 0
        assert (np.diff(values[order]) >= -ROUNDING).all()

    def test_a_second_fit_forgets_the_first(self, graphs: list[ArchitectureGraph]) -> None:
        kernel = self.make_kernel().fit(graphs[:6])
        kernel.transform(graphs[6:8])
        kernel.fit(graphs[4:])
        fresh = self.make_kernel().fit(graphs[4:])
        assert len(kernel) == len(graphs) - 4
        np.testing.assert_array_equal(kernel.vectors, fresh.vectors)
        np.testing.assert_array_equal(kernel.dissimilarities(graphs), fresh.dissimilarities(graphs))

    def test_labels_matter(self, graphs: list[ArchitectureGraph]) -> None:
        same = labelled_graph("xyzx", (0, 1), (1, 2), (2, 3))
        kernel = self.make_kernel().fit([*graphs, same])
        near, far = kernel.dissimilarities([replace(same, labels=tuple(labels)) for labels in ("xyze", "efgh")])[:, -1]
        assert far > near > 1e-6

    def test_edges_matter(self, graphs: list[ArchitectureGraph]) -> None:
        chain, fork = labelled_graph("xyz", (0, 1), (1, 2)), labelled_graph("xyz", (0, 1), (0, 2))
        assert self.make_kernel().fit([*graphs, chain]).dissimilarities([fork])[0, -1] > 1e-6

    def test_reversing_all_edges_changes_nothing_if_it_says_so(
        self, fitted: GraphKernel, graphs: list[ArchitectureGraph], values: Values
    ) -> None:
        turned = [reversed_graph(graph) for graph in graphs]
        again = self.make_kernel().fit(turned).dissimilarities(turned, turned)
        changed = not np.allclose(again, values, rtol=0, atol=ROUNDING)
        assert changed == (fitted.direction is not EdgeDirection.EITHER)

    def test_nothing_to_compare_gives_no_rows(self, fitted: GraphKernel, graphs: list[ArchitectureGraph]) -> None:
        assert fitted.transform([]).shape == (0, 16)
        assert fitted.dissimilarities([]).shape == (0, len(graphs))
        assert fitted.dissimilarities(graphs[:2], []).shape == (2, 0)
        assert fitted.nearest([], 3)[0].shape == (0, 3)
        assert fitted.nearest(graphs[:2], 0)[0].shape == (2, 0)

    def test_graphs_of_one_node(self) -> None:
        one, other, chain = labelled_graph("a"), labelled_graph("b"), labelled_graph("ab", (0, 1))
        kernel = self.make_kernel().fit([one, other, chain])
        values = kernel.dissimilarities([one, other, chain])
        assert np.isfinite(values).all()
        np.testing.assert_allclose(np.diag(values), 0.0, rtol=0, atol=ROUNDING)
        alone = self.make_kernel().fit([one])
        assert alone.dissimilarities([one]) == pytest.approx(0.0)
        assert np.isfinite(alone.transform([one, other])).all()
        assert alone.neighbors(3)[0].shape == (1, 0)

    def test_a_graph_without_nodes_is_refused(self, fitted: GraphKernel) -> None:
        graphs = [labelled_graph("a"), labelled_graph("")]
        kernel = self.make_kernel()
        uses = (kernel.fit, fitted.transform, fitted.dissimilarities, fitted.append, partial(fitted.nearest, k=1))
        for use in uses:
            with pytest.raises(InputError, match=r"graphs\[1\]"):
                use(graphs)

    def test_a_kernel_that_is_not_fitted_is_refused(self, graphs: list[ArchitectureGraph]) -> None:
        kernel = self.make_kernel()
        with pytest.raises(InputError, match="at least one graph"):
            kernel.fit([])
        for use in (kernel.transform, kernel.dissimilarities, kernel.append, partial(kernel.nearest, k=1)):
            with pytest.raises(InputError, match="fitted first"):
                use(graphs)

    def test_nearest_are_those_of_a_naive_sort(
        self, fitted: GraphKernel, graphs: list[ArchitectureGraph], others: list[ArchitectureGraph]
    ) -> None:
        queries = [*others, graphs[0], graphs[3]]
        own = [-1] * len(others) + [0, 3]
        for k in (1, 4, len(graphs) - 1, len(graphs) + 5):
            indices, values = fitted.nearest(queries, k, own)
            assert indices.shape == values.shape == (len(queries), min(k, len(graphs) - 1))
            for row, exact in enumerate(fitted.dissimilarities(queries)):
                allowed = [column for column in range(len(graphs)) if column != own[row]]
                expected = sorted(allowed, key=lambda column: (exact[column], column))[: len(indices[row])]
                assert indices[row].tolist() == expected
                np.testing.assert_allclose(values[row], exact[expected], rtol=0, atol=ROUNDING)
        assert fitted.nearest([graphs[-1]], 2)[0].tolist() == [[0, len(graphs) - 1]]

    def test_neighbors_are_the_nearest_others(self, fitted: GraphKernel, graphs: list[ArchitectureGraph]) -> None:
        reported: list[tuple[int, int]] = []
        indices, values = fitted.neighbors(5, lambda done, total: reported.append((done, total)))
        expected = fitted.nearest(graphs, 5, range(len(graphs)))
        np.testing.assert_array_equal(indices, expected[0])
        np.testing.assert_allclose(values, expected[1], rtol=0, atol=ROUNDING)
        assert reported[-1] == (len(graphs), len(graphs))

    def test_vectors_are_the_places_of_the_fitted_graphs(
        self, fitted: GraphKernel, graphs: list[ArchitectureGraph], others: list[ArchitectureGraph]
    ) -> None:
        assert fitted.vectors.shape == (len(graphs), 16)
        assert fitted.vectors.dtype == np.float32
        np.testing.assert_allclose(fitted.vectors, fitted.transform(graphs), rtol=0, atol=VECTOR_ROUNDING)
        batch = fitted.transform(others)
        alone = np.concatenate([fitted.transform([graph]) for graph in others])
        np.testing.assert_allclose(batch, alone, rtol=0, atol=VECTOR_ROUNDING)

    def test_few_graphs_keep_their_distances(self, fitted: GraphKernel, graphs: list[ArchitectureGraph]) -> None:
        if not fitted.positive_semidefinite:
            pytest.skip(f"{fitted.name} is not a squared Euclidean distance")
        vectors = fitted.vectors.astype(float)
        squares = np.square(vectors[:, None] - vectors[None]).sum(axis=2)
        np.testing.assert_allclose(squares, fitted.squared_distances(graphs), rtol=1e-4, atol=1e-4)
        # Many of these graphs share nothing; their distances tie, and rounding orders the vectors' ones.
        assert fitted.agreement() > 0.8
        assert fitted.agreement(graphs[:2]) == 1.0

    def test_appended_graphs_are_found_and_change_nothing_else(
        self, fitted: GraphKernel, graphs: list[ArchitectureGraph], others: list[ArchitectureGraph]
    ) -> None:
        queries = [*graphs[:3], *others]
        before = fitted.transform(queries), fitted.dissimilarities(queries), fitted.vectors
        assert fitted.append(others[:5]).append(others[5:]).append([]) is fitted
        assert len(fitted) == len(graphs) + len(others)
        np.testing.assert_array_equal(fitted.transform(queries), before[0])
        np.testing.assert_allclose(fitted.dissimilarities(queries)[:, : len(graphs)], before[1], rtol=0, atol=ROUNDING)
        np.testing.assert_array_equal(fitted.vectors[: len(graphs)], before[2])
        np.testing.assert_allclose(fitted.vectors[len(graphs) :], fitted.transform(others), atol=VECTOR_ROUNDING)
        exact = fitted.dissimilarities(queries, [*graphs, *others])
        np.testing.assert_allclose(fitted.dissimilarities(queries), exact, rtol=0, atol=ROUNDING)
        indices, values = fitted.nearest(others, 1)
        np.testing.assert_allclose(values, 0.0, rtol=0, atol=ROUNDING)
        for row, index in enumerate(indices[:, 0]):
            assert exact[3 + row, index] == pytest.approx(0.0, abs=ROUNDING)
        near, far = fitted.neighbors(3)
        expected = fitted.nearest([*graphs, *others], 3, range(len(fitted)))
        np.testing.assert_array_equal(near, expected[0])
        np.testing.assert_allclose(far, expected[1], rtol=0, atol=ROUNDING)

    @pytest.mark.parametrize("grown", [False, True])
    def test_a_saved_kernel_is_bit_equal(
        self, fitted: GraphKernel, graphs: list[ArchitectureGraph], others: list[ArchitectureGraph], grown: bool
    ) -> None:
        if grown:
            fitted.append(others[:4])
        queries = [*graphs[:3], *others]
        again = self.restored(fitted)
        assert (again.name, again.parameters, len(again)) == (fitted.name, fitted.parameters, len(fitted))
        for kernel in (again, self.restored(again)):
            np.testing.assert_array_equal(kernel.transform(queries), fitted.transform(queries))
            np.testing.assert_array_equal(kernel.vectors, fitted.vectors)
            np.testing.assert_array_equal(kernel.dissimilarities(queries), fitted.dissimilarities(queries))
            np.testing.assert_array_equal(
                kernel.squared_distances(queries, graphs), fitted.squared_distances(queries, graphs)
            )
            for mine, theirs in zip(kernel.nearest(queries, 4), fitted.nearest(queries, 4), strict=True):
                np.testing.assert_array_equal(mine, theirs)
        again.append(others)
        fitted.append(others)
        np.testing.assert_array_equal(again.dissimilarities(queries), fitted.dissimilarities(queries))

    def test_other_graphs_on_the_same_axes(
        self, fitted: GraphKernel, graphs: list[ArchitectureGraph], others: list[ArchitectureGraph]
    ) -> None:
        queries = [*graphs[:3], *others]
        before = fitted.transform(queries)
        empty = fitted.without_graphs()
        assert (len(empty), len(fitted)) == (0, len(graphs))
        np.testing.assert_array_equal(empty.transform(queries), before)
        empty.append(others)
        assert (len(empty), len(fitted)) == (len(others), len(graphs))
        exact = fitted.dissimilarities(queries, others)
        for kernel in (empty, self.restored(empty)):
            np.testing.assert_array_equal(kernel.transform(queries), before)
            np.testing.assert_allclose(kernel.dissimilarities(queries), exact, rtol=0, atol=ROUNDING)
            np.testing.assert_allclose(kernel.vectors, fitted.transform(others), atol=VECTOR_ROUNDING)
            assert kernel.agreement() <= 1.0
            near, _ = kernel.neighbors(2)
            np.testing.assert_array_equal(near, kernel.nearest(others, 2, range(len(others)))[0])

    def test_a_damaged_state_is_refused(self, fitted: GraphKernel) -> None:
        state = fitted.state()
        missing = {key: value for key, value in state.items() if key != "parameters"}
        with pytest.raises(DataError, match="parameters"):
            self.load(missing)
        with pytest.raises(DataError, match="saved state"):
            state_from_bytes(state_to_bytes(state)[:-30])

    def test_cost_grows_with_the_library(self) -> None:
        sample = architectures(12, 8)
        small, large = (self.make_kernel().cost(sample, total) for total in (100, 1_000))
        assert small.seconds > 0
        assert 0 < small.bytes <= large.bytes
        with pytest.raises(InputError, match="max_hours"):
            large.check("this kernel", max_hours=0.0)

    def test_an_explanation_adds_up_or_is_refused(self, fitted: GraphKernel, graphs: list[ArchitectureGraph]) -> None:
        first, second = graphs[:2]
        if not isinstance(fitted, PatternKernel):
            with pytest.raises(InputError, match="count patterns"):
                fitted.explain(first, second)
            return
        found = fitted.explain(first, second)
        exact = fitted.dissimilarities([first], [second])[0, 0]
        assert found.dissimilarity == pytest.approx(exact, abs=1e-9)
        assert sum(pattern.different for pattern in found.different) == pytest.approx(exact, abs=1e-9)
        assert sum(pattern.shared for pattern in found.shared) == pytest.approx(1 - exact, abs=1e-9)
