"""From URLs to stores, and what their errors may show."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from graphstore import open_store
from graphstore.errors import StoreInputError
from graphstore.maintenance import check, migrate
from graphstore.url import find_server, scrubbed, without_password


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
neo4j+x://host bolt://[::1 sqlite:///. sqlite:////// sqlite://///
"""


@pytest.mark.parametrize("url", ["", *MALFORMED.split()])
def test_malformed_url(url: str, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StoreInputError, match="store URL must"):
        open_store(url)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "url",
    ["redis://me:hush@host/0", "bolt://me:hush@host:port", "bolt://me:hush@:1", "x://a:hush@b@c", "neo4j:/me:hush@h"],
)
def test_errors_hide_the_password(url: str):
    with pytest.raises(StoreInputError) as caught:
        open_store(url)
    assert "hush" not in str(caught.value)


def test_without_password():
    assert without_password("bolt://me:hush@host:7687/db") == "bolt://host:7687/db"
    assert without_password("bolt://me:hu@sh@host/db") == "bolt://host/db"
    assert without_password("neo4j://me:hu/s@h?@host:7687") == "neo4j://host:7687"
    assert without_password("neo4j:/me:hush@host") == without_password("me:hush@host") == "host"
    assert without_password("sqlite:///pl@in.db") == "sqlite:///pl@in.db"
    assert without_password("no url") == "no url"


def test_scrubbed_texts_hold_no_password():
    words = ["store", "--store=bolt://me:hush hush@host", "neo4j://me:hush\\'@h", "you:psst@host"]
    text = "got (bolt://me:hush hush@host), 'neo4j://me:hush\\'@h', you:psst@host, neo4j:/me:hush@host. badger@host"
    assert scrubbed(text, words) == "got (bolt://host), 'neo4j://h', host, host. badger@host"
    assert scrubbed("sqlite:///a@b.db", ["sqlite:///a@b.db"]) == "sqlite:///a@b.db"


@pytest.mark.parametrize("sign", "/?#")
@pytest.mark.parametrize("begin", ["123", "s3"])
def test_a_password_with_a_sign_of_urls_is_refused_before_anybody_is_asked(sign: str, begin: str, monkeypatch):
    def ask(*arguments: object, **options: object) -> None:
        raise AssertionError("a name was looked up")

    monkeypatch.setattr(socket, "getaddrinfo", ask)
    with pytest.raises(StoreInputError, match=r"percent-encode.*%2F") as caught:
        open_store(f"neo4j://neo4j:{begin}{sign}cretpw@localhost:7687")
    assert begin not in str(caught.value).replace("%23", "")
    assert "cretpw" not in str(caught.value)


@pytest.mark.parametrize("state", ["{", '{"pid": "z"}', "[]"])
def test_a_damaged_managed_server_does_not_stand_in_the_way_of_another(tmp_path: Path, monkeypatch, state: str):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    (tmp_path / "archex" / "neo4j").mkdir(parents=True)
    (tmp_path / "archex" / "neo4j" / "server.json").write_text(state)
    assert find_server("neo4j://me:hush@localhost:7687").name == "neo4j://localhost:7687"


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
    with pytest.raises(StoreInputError, match="must exist"):
        open_store(f"sqlite:///{tmp_path}/none.db", create=False)
    assert list(tmp_path.iterdir()) == []
    open_store(f"sqlite:///{tmp_path}/none.db").close()
    open_store(f"sqlite:///{tmp_path}/none.db", create=False).close()


@pytest.mark.parametrize("act", [open_store, check, lambda url: migrate(url, print)])
def test_a_name_that_no_file_can_have(act, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("x" * 300, "x" * 250, "y\0z"):
        with pytest.raises(StoreInputError, match="store URL must be a possible path"):
            act(f"sqlite:///{name}")
    assert list(tmp_path.iterdir()) == []


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
