"""The bound of the edit distance against networkx's exact distance on tiny graphs, and the laws it keeps."""

import functools
import itertools

import networkx as nx
import numpy as np
import pytest

from explorer.errors import InputError
from explorer.similarity.graph import build_graph
from explorer.space.formats import from_model_dict
from explorer.testing.kernels import (
    GraphKernelSuite,
    architectures,
    gram,
    labelled_graph,
    permuted,
    random_graphs,
    reversed_graph,
)
from rivals.edit_distance import EditDistanceUpperBound

PATIENT = 60.0
"""A limit of time that no pair here comes near to, so that nothing depends on the machine."""


@functools.cache
def bound(approximations, first, second):
    return EditDistanceUpperBound(PATIENT, approximations)._bound(first, second)


class Remembering(EditDistanceUpperBound):
    """Computes the bound of two graphs once for all laws: it depends on these two alone."""

    def _bound(self, first, second):
        return bound(self.approximations, first, second)


class TestEditDistanceUpperBound(GraphKernelSuite):
    def make_kernel(self):
        return Remembering(PATIENT)

    def load(self, state):
        return Remembering.from_state(state)

    def test_reversing_all_edges_changes_nothing_if_it_says_so(self):
        """The distance keeps this law; a bound, found in another order, need not: so it is tested where both meet."""
        patient = EditDistanceUpperBound(PATIENT, 1000)
        for one, two in itertools.combinations(random_graphs(6, 9, most=4), 2):
            assert patient.upper_bound(one, two) == patient.upper_bound(reversed_graph(one), reversed_graph(two))


def exact(first, second):
    def alike(one, two):
        return one["label"] == two["label"]

    return nx.graph_edit_distance(first.to_networkx(), second.to_networkx(), node_match=alike)


@pytest.mark.parametrize("seed", range(4))
def test_never_below_the_distance_and_reaches_it_in_the_end(seed):
    first_only, patient = EditDistanceUpperBound(PATIENT), EditDistanceUpperBound(PATIENT, 1000)
    for one, two in itertools.combinations(random_graphs(6, seed, most=4), 2):
        distance = exact(one, two)
        assert first_only.upper_bound(one, two) >= distance
        assert patient.upper_bound(one, two) == pytest.approx(distance)


def test_more_approximations_never_make_it_worse():
    first, second = architectures(2, 5)
    bounds = [EditDistanceUpperBound(PATIENT, tries).upper_bound(first, second) for tries in (1, 2, 3)]
    assert bounds == sorted(bounds, reverse=True)
    assert bounds[0] > 0


def test_one_edit_at_a_time():
    base = labelled_graph("abc", (0, 1), (1, 2))
    kernel = EditDistanceUpperBound(PATIENT, 1000)
    assert kernel.upper_bound(base, labelled_graph("abd", (0, 1), (1, 2))) == 1
    assert kernel.upper_bound(base, labelled_graph("abc", (0, 1), (1, 2), (0, 2))) == 1
    assert kernel.upper_bound(base, labelled_graph("abcd", (0, 1), (1, 2))) == 1
    assert kernel.fit([base]).dissimilarities([labelled_graph("abd", (0, 1), (1, 2))])[0, 0] == pytest.approx(1 / 10)


def test_equal_graphs_need_no_edit_whatever_their_numbering():
    for graph in architectures(4, 6, "small"):
        assert EditDistanceUpperBound().upper_bound(graph, permuted(graph, 1)) == 0


def test_its_gram_is_not_positive_semidefinite():
    """Why the kernel does not claim it: a counterexample, far beyond rounding."""
    values = np.linalg.eigvalsh(gram(EditDistanceUpperBound(PATIENT), random_graphs(25, 1, most=6)))
    assert values.min() < -0.01 * values.max()


@pytest.mark.parametrize("seed", range(4))
def test_with_no_time_at_all_it_is_still_a_bound(seed):
    hasty = EditDistanceUpperBound(time_limit_s=1e-9)
    for one, two in itertools.combinations(random_graphs(6, seed, most=4), 2):
        everything = len(one) + len(one.edges) + len(two) + len(two.edges)
        assert exact(one, two) <= hasty.upper_bound(one, two) <= everything


def test_with_no_time_at_all_a_changed_layer_costs_little():
    """Ten layers, one of them with another width: one label."""
    layers = [{"l": 10, "o": ["sa"] * 10, "h": [64] * 10, "n": [2] * 10, "p": ["sdp"] * 10} for _ in range(2)]
    first, second = (
        build_graph(from_model_dict(layers[index] | {"f": [[128]] * 9 + [[128 << index]]})) for index in range(2)
    )
    assert EditDistanceUpperBound(time_limit_s=1e-9).upper_bound(first, second) == 1


@pytest.mark.parametrize("wrong", [{"time_limit_s": 0}, {"time_limit_s": float("nan")}, {"approximations": 0}])
def test_wrong_arguments_are_refused(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        EditDistanceUpperBound(**wrong)
