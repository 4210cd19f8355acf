"""Shapes as architectures: widths, space, graph, format, size."""

from __future__ import annotations

import numpy as np
import pytest

from explorer.errors import SpecError
from explorer.measure.size import flops, parameter_cost, parameters
from explorer.similarity.graph import architecture_id, build_graph
from explorer.space.backbones import (
    BERT_BASE,
    WIDTHS,
    Backbone,
    backbone_of,
    is_shape,
    parse_widths,
    shape_spec,
    shape_widths,
)
from explorer.space.difference import difference
from explorer.space.formats import from_json, from_model_dict, to_json
from explorer.space.grammar import DesignSpace, load_space
from explorer.space.moves import crossover, mutate
from explorer.space.spec import ArchitectureSpec, LayerSpec

NANO = Backbone(hidden=32, heads=2, feed_forward=64, layers=2)
PAPER = (480, 240, 360, 240, 540, 480, 360, 360, 360, 360, 540, 480)


@pytest.mark.parametrize(
    ("widths", "unmerged", "merged"),
    [
        ((768,) * 12, 121.89, 115.40),
        ((120,) * 12, 34.48, 32.60),
        ((360,) * 12, 62.15, 57.49),
        (PAPER, 67.77, 62.82),
    ],
)
def test_parameters_are_those_of_the_paper(widths, unmerged, merged):
    spec = shape_spec(widths)
    found = parameters(spec, vocab_size=28_996), parameters(spec, vocab_size=28_996, merged=True)
    assert [round(count / 1e6, 2) for count in found] == [unmerged, merged]


def test_the_hand_crafted_shape_of_the_paper():
    spec = shape_spec((360, 120, 120, 120, 360, 360, 360, 360, 360, 360, 540, 540))
    assert round(parameters(spec, vocab_size=28_996, merged=True) / 1e6, 2) == 55.15


def test_the_preset_is_the_space_of_the_widths():
    space = load_space("supershaper")
    assert space.count() == 7**12 == 13_841_287_201
    assert space.source() == BERT_BASE.space(WIDTHS).source()
    assert DesignSpace.from_source("supershaper", space.source()).source() == space.source()
    rng = np.random.default_rng(0)
    one, two = space.sample(2, rng)
    assert space.at(space.index_of(one)) == one
    child, mutant = crossover(space, one, two, rng), mutate(space, one, rng)
    for spec in (one, child, mutant):
        assert spec in space
        assert is_shape(spec)
        assert backbone_of(spec) == BERT_BASE
    assert sum(a != b for a, b in zip(shape_widths(one), shape_widths(mutant), strict=True)) == 1


def test_a_shape_is_not_its_layers_without_a_backbone():
    spec = NANO.spec([16, 32])
    bare = ArchitectureSpec(spec.layers)
    assert architecture_id(spec) != architecture_id(bare)
    assert architecture_id(spec) != architecture_id(ArchitectureSpec(spec.layers, 64))
    assert not is_shape(bare)
    assert bare not in NANO.space([16, 32])
    assert spec in NANO.space([16, 32])
    assert difference(spec, bare).cost == 1
    assert difference(spec, bare).backbone.words == "backbone 32 to none"
    assert difference(spec, spec).backbone is None


def test_the_graph_has_a_bottleneck_on_both_sides_of_each_layer():
    graph = build_graph(NANO.spec([16, 32]))
    nodes = [(kind, label, layer) for kind, label, layer in zip(graph.kinds, graph.labels, graph.layers, strict=True)]
    assert nodes[0] == ("input", "input", -1)
    assert nodes[1] == ("bottleneck", "bottleneck_in_32_h16", 0)
    assert nodes[7] == ("bottleneck", "bottleneck_out_32_h16", 0)
    assert nodes[8] == ("bottleneck", "bottleneck_in_32_h32", 1)
    assert nodes[-2] == ("bottleneck", "bottleneck_out_32_h32", 1)
    assert {(0, 1), (6, 7), (7, 8), (len(nodes) - 2, len(nodes) - 1)} <= set(graph.edges)
    # What the first layer adds its heads to is the narrowed stream, not the backbone's.
    assert sorted(source for source, target in graph.edges if target == 4) == [1, 2, 3]


def test_the_format_carries_the_backbone():
    spec = NANO.spec([16, 32])
    assert from_json(to_json(spec)) == spec
    assert '"b":32' in to_json(spec)
    with pytest.raises(SpecError, match=r"model_dict\.b"):
        from_model_dict({"l": 1, "o": ["sa"], "h": [8], "n": [2], "f": [[8]], "p": ["sdp"], "b": "wide"})


@pytest.mark.parametrize(
    ("widths", "words"),
    [((16,), "2 widths"), ((16, 64), "at most the backbone's 32"), ((16, 15), "layer 1: heads"), ((16, 0), "layer 1")],
)
def test_widths_that_do_not_fit_are_refused(widths, words):
    with pytest.raises(SpecError, match=words):
        NANO.spec(widths)


def test_what_is_no_shape():
    attention = LayerSpec.per_layer(16, "sa", "sdp", 2, (64,))
    other = LayerSpec.per_layer(16, "l", "dft", 2, (64,))
    more = LayerSpec.per_layer(16, "sa", "sdp", 4, (64,))
    for layers in ((attention, other), (attention, more)):
        assert not is_shape(ArchitectureSpec(layers, 32))
    assert is_shape(ArchitectureSpec((attention, attention), 32))


def test_texts_of_widths():
    assert parse_widths(" 480, 240,360") == (480, 240, 360)
    assert parse_widths("bert-mini") is None
    assert parse_widths("480") is None
    assert parse_widths("480,-1") is None
    assert parse_widths("9" * 400 + ",1") is None


def test_sizes_are_sums_over_layers():
    space = NANO.space([8, 16, 32])
    cost = parameter_cost(vocab_size=100, max_positions=16, backbone=32)
    merged = parameter_cost(vocab_size=100, max_positions=16, backbone=32, merged=True)
    for spec in space:
        assert cost(spec) == parameters(spec, vocab_size=100, max_positions=16)
        a, b = shape_widths(spec)
        assert cost(spec) - merged(spec) == (a * 32 + 32 + 32 * b + b) - (a * b + b)
        assert flops(spec, length=8) - flops(spec, length=8, merged=True) == 2 * 8 * (32 * a + 32 * b - a * b)
