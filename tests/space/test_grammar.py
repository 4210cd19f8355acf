"""The counts of the papers, the bijection of indices, uniform samples, and user's own YAML."""

import collections
import itertools
import json

import numpy as np
import pytest
import yaml
from scipy.stats import chisquare

from explorer.errors import SpecError
from explorer.space.grammar import DesignSpace, load_space, preset_names
from explorer.space.heterogeneity import diversity, heterogeneity
from explorer.space.named import named_model
from explorer.space.resources import data_folder
from explorer.space.spec import LayerSpec


def test_the_papers_counts():
    space = load_space("tiny-mini")
    assert space.count() == 9_312
    assert space.at_level(1).count() == 84_943_872
    assert space.at_level(1, True).count() == 3_317_817_600
    assert space.choices_per_layer == 96
    assert space.at_level(1, True).choices_per_layer == 240


@pytest.mark.parametrize("name", ["nano", "tiny-mini"])
def test_enumeration_gives_every_architecture_once(name):
    specs = list(load_space(name))
    assert len(specs) == len(set(specs)) == 9_312


def test_indices_are_a_bijection_where_nothing_can_be_enumerated():
    space = load_space("tiny-mini").at_level(1, True)
    rng = np.random.default_rng(0)
    indices = {0, space.count() - 1, *(int(i) for i in rng.integers(0, space.count(), 500))}
    assert len({space.at(index) for index in indices}) == len(indices)
    for outside in (-1, space.count()):
        with pytest.raises(SpecError, match="index"):
            space.at(outside)


@pytest.mark.parametrize("mixed", [False, True])
def test_indices_count_layers_in_the_order_of_their_options(mixed):
    space = DesignSpace.from_document(document(layers=[1, 2], layers_per_stack=1, heterogeneous_feed_forward=mixed))
    if mixed:
        stacks = [s for depth in space.ff_depths for s in itertools.product(space.ff_widths, repeat=depth)]
    else:
        stacks = [(width,) * depth for depth in space.ff_depths for width in space.ff_widths]
    layers = [
        LayerSpec.per_layer(hidden, family, parameter, heads, stack)
        for hidden, heads, (family, parameter), stack in itertools.product(
            space.hidden, space.heads[0], space.operations, stacks
        )
    ]
    assert space.choices_per_layer == len(layers)
    assert [space.at(i).layers for i in range(len(layers))] == [(layer,) for layer in layers]
    pairs = list(itertools.product(layers, layers))
    assert space.count() == len(layers) + len(pairs)
    for i in range(0, len(pairs), 97):
        assert space.at(len(layers) + i).layers == pairs[i]


def test_what_cannot_be_listed_is_counted_and_indexed():
    widths = list(range(64, 64 * 17, 64))
    feed_forward = {"depth": [8], "width": widths}
    space = DesignSpace.from_document(document(layers=[64], feed_forward=feed_forward, heterogeneous_feed_forward=True))
    small = load_space("nano")
    per_layer = len(small.hidden) * len(small.heads[0]) * len(small.operations) * 16**8
    assert space.choices_per_layer == per_layer
    assert space.count() == per_layer**32
    assert space.at(0).layers[-1].feed_forward == (64,) * 8
    assert space.at(space.count() - 1).layers[0].feed_forward == (1024,) * 8
    assert space.at(0x12345678).layers[-1].feed_forward == tuple(64 * (digit + 1) for digit in range(1, 9))


def test_layers_of_a_stack_share_their_choices():
    for spec in load_space("nano").sample(50, np.random.default_rng(1)):
        assert all(spec.layers[i] == spec.layers[i + 1] for i in range(0, spec.depth, 2))


def test_samples_are_uniform():
    # 9,312 architectures, of which 96 have two layers; 96 equal groups of index should be hit alike. A correct sampler
    # fails a p < 1e-4 test once in 10,000 seeds, and the seed is fixed.
    space = load_space("nano")
    index = {spec: i for i, spec in enumerate(space)}
    draws = [index[spec] * 96 // 9_312 for spec in space.sample(9_600, np.random.default_rng(2))]
    counts = collections.Counter(draws)
    assert chisquare([counts[i] for i in range(96)]).pvalue > 1e-4


def test_the_same_seed_draws_the_same():
    space = load_space("small")
    assert space.sample(5, np.random.default_rng(3)) == space.sample(5, np.random.default_rng(3))


def document(**changes):
    base = yaml.safe_load((data_folder() / "spaces" / "nano.yaml").read_text())
    return {**base, **changes}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"hidden": []}, "hidden"),
        ({"hidden": [32, 32]}, "hidden"),
        ({"hidden": [0]}, "hidden"),
        ({"hidden": "32"}, "hidden"),
        ({"hidden": [33]}, "heads"),
        ({"heads": [3]}, "heads"),
        ({"layers_per_stack": 3}, "layers_per_stack"),
        ({"layers_per_stack": 0}, "layers_per_stack"),
        ({"heads": {32: [2]}}, "heads must have one entry for each hidden size"),
        ({"heads": {32: [2], 64: [2], 96: [2]}}, "heads must have one entry for each hidden size"),
        ({"heads": {32: [2], 64: [3]}}, "heads at hidden size 64 must divide it"),
        ({"heads": {32: [1], 64: [2]}}, "heads at hidden size 32 must be even for c/5"),
        ({"heads": {32: [], 64: [2]}}, "heads.32"),
        ({"heads": [40], "operations_per": "head"}, "heads at hidden size 32 must be at most 32"),
        ({"operations_per": "stack"}, "operations_per"),
        ({"operations": {}}, "operations"),
        ({"operations": {"c": [5, "5"]}}, "operations must list each once"),
        ({"operations": {"x": ["sdp"]}}, "operations"),
        ({"operations": {"sa": ["dft"]}}, "operation sa/dft"),
        ({"operations": {"c": [4]}}, "operation c/4"),
        ({"feed_forward": {"depth": [1]}}, "feed_forward.width"),
        ({"name": "../etc"}, "name"),
        ({"unknown": 1}, "unknown"),
    ],
)
def test_a_broken_space_is_refused_and_the_field_named(change, named):
    with pytest.raises(SpecError, match=named):
        DesignSpace.from_document(document(**change))


def test_a_users_own_file_is_a_space(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(document(name="mine", layers=[2])))
    assert load_space(str(path)).count() == 96
    path.write_text("name: [")
    with pytest.raises(SpecError, match="valid YAML"):
        load_space(str(path))
    with pytest.raises(SpecError, match="nano"):
        load_space(str(tmp_path / "missing.yaml"))


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ('layers: [!!int "abc"]', "line 1 must have no tags"),
        (f"hidden: [{'1' * 5000}]", "line 1 must be a number of at most 64 bits"),
        ("name: one\nname: two", "line 2 must give each key once, but got 'name'"),
        ("hidden: &a [1]\nheads: *a", "line 1 must have no anchors"),
        ("[" * 5000, "nested at most 64 levels"),
    ],
)
def test_yaml_that_is_not_what_it_seems_is_refused(tmp_path, line, named):
    path = tmp_path / "mine.yaml"
    path.write_text(line + "\n")
    with pytest.raises(SpecError, match=named) as caught:
        load_space(str(path))
    assert str(caught.value).startswith(str(path))
    assert len(str(caught.value)) < 1000


def test_a_name_too_long_for_a_file_is_refused():
    with pytest.raises(SpecError, match=r"existing \.yaml file"):
        load_space("a" * 300 + ".yaml")


def test_every_preset_loads():
    assert {"nano", "small", "tiny-mini", "edgetran", "full"} <= set(preset_names())
    for name in preset_names():
        assert load_space(name).name == name


def test_heterogeneity_is_zero_for_equal_layers_and_one_for_different_ones():
    assert heterogeneity(named_model("BERT-Mini")) == 0.0
    assert diversity("abcd") == 1.0
    assert diversity("aabb") == pytest.approx(2 / 3)
    assert 0 < heterogeneity(named_model("FlexiBERT-Mini")) < 1


def test_heads_by_hidden_size():
    space = DesignSpace.from_document(document(hidden=[64, 48], heads={48: [6, 12], 64: [4]}, layers=[2]))
    assert {(spec.layers[0].hidden, len(spec.layers[0].heads)) for spec in space} == {(64, 4), (48, 6), (48, 12)}
    assert space.count() == 3 * 6 * 4


def test_a_huge_grammar_is_checked_without_building_its_layers(monkeypatch):
    """32 x 32 x 96 combinations, of which only the pairs of hidden size and heads can break a rule."""
    built = []
    monkeypatch.setattr(LayerSpec, "__post_init__", lambda layer: built.append(layer))
    operations = {"sa": ["sdp", "wma"], "l": ["dft", "dct"], "c": list(range(3, 67, 2))}
    sizes = {"hidden": list(range(128, 128 * 33, 128)), "heads": [2, 4, 8, 16, 32, 64, 128]}
    space = DesignSpace.from_document(document(**sizes, operations=operations))
    assert space.choices_per_layer == 32 * 7 * 36 * 4
    assert built == []


def test_what_a_library_was_built_from_is_json_and_tells_grammars_apart():
    per_head = document(operations_per="head")
    by_hidden = document(heads={32: [2], 64: [4]})
    sources = [DesignSpace.from_document(d).source() for d in (document(), per_head, by_hidden)]
    assert [json.loads(json.dumps(source)) for source in sources] == sources
    assert sources[0] not in sources[1:]
    assert sources[1] != sources[2]


def test_depths_can_be_left_out():
    space = load_space("tiny-mini")
    assert space.with_depths(3, 100).count() == 96**2
    with pytest.raises(SpecError, match="range of depth must hold one of 2, 4"):
        space.with_depths(3, 3)
