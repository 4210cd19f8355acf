"""The kernel of many views: the laws of a kernel, a naive recursion, its embedding, and weights learned from scores."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from explorer.errors import InputError
from explorer.similarity.distances import principal_axes
from explorer.similarity.graph import ArchitectureGraph, build_graph
from explorer.similarity.kernel import GraphKernel
from explorer.similarity.multi_view import MultiViewKernel
from explorer.similarity.views import Attribute, LabelledNodes, Position, View, default_views
from explorer.space.spec import ArchitectureSpec, HeadOp, LayerSpec
from explorer.testing.kernels import GraphKernelSuite, architectures, permuted


def mixed(count: int, seed: int) -> list[ArchitectureGraph]:
    """Architectures whose layers differ in everything, with heads that need not tile the layer."""
    rng = np.random.default_rng(seed)
    heads = (("sa", "sdp"), ("sa", "wma"), ("l", "dft"), ("c", "5"), ("c", "9"))
    specs = []
    for _ in range(count):
        layers = []
        for _ in range(int(rng.integers(1, 4))):
            size = int(rng.choice([32, 64, 96]))
            ops = [HeadOp(*heads[int(rng.integers(5))], size) for _ in range(int(rng.integers(1, 4)))]  # type: ignore[arg-type]
            widths = rng.choice([256, 512, 1024], int(rng.integers(1, 4)))
            layers.append(LayerSpec(int(rng.choice([96, 128, 256])), tuple(ops), tuple(int(w) for w in widths)))
        specs.append(ArchitectureSpec(tuple(layers)))
    return [build_graph(spec) for spec in specs]


class TestMultiViewKernel(GraphKernelSuite):
    def make_kernel(self) -> GraphKernel:
        return MultiViewKernel()


class TestFewViewsWithWeights(GraphKernelSuite):
    def make_kernel(self) -> GraphKernel:
        return MultiViewKernel([View(Attribute.LABEL), View(Attribute.KIND, Position.FROM_OUTPUT, 2)], [1.0, 0.25])


def first_labels(graph: ArchitectureGraph, view: View, levels: tuple[int, ...]) -> list[list[tuple[object, bool]]]:
    """By plain reading of labels: for each labelling, every node's first label and whether it is counted."""
    last = max(graph.layers)
    heads = Counter(layer for kind, layer in zip(graph.kinds, graph.layers, strict=True) if kind == "head")
    told: list[tuple[object, int]] = []
    for kind, label, layer in zip(graph.kinds, graph.labels, graph.layers, strict=True):
        place = {"any": 0, "from_input": layer, "from_output": last - layer if layer >= 0 else -1}[view.position]
        parts = label.split("_")
        hidden = int(parts[1][1:]) if kind == "head" else int(parts[2][1:]) if kind == "add_norm" else 0
        named, size = {
            Attribute.LABEL: (label, 0),
            Attribute.KIND: (kind, 0),
            Attribute.FAMILY: (parts[0] if kind == "head" else kind, 0),
            Attribute.OPERATION: ((parts[0], parts[2]) if kind == "head" else kind, 0),
            Attribute.HIDDEN: (kind, hidden),
            Attribute.WIDTH: (kind, int(parts[1]) if kind == "feed_forward" else 0),
            Attribute.HEAD_SIZE: (kind, _head_size(parts, hidden // heads[layer]) if kind == "head" else 0),
        }[view.attribute]
        told.append(((named, place), size))
    if not view.attribute.is_size:
        return [[(named, True) for named, _ in told]]
    return [[((named, level if size >= level else 0), size >= level) for named, size in told] for level in levels]


def _head_size(parts: list[str], share: int) -> int:
    return int(parts[3][1:]) if len(parts) == 4 else share


def naive_counts(graph: ArchitectureGraph, view: View, levels: tuple[int, ...]) -> Counter[object]:
    """Patterns as nested tuples."""
    counts: Counter[object] = Counter()
    for which, labelling in enumerate(first_labels(graph, view, levels)):
        for way in (0, 1) if view.depth else (0,):
            edges = [(b, a) if way else (a, b) for a, b in graph.edges]
            patterns: list[object] = [named for named, _ in labelling]
            for _ in range(view.depth):
                around = [sorted(repr(patterns[b]) for a, b in edges if a == node) for node in range(len(graph))]
                patterns = [(own, tuple(near)) for own, near in zip(patterns, around, strict=True)]
            chosen = (pattern for pattern, (_, counted) in zip(patterns, labelling, strict=True) if counted)
            counts.update((which, way, repr(pattern)) for pattern in chosen)
    return counts


VIEWS = (
    *default_views(2),
    View(Attribute.FAMILY, Position.FROM_OUTPUT, 1),
    View(Attribute.HIDDEN, Position.FROM_INPUT, 1),
)


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_equal_to_a_naive_recursion_under_each_view(view: View) -> None:
    graphs = mixed(25, 1)
    levels = LabelledNodes(graphs, 0).levels().get(view.attribute, ())
    found = [naive_counts(graph, view, levels) for graph in graphs]
    columns = {pattern: index for index, pattern in enumerate(dict.fromkeys(p for counts in found for p in counts))}
    dense = np.zeros((len(graphs), len(columns)))
    for row, counts in enumerate(found):
        for pattern, count in counts.items():
            dense[row, columns[pattern]] = count
    variance = dense.var(axis=0).sum()
    expected = np.square(dense[:, None] - dense[None]).sum(axis=2) / variance
    found = MultiViewKernel([view]).fit(graphs).squared_distances(graphs)
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_sizes_are_graded() -> None:
    def graph(hidden: int) -> ArchitectureGraph:
        return build_graph(ArchitectureSpec((LayerSpec.per_layer(hidden, "sa", "sdp", 2, (512,)),)))

    reference = [graph(hidden) for hidden in (128, 256, 512, 768)]
    kernel = MultiViewKernel([View(Attribute.HIDDEN)]).fit(reference)
    near, middle, far, between = kernel.dissimilarities([graph(hidden) for hidden in (256, 512, 768, 600)])[:, 0]
    assert 0 < near < middle < far
    assert between == pytest.approx(middle)  # not seen before: counts as the threshold below it


def test_random_pairs_of_the_fitted_graphs_are_two_apart_on_average() -> None:
    graphs = mixed(40, 2)
    assert MultiViewKernel().fit(graphs).squared_distances(graphs).mean() == pytest.approx(2.0)


def test_features_of_other_graphs_keep_the_fitted_columns() -> None:
    graphs, others = mixed(30, 3), mixed(10, 4)
    kernel = MultiViewKernel().fit(graphs)
    first, second = kernel.features(graphs), kernel.features(others)
    assert second.shape[1] > first.shape[1]  # patterns the fitted graphs lack
    first.resize(first.shape[0], second.shape[1])
    difference = second.toarray()[:, None] - first.toarray()[None]
    np.testing.assert_allclose(kernel.squared_distances(others), np.square(difference).sum(axis=2), atol=1e-9)


def test_the_similarity_is_gaussian() -> None:
    graphs, others = mixed(30, 3), mixed(10, 4)
    kernel = MultiViewKernel().fit(graphs)
    expected = 1.0 - np.exp(-kernel.squared_distances(others) / 2)
    np.testing.assert_allclose(kernel.dissimilarities(others), expected, atol=1e-11)


def test_all_axes_keep_every_distance_and_few_keep_the_largest_share() -> None:
    graphs, others = mixed(60, 6), mixed(10, 7)
    kernel = MultiViewKernel().fit(graphs)
    features = kernel.features(graphs)
    full = principal_axes(features, 60, np.random.default_rng(0))
    vectors = full.place(features)
    exact = kernel.squared_distances(graphs)
    np.testing.assert_allclose(np.square(vectors[:, None] - vectors[None]).sum(axis=2), exact, atol=1e-8)
    few = principal_axes(features, 8, np.random.default_rng(0))
    np.testing.assert_allclose(few.place(features), vectors[:, :8], atol=1e-7)
    assert few.share == pytest.approx(vectors[:, :8].var(axis=0).sum() / vectors.var(axis=0).sum())
    np.testing.assert_allclose(few.place(kernel.features([*others, graphs[3]]))[-1], few.place(features)[3], atol=1e-9)


def test_a_permuted_graph_has_the_same_features() -> None:
    graphs = mixed(10, 8)
    kernel = MultiViewKernel().fit(graphs)
    again = kernel.features([permuted(graph, 1) for graph in graphs])
    np.testing.assert_allclose(again.toarray(), kernel.features(graphs).toarray(), atol=1e-12)


def test_views_that_see_no_difference_weigh_nothing() -> None:
    graphs = architectures(20, 9)
    alike = [replace(graph, labels=("x",) * len(graph), kinds=("node",) * len(graph)) for graph in graphs[:1] * 3]
    kernel = MultiViewKernel().fit(alike)
    np.testing.assert_array_equal(kernel.factors, 0.0)
    np.testing.assert_array_equal(kernel.dissimilarities(alike), 0.0)
    assert (MultiViewKernel().fit(graphs).factors > 0).any()


def test_wrong_views_and_weights_are_refused() -> None:
    with pytest.raises(InputError, match="views"):
        MultiViewKernel([])
    count = len(default_views())
    for weights in ([1.0], [-1.0] * count, [0.0] * count, [np.nan] * count):
        with pytest.raises(InputError, match="weights"):
            MultiViewKernel(weights=weights)


def test_an_explanation_names_what_differs() -> None:
    def graph(hidden: int, family: str, parameter: str) -> ArchitectureGraph:
        layers = [
            LayerSpec.per_layer(hidden, family, parameter, 2, (512,)),
            LayerSpec.per_layer(128, "sa", "sdp", 2, (512,)),
        ]  # type: ignore[arg-type]
        return build_graph(ArchitectureSpec(tuple(layers)))

    kernel = MultiViewKernel().fit([graph(128, "sa", "sdp"), graph(256, "c", "5"), graph(256, "sa", "wma")])
    first, second = graph(128, "sa", "sdp"), graph(256, "c", "5")
    patterns = {pattern.pattern: pattern for pattern in kernel.explain(first, second).patterns}
    found = patterns["c in layer 1"]
    assert (found.first, found.second) == (0, 1)  # half of the heads convolve
    assert found.different > 0 == found.shared
    assert (patterns["sa in layer 2"].first, patterns["sa in layer 2"].second) == (2, 2)
    assert patterns["sa in layer 2"].different == 0 < patterns["sa in layer 2"].shared
    assert patterns["head (hidden ≥ 256) in layer 2 from the output"].second == 2
    assert patterns["c → add_norm"].second == 1
    assert patterns["add_norm ← input + 2 × sa"].first == 1
