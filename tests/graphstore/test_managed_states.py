"""What the managed server's own files may be: damaged, or in a folder that cannot be one."""

from __future__ import annotations

from pathlib import Path

import pytest

from graphstore import open_store
from graphstore.errors import StoreError
from graphstore.neo4j.managed import ManagedNeo4j


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '"up"',
        "[" * 100_000,
        '{"pid": "z"}',
        '{"pid": 1e9}',
        '{"pid": 99999999999999999999}',
        '{"port": 65536}',
        '{"port": true}',
        '{"up": 1}',
        '{"host": null}',
        '{"started": Infinity}',
        '{"refused": ["x"]}',
        '{"badger": 1}',
    ],
)
def test_a_damaged_state_is_named(tmp_path: Path, monkeypatch, text: str):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    server = ManagedNeo4j()
    server.home.mkdir(parents=True)
    (server.home / "server.json").write_text(text)
    for act in (server.status, server.start, server.stop, lambda: server.login_at(1)):
        with pytest.raises(StoreError, match=r"server\.json.*Delete it"):
            act()


def test_a_data_folder_that_is_none(tmp_path: Path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "file"))
    for act in (ManagedNeo4j().status, ManagedNeo4j().start):
        with pytest.raises(StoreError, match="XDG_DATA_HOME"):
            act()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "archex").touch()
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "other"))
    with pytest.raises(StoreError, match="XDG_DATA_HOME"):
        open_store("neo4j")
