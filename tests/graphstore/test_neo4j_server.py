"""The local server: what it needs, how it starts with a password, and what it says when it does not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import neo4j
import pytest
from neo4j.exceptions import AuthError

from graphstore import open_store
from graphstore.errors import StoreError
from graphstore.neo4j import distribution, server
from graphstore.testing import samples


def program(folder: Path, name: str, script: str) -> Path:
    """An executable of our own, put first on the path by the caller."""
    folder.mkdir(exist_ok=True)
    file = folder / name
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    return file


@pytest.fixture
def bare(tmp_path: Path, monkeypatch) -> Path:
    """A machine with an empty cache and nothing on its path but what a test puts there."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/bin:/usr/bin-none")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    return tmp_path / "bin"


def test_java_is_missing_or_too_old(bare: Path, monkeypatch):
    monkeypatch.setenv("PATH", str(bare))
    with pytest.raises(StoreError, match="there is no java"):
        distribution.find_java()
    program(bare, "java", "echo 'openjdk version \"11.0.2\" 2019-01-15' >&2")
    with pytest.raises(StoreError, match="11"):
        distribution.find_java()
    program(bare, "java", "echo 'openjdk version \"21.0.2\" 2024-01-16' >&2")
    assert distribution.find_java() == str(bare / "java")


def test_maven_is_missing_or_fails(bare: Path, monkeypatch):
    monkeypatch.setenv("PATH", str(bare))
    with pytest.raises(StoreError, match="there is no mvn"):
        distribution.libraries()
    program(bare, "mvn", "echo 'no route to repository'; exit 3")
    with pytest.raises(StoreError, match="no route to repository"):
        distribution.libraries()
    left = [path.name for path in distribution.cache_folder().iterdir()]
    assert left == [f"neo4j-{distribution.VERSION}.lock"]


def test_processes_fetch_the_libraries_once(bare: Path, tmp_path: Path):
    count = tmp_path / "count"
    script = (
        f'echo run >> {count}\nsleep 0.5\nfor last; do :; done\nout="${{last#-DoutputDirectory=}}"\n'
        'mkdir -p "$out" && : > "$out/neo4j-5.jar"'
    )
    program(bare, "mvn", script)
    code = (
        "import sys; from graphstore.neo4j.distribution import libraries; sys.exit(not any(libraries().glob('*.jar')))"
    )
    runs = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(2)]
    assert [run.wait(60) for run in runs] == [0, 0]
    assert count.read_text() == "run\n"
    left = sorted(path.name for path in distribution.cache_folder().iterdir())
    assert left == [f"neo4j-{distribution.VERSION}", f"neo4j-{distribution.VERSION}.lock"]


def test_server_that_does_not_come_up(bare: Path, tmp_path: Path):
    (distribution.cache_folder() / f"neo4j-{distribution.VERSION}").mkdir(parents=True)
    script = 'case "$1" in -version) echo \'version "17.0.1"\' >&2;; *) echo "port is taken by a badger"; exit 4;; esac'
    program(bare, "java", script)
    local = server.LocalNeo4j(tmp_path / "home", authenticate=False)
    with pytest.raises(StoreError, match="ended with 4") as caught:
        local.start()
    assert "badger" in str(caught.value)
    local.stop()


def test_silence_is_no_handshake():
    assert not server.answers(server.free_port())


@pytest.mark.neo4j
@pytest.mark.slow
@pytest.mark.usefixtures("local_server")
def test_server_with_a_password(tmp_path: Path, monkeypatch):
    """Start, log in, write, stop, start again: the password and the data are still there."""
    told: list[str] = []
    local = server.LocalNeo4j(tmp_path / "home", heap="512m")
    try:
        local.start(told.append)
        assert told[0] == "Starting Neo4j"
        first = local.password
        assert (local.home / "password").stat().st_mode & 0o777 == 0o600
        with pytest.raises(AuthError), neo4j.GraphDatabase.driver(local.url, auth=("neo4j", "wrong")) as driver:
            driver.verify_connectivity()
        monkeypatch.setenv("NEO4J_PASSWORD", "wrong-password")
        with pytest.raises(StoreError, match="refused the log-in") as caught:
            open_store(local.url)
        assert "wrong-password" not in str(caught.value)
        monkeypatch.setenv("NEO4J_PASSWORD", first)
        with open_store(local.url) as store:
            store.put_space(samples.space())
            assert first not in store.url
        local.stop()
        assert not local.url
        local.start()
        assert local.password == first
        with open_store(local.url.replace("//", f"//neo4j:{first}@")) as store:
            assert store.space("nano") == samples.space()
            assert first not in store.url
    finally:
        local.stop()
