"""Index and architecture, both ways, without enumeration; what is not in a space, and why."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from explorer.errors import SpecError
from explorer.similarity.graph import architecture_id
from explorer.space.formats import from_model_dict
from explorer.space.grammar import load_space, preset_names
from explorer.space.hierarchy import levels
from explorer.space.named import named_model, named_models
from explorer.space.per_head import count_multisets, multiset_at, multiset_index
from explorer.space.spec import ArchitectureSpec, HeadOp, LayerSpec

EVERY_LEVEL = [space for name in preset_names() for space in levels(load_space(name))]


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_index_and_architecture_determine_each_other(data):
    space = data.draw(st.sampled_from(EVERY_LEVEL))
    index = data.draw(st.integers(0, space.count() - 1))
    spec = space.at(index)
    assert space.index_of(spec) == index
    assert spec in space


@pytest.mark.parametrize("space", EVERY_LEVEL, ids=lambda s: f"{s.name}-{s.layers_per_stack}")
def test_first_and_last_of_every_depth(space):
    start = 0
    for depth in space.layers:
        end = start + space.choices_per_layer ** (depth // space.layers_per_stack)
        for index in (start, end - 1):
            assert space.at(index).depth == depth
            assert space.index_of(space.at(index)) == index
        start = end
    assert start == space.count()


def test_spaces_beyond_64_bits_are_among_them():
    assert max(space.count() for space in EVERY_LEVEL) > 2**256


@pytest.mark.parametrize(("kinds", "size"), [(1, 1), (1, 5), (7, 1), (4, 3), (3, 6)])
def test_multisets_are_all_and_in_order(kinds, size):
    listed = list(itertools.combinations_with_replacement(range(kinds), size))
    assert count_multisets(kinds, size) == len(listed)
    assert [multiset_at(index, kinds, size) for index in range(len(listed))] == listed
    assert [multiset_index(picks, kinds) for picks in listed] == list(range(len(listed)))


def test_a_per_head_space_counts_graphs_not_lists(changed):
    """Two hidden sizes, heads 2 and 3 of four operations: 10 + 20 multisets; two stacks; one or two layers."""
    space = changed(
        operations_per="head",
        hidden=[32, 64],
        heads=[2, 3],
        layers=[1, 2],
        operations={"sa": ["sdp", "wma"], "l": ["dct"], "c": [5]},
        feed_forward={"depth": [1], "width": [64, 128]},
        layers_per_stack=1,
    )
    per_layer = 2 * (10 + 20) * 2
    assert space.choices_per_layer == per_layer
    assert space.count() == per_layer + per_layer**2
    specs = list(space)
    assert len({architecture_id(spec) for spec in specs}) == len(specs)
    assert [space.index_of(spec) for spec in specs[::7]] == list(range(0, len(specs), 7))
    assert {layer.head_size for spec in specs for layer in spec.layers} == {32 // 2, 32 // 3, 64 // 2, 64 // 3}


def test_the_order_of_heads_in_a_file_does_not_matter():
    space = load_space("edgetran").at_level(1, True)
    heads = ["c_5_10", "sa_wma_10", "l_dft_10"] * 4
    layer = {"h": [128] * 2, "f": [[256, 4096]] * 2, "l": 2}
    given = from_model_dict({**layer, "o": [heads, heads]})
    turned = from_model_dict({**layer, "o": [heads[::-1], sorted(heads)]})
    assert space.index_of(given) == space.index_of(turned)


def test_edgetrans_space_has_the_published_size():
    """About 1.69e88 at its finest level (arXiv 2303.13745), which fits only multisets and heads rounded down."""
    space = load_space("edgetran").at_level(1, True)
    assert space.choices_per_layer == 4 * (28 + 210 + 3003 + 18564) * (6 + 36 + 216)
    assert f"{space.count():.2e}" == "1.69e+88"


def test_the_full_space_holds_every_named_model():
    finest = load_space("full").at_level(1)
    for name, spec in named_models().items():
        assert finest.at(finest.index_of(spec)) == spec, name
    assert named_model("FlexiBERT-Large") in finest
    assert named_model("BERT-Base") not in load_space("tiny-mini").at_level(1)


def layered(**changes):
    choices = {"hidden": 32, "family": "sa", "parameter": "sdp", "heads": 2, "feed_forward": (64,), **changes}
    return LayerSpec.per_layer(**choices)


@pytest.mark.parametrize(
    ("layers", "named"),
    [
        ([layered()] * 3, r"^number of layers must be one of 2, 4"),
        ([layered(), layered(heads=4)], r"^layers\[1\] must equal layers\[0\]"),
        ([layered()] * 2 + [layered(hidden=48)] * 2, r"^layers\[2\]: hidden size must be one of 32, 64 in space nano"),
        ([layered(heads=8)] * 2, r"^layers\[0\]: heads must be one of 2, 4"),
        ([layered(family="c", parameter="13")] * 2, r"^layers\[0\]: operation must be one of sa_sdp, .*'c_13'"),
        ([layered(feed_forward=(64, 64))] * 2, r"^layers\[0\]: feed-forward depth must be one of 1, 3"),
        ([layered(feed_forward=(64, 96, 64))] * 2, r"^layers\[0\]: feed-forward width must be one of 64, 128"),
        ([layered(feed_forward=(64, 128, 64))] * 2, r"^layers\[0\]: feed-forward stack must have one width"),
        ([LayerSpec(32, (HeadOp("sa", "sdp", 8),) * 2, (64,))] * 2, r"^layers\[0\]: heads must share one operation"),
        ([LayerSpec(32, (HeadOp("sa", "sdp", 16), HeadOp("l", "dct", 16)), (64,))] * 2, r"heads must share one"),
    ],
)
def test_what_is_not_in_a_space_is_refused_and_the_field_named(layers, named):
    spec = ArchitectureSpec(tuple(layers))
    with pytest.raises(SpecError, match=named):
        load_space("nano").index_of(spec)
    assert spec not in load_space("nano")


def test_head_sizes_other_than_the_rounded_ones_are_not_in_a_per_head_space():
    spec = ArchitectureSpec((LayerSpec(128, (HeadOp("sa", "sdp", 32),) * 2, (256,)),) * 2)
    with pytest.raises(SpecError, match=r"^layers\[0\]: head size must be 64"):
        load_space("edgetran").index_of(spec)


def test_a_coarser_levels_architectures_are_in_every_finer_one():
    for name in preset_names():
        chain = levels(load_space(name))
        for spec in chain[0].sample(20, np.random.default_rng(0)):
            assert all(spec in space for space in chain)


@pytest.mark.parametrize("thing", [None, 3, "BERT-Tiny", load_space("nano").at(0).layers])
def test_other_things_are_in_no_space(thing):
    assert thing not in load_space("nano")
