"""What the Build page works with, without the page: words, limits, and the reading of a space."""

from __future__ import annotations

import json

import pytest

from explorer.app.build import building
from explorer.app.search import launching
from explorer.app.shared import similarity
from explorer.errors import InputError
from explorer.space.drafts import Draft, LayerDraft, read_draft
from explorer.space.formats import from_json, to_json
from explorer.space.grammar import load_space
from explorer.space.named import named_model
from explorer.testing.searches import search
from graphstore import open_store

from ..conftest import study

TINY = named_model("BERT-Tiny")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"backbone": 768}, "the backbone must be absent"),
        ({"hiddens": (64,)}, "the number of layers must be one of 2, 4"),
        ({"hiddens": (64, 64, 48, 48)}, "the hidden size of layer 2 must be one of 32, 64"),
        ({"hiddens": (64, 64, 64, 32)}, "layers 2 and 3 must be equal"),
        ({}, None),
    ],
)
def test_what_lies_outside_a_grammar_is_told_in_words(change, reason):
    layers = tuple(LayerDraft("sa_sdp", hidden, 2, "64") for hidden in change.get("hiddens", (64,) * 4))
    spec, errors = read_draft(Draft(layers, change.get("backbone")))
    assert not errors
    assert building.outside(load_space("nano"), spec) == reason


def test_what_a_visitor_may_ask_for_has_limits(own_store):
    with open_store(own_store) as store:
        spec = from_json(store.summaries("nano")[0].spec)
        for budget in (0, 65, 10**9):
            with pytest.raises(InputError, match="trials"):
                building.queue_edited(store, "nano", spec, building.QueueChoices("mine", True, budget, False))
        with pytest.raises(InputError, match="recipe"):
            building.queue_edited(store, "nano", spec, building.QueueChoices("mine", True, 1, False, "paper"))
        store.create_study(study("full", "random", 64))
        ids = [summary.id for summary in store.summaries("nano")]
        assert store.studies()
        queued, job = building.queue_edited(store, "nano", spec, building.QueueChoices("mine", True, 2, False))
        assert (queued.trial.number, job) == (0, None)
        assert queued.trial.architecture in ids


def test_queueing_gives_a_study_no_more_trials_than_a_visitor_may_have(own_store, monkeypatch):
    monkeypatch.setattr(launching, "MAX_TRAINED", 3)
    with open_store(own_store) as store:
        store.create_study(search("s", "nano", budget=2).record())
        ids = [summary.id for summary in store.summaries("nano")]
        store.add_trials("s", [(id, {}) for id in ids[:2]])
        specs = [from_json(store.architecture(id).spec) for id in ids[2:4]]
        queued, _ = building.queue_edited(store, "nano", specs[0], building.QueueChoices("s", False, 1, False))
        assert (queued.budget, queued.grew) == (3, True)
        with pytest.raises(InputError, match="trials must be at most 3 from here"):
            building.queue_edited(store, "nano", specs[1], building.QueueChoices("s", False, 1, False))
        assert len(store.trials("s")) == 3


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
