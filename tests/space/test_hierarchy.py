"""From coarse to fine: levels, refinement of one stack, interpolation between two parents."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from explorer.errors import SpecError
from explorer.space.grammar import load_space, preset_names
from explorer.space.hierarchy import finer, interpolate, levels, refine
from explorer.space.named import named_model


def test_the_papers_levels():
    assert [space.count() for space in levels(load_space("tiny-mini"))] == [9_312, 84_943_872, 3_317_817_600]


def test_layers_per_stack_fall_to_one_and_widths_part_last(changed):
    chain = levels(changed(layers=[12, 24], layers_per_stack=12))
    assert [(space.layers_per_stack, space.heterogeneous_feed_forward) for space in chain] == [
        (12, False), (6, False), (3, False), (1, False), (1, True),
    ]  # fmt: skip
    assert levels(chain[-1]) == (chain[-1],)
    assert finer(chain[0]) == chain[1]
    assert finer(chain[-1]) is None


@pytest.mark.parametrize("name", preset_names())
def test_refining_a_stack_changes_nothing_else(name):
    rng = np.random.default_rng(0)
    for coarse, fine in itertools.pairwise(levels(load_space(name))):
        size = coarse.layers_per_stack
        for spec in coarse.sample(10, rng):
            stack = int(rng.integers(spec.depth // size))
            opened = refine(coarse, spec, stack, rng)
            assert opened in fine
            changed_layers = {i for i in range(spec.depth) if opened.layers[i] != spec.layers[i]}
            assert changed_layers
            assert changed_layers <= set(range(stack * size, (stack + 1) * size))


def test_refining_what_cannot_be_is_refused():
    space, rng = load_space("nano"), np.random.default_rng(0)
    with pytest.raises(SpecError, match="stack must be from 0 to 0"):
        refine(space, space.at(0), 1, rng)
    finest = levels(space)[-1]
    with pytest.raises(SpecError, match="finer level"):
        refine(finest, space.at(0), 0, rng)
    with pytest.raises(SpecError, match="hidden size"):
        refine(space, named_model("BERT-Tiny"), 0, rng)


def by_hand(first, second):
    """All mixes of two parents, layer by layer, by brute force."""
    found = set()
    for depth in {first.depth, second.depth}:
        options = [{p.layers[i] for p in (first, second) if i < p.depth} for i in range(depth)]
        found |= set(itertools.product(*options))
    return found - {first.layers, second.layers}


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([("nano", 2, 4), ("nano", 4, 4), ("edgetran", 6, 4), ("edgetran", 2, 2)]))
def test_interpolation_gives_every_mix_once(seed, case):
    name, *depths = case
    coarse, fine = levels(load_space(name))[:2]
    rng = np.random.default_rng(seed)
    first, second = (coarse.with_depths(depth, depth).sample(1, rng)[0] for depth in depths)
    found = list(interpolate(first, second, fine))
    assert len(found) == len(set(found))
    assert {spec.layers for spec in found} == by_hand(first, second)
    assert all(spec in fine for spec in found)
    some = list(interpolate(first, second, fine, 5, rng))
    assert len(some) == len(set(some)) == min(5, len(found))
    assert set(some) <= set(found)


def test_interpolation_at_random_leaves_no_mix_out():
    coarse, fine = levels(load_space("nano"))[:2]
    first, second = coarse.at(300), coarse.at(9_000)
    every = set(interpolate(first, second, fine))
    assert len(every) == 2**4 - 2
    rng = np.random.default_rng(0)
    assert set(interpolate(first, second, fine, 100, rng)) == every
    firsts = {next(interpolate(first, second, fine, 1, rng)) for _ in range(300)}
    assert firsts == every


def test_parents_too_deep_to_list_are_interpolated_at_random():
    fine = load_space("full").at_level(1)
    first, second = named_model("FlexiBERT-Large"), fine.at(fine.count() - 1)
    found = list(interpolate(first, second, fine, 50, np.random.default_rng(0)))
    assert len(set(found)) == 50


def test_a_pair_of_equals_has_nothing_between():
    space = load_space("nano")
    assert list(interpolate(space.at(5), space.at(5), space)) == []


@pytest.mark.parametrize(("count", "rng"), [(3, None), (-1, np.random.default_rng(0))])
def test_a_number_needs_a_generator(count, rng):
    space = load_space("nano")
    with pytest.raises(SpecError, match="count"):
        interpolate(space.at(0), space.at(1), space, count, rng)
