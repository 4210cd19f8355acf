"""Several architectures side by side: alignment, what differs, the kernel, repeated scores."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from explorer.analysis.comparison import aligned_layers, differing_nodes
from explorer.similarity.graph import build_graph
from explorer.space.difference import Change, difference
from explorer.space.grammar import load_space
from explorer.space.spec import ArchitectureSpec, LayerSpec

POOL = load_space("nano").sample(30, np.random.default_rng(4))
A, B, C = (LayerSpec.per_layer(128, "sa", "sdp", 2, (width,)) for width in (1, 2, 3))


def changes(row) -> list[str]:
    return ["" if cell is None else cell.change.value for cell in row]


def test_rows_of_a_small_example():
    wide = LayerSpec.per_layer(128, "sa", "sdp", 2, (9,))
    other = LayerSpec.per_layer(256, "l", "dft", 4, (7, 7))
    rows = aligned_layers(
        [ArchitectureSpec((A, B)), ArchitectureSpec((A, wide)), ArchitectureSpec((other, A, B)), ArchitectureSpec((A,))]
    )
    assert [changes(row) for row in rows] == [
        ["", "", "added", ""],
        ["same", "same", "same", "same"],
        ["same", "changed", "same", ""],
    ]
    assert rows[2][1] is not None
    assert [field.field for field in rows[2][1].fields] == ["feed_forward"]


@settings(deadline=None)
@given(st.lists(st.sampled_from(POOL), min_size=1, max_size=6))
def test_every_layer_is_in_one_row_in_order(specs):
    rows = aligned_layers(specs)
    for column, spec in enumerate(specs):
        assert [row[column].index for row in rows if row[column] is not None] == list(range(spec.depth))
        steps = difference(specs[0], spec).steps
        found = [row[column].change for row in rows if row[column] is not None]
        assert found == [step.change for step in steps if step.change is not Change.REMOVED]
    for row in rows:
        for column, cell in enumerate(row):
            if cell is not None and cell.change is Change.SAME:
                assert specs[column].layers[cell.index] == specs[0].layers[row[0].index]


@settings(deadline=None, max_examples=50)
@given(st.lists(st.sampled_from(POOL), min_size=2, max_size=4))
def test_nodes_without_a_mark_match(specs):
    marks = differing_nodes(specs)
    graphs = [build_graph(spec) for spec in specs]
    for spec, graph, nodes in zip(specs, graphs, marks, strict=True):
        assert nodes <= set(range(len(graph)))
        assert (not nodes) == (spec == specs[0]) or spec == specs[0]
    left = sorted(label for node, label in enumerate(graphs[0].labels) if node not in marks[0])
    if len(specs) == 2:
        assert left == sorted(label for node, label in enumerate(graphs[1].labels) if node not in marks[1])


def test_a_backbone_marks_its_bottlenecks():
    plain, shaped = ArchitectureSpec((A,)), ArchitectureSpec((A,), 768)
    marks = differing_nodes([plain, shaped])
    kinds = build_graph(shaped).kinds
    assert not marks[0]
    assert {kinds[node] for node in marks[1]} == {"bottleneck"}
