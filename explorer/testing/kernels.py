"""The contract suite of graph kernels: every kernel's test class inherits ``GraphKernelSuite``.

The graphs are a few architectures of the shipped nano space and random labelled graphs; the laws are those of
``explorer.similarity.contract``.
"""

# ruff: noqa: D102 - the names of the tests say what they test

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace

import numpy as np
import pytest

from explorer.errors import InputError
from explorer.similarity.contract import Direction, GraphKernel
from explorer.similarity.graph import ArchitectureGraph, build_graph
from explorer.space.grammar import load_space

ROUNDING = 1e-12
"""How far values may differ that are equal on paper: sums of about a hundred terms in another order."""


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
    """The same graph with its nodes numbered anew and its edges listed in another order."""
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
    """Laws of a kernel. Give ``make_kernel``; its options should keep a pair of small graphs fast."""

    @abstractmethod
    def make_kernel(self) -> GraphKernel:
        """A new kernel under test, the same every time."""

    @pytest.fixture
    def graphs(self) -> list[ArchitectureGraph]:
        """Fourteen graphs, two of them equal."""
        found = [*architectures(5, 1), *random_graphs(8, 2)]
        return [*found, found[0]]

    @pytest.fixture
    def gram(self, graphs: list[ArchitectureGraph]) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
        return self.make_kernel().fit_transform(graphs)

    def test_says_what_it_is(self) -> None:
        kernel = self.make_kernel()
        assert kernel.name
        assert isinstance(kernel.direction, Direction)
        assert kernel.positive_semidefinite in (True, False)

    def test_gram_is_symmetric_with_ones_and_within_0_and_1(self, gram: np.ndarray) -> None:
        np.testing.assert_allclose(gram, gram.T, rtol=0, atol=ROUNDING)
        np.testing.assert_allclose(np.diag(gram), 1.0, rtol=0, atol=ROUNDING)
        assert gram.min() >= 0
        assert gram.max() <= 1

    def test_equal_graphs_are_as_one(self, gram: np.ndarray) -> None:
        assert gram[0, -1] == pytest.approx(1.0, abs=ROUNDING)
        np.testing.assert_allclose(gram[0], gram[-1], rtol=0, atol=ROUNDING)

    def test_gram_is_positive_semidefinite_if_it_claims_so(self, graphs: list[ArchitectureGraph]) -> None:
        kernel = self.make_kernel()
        if not kernel.positive_semidefinite:
            pytest.skip(f"{kernel.name} does not claim it")
        values = np.linalg.eigvalsh(kernel.fit_transform([*graphs, *random_graphs(40, 3), *architectures(20, 4)]))
        assert values.min() > -1e-8 * values.max()

    def test_numbering_of_nodes_does_not_matter(self, graphs: list[ArchitectureGraph], gram: np.ndarray) -> None:
        for seed in range(3):
            again = self.make_kernel().fit_transform([permuted(graph, seed) for graph in graphs])
            np.testing.assert_allclose(again, gram, rtol=0, atol=ROUNDING)

    def test_a_graph_is_one_with_its_permutation(self, graphs: list[ArchitectureGraph]) -> None:
        found = self.make_kernel().fit(graphs).transform([permuted(graph, 9) for graph in graphs])
        np.testing.assert_allclose(np.diag(found), 1.0, rtol=0, atol=ROUNDING)

    def test_transform_is_the_block_of_the_joint_gram(self, graphs: list[ArchitectureGraph], gram: np.ndarray) -> None:
        found = self.make_kernel().fit(graphs[:9]).transform(graphs[9:])
        np.testing.assert_allclose(found, gram[9:, :9], rtol=0, atol=ROUNDING)

    def test_labels_never_fitted_on_are_compared_like_others(self) -> None:
        first, second = labelled_graph("abc", (0, 1), (1, 2)), labelled_graph("abd", (0, 1), (1, 2))
        alone = self.make_kernel().fit([first]).transform([second])
        joint = self.make_kernel().fit_transform([first, second])
        np.testing.assert_allclose(alone, joint[1:, :1], rtol=0, atol=ROUNDING)

    def test_fit_is_forgotten_by_the_next(self, graphs: list[ArchitectureGraph], gram: np.ndarray) -> None:
        kernel = self.make_kernel().fit(graphs[:3])
        kernel.transform(graphs[3:5])
        np.testing.assert_allclose(kernel.fit(graphs[5:7]).transform(graphs[:2]), gram[:2, 5:7], rtol=0, atol=ROUNDING)

    def test_labels_matter(self) -> None:
        same = labelled_graph("abcd", (0, 1), (1, 2), (2, 3))
        kernel = self.make_kernel().fit([same])
        near, far = kernel.transform([replace(same, labels=tuple(labels)) for labels in ("abce", "efgh")])
        assert far[0] < near[0] < 1 - 1e-6

    def test_edges_matter(self) -> None:
        chain, fork = labelled_graph("abc", (0, 1), (1, 2)), labelled_graph("abc", (0, 1), (0, 2))
        assert self.make_kernel().fit([chain]).transform([fork])[0, 0] < 1 - 1e-6

    def test_reversing_all_edges_changes_nothing_if_it_says_so(
        self, graphs: list[ArchitectureGraph], gram: np.ndarray
    ) -> None:
        again = self.make_kernel().fit_transform([reversed_graph(graph) for graph in graphs])
        changed = not np.allclose(again, gram, rtol=0, atol=ROUNDING)
        assert changed == (self.make_kernel().direction is not Direction.EITHER)

    def test_nothing_to_compare_gives_no_rows_or_columns(self, graphs: list[ArchitectureGraph]) -> None:
        assert self.make_kernel().fit_transform([]).shape == (0, 0)
        assert self.make_kernel().fit([]).transform(graphs[:2]).shape == (2, 0)
        assert self.make_kernel().fit(graphs[:2]).transform([]).shape == (0, 2)

    def test_graphs_of_one_node(self) -> None:
        one, other, chain = labelled_graph("a"), labelled_graph("b"), labelled_graph("ab", (0, 1))
        gram = self.make_kernel().fit_transform([one, other, chain])
        assert np.isfinite(gram).all()
        np.testing.assert_allclose(np.diag(gram), 1.0, rtol=0, atol=ROUNDING)
        assert self.make_kernel().fit_transform([one]) == pytest.approx(1.0)

    def test_a_graph_without_nodes_is_refused(self) -> None:
        good, empty = labelled_graph("a"), labelled_graph("")
        for use in (self.make_kernel().fit, self.make_kernel().fit_transform, self.make_kernel().fit([good]).transform):
            with pytest.raises(InputError, match=r"graphs\[1\]"):
                use([good, empty])
