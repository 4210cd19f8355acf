"""Jobs are real processes: they are watched, stopped, and missed when they are gone."""

import os
import signal
import socket
import threading
import time

import pytest

from explorer.errors import InputError
from explorer.library.workplace import data_cache, work_folder
from explorer.progress import SilentReporter
from explorer.studies import jobs
from explorer.studies.jobs import (
    ACTIVE,
    SILENT_S,
    STARTING_S,
    is_alive,
    job_of,
    launch,
    new_job,
    read_log,
    refresh_jobs,
    require_free,
    running_job,
    stop_job,
    wait_until_free,
)
from graphstore.records import JobRecord, JobState

SEARCH = ["search", "--space", "small", "--objective", "known", "--from-scores", "--study", "job"]


def wait_for(store, id, states, seconds=120):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        job = next(job for job in refresh_jobs(store) if job.id == id)
        if job.state in states:
            return job
        time.sleep(0.2)
    raise AssertionError(f"job is {job.state}, not one of {states}: {read_log(job)}")


def test_a_launched_search_runs_to_its_end(store):
    job = launch(store, "search", [*SEARCH, "--policy", "random", "--budget", "10"])
    done = wait_for(store, job.id, {JobState.DONE, JobState.FAILED, JobState.LOST})
    assert done.state is JobState.DONE, read_log(done)
    assert done.progress == 1.0
    assert len(store.trials("job")) == 10


def test_a_search_that_fails_says_why(store):
    job = launch(store, "search", ["search", "--space", "nowhere", "--from-scores"])
    ended = wait_for(store, job.id, {JobState.FAILED})
    assert "nowhere" in ended.message


def test_a_job_that_is_killed_is_lost_and_one_that_is_stopped_is_stopped(store, quick_data):
    work_folder(store.url).mkdir()
    data_cache(store.url).symlink_to(quick_data)
    arguments = ["search", "--space", "small", "--recipe", "quick", "--study", "long", "--budget", "60"]
    first = launch(store, "search", arguments)
    running = wait_for(store, first.id, {JobState.RUNNING})
    os.kill(running.pid, signal.SIGKILL)
    assert wait_for(store, first.id, {JobState.LOST}).state is JobState.LOST
    second = launch(store, "search", arguments)
    wait_for(store, second.id, {JobState.RUNNING})
    stop_job(store, second.id)
    assert wait_for(store, second.id, {JobState.STOPPED}).state is JobState.STOPPED


def fail_half_way(store, job):
    with running_job(store, job, SilentReporter()) as reporter:
        reporter.update("trainings", 1, 4)
        time.sleep(2.5)
        half = store.jobs()[0]
        assert (half.state, half.progress, half.pid) == (JobState.RUNNING, 0.25, os.getpid())
        raise ValueError("broken")


def test_a_job_records_its_progress_and_its_failure(store):
    job = new_job(store, "search", {})
    with pytest.raises(ValueError, match="broken"):
        fail_half_way(store, job)
    assert (store.jobs()[0].state, store.jobs()[0].message) == (JobState.FAILED, "ValueError: broken")


def test_another_process_with_the_jobs_number_is_not_the_job(store):
    job = new_job(store, "search", {})
    store.update_job(job.id, state=JobState.RUNNING, pid=os.getpid(), info={"process_started": 1.0})
    assert stop_job(store, job.id).state is JobState.LOST


@pytest.mark.parametrize(
    ("host", "created", "heartbeat", "alive"),
    [
        ("elsewhere", 0.0, 1000.0 - 0.9 * SILENT_S, True),
        ("elsewhere", 0.0, 1000.0 - 1.1 * SILENT_S, False),
        ("elsewhere", 1000.0 - 0.9 * STARTING_S, 0.0, True),  # It has just been launched there.
        ("elsewhere", 1000.0 - 1.1 * STARTING_S, 0.0, False),
        ("elsewhere", 0.0, 1000.0 + STARTING_S, True),  # The clock there is ahead.
        (socket.gethostname(), 0.0, 0.0, True),  # ``refresh_jobs`` has looked at its process.
    ],
)
def test_a_job_of_another_host_lives_while_it_sends_heartbeats(store, host, created, heartbeat, alive):
    for state in JobState:
        job = JobRecord("j", "search", state, os.getpid(), host, heartbeat, 0.0, "", "", {"studies": ["s"]}, created)
        assert is_alive(job, 1000.0) is (alive and state in ACTIVE)


def test_a_silent_job_of_another_host_runs_no_study(store):
    now = time.time()
    job = JobRecord("j", "search", JobState.RUNNING, 7, "elsewhere", now, 0.5, "", "", {"studies": ["s", "t"]}, now)
    store.put_job(job)
    assert job_of(store, "t", now) == job
    assert job_of(store, "u", now) is None
    require_free(store, ["u"], now=now)
    require_free(store, ["s"], "j", now)
    with pytest.raises(InputError, match="t in job j"):
        require_free(store, ["u", "t"], now=now)
    later = now + 2 * SILENT_S
    assert job_of(store, "t", later) is None
    require_free(store, ["s", "t"], now=later)


def requeued(store, heartbeat):
    """The record of a job of another host, which ran the study ``s`` when its machine went away."""
    job = JobRecord("j", "search", JobState.RUNNING, 7, "elsewhere", heartbeat, 0.5, "", "", {"studies": ["s"]}, 1.0)
    store.put_job(job)
    return job


@pytest.mark.parametrize("ahead", [0.0, 3600.0], ids=["same clock", "its clock is an hour ahead"])
def test_a_requeued_command_waits_until_the_dead_job_is_silent_for_long_enough(store, monkeypatch, ahead):
    monkeypatch.setattr(jobs, "SILENT_S", 1.0)
    requeued(store, time.time() + ahead)
    said = []
    begun = time.monotonic()
    wait_until_free(store, ["another", "s"], "", said.append)
    assert 0.5 < time.monotonic() - begun < 60
    assert store.jobs()[0].state is JobState.LOST
    assert [line.partition(":")[0] for line in said] == ["study s"] * 2
    assert "elsewhere" in said[0]
    wait_until_free(store, ["s"], "", said.append)
    assert len(said) == 2


def test_a_job_of_another_host_that_lives_is_not_waited_for_long(store):
    job = requeued(store, time.time())
    beating = threading.Timer(0.5, lambda: store.update_job(job.id, heartbeat=time.time() + 1))
    beating.start()
    begun = time.monotonic()
    with pytest.raises(InputError, match="s in job j"):
        wait_until_free(store, ["s"], "", [].append)
    assert time.monotonic() - begun < jobs.SILENT_S / 2
    beating.join()
    wait_until_free(store, ["s"], job.id, [].append)
