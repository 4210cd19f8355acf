"""From URLs to stores, and what their errors may show."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from graphstore import open_store
from graphstore.errors import StoreInputError
from graphstore.url import find_server, without_password


def test_absolute_and_relative_path_name_one_file(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with open_store("sqlite:///here.db") as relative, open_store(f"sqlite:///{tmp_path}/here.db") as absolute:
        assert relative.url == absolute.url == f"sqlite:///{tmp_path}/here.db"
        assert absolute.url.startswith("sqlite:////")
    assert [path.name for path in tmp_path.iterdir()] == ["here.db"]


@pytest.mark.parametrize("name", ["with space.db", "per%20cent.db", "quest?ion#mark.db", "ünïcode.db"])
def test_path_is_taken_as_it_stands(tmp_path: Path, name: str):
    with open_store(f"sqlite:///{tmp_path}/{name}") as store:
        assert store.count() == 0
    assert [path.name for path in tmp_path.iterdir()] == [name]


MALFORMED = """
explorer.db postgres://host/db sqlite: sqlite:// sqlite://explorer.db sqlite:/// sqlite://// sqlite:///:memory: http://x
bolt:// bolt://:7687 neo4j://host:port neo4j://host:99999 bolt://host/a/b bolt://host?database=x NEO4J://host
neo4j+x://host bolt://[::1
"""


@pytest.mark.parametrize("url", ["", *MALFORMED.split()])
def test_malformed_url(url: str, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StoreInputError, match="store URL must"):
        open_store(url)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "url", ["redis://me:hush@host/0", "bolt://me:hush@host:port", "bolt://me:hush@:1", "x://a:hush@b@c"]
)
def test_errors_hide_the_password(url: str):
    with pytest.raises(StoreInputError) as caught:
        open_store(url)
    assert "hush" not in str(caught.value)


def test_without_password():
    assert without_password("bolt://me:hush@host:7687/db") == "bolt://host:7687/db"
    assert without_password("bolt://me:hu@sh@host/db@x") == "bolt://host/db@x"
    assert without_password("sqlite:///plain.db") == "sqlite:///plain.db"
    assert without_password("no url") == "no url"


def test_user_without_password_is_refused(monkeypatch):
    monkeypatch.delenv("NEO4J_PASSWORD", raising=False)
    with pytest.raises(StoreInputError, match="NEO4J_PASSWORD"):
        open_store("bolt://me@host")


@pytest.mark.parametrize(
    ("url", "environment", "log_in"),
    [
        ("bolt://host", {}, ("", "")),
        ("bolt://host", {"NEO4J_PASSWORD": "hush"}, ("neo4j", "hush")),
        ("bolt://host", {"NEO4J_USER": "me", "NEO4J_PASSWORD": "hush"}, ("me", "hush")),
        ("bolt://you:psst@host", {"NEO4J_USER": "me", "NEO4J_PASSWORD": "hush"}, ("you", "psst")),
        ("bolt://you:p%40s%2Ft@host", {}, ("you", "p@s/t")),
        ("bolt://you@host", {"NEO4J_PASSWORD": "hush"}, ("you", "hush")),
    ],
)
def test_log_in_comes_from_the_url_or_the_environment(monkeypatch, url, environment, log_in):
    for name in ("NEO4J_USER", "NEO4J_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    server = find_server(url)
    assert (server.user, server.password) == log_in
    assert (server.url, server.name) == ("bolt://host", "bolt://host")
    assert not server.password or server.password not in repr(server)


def test_missing_file_names_the_command_that_makes_one(tmp_path: Path):
    with pytest.raises(StoreInputError, match="archex demo"):
        open_store(f"sqlite:///{tmp_path}/none.db", create=False)
    assert list(tmp_path.iterdir()) == []
    open_store(f"sqlite:///{tmp_path}/none.db").close()
    open_store(f"sqlite:///{tmp_path}/none.db", create=False).close()


def test_missing_folder_and_folder_as_file(tmp_path: Path):
    with pytest.raises(StoreInputError, match="existing folder"):
        open_store(f"sqlite:///{tmp_path}/no/store.db")
    with pytest.raises(StoreInputError, match="got the folder"):
        open_store(f"sqlite:///{tmp_path}")
    assert list(tmp_path.iterdir()) == []


def test_embedded_store_needs_no_neo4j_driver(tmp_path: Path):
    code = (
        "import sys; from graphstore import open_store; "
        f"open_store('sqlite:///{tmp_path}/store.db').close(); sys.exit('neo4j' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
