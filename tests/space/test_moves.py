"""Mutation and crossover never leave the space, reach all of it, and change what they say."""

import collections

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from explorer.errors import SpecError
from explorer.space.grammar import load_space, preset_names
from explorer.space.hierarchy import levels
from explorer.space.moves import crossover, mutate
from explorer.space.named import named_model

EVERY_LEVEL = [space for name in preset_names() for space in levels(load_space(name))]


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_children_stay_in_the_space(data):
    space = data.draw(st.sampled_from(EVERY_LEVEL))
    first, second = (
        space.with_depths(depth, depth).sample(1, np.random.default_rng(data.draw(st.integers(0, 2**32))))[0]
        for depth in (data.draw(st.sampled_from(space.layers)) for _ in range(2))
    )
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    mutant = mutate(space, first, rng)
    assert mutant in space
    assert mutant != first
    child = crossover(space, first, second, rng)
    assert child in space
    assert child.depth in {first.depth, second.depth}
    for place, layer in enumerate(child.layers):
        assert layer in {parent.layers[place] for parent in (first, second) if place < parent.depth}


SMALL = [
    {
        "layers": [2, 4],
        "heads": [2],
        "operations": {"sa": ["sdp"], "c": [5]},
        "feed_forward": {"depth": [1], "width": [64]},
    },
    {
        "layers": [1, 2],
        "heads": {32: [1, 2], 64: [3]},
        "operations": {"sa": ["sdp"], "c": [5]},
        "operations_per": "head",
        "feed_forward": {"depth": [1], "width": [64]},
        "layers_per_stack": 1,
    },
    {
        "layers": [1],
        "hidden": [32],
        "operations": {"l": ["dct"]},
        "feed_forward": {"depth": [1, 2], "width": [8, 16, 24]},
        "layers_per_stack": 1,
        "heterogeneous_feed_forward": True,
    },
]


@pytest.mark.parametrize("changes", SMALL, ids=["layer", "head", "mixed widths"])
def test_mutation_reaches_the_whole_space(changed, changes):
    space, rng = changed(**changes), np.random.default_rng(0)
    seen, spec = set(), space.at(0)
    for _ in range(200 * space.count()):
        seen.add(spec)
        spec = mutate(space, spec, rng)
    assert seen == set(space)


def test_a_mutation_changes_one_choice_each_as_often_as_the_others():
    space = load_space("nano").at_level(1)
    parent, rng = space.at(space.count() // 2), np.random.default_rng(1)
    aspects = collections.Counter()
    for _ in range(4_200):
        mutant = mutate(space, parent, rng)
        if mutant.depth != parent.depth:
            aspects["depth"] += 1
            continue
        (place,) = [i for i in range(parent.depth) if mutant.layers[i] != parent.layers[i]]
        old, new = parent.layers[place], mutant.layers[place]
        differing = {
            "hidden": old.hidden != new.hidden,
            "heads": len(old.heads) != len(new.heads),
            "operation": (old.family, old.parameter) != (new.family, new.parameter),
            "stack depth": len(old.feed_forward) != len(new.feed_forward),
            "stack width": set(old.feed_forward) != set(new.feed_forward),
        }
        (aspect,) = [name for name, differs in differing.items() if differs]
        aspects[place, aspect] += 1
    # Depth and four layers' five choices are 21 equal shares; a correct draw fails once in 10,000 seeds.
    assert len(aspects) == 21
    assert chisquare(list(aspects.values())).pvalue > 1e-4


def test_another_hidden_size_brings_heads_that_fit_it():
    space = load_space("full")
    spec = space.at_level(1).at(space.at_level(1).index_of(named_model("BERT-Base")))
    rng = np.random.default_rng(2)
    mutants = [mutate(space, spec, rng) for _ in range(300)]
    moved = [layer for mutant in mutants for layer in mutant.layers if layer.hidden != 768]
    assert moved
    assert all(mutant in space for mutant in mutants)


def test_one_heads_operation_changes_at_a_time():
    space = load_space("edgetran").with_depths(12, 12)
    spec, rng = space.sample(1, np.random.default_rng(3))[0], np.random.default_rng(4)
    for _ in range(200):
        mutant = mutate(space, spec, rng)
        ((old, new),) = {(a, b) for a, b in zip(spec.layers, mutant.layers, strict=True) if a != b}
        if (old.hidden, len(old.heads), old.feed_forward) == (new.hidden, len(new.heads), new.feed_forward):
            lost = collections.Counter(old.heads) - collections.Counter(new.heads)
            assert lost.total() == 1


def test_a_space_of_one_has_no_mutants(changed):
    changes = {"hidden": [32], "heads": [2], "layers": [2], "operations": {"l": ["dct"]}}
    space = changed(**changes, feed_forward={"depth": [1], "width": [64]})
    with pytest.raises(SpecError, match="choice with another value"):
        mutate(space, space.at(0), np.random.default_rng(0))
    assert crossover(space, space.at(0), space.at(0), np.random.default_rng(0)) == space.at(0)


def test_parents_from_elsewhere_are_refused():
    space, stranger, rng = load_space("nano"), named_model("BERT-Tiny"), np.random.default_rng(0)
    with pytest.raises(SpecError, match=r"layers\[0\]: hidden size"):
        mutate(space, stranger, rng)
    with pytest.raises(SpecError, match=r"layers\[0\]: hidden size"):
        crossover(space, space.at(0), stranger, rng)
