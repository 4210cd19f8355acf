"""The local server: what it needs to start, and what it says when it does not start."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from graphstore.errors import StoreError
from graphstore.neo4j import distribution, server


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
    with pytest.raises(StoreError, match="java was not found"):
        distribution.find_java()
    program(bare, "java", "echo 'openjdk version \"11.0.2\" 2019-01-15' >&2")
    with pytest.raises(StoreError, match="11"):
        distribution.find_java()
    program(bare, "java", "echo 'openjdk version \"21.0.2\" 2024-01-16' >&2")
    assert distribution.find_java() == str(bare / "java")


def test_maven_is_missing_or_fails(bare: Path, monkeypatch):
    monkeypatch.setenv("PATH", str(bare))
    with pytest.raises(StoreError, match="mvn was not found"):
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
