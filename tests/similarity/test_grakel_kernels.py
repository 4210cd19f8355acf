"""GraKeL's kernels through the one door: the laws of a kernel, equality with ours, names, parameters and refusals."""

import os
import subprocess
import sys
import warnings

import numpy as np
import pytest

from explorer.errors import InputError
from explorer.similarity import pairs
from explorer.similarity.grakel_kernels import GrakelKernel, grakel_names
from explorer.similarity.registry import kernel_from_state, kernel_named
from explorer.similarity.weisfeiler_lehman import WeisfeilerLehman
from explorer.testing.kernels import GraphKernelSuite, architectures, gram, random_graphs


class TestGrakelWeisfeilerLehman(GraphKernelSuite):
    def make_kernel(self):
        return GrakelKernel("weisfeiler_lehman", n_iter=3)


class TestGrakelOptimalAssignment(GraphKernelSuite):
    def make_kernel(self):
        return kernel_named("grakel:WL-OA", n_iter=2)


@pytest.mark.parametrize("kind", ["architectures", "random"])
def test_weisfeiler_lehman_through_grakel_equals_ours(kind):
    batch = architectures(60, 1, "small") if kind == "architectures" else random_graphs(80, 2, most=14)
    theirs = kernel_named("grakel:weisfeiler_lehman", n_iter=5).fit(batch)
    ours = WeisfeilerLehman(5).fit(batch)
    np.testing.assert_allclose(theirs.squared_distances(batch), ours.squared_distances(batch), rtol=0, atol=1e-12)
    others = architectures(10, 3, "nano")
    found, expected = theirs.squared_distances(others), ours.squared_distances(others)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(theirs.nearest(others, 5)[0], ours.nearest(others, 5)[0])


KERNELS = {
    "grakel:vertex_histogram": {},
    "grakel:edge_histogram": {},
    "grakel:shortest_path": {},
    "grakel:random_walk": {},
    "grakel:random_walk_labeled": {},
    "grakel:propagation": {"t_max": 2},
    "grakel:propagation_attr": {"t_max": 2},
    "grakel:pyramid_match": {"L": 2, "d": 3},
    "grakel:neighborhood_hash": {"R": 2, "bits": 16},
    "grakel:NSPD": {"r": 1, "d": 2},
    "grakel:odd_sth": {"h": 2},
    "grakel:subgraph_matching": {"k": 2},
    "grakel:graphlet_sampling": {"k": 3},
    "grakel:WL": {"n_iter": 2, "base": "shortest_path"},
    "grakel:multiscale_laplacian": {"L": 1, "P": 4, "n_samples": 6},
}


@pytest.mark.parametrize("name", KERNELS)
def test_every_kernel_places_finds_and_is_saved(name):
    batch, others = architectures(8, 5), architectures(2, 6)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kernel = kernel_named(name, **KERNELS[name]).fit(batch)
        values = kernel.dissimilarities(others)
        again = kernel_from_state(kernel.state())
    assert values.shape == (2, 8)
    assert np.isfinite(values).all()
    assert 0 <= values.min() <= values.max() <= 1
    assert np.isfinite(kernel.vectors).all()
    np.testing.assert_array_equal(again.transform(others), kernel.transform(others))
    np.testing.assert_array_equal(again.nearest(others, 4)[0], kernel.nearest(others, 4)[0])
    np.testing.assert_allclose(np.diag(kernel.dissimilarities(batch)), 0.0, atol=1e-3)


@pytest.mark.parametrize("name", ["grakel:core_framework", "grakel:hadamard_code", "grakel:graph_hopper"])
def test_kernels_that_fail_on_directed_graphs_are_refused_with_the_reason(name):
    with pytest.raises(InputError, match="read these graphs"):
        kernel_named(name).fit(architectures(6, 5))


def test_names_are_those_of_grakel():
    names = grakel_names()
    assert names["WL-OA"] == "weisfeiler_lehman_optimal_assignment"
    assert kernel_named("grakel:WL-OA").name == "grakel:weisfeiler_lehman_optimal_assignment"
    assert kernel_named("grakel:WL-OA").parameters == {"kernel": "weisfeiler_lehman_optimal_assignment"}


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("grakel:nope", {}, "WL|weisfeiler_lehman"),
        ("grakel:WL", {"base": "nope"}, "base must be grakel:NAME"),
        ("grakel:WL", {"depth": 3}, "parameters of GraKeL's weisfeiler_lehman"),
        ("grakel:WL", {"n_iter": -1}, "parameters of GraKeL's weisfeiler_lehman"),
        ("grakel:propagation", {"t_max": "two"}, "parameters of GraKeL's propagation"),
    ],
)
def test_unknown_names_and_parameters_are_refused(name, parameters, message):
    with pytest.raises(InputError, match=message):
        kernel_named(name, **parameters)


def test_values_are_the_same_in_every_process():
    names = ("grakel:propagation", "grakel:neighborhood_hash")
    script = (
        "from explorer.similarity.registry import kernel_named\n"
        "from explorer.testing.kernels import architectures\n"
        f"for name in {names}:\n"
        "    kernel = kernel_named(name).fit(architectures(8, 1))\n"
        "    print(kernel.dissimilarities(architectures(3, 2)).tolist())\n"
    )
    command, other = [sys.executable, "-W", "ignore", "-c", script], os.environ | {"PYTHONHASHSEED": "1"}
    run = subprocess.run(command, env=other, capture_output=True, text=True, check=True)
    here = (kernel_named(name).fit(architectures(8, 1)).dissimilarities(architectures(3, 2)) for name in names)
    assert run.stdout.splitlines() == [str(values.tolist()) for values in here]


def test_values_do_not_depend_on_what_else_is_compared():
    batch = architectures(12, 7)
    kernel = kernel_named("grakel:propagation").fit(batch)
    together = kernel.dissimilarities(batch, batch)
    alone = kernel.dissimilarities([batch[3]], [batch[9]])[0, 0]
    assert together[3, 9] == pytest.approx(alone, abs=1e-9)


def test_a_large_library_is_placed_by_landmarks(monkeypatch):
    monkeypatch.setattr(pairs, "EXACT", 60)
    monkeypatch.setattr(pairs, "LANDMARKS", 40)
    monkeypatch.setattr(pairs, "CANDIDATES", 30)
    batch = architectures(150, 3)
    kernel = kernel_named("grakel:WL", n_iter=2).fit(batch)
    exact = WeisfeilerLehman(2).fit(batch)
    assert not kernel.exact_neighbors
    assert exact.exact_neighbors
    np.testing.assert_allclose(kernel.vectors, kernel.transform(batch), atol=1e-5)
    assert kernel.agreement() > 0.9
    indices, values = kernel.neighbors(5)
    # Candidates come from the vectors; the order and the values are exact.
    expected = exact.dissimilarities(batch)
    np.testing.assert_allclose(np.take_along_axis(expected, indices, axis=1), values, rtol=0, atol=2e-12)
    assert (np.diff(values, axis=1) >= 0).all()
    assert all(row not in found for row, found in enumerate(indices))
    true = exact.neighbors(5)[1]
    assert np.mean(values[:, -1] <= true[:, -1] + 1e-9) > 0.8
    again = kernel_from_state(kernel.state())
    np.testing.assert_array_equal(again.nearest(batch[:5], 3)[0], kernel.nearest(batch[:5], 3)[0])


def test_gram_of_random_walks_equals_ours_where_grakel_is_exact():
    batch = random_graphs(12, 1, most=6)
    theirs = kernel_named("grakel:random_walk_labeled", lamda=0.1, method_type="baseline")
    np.testing.assert_allclose(gram(theirs, batch), gram(kernel_named("random_walk"), batch), rtol=0, atol=1e-12)


def test_cost_is_refused_before_it_is_spent():
    estimate = kernel_named("grakel:shortest_path").cost(architectures(16, 1), 9_312)
    assert estimate.seconds > 60
    assert estimate.seconds > kernel_named("wl").cost(architectures(16, 1), 9_312).seconds
    with pytest.raises(InputError, match="Use the kernel views"):
        estimate.check("grakel:shortest_path", max_hours=1e-4)
    with pytest.raises(InputError, match="GB of memory"):
        estimate.check("grakel:shortest_path", max_hours=1e9, max_bytes=1)
