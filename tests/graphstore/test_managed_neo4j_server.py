"""The managed server with a real Neo4j."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import neo4j
import pytest

from explorer.library.workplace import work_folder
from graphstore import open_store
from graphstore.errors import StoreError, StoreInputError
from graphstore.neo4j.distribution import libraries
from graphstore.neo4j.managed import ManagedNeo4j
from graphstore.neo4j.server import free_port
from graphstore.neo4j.status import ServerState
from graphstore.testing import samples


@pytest.mark.neo4j
@pytest.mark.slow
@pytest.mark.usefixtures("local_server")
def test_a_real_distribution_keeps_the_data_through_a_crash(tmp_path: Path, monkeypatch):
    """A folder whose lib/ has the real jars; write, kill -9, start, read; by name and by address it is one store."""
    home = tmp_path / "neo4j-community"
    home.mkdir()
    (home / "lib").symlink_to(libraries())
    monkeypatch.setenv("NEO4J_HOME", str(home))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.delenv("NEO4J_USER", raising=False)
    monkeypatch.delenv("NEO4J_PASSWORD", raising=False)
    server = ManagedNeo4j(first_port=free_port(), heap="512m")
    try:
        login = server.start()
        with open_store("neo4j") as store:
            store.put_space(samples.space())
            assert store.url == "neo4j"
        os.kill(server.status().pid, signal.SIGKILL)
        while server.status().condition is ServerState.RUNNING:
            time.sleep(0.05)
        assert server.start() == login
        assert server.status().source == "NEO4J_HOME"
        for url in ("neo4j", login.url, login.url.replace("127.0.0.1", "localhost"), f"{login.url}/neo4j"):
            with open_store(url) as store:
                assert store.space("nano") == samples.space()
                assert work_folder(store.url) == tmp_path / "data" / "archex" / "neo4j.files"
        with neo4j.GraphDatabase.driver(login.url, auth=(login.user, login.password)) as driver:
            for place in ("file:///etc/hostname", "http://127.0.0.1:9/x"):
                with pytest.raises(neo4j.exceptions.ClientError, match="Cannot load from URL"):
                    driver.execute_query(f"LOAD CSV FROM '{place}' AS line RETURN line")
        with pytest.raises(StoreError, match="refused the log-in"):
            open_store(login.url.replace("//", "//neo4j:wrong-password@"))
        with pytest.raises(StoreInputError, match="password"):
            open_store("bolt://me@127.0.0.1:1")
    finally:
        assert server.stop()
    assert [path.name for path in home.iterdir()] == ["lib"]
    logs = "".join(path.read_text(errors="replace") for path in (server.home / "logs").iterdir() if path.is_file())
    assert login.password not in logs
