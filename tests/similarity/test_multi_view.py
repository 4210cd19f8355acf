"""The kernel of many views: the laws of a kernel, a naive recursion, its embedding, and weights learned from scores."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from explorer.errors import InputError
from explorer.similarity.contract import GraphKernel
from explorer.similarity.graph import ArchitectureGraph, build_graph
from explorer.similarity.multi_view import MultiViewKernel, dissimilarity_blocks, principal_axes, squared_distances
from explorer.similarity.views import Attribute, LabelledNodes, Position, View, default_views
from explorer.similarity.weights import _cost, learn_weights
from explorer.space.spec import ArchitectureSpec, HeadOp, LayerSpec
from explorer.testing.kernels import GraphKernelSuite, architectures, permuted, random_graphs


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
        return MultiViewKernel([*architectures(30, 7), *mixed(20, 8), *random_graphs(20, 9)])


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
    features = MultiViewKernel(graphs, [view]).features(graphs)
    np.testing.assert_allclose(squared_distances(features, features), expected, atol=1e-9)


def test_sizes_are_graded() -> None:
    def graph(hidden: int) -> ArchitectureGraph:
        return build_graph(ArchitectureSpec((LayerSpec.per_layer(hidden, "sa", "sdp", 2, (512,)),)))

    reference = [graph(hidden) for hidden in (128, 256, 512, 768)]
    kernel = MultiViewKernel(reference, [View(Attribute.HIDDEN)]).fit([graph(128)])
    near, middle, far, between = kernel.transform([graph(hidden) for hidden in (256, 512, 768, 600)])[:, 0]
    assert 1 > near > middle > far
    assert between == pytest.approx(middle)  # not seen before: counts as the threshold below it


def test_random_pairs_of_the_reference_are_two_apart_on_average() -> None:
    graphs = mixed(40, 2)
    features = MultiViewKernel(graphs).features(graphs)
    assert squared_distances(features, features).mean() == pytest.approx(2.0)


def test_features_of_other_graphs_keep_the_references_columns() -> None:
    graphs, others = mixed(30, 3), mixed(10, 4)
    kernel = MultiViewKernel(graphs)
    first, second = kernel.features(graphs), kernel.features(others)
    assert second.shape[1] > first.shape[1]  # patterns the reference lacks
    expected = -2.0 * np.log(kernel.fit(graphs).transform(others))
    np.testing.assert_allclose(squared_distances(second, first), expected, atol=1e-9)


def test_blocks_are_one_minus_the_gram() -> None:
    graphs = architectures(50, 5)
    kernel = MultiViewKernel(graphs)
    blocks = list(dissimilarity_blocks(kernel.features(graphs), block_rows=16))
    assert [start for start, _ in blocks] == [0, 16, 32, 48]
    gram = kernel.fit_transform(graphs)
    np.testing.assert_allclose(np.concatenate([block for _, block in blocks]), 1 - gram, atol=1e-12)


def test_all_axes_keep_every_distance_and_few_keep_the_largest_share() -> None:
    graphs, others = mixed(60, 6), mixed(10, 7)
    kernel = MultiViewKernel(graphs)
    features = kernel.features(graphs)
    full = principal_axes(features, 60, np.random.default_rng(0))
    vectors = full.place(features)
    exact = squared_distances(features, features)
    np.testing.assert_allclose(np.square(vectors[:, None] - vectors[None]).sum(axis=2), exact, atol=1e-8)
    few = principal_axes(features, 8, np.random.default_rng(0))
    np.testing.assert_allclose(few.place(features), vectors[:, :8], atol=1e-7)
    assert few.share == pytest.approx(vectors[:, :8].var(axis=0).sum() / vectors.var(axis=0).sum())
    np.testing.assert_allclose(few.place(kernel.features([*others, graphs[3]]))[-1], few.place(features)[3], atol=1e-9)


def test_a_permuted_graph_has_the_same_features() -> None:
    graphs = mixed(10, 8)
    kernel = MultiViewKernel(graphs)
    again = kernel.features([permuted(graph, 1) for graph in graphs])
    np.testing.assert_allclose(again.toarray(), kernel.features(graphs).toarray(), atol=1e-12)


def test_views_that_see_no_difference_weigh_nothing() -> None:
    graphs = architectures(20, 9)
    alike = [replace(graph, labels=("x",) * len(graph), kinds=("node",) * len(graph)) for graph in graphs[:1] * 3]
    kernel = MultiViewKernel(alike)
    np.testing.assert_array_equal(kernel.weights, 0.0)
    np.testing.assert_array_equal(kernel.fit_transform(alike), 1.0)
    assert MultiViewKernel(graphs).weights.sum() == pytest.approx(1.0)


def test_weights_find_the_view_that_scores_depend_on() -> None:
    graphs = mixed(120, 10)
    kernel = MultiViewKernel(graphs)
    planted = kernel.views.index(View(Attribute.OPERATION, Position.FROM_OUTPUT))
    alone = kernel.weighted(np.eye(len(kernel.views))[planted]).features(graphs).toarray()
    rng = np.random.default_rng(0)
    scores = alone @ rng.standard_normal(alone.shape[1]) + 0.05 * rng.standard_normal(len(graphs))
    weights = learn_weights(kernel.view_grams(graphs), scores, kernel.weights)
    assert weights.sum() == pytest.approx(1.0)
    assert int(weights.argmax()) == planted
    assert weights[planted] > 3 * kernel.weights[planted]
    held = learn_weights(kernel.view_grams(graphs), scores, kernel.weights, deviation=1e-3)
    np.testing.assert_allclose(held, kernel.weights, rtol=0.01)


def test_weights_follow_the_gradient_of_their_cost() -> None:
    graphs = mixed(20, 11)
    grams = MultiViewKernel(graphs, default_views(0)[:4]).view_grams(graphs)
    rng = np.random.default_rng(0)
    targets, first, spreads = rng.standard_normal(20), rng.standard_normal(5), np.full(5, 0.7)
    point, step = first + 0.3, 1e-6
    _, gradient = _cost(point, grams, targets, first, spreads)
    for index, slope in enumerate(gradient):
        up, down = (
            _cost(point + sign * step * np.eye(5)[index], grams, targets, first, spreads)[0] for sign in (1, -1)
        )
        assert slope == pytest.approx((up - down) / (2 * step), rel=1e-4, abs=1e-6)


def test_what_does_not_fit_is_refused() -> None:
    graphs = architectures(5, 12)
    kernel = MultiViewKernel(graphs)
    with pytest.raises(InputError, match="reference"):
        MultiViewKernel([])
    with pytest.raises(InputError, match="views"):
        MultiViewKernel(graphs, [])
    for weights in ([1.0], [-1.0] * len(kernel.views), [0.0] * len(kernel.views), [np.nan] * len(kernel.views)):
        with pytest.raises(InputError, match="weights"):
            kernel.weighted(weights)
    grams = kernel.view_grams(graphs)
    with pytest.raises(InputError, match="grams"):
        learn_weights(grams, np.ones(4), kernel.weights)
    with pytest.raises(InputError, match="deviation"):
        learn_weights(grams, np.ones(5), kernel.weights, deviation=0.0)
