"""``archex neo4j …`` and ``--store neo4j``: a server of one's own, for every command and what commands start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml
from streamlit.testing.v1 import AppTest
from typer.main import get_command

from explorer.app.server import AppServer, is_loopback
from explorer.cli.main import build
from explorer.library.workplace import STORE_VARIABLE
from explorer.studies.jobs import launch
from graphstore import open_store
from graphstore.neo4j.distribution import VERSION
from graphstore.records import JobState, ScoreRecord

ROOT = Path(__file__).resolve().parents[2]
FAKE = ROOT / "tests" / "graphstore" / "fake_server.py"
SPACE = (
    "name: mine\nhidden: [32, 64]\nheads: [2]\nlayers: [2]\noperations: {sa: [sdp], l: [dft]}\n"
    "feed_forward: {depth: [1], width: [64]}\nlayers_per_stack: 1\n"
)


@pytest.fixture
def archex(archex, tmp_path: Path, monkeypatch):
    """Runs the command line in an empty folder, for a user with an empty data folder."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    for name in ("NEO4J_HOME", "NEO4J_USER", "NEO4J_PASSWORD", "JAVA_HOME"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(arguments, *archex(*arguments))

    yield run
    run("neo4j", "stop")


def document(done: subprocess.CompletedProcess[str], code: int = 0) -> dict:
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


def test_start_status_logs_stop(archex, tmp_path: Path, monkeypatch):
    """With a program that only shakes hands in the place of the server's."""
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text(f'#!/bin/sh\nexec {sys.executable} {FAKE} "$@"\n')
    java.chmod(0o755)
    (tmp_path / "cache" / "archex" / f"neo4j-{VERSION}").mkdir(parents=True)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{java.parent}:{os.environ['PATH']}")
    before = document(archex("neo4j", "status", "--json"), code=1)
    assert (before["running"], before["condition"], before["source"]) == (False, "stopped", "Java and Maven")
    assert "would run from: Java and Maven" in archex("neo4j", "status").stdout
    assert archex("neo4j", "logs").stdout == ""
    started = archex("neo4j", "start", "--json")
    found = document(started)
    assert found["running"]
    assert "Starting Neo4j" in started.stderr
    assert "until it is stopped" in started.stderr
    assert document(archex("neo4j", "status", "--json")) == found
    again = archex("neo4j", "start")
    assert found["url"] in again.stdout
    assert again.stderr == ""
    shown = archex("neo4j", "status")
    assert shown.returncode == 0
    assert "not from NEO4J_HOME: NEO4J_HOME is not set" in shown.stdout
    assert archex("neo4j", "logs", "--lines", "1").stdout == "badger is listening\n"
    assert document(archex("neo4j", "logs", "--json")) == {"lines": ["badger is listening"]}
    assert archex("neo4j", "logs", "--json", "--follow").returncode == 2
    process = psutil.Process(found["pid"])
    process.suspend()
    silent = archex("neo4j", "status")
    process.resume()
    assert silent.returncode == 1
    assert f"Neo4j: not answering (process {process.pid})" in silent.stdout
    password = (Path(found["home"]) / "password").read_text()
    assert password not in again.stdout + started.stdout + started.stderr + shown.stdout
    assert document(archex("neo4j", "stop", "--json")) == {"stopped": True}
    alive = psutil.pid_exists(found["pid"]) and psutil.Process(found["pid"]).status() != psutil.STATUS_ZOMBIE
    assert not alive
    assert document(archex("neo4j", "stop", "--json")) == {"stopped": False}
    assert archex("neo4j", "status").returncode == 1


def test_no_source_is_one_clear_error(archex, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    for done in (archex("neo4j", "start"), archex("studies", "--store", "neo4j")):
        assert done.returncode == 1
        assert [line.partition(":")[0] for line in done.stderr.splitlines()] == [
            "error",
            "- NEO4J_HOME",
            "- Java and Maven",
            "- containers",
        ]


@pytest.mark.neo4j
@pytest.mark.slow
@pytest.mark.usefixtures("local_server")
def test_every_command_and_what_it_starts_reach_the_server(archex, tmp_path: Path, monkeypatch):
    """A command starts it; a background job, the app and its pages find it; nobody is shown the password."""
    (tmp_path / "mine.yaml").write_text(SPACE)
    built = archex("space", "build", "mine.yaml", "--store", "neo4j", "--json")
    count = document(built)["architectures"]
    assert "until it is stopped" in built.stderr
    monkeypatch.setenv(STORE_VARIABLE, "neo4j")
    home = Path(document(archex("neo4j", "status", "--json"))["home"])
    password = (home / "password").read_text()
    with open_store("neo4j") as store:
        summaries = store.summaries("mine")
        assert len(summaries) == count
        store.add_scores(
            [ScoreRecord(s.id, "known", "accuracy", s.parameters / 1e6, "d", "full", "r", 0, "t") for s in summaries]
        )
        search = [
            "search",
            "--space",
            "mine",
            "--study",
            "one",
            "--from-scores",
            "--objective",
            "known",
            "--budget",
            "4",
        ]
        job = launch(store, "search", [*search, "--policy", "random"])
        words = psutil.Process(job.pid).cmdline()
        while (now := next(j for j in store.jobs() if j.id == job.id)).state in (JobState.STARTING, JobState.RUNNING):
            time.sleep(0.2)
        assert now.state is JobState.DONE, Path(job.log).read_text()
        assert Path(job.log).is_relative_to(tmp_path / "data" / "archex" / "neo4j.files")
        assert password not in f"{words} {Path(job.log).read_text()} {store.jobs()} {store.url}"
    (study,) = document(archex("studies", "--json"))["studies"]
    assert study["complete"] == 4
    with AppServer("neo4j", 0) as server:
        assert server.url.startswith("http://127.0.0.1:")
    page = AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=60).run()
    assert not page.exception
    assert not page.error
    assert page.title[0].value == "Space"
    assert document(archex("neo4j", "stop", "--json")) == {"stopped": True}


def test_addresses_of_this_machine():
    assert [is_loopback(host) for host in ("127.0.0.1", "localhost", "::1", "127.8.0.1")] == [True] * 4
    assert not any(is_loopback(host) for host in ("0.0.0.0", "::", "192.168.1.2", "example.org"))


def test_an_open_app_is_warned_of_and_a_strange_address_refused(archex, tmp_path: Path):
    open_store(f"sqlite:///{tmp_path / 'explorer.db'}").close()
    refused = archex("app", "--host", "no.such.host.invalid")
    assert refused.returncode == 2
    assert "host must be" in refused.stderr
    assert "Warning" in refused.stderr
    assert "Warning" not in archex("app", "--host", "127.0.0.1", "--port", "99999").stderr


def compose() -> dict:
    return yaml.safe_load((ROOT / "compose.yaml").read_text())


def test_the_compose_file_opens_nothing_to_other_machines_and_holds_no_password():
    services = compose()["services"]
    ports = [port for service in services.values() for port in service["ports"]]
    assert len(ports) == 2
    assert all(port.startswith("127.0.0.1:") for port in ports)
    image = services["neo4j"]["image"]
    assert image == f"neo4j:{VERSION}-community"
    for service in services.values():
        given = {k: v for k, v in service["environment"].items() if k in ("NEO4J_AUTH", "NEO4J_PASSWORD")}
        assert len(given) == 1
        assert all(value.removeprefix("neo4j/").startswith("${NEO4J_PASSWORD:?") for value in given.values())
    assert services["neo4j"]["environment"]["NEO4J_dbms_security_allow__csv__import__from__file__urls"] == "false"
    named = {volume.partition(":")[0] for service in services.values() for volume in service["volumes"]}
    assert named == set(compose()["volumes"])


def test_the_app_of_the_compose_file_waits_for_the_database_and_is_a_command_there_is():
    app, database = compose()["services"]["app"], compose()["services"]["neo4j"]
    assert app["depends_on"]["neo4j"]["condition"] == "service_healthy"
    assert "RETURN 1" in database["healthcheck"]["test"][1]
    program, name, *options = app["command"]
    assert program == "archex"
    command = get_command(build()).commands[name]
    command.make_context(name, list(options))  # Refuses an option that there is not.
    assert app["environment"]["EXPLORER_STORE"] == "bolt://neo4j:7687"
    last = (ROOT / "Dockerfile").read_text().splitlines()[-1]
    assert json.loads(last.removeprefix("CMD ")) == app["command"]
