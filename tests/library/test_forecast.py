"""Predicted scores of architectures that a library does not have."""

from __future__ import annotations

import math

import numpy as np
import pytest

from explorer.errors import InputError
from explorer.library.forecast import Forecaster
from explorer.library.library import Library
from explorer.measure.size import parameters
from explorer.progress import SilentReporter
from explorer.similarity.graph import architecture_id
from explorer.space.grammar import load_space
from explorer.space.named import named_model
from graphstore import open_store


@pytest.fixture(scope="module")
def known():
    return list(dict.fromkeys(load_space("nano").sample(80, np.random.default_rng(2))))


@pytest.fixture(scope="module")
def opened(known, tmp_path_factory):
    with open_store(f"sqlite:///{tmp_path_factory.mktemp('forecast') / 'store.db'}") as store:
        yield Library.build(store, "known", known, SilentReporter(), source={})


@pytest.fixture(scope="module")
def sizes(known):
    return {architecture_id(spec): math.log(parameters(spec, embeddings=False)) for spec in known}


@pytest.mark.parametrize("which", ["outside", "inside"])
def test_nearest_are_those_of_all_pairs(opened, known, which):
    spec = named_model("BERT-Tiny") if which == "outside" else known[7]
    expected = sorted(opened.explain(spec, other).dissimilarity for other in known if other != spec)[:5]
    found = opened.nearest(spec, 5)
    assert [near.dissimilarity for near in found] == pytest.approx(expected, abs=1e-9)
    assert architecture_id(spec) not in {near.target for near in found}


def test_what_can_be_learned_is_learned(opened, sizes):
    others = load_space("nano").sample(40, np.random.default_rng(9))
    others = [spec for spec in others if architecture_id(spec) not in sizes]
    learned = Forecaster(opened, sizes)
    assert learned.count == len(sizes)
    assert learned.rank_correlation is not None
    assert learned.rank_correlation > 0.9
    true = [math.log(parameters(spec, embeddings=False)) for spec in others]
    found = [learned.forecast(spec) for spec in others]
    assert np.corrcoef(true, [one.mean for one in found])[0, 1] > 0.9
    within = [abs(one.mean - value) <= 2 * one.deviation for one, value in zip(found, true, strict=True)]
    assert np.mean(within) > 0.8
    assert np.mean([one.beyond for one in found]) < 0.2


def test_doubt_grows_with_distance(opened, sizes, known):
    learned = Forecaster(opened, sizes)
    near, far = learned.forecast(known[0]), learned.forecast(named_model("FlexiBERT-Large"))
    assert far.beyond
    assert not near.beyond
    assert far.epistemic > near.epistemic


def test_scores_that_teach_nothing(opened, sizes):
    ids = list(sizes)
    with pytest.raises(InputError, match="at least 5"):
        Forecaster(opened, {"stranger": 1.0, ids[0]: math.nan, **dict.fromkeys(ids[1:5], 0.5)})
    equal = Forecaster(opened, dict.fromkeys(ids, 0.5))
    assert equal.equal == 0.5
    assert equal.rank_correlation is None
    assert equal.forecast(named_model("BERT-Tiny")).mean == pytest.approx(0.5)
    few = Forecaster(opened, {id: sizes[id] for id in ids[:6]})
    assert few.rank_correlation is None
    assert few.equal is None
    assert math.isfinite(few.forecast(named_model("BERT-Tiny")).deviation)
