"""An architecture of the user's own as a study's next trial; the space's library gets it first."""

from __future__ import annotations

import os
import socket
import time

import psutil
import pytest

from explorer.errors import InputError
from explorer.similarity.graph import architecture_id
from explorer.space.formats import from_json
from explorer.space.named import named_model
from explorer.studies.managing import new_study
from explorer.studies.queueing import queue
from explorer.studies.spec import StudySpec
from explorer.testing.searches import search
from graphstore.records import JobRecord, JobState, TrialStatus

NEW = named_model("BERT-Tiny")


def test_an_unfinished_space_gets_no_architecture(store):
    new_study(store, search("mine", "small", "boshnas", budget=1))
    space = store.space("small")
    store.put_space(type(space)("small", {**space.info, "ready": False}))
    with pytest.raises(InputError, match="finished library"):
        queue(store, "mine", NEW)
    assert architecture_id(NEW) not in store.architecture_ids("small")


def test_a_queued_architecture_is_the_next_trial(store):
    new_study(store, search("mine", "small", "boshnas", budget=1))
    trial = queue(store, "mine", NEW)
    assert (trial.number, trial.architecture, trial.state) == (0, architecture_id(NEW), TrialStatus.WAITING)
    assert store.embeddings("small").ids[-1] == architecture_id(NEW)
    assert store.architecture(architecture_id(NEW)).name == "BERT-Tiny"
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
