"""The layer-by-layer difference against all alignments there are, and in words."""

from itertools import combinations

import numpy as np
import pytest

from explorer.space.difference import LAYER_COST, Change, changed_fields, difference, layer_words
from explorer.space.formats import from_model_dict
from explorer.space.spec import ArchitectureSpec, HeadOp, LayerSpec

PIECES = [
    LayerSpec.per_layer(64, "sa", "sdp", 2, (64,)),
    LayerSpec.per_layer(64, "sa", "wma", 2, (64,)),
    LayerSpec.per_layer(32, "c", 5, 4, (128, 128)),
    LayerSpec.per_layer(64, "l", "dft", 2, (64, 64)),
    LayerSpec(64, (HeadOp("sa", "sdp", 16), HeadOp("sa", "sdp", 16), HeadOp("c", "5", 16)), (64,)),
    LayerSpec(64, (HeadOp("sa", "sdp", 16), HeadOp("c", "5", 16), HeadOp("c", "5", 16)), (64,)),
    LayerSpec(64, (HeadOp("sa", "sdp", 8), HeadOp("c", "5", 8), HeadOp("c", "5", 8)), (64,)),
]


def drawn(rng, most):
    count = int(rng.integers(1, most + 1))
    return ArchitectureSpec(tuple(PIECES[index] for index in rng.integers(0, len(PIECES), count)))


def cheapest(first, second):
    """The cost of the best alignment, by trying every way to pair layers in order."""
    n, m = first.depth, second.depth
    costs = []
    for pairs in range(min(n, m) + 1):
        for ones in combinations(range(n), pairs):
            for twos in combinations(range(m), pairs):
                changes = (
                    len(changed_fields(first.layers[i], second.layers[j])) for i, j in zip(ones, twos, strict=True)
                )
                costs.append(sum(changes) + LAYER_COST * (n - pairs + m - pairs))
    return min(costs)


@pytest.mark.parametrize("seed", range(60))
def test_as_cheap_as_any_alignment_and_whole(seed):
    rng = np.random.default_rng(seed)
    first, second = drawn(rng, 5), drawn(rng, 5)
    found = difference(first, second)
    assert found.cost == cheapest(first, second)
    assert [step.first for step in found.steps if step.first is not None] == list(range(first.depth))
    assert [step.second for step in found.steps if step.second is not None] == list(range(second.depth))
    cost = 0
    for step in found.steps:
        if step.change in (Change.SAME, Change.CHANGED):
            fields = changed_fields(first.layers[step.first], second.layers[step.second])
            assert step.fields == fields
            assert (step.change is Change.SAME) is (first.layers[step.first] == second.layers[step.second])
            cost += len(fields)
        else:
            assert (step.first is None) is (step.change is Change.ADDED)
            cost += LAYER_COST
    assert cost == found.cost


@pytest.mark.parametrize("first", range(len(PIECES)))
@pytest.mark.parametrize("second", range(len(PIECES)))
def test_no_field_changes_exactly_for_equal_layers(first, second):
    assert (changed_fields(PIECES[first], PIECES[second]) == ()) is (first == second)


def test_an_added_layer_is_shown_as_added():
    two = ArchitectureSpec((PIECES[0], PIECES[3]))
    three = ArchitectureSpec((PIECES[0], PIECES[2], PIECES[3]))
    steps = difference(two, three).steps
    assert [step.change for step in steps] == [Change.SAME, Change.ADDED, Change.SAME]
    assert [step.words for step in steps] == [
        "layer 0 stays: sa sdp, hidden size 64, 2 heads, feed-forward 64",
        "layer 1 is added: c 5, hidden size 32, 4 heads, feed-forward 2 × 128",
        "layer 1, now layer 2, stays: l dft, hidden size 64, 2 heads, feed-forward 2 × 64",
    ]
    back = difference(three, two).steps
    assert [step.change for step in back] == [Change.SAME, Change.REMOVED, Change.SAME]
    assert back[1].words == "layer 1 is removed: c 5, hidden size 32, 4 heads, feed-forward 2 × 128"
    assert back[1].fields == ()


def test_changes_name_field_and_values():
    model = {"l": 1, "o": ["sa"], "h": [64], "n": [2], "f": [[64]], "p": ["sdp"]}
    other = {"l": 1, "o": ["l"], "h": [32], "n": [2], "f": [[64, 128]], "p": ["dct"]}
    (step,) = difference(from_model_dict(model), from_model_dict(other)).steps
    assert [(field.field, field.first, field.second) for field in step.fields] == [
        ("family", "sa", "l"),
        ("parameter", "sdp", "dct"),
        ("hidden", 64, 32),
        ("feed_forward", (64,), (64, 128)),
    ]
    assert step.words == (
        "layer 0 changes: family sa to l; parameter sdp to dct; hidden size 64 to 32; feed-forward 64 to 64, 128"
    )


def test_mixed_heads_are_told_apart():
    (step,) = difference(ArchitectureSpec((PIECES[4],)), ArchitectureSpec((PIECES[5],))).steps
    assert step.words == ("layer 0 changes: operations of the heads 1 × c_5 + 2 × sa_sdp to 2 × c_5 + 1 × sa_sdp")


def test_a_layer_in_words():
    one_head = LayerSpec.per_layer(32, "sa", "wma", 1, (64, 128))
    assert layer_words(one_head) == "sa wma, hidden size 32, 1 head, feed-forward 64, 128"
    mixed = LayerSpec(64, (HeadOp("sa", "sdp", 16), HeadOp("sa", "sdp", 16), HeadOp("l", "dft", 16)), (128,))
    assert layer_words(mixed) == "1 × l_dft + 2 × sa_sdp of size 16, hidden size 64, 3 heads, feed-forward 128"
