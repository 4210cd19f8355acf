"""What a visitor may launch."""

from __future__ import annotations

import dataclasses
import time

import pytest

from explorer.app.search import launching
from explorer.errors import InputError
from explorer.search import POLICIES
from explorer.studies.jobs import ACTIVE, STARTING_S, new_job, refresh_jobs
from explorer.studies.managing import extend_study
from explorer.studies.spec import NAME, Known, StudySpec, Trained
from explorer.testing.searches import search
from graphstore import GraphStore, open_store
from graphstore.records import JobRecord, JobState, ScoreRecord, StudyRecord, StudyState

SPEC, PLACE = search("mine", "nano", seed=3, evaluation=Known()), launching.Place()


def job(id: str, state: JobState, **info: object) -> JobRecord:
    return JobRecord(id, "search", state, 1, "elsewhere", 0.0, 0.0, "", "", info, time.time())


def test_policies_are_those_of_the_search_package():
    assert set(launching.POLICY_TITLES) == set(POLICIES)


def test_a_place_is_the_options_of_resume():
    assert PLACE.arguments() == []
    assert launching.Place("ray", 4).arguments() == ["--executor=ray", "--workers=4"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": ""}, "study name"),
        ({"name": "../up"}, "study name"),
        ({"name": "--store"}, "study name"),
        ({"name": "a" * 81}, "study name"),
        ({"policy": "magic"}, "policy"),
        ({"budget": 0}, "budget"),
        ({"budget": 501}, "trials"),
        ({"budget": 65, "evaluation": Trained()}, "trials"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**31}, "seed"),
    ],
)
def test_bad_choices_are_refused(change, field):
    with pytest.raises(InputError) as error:
        launching.check_limits(dataclasses.replace(SPEC, **change), PLACE)
    assert error.value.field == field


def test_a_name_is_taken_by_a_study_or_by_a_job_that_begins_one(own_store):
    with open_store(own_store) as store:
        store.create_study(SPEC.record())
        with pytest.raises(InputError, match="study name must be new"):
            launching.start(store, SPEC, PLACE, [])
        other = dataclasses.replace(SPEC, name="other")
        with pytest.raises(InputError, match="study name must be new"):
            launching.start(store, other, PLACE, [job("j", JobState.RUNNING, studies=["other"])])
        assert [study.name for study in store.studies()] == ["mine"]


def test_good_choices_pass():
    launching.check_limits(SPEC, PLACE)
    launching.check_limits(dataclasses.replace(SPEC, budget=64, evaluation=Trained()), PLACE)


def test_free_name_is_valid_and_new():
    taken = {"nano-mean-1", "nano-mean-2"}
    assert launching.free_name("nano-mean", taken) == "nano-mean-3"
    for stem in ("", "ü/../ö", "-- --", "x" * 200):
        assert NAME.fullmatch(launching.free_name(stem, set()))


def test_too_many_jobs_are_refused(own_store):
    jobs = [job(str(number), JobState.RUNNING) for number in range(launching.MAX_ACTIVE_JOBS)]
    with open_store(own_store) as store:
        with pytest.raises(InputError, match="running jobs"):
            launching.start(store, SPEC, PLACE, jobs)
        assert store.jobs() == []


def test_resume_needs_a_command_and_an_idle_study(own_store):
    stopped = job("a", JobState.STOPPED, arguments=["search"], studies=["s"])
    assert launching.can_resume(stopped, [])
    assert not launching.can_resume(job("b", JobState.STOPPED, studies=["s"]), [])
    assert not launching.can_resume(job("c", JobState.DONE, arguments=["search"]), [])
    with open_store(own_store) as store:
        with pytest.raises(InputError, match="resumed here"):
            launching.resume(store, job("b", JobState.STOPPED), [])
        store.put_job(job("d", JobState.RUNNING, studies=["s"]))
        with pytest.raises(InputError, match="s in job d"):
            launching.resume(store, stopped, store.jobs())
        assert [one.id for one in store.jobs()] == ["d"]


def test_a_job_whose_machine_went_down_holds_nothing(own_store, monkeypatch):
    """Its record says "running" for ever: it blocks no study, takes no place among the jobs, and can be resumed."""
    monkeypatch.setattr(launching, "launch", lambda store, kind, words, info: new_job(store, kind, info))
    long_ago = time.time() - 2 * STARTING_S
    running = [
        job(str(number), JobState.RUNNING, arguments=["search"], studies=["mine"])
        for number in range(launching.MAX_ACTIVE_JOBS)
    ]
    silent = [dataclasses.replace(one, created=long_ago) for one in running]
    assert launching.can_resume(silent[0], [])
    assert not launching.can_resume(dataclasses.replace(silent[0], heartbeat=time.time()), [])
    with open_store(own_store) as store:
        for one in silent:
            store.put_job(one)
        launching.require_room(store.jobs())
        assert launching.resume(store, silent[0], store.jobs()).kind == "search"
        with pytest.raises(InputError, match="mine in job search-"):
            launching.resume(store, silent[0], store.jobs())


def test_a_job_whose_studies_are_done_is_not_resumed():
    def study(name: str, state: StudyState) -> StudyRecord:
        return search(name, "nano").record(state)

    ended = job("a", JobState.FAILED, arguments=["demo"], studies=["s", "t"])
    done, open_, stopped = (study("s", StudyState.DONE), study("t", StudyState.OPEN), study("t", StudyState.STOPPED))
    assert launching.can_resume(ended, [done])
    assert launching.can_resume(ended, [done, open_])
    assert launching.can_resume(ended, [done, stopped])
    assert not launching.can_resume(ended, [done, study("t", StudyState.DONE)])
    assert launching.can_resume(job("b", JobState.LOST, arguments=["demo"]), [done])


@pytest.mark.slow
def test_a_launched_search_really_runs_and_resumes(own_store):
    with open_store(own_store) as store:
        ids = [summary.id for summary in store.summaries("nano")]
        store.add_scores(
            [ScoreRecord(id, "mean", "accuracy", 0.1 * n, "d", "f", "r", 0, "import:0") for n, id in enumerate(ids)]
        )
        job = _ended(store, launching.start(store, SPEC, PLACE, []))
        assert len(store.trials("mine")) == 5
        assert store.study("mine").state is StudyState.DONE
        stopped = store.update_job(job.id, state=JobState.STOPPED)
        extend_study(store, store.study("mine"), budget=7)
        again = _ended(store, launching.resume(store, stopped, []))
        assert again.id != job.id
        assert len(store.trials("mine")) == 7
        assert StudySpec.of(store.study("mine")) == dataclasses.replace(SPEC, budget=7)


def _ended(store: GraphStore, job: JobRecord) -> JobRecord:
    end = time.time() + 120
    while (now := next(j for j in refresh_jobs(store) if j.id == job.id)).state in ACTIVE:
        assert time.time() < end, now
        time.sleep(0.2)
    assert now.state is JobState.DONE, now.message
    return now
