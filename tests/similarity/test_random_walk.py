"""The labelled random walk kernel against GraKeL's exact one, counted walks, and the laws of a kernel."""

import numpy as np
import pytest

from explorer.errors import InputError
from explorer.similarity.random_walk import CHUNK, RandomWalk
from explorer.testing.kernels import GraphKernelSuite, architectures, gram, random_graphs


class TestRandomWalk(GraphKernelSuite):
    def make_kernel(self):
        return RandomWalk()


class TestRandomWalkWithoutDecay(GraphKernelSuite):
    """GraKeL lets no such sum pass; here it is finite, as no walk is endless."""

    def make_kernel(self):
        return RandomWalk(1.0)


@pytest.mark.parametrize("decay", [0.02, 0.1, 0.7])
def test_equal_to_grakel_on_any_graphs(decay, grakel_gram):
    batch = random_graphs(40, 1, most=9)
    expected, _ = grakel_gram("RandomWalkLabeled", batch, lamda=decay, method_type="baseline")
    np.testing.assert_allclose(gram(RandomWalk(decay), batch), expected, rtol=0, atol=1e-12)


def test_equal_to_grakel_on_architectures(grakel_gram):
    batch = architectures(4, 3, "nano")
    expected, _ = grakel_gram("RandomWalkLabeled", batch, lamda=0.1, method_type="baseline")
    np.testing.assert_allclose(gram(RandomWalk(0.1), batch), expected, rtol=0, atol=1e-12)


def walks(graph):
    """Label sequences of all walks with at least one edge."""
    found = []
    current = [(node,) for node in range(len(graph))]
    while current:
        current = [(*walk, target) for walk in current for source, target in graph.edges if source == walk[-1]]
        found += [tuple(graph.labels[node] for node in walk) for walk in current]
    return found


def naive_value(first, second, decay):
    common = sum(decay ** (len(one) - 1) for one in walks(first) for two in walks(second) if one == two)
    return len(first) * len(second) + common


def test_equal_to_walks_listed_one_by_one():
    batch = random_graphs(16, 4, most=6)
    values = np.array([[naive_value(one, two, 0.3) for two in batch] for one in batch])
    expected = values / np.sqrt(np.outer(np.diag(values), np.diag(values)))
    np.testing.assert_allclose(gram(RandomWalk(0.3), batch), expected, rtol=0, atol=1e-12)


def test_more_graphs_than_are_compared_at_a_time():
    batch = random_graphs(2 * CHUNK + 3, 6, most=5)
    values = gram(RandomWalk(), batch)
    picked = [0, CHUNK - 1, CHUNK, 2 * CHUNK, len(batch) - 1]
    part = gram(RandomWalk(), [batch[index] for index in picked])
    np.testing.assert_allclose(values[np.ix_(picked, picked)], part, rtol=0, atol=1e-13)


@pytest.mark.parametrize("decay", [0, -0.1, float("inf"), float("nan")])
def test_wrong_decay_is_refused(decay):
    with pytest.raises(InputError, match="decay"):
        RandomWalk(decay)
