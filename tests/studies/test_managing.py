"""Looking after studies: status, extensions, constraints, hours, exports."""

import csv
import dataclasses
import io
import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from explorer.errors import InputError
from explorer.progress import SilentReporter
from explorer.studies import managing, reports
from explorer.studies.budgets import hours_used, time_is_up
from explorer.studies.driver import run_known
from explorer.studies.jobs import job_of, new_job, stop_job
from explorer.studies.managing import open_study
from explorer.studies.spec import External, Stages, StudySpec
from explorer.testing.searches import known_search, search
from graphstore.records import JobState, StudyState, TrialRecord, TrialStatus


def plan(budget=6, **changes):
    return known_search("study", "small", "evolution", budget, initial=3, **changes)


def run(store, a_plan, on_trial=None):
    return run_known(store, open_study(store, a_plan), SilentReporter(), lambda: False, on_trial)


def trial(number, start, end, state=TrialStatus.COMPLETE):
    return TrialRecord("s", number, "a", state, 1, 1, "", 0.0, 0.5, "", {}, 0.0, start, end)


def test_hours_are_the_union_of_what_ended_or_runs():
    hour = 3600.0
    side_by_side = [trial(0, 1 * hour, 2 * hour), trial(1, 1.5 * hour, 2.5 * hour), trial(2, 1.6 * hour, 1.7 * hour)]
    later = trial(3, 9 * hour, 10 * hour, TrialStatus.FAILED)
    running = trial(4, 11 * hour, 0.0, TrialStatus.RUNNING)
    waiting = [trial(5, 0.0, 0.0, TrialStatus.WAITING), trial(6, 3 * hour, 4 * hour, TrialStatus.STALE)]
    within = [trial(7, 1 * hour, 3 * hour), trial(8, 1.2 * hour, 1.4 * hour), trial(9, 2 * hour, 3.5 * hour)]
    assert hours_used([], 5.0) == 0.0
    assert hours_used(within, 20 * hour) == pytest.approx(2.5)
    assert hours_used([later, *side_by_side, *waiting], 20 * hour) == pytest.approx(2.5)
    assert hours_used([running, later, *side_by_side], 11.25 * hour) == pytest.approx(2.75)
    study = search("s", "small", hours=2.5)
    assert time_is_up(study, [*side_by_side, later], 0.0)
    assert not time_is_up(study, side_by_side, 0.0)
    assert not time_is_up(dataclasses.replace(study, hours=None), [later], 0.0)


def test_no_trial_begins_when_the_hours_are_used_up(store):
    study = run(store, plan(9, hours=1e-9))
    assert study.state is StudyState.DONE
    assert len(store.trials("study")) == 3  # One batch; it was asked for before the first trial had taken any time.
    with pytest.raises(InputError, match="hours"):
        managing.extend_study(store, study, hours=1e-10)
    study = managing.extend_study(store, study, hours=5.0)
    assert study.state is StudyState.STOPPED
    assert StudySpec.of(run(store, plan(9, hours=1.0))).hours == 5.0
    assert len(store.trials("study")) == 9


def test_an_extended_study_goes_on_while_it_runs(store):
    ended = []

    def on_trial(one):
        ended.append(one.number)
        if one.number == 5:
            managing.extend_study(store, store.study("study"), budget=8)

    assert StudySpec.of(run(store, plan(6), on_trial)).budget == 8
    assert ended == list(range(8))


@pytest.mark.parametrize("wrong", [{}, {"budget": 5}, {"budget": 10**6}, {"hours": 1.0}, {"hours": -1.0}])
def test_extensions_only_grow(store, wrong):
    study = run(store, plan(6))
    with pytest.raises(InputError):
        managing.extend_study(store, study, **wrong)
    assert store.study("study") == study


def test_added_constraints_are_kept_and_the_best_is_among_those_that_keep_them(store):
    study = run(store, plan(12))
    sizes = {summary.id: summary.parameters for summary in store.summaries("small")}
    best = reports.best_allowed(store, study, store.trials("study"))
    limit = sizes[best.architecture] - 1
    with pytest.raises(InputError, match="constraint"):
        open_study(store, StudySpec.of(study).grown(constraints=["parameters<=1"]))
    assert store.study("study") == study
    study = open_study(store, StudySpec.of(study).grown(constraints=[f"parameters<={limit}"]))
    kept = [t for t in store.trials("study") if sizes[t.architecture] <= limit]
    assert reports.best_allowed(store, study, store.trials("study")).value == max(t.value for t in kept)
    managing.extend_study(store, study, budget=20)
    run(store, plan(20))
    trials = store.trials("study")
    assert len(trials) == 20
    assert all(sizes[t.architecture] <= limit for t in trials[12:])


def test_nothing_is_written_of_a_study_that_breaks_a_rule(store):
    """Whoever opens it, one or several at once, need not check it first."""
    run(store, plan(6))
    before = store.studies()
    wrong = known_search("wrong", "small", costs=["-latency@toaster"])
    other_seed = dataclasses.replace(plan(9), seed=1)
    for specs in ([wrong], [other_seed], [known_search("new", "small"), wrong], [plan(9), other_seed]):
        with pytest.raises(InputError):
            managing.open_studies(store, specs)
    with pytest.raises(InputError, match="toaster"):
        open_study(store, wrong)
    with pytest.raises(InputError, match="be new"):
        managing.new_study(store, plan(9))
    assert store.studies() == before
    first, second = managing.open_studies(store, [known_search("new", "small"), plan(9)])
    assert (first.name, StudySpec.of(second).budget) == ("new", 9)


def test_several_studies_are_resumed_and_those_that_are_done_left_out(store):
    done, cut = plan(4), dataclasses.replace(plan(6), name="cut")
    run(store, done)
    run_known(store, open_study(store, cut), SilentReporter(), iter([False, True]).__next__)
    before = store.studies()
    for constraint, named in (("parameters<=1", "at least one"), ("size<=1", "constraint")):
        with pytest.raises(InputError, match=named):
            managing.prepare_resume(store, ["study", "cut"], [constraint])
    open_study(store, external := dataclasses.replace(search("asked", "small"), evaluation=External()))
    for names, named in ((["study"], "something left"), (["cut", "asked"], "elsewhere"), (["cut", "nope"], "nope")):
        with pytest.raises(InputError, match=named):
            managing.prepare_resume(store, names, ["depth<=4"])
    job = new_job(store, "search", {"studies": ["cut"]})
    with pytest.raises(InputError, match=job.id):
        managing.prepare_resume(store, ["study", "cut"], ["depth<=4"])
    assert [one for one in store.studies() if one.name != external.name] == before
    (left,) = managing.prepare_resume(store, ["study", "cut", "cut"], ["depth<=4"], job.id)
    assert (left.name, StudySpec.of(left).constraints) == ("cut", ("depth<=4",))
    assert store.study("cut") == left
    assert StudySpec.of(store.study("study")).constraints == ()
    store.update_job(job.id, state=JobState.DONE)
    managing.extend_study(store, store.study("study"), budget=5)
    both = managing.prepare_resume(store, ["study", "cut"])
    assert [one.name for one in both] == ["study", "cut"]


def test_status_tells_who_runs_it_and_what_failed(store):
    study = open_study(store, plan(6))
    ids = [summary.id for summary in store.summaries("small")][:4]
    store.add_trials("study", [(id, {}) for id in ids])
    now = time.time()
    store.finish_trial(store.claim_trial("study", "here:1", 60.0, now), TrialStatus.COMPLETE, now, value=0.25)
    store.finish_trial(store.claim_trial("study", "here:1", 60.0, now), TrialStatus.FAILED, now, reason="no memory")
    claimed = store.claim_trial("study", "here:2", 60.0, now)
    store.renew_lease(claimed, 60.0, now, {"progress": 0.5, "message": "step 7"})
    idle = reports.study_status(store, study, now)
    assert idle["job"] is None
    job = new_job(store, "search", {"studies": ["study"]})
    store.update_job(job.id, state=JobState.RUNNING, heartbeat=now - 3.0, pid=os.getpid(), info=process_info(job))
    status = reports.study_status(store, study, now)
    assert status["trials"] == {"waiting": 1, "running": 1, "complete": 1, "failed": 1, "stale": 0}
    assert (status["job"]["id"], status["job"]["process"]) == (job.id, os.getpid())
    assert status["job"]["heartbeat_s"] == pytest.approx(3.0)
    assert [(f["trial"], f["reason"]) for f in status["failures"]] == [(1, "no memory")]
    assert [(r["trial"], r["owner"], r["message"], r["lease_s"]) for r in status["running"]] == [
        (2, "here:2", "step 7", pytest.approx(60.0))
    ]
    assert status["best"] == {"id": ids[0], "value": 0.25, "trial": 0}
    json.dumps(status, allow_nan=False)


def process_info(job, pid=None):
    return {**job.info, "process_started": psutil.Process(pid).create_time()}


def test_the_job_of_a_study_is_stopped(store):
    open_study(store, plan())
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        job = new_job(store, "search", {"studies": ["study"]})
        store.update_job(job.id, state=JobState.RUNNING, pid=process.pid, info=process_info(job, process.pid))
        assert job_of(store, "other") is None
        assert stop_job(store, job_of(store, "study").id).state is JobState.STOPPING
        assert process.wait(30) == -signal.SIGTERM
    finally:
        process.kill()
        process.wait()
    assert job_of(store, "study") is None


def test_exports_say_the_same_of_every_trial(store):
    study = run(store, plan(5))
    rows = reports.trial_rows(store, study)
    read = list(csv.DictReader(io.StringIO(reports.exported_csv(store, study))))
    document = json.loads(reports.exported_json(store, study))
    assert document["all_trials"] == rows
    assert tuple(read[0]) == reports.EXPORTED
    for stored, row, line in zip(store.trials("study"), rows, read, strict=True):
        assert (row["trial"], row["value"], row["architecture"]) == (stored.number, stored.value, stored.architecture)
        assert (int(line["trial"]), float(line["value"]), line["state"]) == (row["trial"], row["value"], "complete")
        assert json.loads(line["acquisition"]) == row["acquisition"] == stored.info["acquisition"]


def test_no_exported_cell_is_a_formula(store):
    study = run(store, plan(3))
    tried = {trial.architecture for trial in store.trials("study")}
    new = next(one.id for one in store.summaries(study.space) if one.id not in tried)
    store.add_trials("study", [(new, {"origin": "=HYPERLINK(1)"})])
    assert list(csv.DictReader(io.StringIO(reports.exported_csv(store, study))))[-1]["origin"] == "'=HYPERLINK(1)"


def test_an_unknown_study_lists_the_known_ones(store):
    run(store, plan(3))
    with pytest.raises(InputError, match="study"):
        managing.find_study(store, "nope")


@pytest.mark.parametrize(
    ("spec", "state", "resumable"),
    [
        (search("s", "small"), StudyState.STOPPED, True),
        (search("s", "small"), StudyState.OPEN, True),
        (search("s", "small"), StudyState.DONE, False),
        (search("s", "small", stages=Stages(levels=2)), StudyState.DONE, True),
        (search("s", "small", "boshnas", stages=Stages(requeries=1)), StudyState.DONE, True),
        (search("s", "small", evaluation=External()), StudyState.STOPPED, False),
        (search("s", "small", evaluation=External()), StudyState.DONE, False),
    ],
)
def test_what_can_be_resumed(spec, state, resumable):
    study = spec.record(state)
    assert managing.can_resume(study) is resumable
    if resumable:
        managing.check_resumable(study)
    else:
        with pytest.raises(InputError, match="study must"):
            managing.check_resumable(study)
