"""Fixtures that the store's tests share."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from graphstore.neo4j.distribution import VERSION, cache_folder
from graphstore.neo4j.managed import ManagedNeo4j

from .programs import FAKE, program


@pytest.fixture(params=["embedded", pytest.param("neo4j", marks=pytest.mark.neo4j)])
def either_url(request: pytest.FixtureRequest, tmp_path) -> str:
    """URL of an empty store of each engine in turn."""
    if request.param == "embedded":
        return f"sqlite:///{tmp_path / 'store.db'}"
    request.getfixturevalue("server")
    return request.getfixturevalue("neo4j_url")


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
