"""The managed server: one at a time, never mistaken, taken up again."""

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

from graphstore.errors import StoreError
from graphstore.neo4j.distribution import VERSION, cache_folder
from graphstore.neo4j.managed import ManagedNeo4j
from graphstore.neo4j.server import free_port
from graphstore.neo4j.status import Server, ServerState
from graphstore.url import MANAGED, find_server, quiet, restart_managed

from .programs import FAKE, program


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
    code = "import time; print(flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as stranger:
        assert stranger.stdout is not None
        assert stranger.stdout.readline() == b"\n"  # Before it begins, a process has no command line.
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
