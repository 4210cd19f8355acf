"""The sparse Weisfeiler-Lehman kernel against GraKeL's and against the laws of a kernel."""

import numpy as np
import pytest

from explorer.errors import InputError
from explorer.similarity.kernel import EdgeDirection
from explorer.similarity.weisfeiler_lehman import WeisfeilerLehman
from explorer.space.grammar import preset_names
from explorer.testing.kernels import GraphKernelSuite, architectures, random_graphs, reversed_graph


class TestWeisfeilerLehman(GraphKernelSuite):
    def make_kernel(self):
        return WeisfeilerLehman(3)


class TestWeisfeilerLehmanOfWhatComesBefore(GraphKernelSuite):
    def make_kernel(self):
        return WeisfeilerLehman(2, EdgeDirection.IN)


@pytest.mark.slow
@pytest.mark.parametrize("space", preset_names())
def test_equal_to_grakel_on_200_architectures(space, grakel_gram):
    batch = architectures(200, 0, space)
    expected, _ = grakel_gram("WeisfeilerLehman", batch, n_iter=5)
    ours = WeisfeilerLehman(5).fit(batch).squared_distances(batch)
    np.testing.assert_allclose(1 - ours / 2, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("iterations", [1, 3])
def test_equal_to_grakel_on_any_graphs(iterations, grakel_gram):
    batch = random_graphs(150, iterations, most=14)
    expected, _ = grakel_gram("WeisfeilerLehman", batch, n_iter=iterations)
    ours = WeisfeilerLehman(iterations).fit(batch).squared_distances(batch)
    np.testing.assert_allclose(1 - ours / 2, expected, rtol=0, atol=1e-12)


def naive_counts(graph, iterations):
    """Counts of labels written out as nested tuples."""
    labels = list(graph.labels)
    counts = {}
    for depth in range(iterations + 1):
        for label in labels:
            counts[depth, label] = counts.get((depth, label), 0) + 1
        around = [sorted((labels[t] for s, t in graph.edges if s == node), key=repr) for node in range(len(graph))]
        labels = [(label, tuple(found)) for label, found in zip(labels, around, strict=True)]
    return counts


def test_counts_are_those_of_a_naive_refinement():
    batch = [*random_graphs(20, 5), *architectures(4, 6)]
    expected = [naive_counts(graph, 3) for graph in batch]
    products = [[sum(n * two.get(key, 0) for key, n in one.items()) for two in expected] for one in expected]
    counts = WeisfeilerLehman(3).fit(batch[:10]).features(batch)
    np.testing.assert_array_equal((counts @ counts.T).toarray(), products)


def test_looking_back_is_looking_ahead_in_the_reversed_graphs():
    batch = [*architectures(10, 8), *random_graphs(10, 8)]
    turned = [reversed_graph(graph) for graph in batch]
    ahead = WeisfeilerLehman(4, EdgeDirection.OUT).fit(turned).dissimilarities(turned)
    back = WeisfeilerLehman(4, EdgeDirection.IN).fit(batch).dissimilarities(batch)
    np.testing.assert_array_equal(back, ahead)


def test_no_direction_at_once():
    with pytest.raises(InputError, match="direction"):
        WeisfeilerLehman(2, EdgeDirection.EITHER)
    with pytest.raises(InputError, match="iterations"):
        WeisfeilerLehman(-1)
