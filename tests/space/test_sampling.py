"""Sampling under constraints: uniform over exactly those that meet them, and clear where none do."""

import collections
import math

import numpy as np
import pytest
from scipy.stats import chisquare

from explorer.errors import SpecError
from explorer.measure.size import flops, flops_cost, parameter_cost, parameters
from explorer.space import distribution
from explorer.space.constraints import AdditiveCost, Constraint
from explorer.space.distribution import CostDistribution
from explorer.space.grammar import load_space
from explorer.space.hierarchy import levels
from explorer.space.sampling import sample_within

ENCODER = parameter_cost(embeddings=False)


def space_and_sizes(changed, **fields):
    """A space small enough to list, and the size of each architecture."""
    space = changed(**fields)
    specs = list(space)
    return space, specs, np.array([parameters(spec, vocab_size=50) for spec in specs])


FEW = {"layers": [1, 2], "layers_per_stack": 1, "operations": {"sa": ["sdp"], "c": [5]}}
FIELDS = {
    "layer": {"layers": [2, 4], "heads": {32: [2, 4], 64: [2]}},
    "head": {**FEW, "operations_per": "head", "heads": [2, 3]},
    "mixed": {**FEW, "heterogeneous_feed_forward": True, "heads": [2]},
}


@pytest.mark.parametrize("fields", FIELDS.values(), ids=FIELDS)
@pytest.mark.parametrize("buckets", [50, 4096])
def test_draws_are_uniform_over_the_range(fields, buckets, changed, monkeypatch):
    monkeypatch.setattr(distribution, "BUCKETS", buckets)
    space, specs, sizes = space_and_sizes(changed, **fields)
    low, high = np.quantile(sizes, [0.02, 0.05])
    inside = [spec for spec, size in zip(specs, sizes, strict=True) if low <= size <= high]
    constraint = Constraint("parameters", parameter_cost(vocab_size=50), low, high)
    drawn = collections.Counter(sample_within(space, 20 * len(inside), np.random.default_rng(0), [constraint]))
    assert set(drawn) <= set(inside)
    # A correct sampler fails once in 10,000 seeds.
    assert chisquare([drawn[spec] for spec in inside]).pvalue > 1e-4


SMALL = AdditiveCost(
    lambda layer: layer.hidden // 32 * len(layer.heads) + sum(layer.feed_forward) // 64,
    lambda before, after: (after or 0) // 16 if before != after else 1,
)


@pytest.mark.parametrize("fields", FIELDS.values(), ids=FIELDS)
def test_extent_and_count_are_those_of_the_listed_space(fields, changed):
    """Sums below the number of buckets have a bucket each, so the count is exact."""
    space = changed(**fields)
    sums = np.array([SMALL(spec) for spec in space])
    low, high = (int(end) for end in np.quantile(sums, [0.3, 0.4]))
    found = CostDistribution(space, SMALL, Constraint("sum", SMALL, low, high))
    assert found.extent == (sums.min(), sums.max())
    assert math.exp(found.log_count) == pytest.approx(((sums >= low) & (sums <= high)).sum(), rel=1e-9)


@pytest.mark.parametrize(
    ("name", "low", "high"), [("tiny-mini", 1.15e7, 1.2e7), ("small", 1.2e7, 1.21e7), ("full", 2e6, 2.02e6)]
)
def test_narrow_ranges_are_met_where_almost_nothing_lies(name, low, high):
    for space in levels(load_space(name)):
        found = sample_within(space, 5, np.random.default_rng(1), [Constraint("parameters", ENCODER, low, high)])
        assert all(spec in space and low <= parameters(spec, embeddings=False) <= high for spec in found)


@pytest.mark.slow
def test_narrow_ranges_are_met_with_an_operation_per_head():
    space = load_space("edgetran").at_level(1, True)
    range_ = Constraint("parameters", ENCODER, 4_000_000, 4_100_000)
    found = sample_within(space, 5, np.random.default_rng(1), [range_])
    assert all(spec in space and range_.holds(parameters(spec, embeddings=False)) for spec in found)


def test_several_constraints_hold_together():
    space = load_space("tiny-mini").at_level(1)
    constraints = [
        Constraint("parameters", ENCODER, at_most=1_500_000),
        Constraint("flops", flops_cost(128), at_least=3.5e8),
        Constraint("depth", lambda spec: spec.depth, 4, 4),
    ]
    for spec in sample_within(space, 20, np.random.default_rng(2), constraints):
        assert spec.depth == 4
        assert parameters(spec, embeddings=False) <= 1_500_000
        assert flops(spec) >= 3.5e8


def test_without_constraints_it_is_plain_sampling():
    space = load_space("small")
    drawn = sample_within(space, 5, np.random.default_rng(3))
    assert drawn == space.sample(5, np.random.default_rng(3))


def test_a_range_that_the_space_does_not_reach_is_refused():
    with pytest.raises(SpecError, match=r"^range of parameters must overlap .* tiny-mini, from 428,992 to 12,145,152"):
        sample_within(
            load_space("tiny-mini"), 1, np.random.default_rng(0), [Constraint("parameters", ENCODER, at_most=1e5)]
        )


@pytest.mark.parametrize("most", [1, 200_000])
def test_giving_up_says_how_often_and_what_was_seen(most, monkeypatch):
    monkeypatch.setattr("explorer.space.sampling.MAX_SHARES", most)
    between = Constraint("depth", AdditiveCost(lambda layer: 1, lambda a, b: 0), 3, 3)
    with pytest.raises(SpecError, match=r"14 tries \(depth from 3 to 3, seen 4 to 4; even at least 2, seen 4 to 4\)"):
        sample_within(
            load_space("nano").at_level(1),
            2,
            np.random.default_rng(0),
            [between, Constraint("even", lambda spec: spec.depth, 2)],
            tries=7,
        )


@pytest.mark.parametrize("ends", [(2, 1), (math.nan, 3), (0, math.nan)])
def test_an_empty_range_is_refused(ends):
    with pytest.raises(SpecError, match="range of parameters must begin below its end"):
        Constraint("parameters", ENCODER, *ends)
