"""The explanation of a similarity against the kernel itself and against a naive recursion."""

from collections import Counter

import numpy as np
import pytest

from explorer.similarity.explanation import explain_trees
from explorer.similarity.graph import ArchitectureGraph, build_graph
from explorer.similarity.weisfeiler_lehman import WeisfeilerLehman
from explorer.space.formats import from_model_dict
from explorer.space.grammar import load_space


def architectures(count, seed):
    specs = load_space("small").at_level(1, True).sample(count, np.random.default_rng(seed))
    return [build_graph(spec) for spec in specs]


def random_graph(rng):
    """Any labelled directed acyclic graph, with several sinks and labels that also stand in the middle."""
    nodes = int(rng.integers(1, 14))
    edges = tuple((a, b) for a in range(nodes) for b in range(a + 1, nodes) if rng.random() < 0.3)
    labels = tuple(str(label) for label in rng.integers(0, 3, nodes))
    return ArchitectureGraph(("node",) * nodes, labels, (0,) * nodes, edges)


def tree(graph, node, depth):
    """A node with what follows it, by plain recursion."""
    if depth == 0:
        return graph.labels[node], ()
    followers = sorted(tree(graph, target, depth - 1) for source, target in graph.edges if source == node)
    return graph.labels[node], tuple(followers)


def counts_of(graph, iterations):
    return [Counter(tree(graph, node, depth) for node in range(len(graph))) for depth in range(iterations + 1)]


def batches(seed):
    rng = np.random.default_rng(seed)
    return architectures(6, seed), [random_graph(rng) for _ in range(8)]


@pytest.mark.parametrize("iterations", [0, 1, 3, 5])
@pytest.mark.parametrize("seed", range(4))
def test_weights_add_up_to_the_kernel(seed, iterations):
    for batch in batches(seed):
        gram = 1 - WeisfeilerLehman(iterations).fit(batch).dissimilarities(batch)
        for i, first in enumerate(batch):
            for j, second in enumerate(batch):
                found = explain_trees(first, second, iterations)
                assert found.similarity == pytest.approx(gram[i, j], abs=2e-12)
                assert found.dissimilarity == pytest.approx(1 - gram[i, j], abs=2e-12)
                assert sum(p.shared for p in found.shared) == pytest.approx(gram[i, j], abs=2e-12)
                assert sum(p.different for p in found.different) == pytest.approx(1 - gram[i, j], abs=2e-12)


@pytest.mark.parametrize("seed", range(4))
def test_counts_are_those_of_a_naive_recursion(seed):
    iterations = 3
    for first, second, *_ in batches(seed):
        counts = [counts_of(graph, iterations) for graph in (first, second)]
        found = explain_trees(first, second, iterations)
        for depth in range(iterations + 1):
            one, two = counts[0][depth], counts[1][depth]
            expected = Counter((one[tree], two[tree]) for tree in {*one, *two})
            assert Counter((p.first, p.second) for p in found.patterns if depth in p.depths) == expected


def test_each_pattern_stands_once_and_in_its_own_words():
    for first, second in zip(architectures(6, 1), architectures(6, 2), strict=True):
        patterns = explain_trees(first, second).patterns
        keys = [(pattern.pattern, depth) for pattern in patterns for depth in pattern.depths]
        assert len(keys) == len(set(keys))


def test_equal_graphs_have_no_difference():
    for graph in architectures(3, 9):
        found = explain_trees(graph, graph)
        assert found.different == []
        assert found.dissimilarity == 0
        assert found.similarity == pytest.approx(1.0, abs=2e-12)


def test_nothing_in_common():
    one = ArchitectureGraph(("node",), ("a",), (0,), ())
    two = ArchitectureGraph(("node",), ("b",), (0,), ())
    found = explain_trees(one, two, 2)
    assert (found.similarity, found.shared) == (0, [])
    assert found.dissimilarity == pytest.approx(1.0, abs=2e-12)
    assert [(p.pattern, p.depths, p.first, p.second) for p in found.different] == [
        ("a", (0, 1, 2), 1, 0),
        ("b", (0, 1, 2), 0, 1),
    ]


def test_swapping_the_two_swaps_the_counts():
    first, second = architectures(2, 3)
    there = {(p.pattern, p.depths): (p.first, p.second, p.different) for p in explain_trees(first, second).patterns}
    back = {(p.pattern, p.depths): (p.second, p.first, p.different) for p in explain_trees(second, first).patterns}
    assert there == back


def test_lists_are_sorted_by_weight():
    found = explain_trees(*architectures(2, 4))
    for weights in ([p.shared for p in found.shared], [p.different for p in found.different]):
        assert weights == sorted(weights, reverse=True)
        assert min(weights) > 0


def test_patterns_read_like_paths():
    model = {"l": 1, "o": ["c"], "h": [64], "n": [4], "f": [[32]], "p": [5]}
    graph = build_graph(from_model_dict(model))
    counts = {p.pattern: p.first for p in explain_trees(graph, graph).patterns}
    assert counts["c_h64_5 → add_norm_h64"] == 2
    assert counts["add_norm_h64 → add_norm_h64 + ff_32"] == 1
    assert counts["input → add_norm_h64 + 2 × c_h64_5 + 2 × sa_h64_sdp"] == 1
    around = "[add_norm_h64 → output; ff_32 → add_norm_h64 → output]"
    assert counts[f"c_h64_5 → add_norm_h64 → {around}"] == 2
    heads = f"2 × c_h64_5 + 2 × sa_h64_sdp → add_norm_h64 → {around}"
    assert counts[f"input → [{heads}; add_norm_h64 → {around}]"] == 1
