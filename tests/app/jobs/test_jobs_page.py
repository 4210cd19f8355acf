"""The Jobs and store page: jobs as everybody sees them, their logs, health and backups."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import psutil
import pytest
from streamlit.testing.v1 import AppTest

from explorer.errors import InputError
from explorer.library import backups
from explorer.library.workplace import models_folder, run_folder, work_size, workers_log
from explorer.testing.searches import search
from graphstore import maintenance, open_store
from graphstore.records import JobRecord, JobState, SpaceRecord


@pytest.fixture
def visit(open_page):
    return partial(open_page, "jobs")


def said(page: AppTest) -> str:
    kinds = ("info", "warning", "error", "success", "markdown", "caption", "text", "code")
    return "\n".join(part.value for kind in kinds for part in page.get(kind))


def job(id: str, state: JobState, age: float = 0.0, **changes: object) -> JobRecord:
    now = time.time() - age
    fields = {"pid": 0, "host": "elsewhere", "heartbeat": now, "progress": 0.5, "message": state.value, "log": ""}
    info = {"studies": ["found"], "arguments": ["search", "--study", "found"]}
    return JobRecord(**{"id": id, "kind": "search", "state": state, **fields, "info": info, "created": now, **changes})


@pytest.fixture
def worked(tmp_path) -> str:
    """A store with a job in each state, the newest one running, on another machine."""
    url = f"sqlite:///{tmp_path / 'worked.db'}"
    log = tmp_path / "job.log"
    log.write_text("\n".join(f"step {number}" for number in range(300)))
    with open_store(url) as store:
        store.put_space(SpaceRecord("nano", {"ready": True}))
        store.create_study(search("found", "nano", score="sst").record())
        for age, state in enumerate(JobState, start=1):
            store.put_job(job(f"job-{state.value}", state, 100.0 * age))
        running = job("job-running", JobState.RUNNING, message="train: step 40", log=str(log))
        store.put_job(running)
        store.put_job(job("job-failed", JobState.FAILED, 50.0, message="InputError: <b>budget</b> must be above 0"))
    return url


def test_all_jobs_are_listed_newest_first(visit, worked):
    page = visit(worked)
    assert not page.exception
    assert not page.error
    table = page.dataframe[0].value
    with open_store(worked) as store:
        assert table.index.tolist() == [one.id for one in store.jobs()]
    assert set(table["state"]) == {state.value for state in JobState}
    assert table.loc["job-running", "studies"] == "found"
    assert "train: step 40" in table["message"].tolist()


def test_states_narrow_the_list(visit, worked):
    page = visit(worked, states=["failed", "lost"])
    assert set(page.dataframe[0].value["state"]) == {"failed", "lost"}
    page.multiselect(key="states").set_value([]).run()
    assert len(page.dataframe[0].value) == len(JobState)


def test_the_log_of_the_job_in_the_address(visit, worked):
    with open_store(worked) as store:
        log = next(one.log for one in store.jobs() if one.id == "job-running")
        store.put_job(job("job-here", JobState.DONE, log=log, host=socket.gethostname()))
        store.put_job(job("job-odd", JobState.DONE, log="a\0b", host=socket.gethostname()))
    page = visit(worked, job="job-here")
    assert page.code[0].value.splitlines() == [f"step {number}" for number in range(250, 300)]
    page = visit(worked, job="job-here", lines="200")
    assert page.code[0].value.splitlines()[0] == "step 100"
    # Another machine's path means nothing on this one, and what is no path means nothing at all.
    for other in ("job-running", "job-odd"):
        page = visit(worked, job=other)
        assert not page.exception
        assert not page.code


def test_a_failed_job_says_why(visit, worked):
    page = visit(worked, job="job-failed")
    assert not page.exception
    assert "InputError: <b>budget</b> must be above 0" in [one.value for one in page.text]
    assert "The log is empty" in said(page)
    assert page.button(key="resume_job-failed")


def test_an_unknown_job_in_the_address(visit, worked, tmp_path):
    page = visit(worked, job="../../etc/passwd", states="nothing", lines="7", view="Nowhere")
    assert not page.exception
    assert "does not exist" in said(page)
    # At once, as what is said below a table of jobs is not seen; and where there is no job at all.
    open_store(f"sqlite:///{tmp_path / 'idle.db'}").close()
    for url in (worked, f"sqlite:///{tmp_path / 'idle.db'}"):
        page = visit(url, job="nope")
        first = page.tabs[0].children[0]
        assert "names a job that does not exist" in first.value
        assert page.code[0].value == "nope"


def test_a_job_of_a_terminal_shows_what_its_workers_said(visit, tmp_path):
    url = f"sqlite:///{tmp_path / 'terminal.db'}"
    gone = str(tmp_path / "gone.log")
    with open_store(url) as store:
        store.put_space(SpaceRecord("nano", {"ready": True}))
        store.create_study(search("found", "nano", score="sst").record())
        store.put_job(job("here", JobState.DONE, host=socket.gethostname(), log=gone))
        store.put_job(job("there", JobState.DONE, 9.0, log=gone))
    log = workers_log(url, "found")
    log.parent.mkdir(parents=True)
    log.write_text("\n".join(f"epoch {number}" for number in range(70)))
    page = visit(url, job="here")
    assert not page.exception
    assert "a job that runs in a terminal prints its progress there" in said(page)
    assert "Logs of the workers of study found" in said(page)
    assert page.code[0].value.splitlines() == [f"epoch {number}" for number in range(20, 70)]
    page = visit(url, job="there")
    assert "the job ran on elsewhere" in said(page)
    assert "epoch" not in said(page)


def test_stopping_is_seen_by_everybody(visit, tmp_path):
    """A real process is asked to stop by one visitor; another one sees it, and it survives a reload."""
    url = f"sqlite:///{tmp_path / 'own.db'}"
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        info = {"studies": ["found"], "process_started": psutil.Process(process.pid).create_time()}
        with open_store(url) as store:
            running = {"pid": process.pid, "host": socket.gethostname(), "info": info}
            store.put_job(job("real", JobState.RUNNING, **running))
        first, second = visit(url), visit(url)
        first.button(key="stop_card_real").click().run()
        assert not first.exception
        assert process.wait(timeout=30) == -signal.SIGTERM
        second.run()
        assert second.dataframe[0].value["state"].tolist() == ["lost"]
        assert visit(url).dataframe[0].value["state"].tolist() == ["lost"]
    finally:
        process.kill()
        process.wait()


def test_a_store_without_jobs(visit, tmp_path):
    url = f"sqlite:///{tmp_path / 'empty.db'}"
    open_store(url).close()
    page = visit(url)
    assert not page.exception
    assert "archex demo" in said(page)
    page = visit(url, view="Store")
    assert not page.exception
    assert "no spaces yet" in said(page)


def test_the_check_is_that_of_the_command(visit, filled):
    page = visit(filled.url, view="Store")
    page.button(key="store_check").click().run()
    assert not page.exception
    assert "No problems" in page.success[0].value
    report = maintenance.check(filled.url)
    counts = next(one.value for one in page.dataframe if "records" in one.value)
    assert dict(zip(counts["kind"], counts["records"], strict=True)) == dict(report.counts)
    spaces = next(one.value for one in page.dataframe if "scored" in one.value)
    assert (spaces["space"].tolist(), spaces["architectures"].tolist()) == (["nano"], [len(filled.ids)])
    assert spaces["scored"].tolist() == [len(filled.values)]


def test_a_backup_is_a_whole_store_in_its_fixed_place(visit, own_store):
    page = visit(own_store, view="Store")
    assert "No backups yet" in said(page)
    page.button(key="store_backup").click().run()
    assert not page.exception
    assert "Saved and checked" in page.success[0].value
    (made,) = backups.list_backups(own_store)
    assert made.path.parent == Path(f"{own_store.removeprefix('sqlite:///')}.files/backups").resolve()
    assert maintenance.check(f"sqlite:///{made.path}").ok
    with open_store(f"sqlite:///{made.path}") as copy, open_store(own_store) as store:
        assert copy.summaries("nano") == store.summaries("nano")
    listed = next(one.value for one in page.dataframe if "file" in one.value)
    assert listed["file"].tolist() == [made.path.name]
    assert visit(own_store, view="Store").dataframe[-1].value["file"].tolist() == [made.path.name]


def test_what_a_backup_does_not_hold_is_told(visit, own_store):
    run = run_folder(own_store, "first", "0-abc")
    run.mkdir(parents=True)
    (run / "model.safetensors").write_bytes(bytes(3 * 2**20))
    (models_folder(own_store).parent / "notes").write_bytes(bytes(2**20))
    page = visit(own_store, view="Store")
    told = f"does not contain the trained models (3.0 MiB in `{models_folder(own_store)}`)"
    assert told in said(page)
    page.button(key="store_backup").click().run()
    assert not page.exception
    assert told in said(page)


def test_backups_are_limited(visit, own_store):
    folder = backups.backup_folder(own_store)
    folder.mkdir(parents=True)
    for number in range(backups.MOST):
        (folder / f"{number}.db").write_bytes(b"x")
    page = visit(own_store, view="Store")
    page.button(key="store_backup").click().run()
    assert not page.exception
    assert "backups must be less than 10" in page.error[0].value
    assert len(backups.list_backups(own_store)) == backups.MOST


def test_without_room_no_backup_is_begun(own_store, monkeypatch):
    full = type("Usage", (), {"free": 10})()
    monkeypatch.setattr(backups.shutil, "disk_usage", lambda folder: full)
    with pytest.raises(InputError, match="free disk space"):
        backups.make_backup(own_store, own_store)
    assert backups.list_backups(own_store) == []


def test_backups_are_listed_newest_first(tmp_path):
    url = f"sqlite:///{tmp_path / 'x.db'}"
    assert backups.list_backups(url) == []
    folder = backups.backup_folder(url)
    folder.mkdir(parents=True)
    for name, moment in (("a.db", 100), ("b.db", 300), ("c.db", 200), ("note.txt", 400)):
        (folder / name).write_bytes(b"xyz")
        os.utime(folder / name, (moment, moment))
    assert [(one.path.name, one.size, one.made) for one in backups.list_backups(url)] == [
        ("b.db", 3, 300.0),
        ("c.db", 3, 200.0),
        ("a.db", 3, 100.0),
    ]
    assert work_size(url) == 12
