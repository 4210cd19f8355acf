"""The log-in of a store's URL reaches the processes that work for the store, and nothing else."""

import json
import os

import psutil
import pytest

from explorer.app.server import AppServer
from explorer.studies.executors.contract import WorkerOrder
from explorer.studies.executors.local import LocalExecutor
from explorer.studies.jobs import launch
from explorer.testing.searches import search
from graphstore import open_store

LOGIN = {"NEO4J_USER": "me", "NEO4J_PASSWORD": "psst"}


@pytest.fixture
def closed(store, monkeypatch):
    """A store that other processes must log in to."""
    for name in LOGIN:
        monkeypatch.delenv(name, raising=False)
    assert store.login == {}
    store.login = LOGIN
    yield store
    assert not LOGIN.keys() & os.environ.keys()


def environment(pid):
    return {name: value for name, value in psutil.Process(pid).environ().items() if name in LOGIN}


def test_jobs_get_it_and_their_records_do_not(closed):
    job = launch(closed, "search", ["search", "--space", "nowhere", "--from-scores"])
    assert environment(job.pid) == LOGIN
    psutil.Process(job.pid).wait(60)
    with open_store(closed.url) as again:
        assert "psst" not in json.dumps([dict(one.info) for one in again.jobs()])
        assert again.login == {}


def test_workers_of_this_machine_get_it(closed):
    study = closed.create_study(search("mine", "small").record())
    crew = LocalExecutor(1).start(closed, WorkerOrder(closed.url, study.name, study.created))
    try:
        crew.tend(1)
        (worker,) = crew.status()
        assert environment(int(worker.owner.rpartition(":")[2])) == LOGIN
    finally:
        crew.stop()


def test_the_app_gets_it(closed):
    with AppServer(closed.url, 0, login=closed.login) as server:
        assert environment(server._process.pid) == LOGIN
