"""The managed server with a real Neo4j: commands, jobs and the app reach it; data and a study survive its crash.

The tests share one home folder, so that the server starts twice in all: by a command, and after the crash.
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import neo4j
import psutil
import pytest
from streamlit.testing.v1 import AppTest

from explorer.app.server import AppServer
from explorer.library.spaces import build_space
from explorer.library.workplace import STORE_VARIABLE, work_folder
from explorer.progress import SilentReporter
from explorer.space.grammar import load_space
from explorer.studies.driver import run_known
from explorer.studies.jobs import launch
from explorer.studies.managing import open_study
from explorer.testing.searches import known_search
from graphstore import GraphStore, open_store
from graphstore.errors import StoreError, StoreInputError
from graphstore.neo4j.distribution import libraries
from graphstore.neo4j.managed import ManagedNeo4j
from graphstore.neo4j.server import free_port
from graphstore.neo4j.status import ServerState
from graphstore.records import JobState, ScoreRecord, StudyState, TrialStatus
from graphstore.testing.proxy import Proxy

pytestmark = [pytest.mark.neo4j, pytest.mark.slow]
ROOT = Path(__file__).resolve().parents[2]
SPACE = (
    "name: mine\nhidden: [32, 64]\nheads: [2]\nlayers: [2]\noperations: {sa: [sdp], l: [dft]}\n"
    "feed_forward: {depth: [1], width: [64]}\nlayers_per_stack: 1\n"
)
TINY = dataclasses.replace(load_space("nano"), name="tiny", layers=(2,))
BUDGET = 30
PLAN = known_search("study", "tiny", "evolution", BUDGET, batch=2)
STUDY = """
import sys, time
from explorer.progress import SilentReporter
from explorer.studies.driver import run_known
from graphstore import open_store

def slowly():
    time.sleep(0.1)  # an objective that takes its time
    return False

with open_store(sys.argv[1], create=False) as store:
    run_known(store, store.study("study"), SilentReporter(), slowly)
"""


@pytest.fixture(scope="module")
def server(local_server: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ManagedNeo4j]:
    """The managed server of a user whose ``NEO4J_HOME`` has the real jars; no test has started it yet."""
    distribution, data = tmp_path_factory.mktemp("neo4j-community"), tmp_path_factory.mktemp("data")
    (distribution / "lib").symlink_to(libraries())
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("NEO4J_HOME", str(distribution))
        environment.setenv("XDG_DATA_HOME", str(data))
        for name in ("NEO4J_USER", "NEO4J_PASSWORD"):
            environment.delenv(name, raising=False)
        managed = ManagedNeo4j(first_port=free_port(), heap="512m")
        yield managed
        managed.stop()
    assert [path.name for path in distribution.iterdir()] == ["lib"]


def document(done: tuple[int, str, str]) -> dict:
    code, printed, told = done
    assert code == 0, told
    return json.loads(printed)


def add_known_scores(store: GraphStore, space: str) -> None:
    scores = [
        ScoreRecord(s.id, "known", "accuracy", s.parameters / 1e6, "data", "full", "recipe", 0, "table")
        for s in store.summaries(space)
    ]
    store.add_scores(scores)


def test_every_command_and_what_it_starts_reach_the_server(server, archex, tmp_path: Path, monkeypatch):
    """A command starts it; a background job, the app and its pages find it; nobody is shown the password."""
    (tmp_path / "mine.yaml").write_text(SPACE)
    built = archex("space", "build", "mine.yaml", "--store", "neo4j", "--json")
    assert document(built)["architectures"] == 16
    assert "until it is stopped" in built[2]
    monkeypatch.setenv(STORE_VARIABLE, "neo4j")
    home = Path(document(archex("neo4j", "status", "--json"))["home"])
    assert home == server.home
    password = (home / "password").read_text()
    with open_store("neo4j") as store:
        add_known_scores(store, "mine")
        search = ["search", "--space", "mine", "--study", "one", "--from-scores", "--objective", "known"]
        job = launch(store, "search", [*search, "--budget", "4", "--policy", "random"])
        words = psutil.Process(job.pid).cmdline()
        while (now := next(j for j in store.jobs() if j.id == job.id)).state in (JobState.STARTING, JobState.RUNNING):
            time.sleep(0.2)
        assert now.state is JobState.DONE, Path(job.log).read_text()
        assert Path(job.log).is_relative_to(home.with_name("neo4j.files"))
        assert password not in f"{words} {Path(job.log).read_text()} {store.jobs()} {store.url}"
    (study,) = document(archex("studies", "--json"))["studies"]
    assert study["complete"] == 4
    with AppServer("neo4j", 0) as app:
        assert app.url.startswith("http://127.0.0.1:")
    page = AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=60).run()
    assert not page.exception
    assert not page.error
    assert page.title[0].value == "Space"


def crash(server: ManagedNeo4j) -> None:
    """End the server's process at once."""
    os.kill(server.status().pid, signal.SIGKILL)
    while server.status().condition is ServerState.RUNNING:
        time.sleep(0.05)


def prepare(store: GraphStore) -> None:
    build_space(store, TINY, SilentReporter())
    add_known_scores(store, "tiny")
    open_study(store, PLAN)


def complete_ones(store: GraphStore) -> list:
    return [trial for trial in store.trials("study") if trial.state is TrialStatus.COMPLETE]


def test_a_study_goes_on_when_its_server_comes_back(server, tmp_path: Path, monkeypatch):
    """The server is killed and started again in the middle of a study, which ends as if nothing had happened."""
    with open_store(f"sqlite:///{tmp_path / 'whole.db'}") as whole:
        prepare(whole)
        run_known(whole, whole.study("study"), SilentReporter(), lambda: False)
        expected = [(trial.architecture, trial.value) for trial in whole.trials("study")]
    login = server.start()
    monkeypatch.setenv("NEO4J_PASSWORD", login.password)
    # By another address than its own, a store does not start the server again itself.
    with Proxy(urlsplit(login.url).port or 0) as proxy:
        url = f"bolt://127.0.0.1:{proxy.port}"
        with open_store(url) as store:
            prepare(store)
        study = subprocess.Popen([sys.executable, "-c", STUDY, url], stderr=subprocess.PIPE, text=True)
        try:
            with open_store(login.url) as store:
                while len(before := complete_ones(store)) < BUDGET // 3:
                    assert study.poll() is None, study.communicate()[1]
                    time.sleep(0.01)
            crash(server)
            assert server.start() == login
            errors = study.communicate(timeout=180)[1]
        finally:
            study.kill()
            study.wait()
        assert study.returncode == 0, errors
        with open_store(url) as store:
            trials = store.trials("study")
            assert store.study("study").state is StudyState.DONE
            assert store.space("tiny").info["ready"]
    assert [(trial.architecture, trial.value) for trial in trials] == expected
    assert {(t.state, t.attempt, t.token) for t in trials} == {(TrialStatus.COMPLETE, 1, 1)}
    assert [trials[trial.number] for trial in before] == before


def test_by_name_and_by_address_it_is_one_store_that_only_its_user_opens(server):
    login = server.start()
    assert server.status().source == "NEO4J_HOME"
    with open_store("neo4j") as store:
        assert store.url == "neo4j"
        identity = store.identity()
    for url in (login.url, login.url.replace("127.0.0.1", "localhost"), f"{login.url}/neo4j"):
        with open_store(url) as store:
            assert store.identity() == identity
            assert work_folder(store.url) == server.home.with_name("neo4j.files")
    with neo4j.GraphDatabase.driver(login.url, auth=(login.user, login.password)) as driver:
        for place in ("file:///etc/hostname", "http://127.0.0.1:9/x"):
            with pytest.raises(neo4j.exceptions.ClientError, match="Cannot load from URL"):
                driver.execute_query(f"LOAD CSV FROM '{place}' AS line RETURN line")
    with pytest.raises(StoreError, match="refused the log-in"):
        open_store(login.url.replace("//", "//neo4j:wrong-password@"))
    with pytest.raises(StoreInputError, match="password"):
        open_store("bolt://me@127.0.0.1:1")


def test_it_is_stopped_by_a_command_and_its_logs_do_not_have_the_password(server, archex):
    login = server.start()
    assert document(archex("neo4j", "stop", "--json")) == {"stopped": True}
    assert server.status().condition is ServerState.STOPPED
    logs = "".join(path.read_text(errors="replace") for path in (server.home / "logs").iterdir() if path.is_file())
    assert login.password not in logs
