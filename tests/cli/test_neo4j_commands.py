"""``archex neo4j …``, with a program that only shakes hands in the place of the server's; the compose file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import yaml
from typer.main import get_command

from explorer.app.server import is_loopback
from explorer.cli.main import build
from graphstore import open_store
from graphstore.neo4j.distribution import VERSION

ROOT = Path(__file__).resolve().parents[2]
FAKE = ROOT / "tests" / "graphstore" / "fake_server.py"


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
    command = get_command(build(name)).commands[name]
    command.make_context(name, list(options))  # Refuses an option that there is not.
    assert app["environment"]["EXPLORER_STORE"] == "bolt://neo4j:7687"
    last = (ROOT / "Dockerfile").read_text().splitlines()[-1]
    assert json.loads(last.removeprefix("CMD ")) == app["command"]
