"""What the Build page works with, without the page: words, limits, and the reading of a space."""

from __future__ import annotations

import json

import pytest

from explorer.app.build import building
from explorer.app.shared import similarity
from explorer.app.shared.services import STORE_VARIABLE
from explorer.errors import InputError
from explorer.library.vicinity import Vicinity
from explorer.space.drafts import Draft, LayerDraft, read_draft
from explorer.space.formats import from_json, to_json
from explorer.space.grammar import load_space
from explorer.space.named import named_model
from graphstore import open_store
from graphstore.errors import StoreError

from ..conftest import study

TINY = named_model("BERT-Tiny")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"backbone": 768}, "the backbone must be absent"),
        ({"hiddens": (64,)}, "the number of layers must be one of 2, 4"),
        ({"hiddens": (64, 64, 48, 48)}, "the hidden size of layer 2 must be one of 32, 64"),
        ({"hiddens": (64, 64, 64, 32)}, "layers 2 and 3 must be alike"),
        ({}, None),
    ],
)
def test_what_lies_outside_a_grammar_is_told_in_words(change, reason):
    layers = tuple(LayerDraft("sa_sdp", hidden, 2, "64") for hidden in change.get("hiddens", (64,) * 4))
    spec, errors = read_draft(Draft(layers, change.get("backbone")))
    assert not errors
    assert building.outside(load_space("nano"), spec) == reason


def test_a_space_that_cannot_be_read_is_read_once_for_whoever_only_looks(own_store, monkeypatch):
    tries = []

    def fails(store, space):
        tries.append(space)
        raise StoreError("the disk does not answer")

    monkeypatch.setenv(STORE_VARIABLE, own_store)
    monkeypatch.setattr(Vicinity, "of_space", fails)
    with open_store(own_store) as store:
        (space,) = store.spaces()
    reading = building._reading(own_store, space.name, str(space.info["digest"]))
    assert isinstance(reading.exception(60), StoreError)
    for wait in (False, False, True):
        with pytest.raises(StoreError, match="does not answer"):
            building.vicinity(space, wait=wait)
    assert len(tries) == 1
    # It was told to somebody who waited, so the next one begins anew.
    with pytest.raises(StoreError, match="does not answer"):
        building.vicinity(space)
    assert len(tries) == 2


def test_what_a_visitor_may_ask_for_has_limits(own_store):
    with open_store(own_store) as store:
        spec = from_json(store.summaries("nano")[0].spec)
        for budget in (0, 65, 10**9):
            with pytest.raises(InputError, match="trials"):
                building.enqueue(store, "nano", spec, building.QueueChoices("mine", True, budget, False))
        with pytest.raises(InputError, match="recipe"):
            building.enqueue(store, "nano", spec, building.QueueChoices("mine", True, 1, False, "paper"))
        store.create_study(study("full", "random", 64))
        ids = [summary.id for summary in store.summaries("nano")]
        assert store.studies()
        trial, job = building.enqueue(store, "nano", spec, building.QueueChoices("mine", True, 2, False))
        assert (trial.number, job) == (0, None)
        assert trial.architecture in ids


def test_differences_in_words():
    wider = named_model("BERT-Mini")
    words = similarity.difference_words(TINY, wider)
    assert "hidden size 128 to 256" in words
    assert similarity.difference_words(TINY, TINY) == "none"
    assert len(similarity.difference_words(named_model("FlexiBERT-Large"), wider)) <= similarity.LONGEST_WORDS
    layer = LayerDraft("sa_sdp", 128, 2, "512")
    shaped, plain = (read_draft(Draft((layer,), backbone))[0] for backbone in (768, None))
    assert similarity.difference_words(plain, shaped) == "backbone none to 768"
    assert json.loads(to_json(plain))["l"] == 1
