"""The sparse Weisfeiler-Lehman kernel against GraKeL's and against the laws of a kernel."""

import warnings

import numpy as np
import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from grakel import Graph
    from grakel.kernels import VertexHistogram
    from grakel.kernels import WeisfeilerLehman as GraKeLWeisfeilerLehman

from explorer.graphs import ArchitectureGraph, build_graph
from explorer.kernels.weisfeiler_lehman import WeisfeilerLehman, dissimilarity_blocks
from explorer.space.grammar import load_space


def graphs(count, seed=0, space="small"):
    specs = load_space(space).at_level(1, True).sample(count, np.random.default_rng(seed))
    return [build_graph(spec) for spec in specs]


def random_graph(rng):
    """Any labelled directed acyclic graph, not only those of architectures."""
    nodes = int(rng.integers(2, 15))
    edges = tuple((a, b) for a in range(nodes) for b in range(a + 1, nodes) if rng.random() < 0.3)
    labels = tuple(str(label) for label in rng.integers(0, 3, nodes))
    return ArchitectureGraph(("node",) * nodes, labels, (0,) * nodes, edges)


def grakel_gram(batch, iterations):
    converted = [
        Graph({a: {b: 1.0 for s, b in g.edges if s == a} for a in range(len(g))}, node_labels=dict(enumerate(g.labels)))
        for g in batch
    ]
    kernel = GraKeLWeisfeilerLehman(n_iter=iterations, base_graph_kernel=VertexHistogram, normalize=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return kernel.fit_transform(converted)


@pytest.mark.parametrize("space", ["nano", "small"])
def test_equal_to_grakel_on_architectures(space):
    batch = graphs(80, space=space)
    ours = WeisfeilerLehman(5).fit_transform(batch)
    np.testing.assert_allclose(ours, grakel_gram(batch, 5), atol=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_equal_to_grakel_on_any_graphs(seed):
    rng = np.random.default_rng(seed)
    batch = [random_graph(rng) for _ in range(30)]
    ours = WeisfeilerLehman(3).fit_transform(batch)
    np.testing.assert_allclose(ours, grakel_gram(batch, 3), atol=1e-12)


def test_gram_is_symmetric_unit_and_positive_semidefinite():
    gram = WeisfeilerLehman().fit_transform(graphs(60))
    np.testing.assert_allclose(gram, gram.T, atol=1e-15)
    np.testing.assert_allclose(np.diag(gram), 1.0)
    assert np.linalg.eigvalsh(gram).min() > -1e-10


def test_transform_is_the_block_of_the_joint_gram():
    first, second = graphs(30, seed=1), graphs(20, seed=2)
    kernel = WeisfeilerLehman()
    kernel.fit_transform(first)
    joint = WeisfeilerLehman().fit_transform([*first, *second])
    np.testing.assert_allclose(kernel.transform(second), joint[30:, :30], atol=1e-14)


def test_blocks_are_one_minus_the_gram():
    batch = graphs(50)
    kernel = WeisfeilerLehman()
    blocks = list(dissimilarity_blocks(kernel.features(batch), block_rows=16))
    assert [start for start, _ in blocks] == [0, 16, 32, 48]
    expected = np.clip(1 - kernel.fit_transform(batch), 0, 1)
    np.testing.assert_allclose(np.concatenate([block for _, block in blocks]), expected, atol=1e-12)
