"""An architecture of one's own into a study: adopted by the space, queued as the next trial."""

from __future__ import annotations

import os
import socket
import time

import numpy as np
import psutil
import pytest

from explorer.errors import InputError
from explorer.library.build import is_ready
from explorer.library.nearest import nearest_by_vector, nearest_in_space
from explorer.library.placing import Placer
from explorer.similarity.graph import architecture_id, build_graph
from explorer.similarity.weisfeiler_lehman import WeisfeilerLehman
from explorer.space.formats import from_json
from explorer.space.named import named_model
from explorer.studies.queueing import adopt, new_study, queue
from explorer.studies.spec import StudySpec
from explorer.testing.searches import search
from graphstore.records import JobRecord, JobState, TrialStatus

NEW = named_model("BERT-Tiny")


def test_an_adopted_architecture_is_one_of_the_space(store):
    before, placer = store.embeddings("small"), Placer.of_space(store, "small")
    nearest = nearest_in_space(store, "small", NEW, 10)
    table = store.neighbor_table("small", WeisfeilerLehman.name)
    id = adopt(store, "small", NEW)
    after = store.embeddings("small")
    assert id == architecture_id(NEW)
    assert after.ids == (*before.ids, id)
    np.testing.assert_array_equal(after.vectors[:-1], before.vectors)
    np.testing.assert_array_equal(after.vectors[-1], placer.place([build_graph(NEW)])[0])
    assert store.neighbors("small", id, WeisfeilerLehman.name) == nearest
    assert len(store.neighbor_table("small", WeisfeilerLehman.name)) == len(table) + 10
    assert is_ready(store, "small")
    assert store.space("small").info["architectures"] == len(after.ids)
    assert store.architecture(id).name == "BERT-Tiny"
    assert store.problems() == []


def test_adopting_leaves_the_axes_as_they_are(store):
    other = build_graph(named_model("FNet-Mini"))
    before = Placer.of_space(store, "small").place([other])
    adopt(store, "small", NEW)
    np.testing.assert_array_equal(Placer.of_space(store, "small").place([other]), before)
    assert len(nearest_by_vector(store, "small", named_model("FNet-Mini"), 3)) == 3


def test_adopting_twice_changes_nothing(store):
    adopt(store, "small", NEW)
    info, revision = store.space("small").info, store.revision("library")
    adopt(store, "small", NEW)
    assert store.space("small").info == info
    assert store.revision("library") == revision


def test_an_unfinished_space_adopts_nothing(store):
    space = store.space("small")
    store.put_space(type(space)("small", {**space.info, "ready": False}))
    with pytest.raises(InputError, match="finished library"):
        adopt(store, "small", NEW)
    assert architecture_id(NEW) not in store.architecture_ids("small")


def test_a_queued_architecture_is_the_next_trial(store):
    new_study(store, search("mine", "small", "boshnas", budget=1))
    trial = queue(store, "mine", NEW)
    assert (trial.number, trial.architecture, trial.state) == (0, architecture_id(NEW), TrialStatus.WAITING)
    known = store.embeddings("small").ids[3]
    second = queue(store, "mine", from_json(store.architecture(known).spec))
    assert second.architecture == known
    assert StudySpec.of(store.study("mine")).budget == 2
    with pytest.raises(InputError, match="new to the study"):
        queue(store, "mine", NEW)
    assert StudySpec.of(store.study("mine")).budget == 2


def test_a_study_is_new_once(store):
    new_study(store, search("mine", "small", "boshnas", budget=3))
    with pytest.raises(InputError, match="be new"):
        new_study(store, search("mine", "small", "boshnas", budget=3))
    with pytest.raises(InputError, match="study name"):
        new_study(store, search("../mine", "small", "boshnas", budget=3))


def test_a_running_study_gets_only_what_it_knows(store):
    new_study(store, search("mine", "small", "boshnas", budget=3))
    info = {"studies": ["mine"], "process_started": psutil.Process().create_time()}
    now, host = time.time(), socket.gethostname()
    store.put_job(JobRecord("j", "search", JobState.RUNNING, os.getpid(), host, now, 0.0, "", "", info, now))
    with pytest.raises(InputError, match="not be running"):
        queue(store, "mine", NEW)
    assert architecture_id(NEW) not in store.architecture_ids("small")
    known = store.embeddings("small").ids[0]
    assert queue(store, "mine", from_json(store.architecture(known).spec)).architecture == known
