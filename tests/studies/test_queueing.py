"""Any architecture as a study's next trial: by its id, name or file, known to the space or new to it, from Python."""

from __future__ import annotations

import json
import os
import socket
import time

import psutil
import pytest

from explorer.errors import InputError
from explorer.progress import SilentReporter
from explorer.similarity.graph import architecture_id
from explorer.space.formats import from_json, to_model_dict
from explorer.space.named import named_model
from explorer.studies.driver import StudyDriver, may_choose, run_known
from explorer.studies.managing import extend_study, new_study, open_study
from explorer.studies.queueing import MANUAL, enqueue
from explorer.studies.spec import External, StudySpec
from explorer.study import Study
from explorer.testing.searches import known_search, search
from graphstore.records import JobRecord, JobState, StudyState, TrialStatus

NEW = named_model("BERT-Tiny")
ID = architecture_id(NEW)


def budget(store, study="mine"):
    return StudySpec.of(store.study(study)).budget


def test_an_unfinished_space_gets_no_architecture(store):
    new_study(store, search("mine", "small", "boshnas", budget=1))
    space = store.space("small")
    store.put_space(type(space)("small", {**space.info, "ready": False}))
    with pytest.raises(InputError, match="finished library"):
        enqueue(store, "mine", NEW)
    assert ID not in store.architecture_ids("small")


def test_a_queued_architecture_is_the_next_trial(store):
    new_study(store, search("mine", "small", "boshnas", budget=1))
    queued = enqueue(store, "mine", NEW)
    trial = queued.trial
    assert (trial.number, trial.architecture, trial.state) == (0, ID, TrialStatus.WAITING)
    assert trial.info["origin"] == MANUAL
    assert (queued.added_to, queued.grew, queued.budget) == ("small", False, 1)
    assert queued.text == f"{ID} is trial 0 of mine. It was new to space small, which has it now."
    assert store.embeddings("small").ids[-1] == ID
    assert store.architecture(ID).name == "BERT-Tiny"
    known = store.embeddings("small").ids[3]
    second = enqueue(store, "mine", from_json(store.architecture(known).spec))
    assert (second.trial.architecture, second.added_to, second.grew) == (known, "", True)
    assert second.text == f"{known} is trial 1 of mine. The budget was used up; it is 2 trials now."
    assert budget(store) == 2
    with pytest.raises(InputError, match="new to the study"):
        enqueue(store, "mine", NEW)
    assert budget(store) == 2


def test_an_architecture_is_named_in_any_way(store, tmp_path):
    new_study(store, search("mine", "small", "boshnas", budget=9))
    ids = store.embeddings("small").ids
    file = tmp_path / "own.json"
    file.write_text(json.dumps(to_model_dict(named_model("BERT-Mini"))))
    named = [ids[4], ids[5][:12], "bert-tiny", str(file), named_model("FNet-Mini")]
    wanted = [ids[4], ids[5], ID, architecture_id(named_model("BERT-Mini")), architecture_id(named_model("FNet-Mini"))]
    assert [enqueue(store, "mine", one).trial.architecture for one in named] == wanted
    for wrong in ("zz", "no.json", "../..", "0" * 24):
        with pytest.raises(InputError):
            enqueue(store, "mine", wrong)
    with pytest.raises(InputError, match="nope"):
        enqueue(store, "nope", NEW)
    assert len(store.trials("mine")) == len(wanted)


def test_nothing_changes_when_an_architecture_is_refused(store):
    """It is neither added to the space nor given a trial of its own."""
    sizes = {summary.id: summary.parameters for summary in store.summaries("small")}
    limit = sorted(sizes.values())[10]
    new_study(store, search("tight", "small", "boshnas", budget=1, constraints=(f"parameters<={limit}",)))
    new_study(store, known_search("known", "small"))
    before = store.studies(), store.revision("library")
    large = named_model("BERT-Base")
    for study, wanted, named in (
        ("tight", large, "constraints"),
        ("tight", next(id for id in sizes if sizes[id] > limit), "constraints"),
        ("known", NEW, "have a known score"),
    ):
        with pytest.raises(InputError, match=named):
            enqueue(store, study, wanted)
    assert (store.studies(), store.revision("library")) == before
    assert store.trials("tight") == store.trials("known") == []


def test_a_study_that_is_done_can_be_resumed_for_it(store):
    study = run_known(store, open_study(store, known_search("study", "small", "evolution", 6, initial=3)),
                      SilentReporter(), lambda: False)  # fmt: skip
    assert study.state is StudyState.DONE
    tried = {trial.architecture for trial in store.trials("study")}
    queued = enqueue(store, "study", next(id for id in store.embeddings("small").ids if id not in tried))
    assert (queued.budget, queued.trial.number) == (7, 6)
    assert store.study("study").state is StudyState.STOPPED


def test_a_study_is_new_once(store):
    new_study(store, search("mine", "small", "boshnas", budget=3))
    with pytest.raises(InputError, match="be new"):
        new_study(store, search("mine", "small", "boshnas", budget=3))
    with pytest.raises(InputError, match="study name"):
        new_study(store, search("../mine", "small", "boshnas", budget=3))


def test_a_running_study_learns_what_is_new_to_its_space(store):
    """Its driver goes on as that of a resumed study would."""
    spec = search("mine", "small", "evolution", budget=8, policy_settings={"initial": 3})
    new_study(store, spec)
    info = {"studies": ["mine"], "process_started": psutil.Process().create_time()}
    now, host = time.time(), socket.gethostname()
    store.put_job(JobRecord("j", "search", JobState.RUNNING, os.getpid(), host, now, 0.0, "", "", info, now))
    driver = StudyDriver(store, store.study("mine"), may_choose(store, spec))
    driver.propose(2)
    assert enqueue(store, "mine", NEW).trial.number == 2
    while (trial := store.claim_trial("mine", "me", 60.0, time.time())) is not None:
        store.finish_trial(trial, TrialStatus.COMPLETE, time.time(), value=0.1 * trial.number)
    resumed = StudyDriver(store, store.study("mine"), may_choose(store, spec))
    resumed.learn(store.trials("mine"))
    wanted = [proposal.architecture for proposal in resumed.policy.ask(3)]
    assert [trial.architecture for trial in driver.propose(3)] == wanted
    assert [trial.architecture for trial in driver.policy.trials][2] == ID


def test_a_used_up_budget_grows_for_what_is_queued_behind_others(store):
    new_study(store, search("mine", "small", "boshnas", budget=2))
    ids = store.embeddings("small").ids
    assert [enqueue(store, "mine", id).budget for id in ids[:4]] == [2, 2, 3, 4]
    extend_study(store, store.study("mine"), budget=6)
    assert not enqueue(store, "mine", ids[4]).grew


def test_ask_and_tell_take_an_architecture_of_ones_own(store, caplog):
    spec = search("asked", "small", "random", budget=1, evaluation=External())
    with Study.open(store.url, spec) as study, caplog.at_level("INFO", "explorer.study"):
        (first,) = study.ask()
        study.tell(first.number, 0.5)
        queued = study.enqueue("BERT-Tiny")
        assert "The budget was used up; it is 2 trials now." in caplog.text
        (asked,) = study.ask()
        assert (asked.number, asked.architecture, asked.spec) == (queued.number, ID, NEW)
        study.tell(asked.number, 0.25)
        assert study.finished
        assert study.best.architecture == first.architecture
