"""Design choices in words, and their importance where the truth is known."""

import numpy as np
import pandas as pd
import pytest

from explorer.analysis import importance
from explorer.analysis.importance import choice_importance, choices_frame, coded, parallel_axes
from explorer.errors import InputError
from explorer.space.grammar import load_space
from explorer.space.spec import ArchitectureSpec, LayerSpec


def layer(family, parameter, hidden, heads=2, stack=(64,)):
    return LayerSpec.per_layer(hidden, family, parameter, heads, stack)


def table(count, seed=0):
    """Independent choices of three architectures' worth of names, and their codes."""
    rng = np.random.default_rng(seed)
    columns = {"a": [32, 64, 128], "b": ["sa_sdp", "c_5"], "c": [1, 3], "d": [None, 2, 4]}
    frame = pd.DataFrame({name: rng.choice(np.array(values, dtype=object), count) for name, values in columns.items()})
    frame.index = pd.Index([f"id{n}" for n in range(count)], name="id")
    return frame


def test_choices_that_neighbours_share_are_one_and_what_all_share_is_none():
    specs = {
        "two": ArchitectureSpec((layer("sa", "sdp", 64), layer("sa", "sdp", 64))),
        "four": ArchitectureSpec(
            (layer("sa", "sdp", 64), layer("l", "dft", 64), layer("c", 5, 128), layer("c", 5, 128, stack=(32, 64)))
        ),
    }
    frame = choices_frame(specs)
    assert frame.loc["two"].to_dict() == {
        "depth": 2,
        "layer 1 operation": "sa_sdp",
        "layers 2-3 operation": None,
        "layers 2-3 hidden": None,
        "layers 2-3 heads": None,
        "layer 2 stack depth": None,
        "layer 3 stack depth": None,
        "layer 2 stack width": None,
        "layer 3 stack width": None,
    }
    assert frame.loc["four", "layer 3 stack width"] == "32 64"
    assert frame.loc["four", "layer 3 stack depth"] == 2
    assert frame.loc["four", "layer 1 operation"] == "l_dft"
    assert choices_frame({}).empty
    assert list(choices_frame({"two": specs["two"]})) == []


def test_choices_of_a_space_tell_its_architectures_apart():
    specs = {str(n): spec for n, spec in enumerate(load_space("nano").sample(200, np.random.default_rng(1)))}
    frame = choices_frame(specs)
    assert len(frame.drop_duplicates()) == len(set(specs.values()))


def test_positions_are_in_the_order_of_the_values():
    codes, found = coded(pd.Series(["c_5", 64, None, 8, "a"], dtype=object))
    assert found == [None, 8, 64, "a", "c_5"]
    assert codes.tolist() == [4, 2, 0, 1, 3]


def test_the_choice_that_makes_the_score_is_found_and_the_others_are_not():
    choices = table(150)
    noise = np.random.default_rng(1).normal(scale=0.02, size=150)
    scores = choices["a"].map({32: 0.0, 64: 0.5, 128: 1.0}) + choices["b"].map({"sa_sdp": 0.3, "c_5": 0.0}) + noise
    found = choice_importance(choices, scores.astype(float))
    told = found.choices.set_index("choice")
    assert found.choices["choice"].tolist()[:2] == ["a", "b"]
    assert (told.loc[["a", "b"], "low"] > 0.05).all()
    assert (told.loc[["c", "d"], "importance"].abs() < 0.03).all()
    assert found.explained > 0.9
    assert found.scored == 150
    # Exchanging a choice that alone makes the score doubles the variance: the error grows by twice its share.
    share = choices["a"].map({32: 0.0, 64: 0.5, 128: 1.0}).astype(float).var() / scores.astype(float).var()
    assert told.at["a", "importance"] == pytest.approx(2 * share, rel=0.25)


def test_of_noise_the_forest_explains_nothing():
    scores = pd.Series(np.random.default_rng(2).normal(size=60), table(60).index)
    found = choice_importance(table(60), scores, seed=5)
    assert found.explained < 0.1
    assert found.choices.equals(choice_importance(table(60), scores, seed=5).choices)


def test_of_many_scores_a_random_part_tells_as_much(monkeypatch):
    monkeypatch.setattr(importance, "MOST_SCORES", 80)
    choices = table(400)
    scores = choices["a"].map({32: 0.0, 64: 0.5, 128: 1.0}).astype(float)
    found = choice_importance(choices, scores)
    assert found.scored == 80
    assert found.choices["choice"][0] == "a"
    assert found.choices.equals(choice_importance(choices, scores).choices)
    assert not found.choices.equals(choice_importance(choices, scores.iloc[:80]).choices), "not the first ones"


def test_importance_needs_scores_that_differ():
    choices = table(30)
    scores = pd.Series(np.arange(30.0), choices.index)
    with pytest.raises(InputError, match="at least 12"):
        choice_importance(choices, scores.where(scores < 11))
    with pytest.raises(InputError, match="differ"):
        choice_importance(choices, scores * 0.0)
    with pytest.raises(InputError, match="differ in a design choice"):
        choice_importance(choices[[]], scores)


def test_axes_are_those_that_tell_most_in_their_own_order():
    choices = table(100)
    scores = choices["d"].map(lambda value: value or 0) + 0.1 * choices["a"].map({32: 0, 64: 1, 128: 2})
    axes = parallel_axes(choices, scores.astype(float), most=2)
    assert [name for name, *_ in axes] == ["a", "d"]
    for name, codes, found in axes:
        assert [found[code] for code in codes] == choices[name].tolist()
    assert parallel_axes(choices, scores.astype(float).head(1), most=9)[0][1].tolist() == [0]
