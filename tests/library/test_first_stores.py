"""A store that the first landed version wrote: after its migration, its spaces and studies work as they are."""

from __future__ import annotations

import json
import lzma
from pathlib import Path

import numpy as np
import pytest

from explorer.errors import InputError
from explorer.library.library import Library
from explorer.library.spaces import choose_space, rebuild_outdated
from explorer.progress import SilentReporter
from graphstore import open_store
from graphstore.contract import SCHEMA_VERSION
from graphstore.copying import copy_store
from graphstore.maintenance import check, migrate
from graphstore.records import SpaceRecord

KEPT = Path(__file__).parents[1] / "fixtures" / "store_v1.db.xz"


@pytest.fixture
def url(tmp_path: Path) -> str:
    """URL of the old store."""
    path = tmp_path / "old.db"
    path.write_bytes(lzma.decompress(KEPT.read_bytes()))
    return f"sqlite:///{path}"


def test_the_command_migrates_with_usable_spaces(url: str, archex):
    code, _, told = archex("neighbors", "BERT-Tiny", "--store", url)
    assert code == 2
    assert "archex store migrate" in told
    code, out, told = archex("store", "migrate", "--store", url)
    assert code == 0, told
    assert f"version 1 -> {SCHEMA_VERSION}" in out
    assert "the libraries of first, of an early version, were built again" in " ".join(out.split())
    assert check(url).problems == ()
    with open_store(url) as store:
        ids = store.architecture_ids("first")
        trials = {name: store.trials(name) for name in ("random", "boshnas")}
        assert len(ids) == len(store.embeddings("first").ids) == 64
        assert [len(found) for found in trials.values()] == [10, 10]
    code, out, told = archex("neighbors", ids[0], "--space", "first", "--k", 3, "--store", url, "--json")
    assert code == 0, told
    near = json.loads(out)["neighbors"]
    assert [len(row["scores"]) for row in near] == [1, 1, 1]
    for name, before in trials.items():
        assert archex("search", "extend", name, "--budget", 14, "--store", url)[0] == 0
        code, _, told = archex("search", "resume", name, "--wait", "--store", url)
        assert code == 0, told
        with open_store(url) as store:
            after = store.trials(name)
        assert after[:10] == before
        assert len(after) == 14
    code, out, told = archex("store", "migrate", "--store", url, "--json")
    assert json.loads(out)["rebuilt"] == []


def test_the_messages_name_the_command_until_then(url: str, archex):
    """Where only the store's layout was migrated, by a program that knows no libraries."""
    migrate(url, lambda line: None)
    for command in (
        ("neighbors", "BERT-Tiny", "--space", "first"),
        ("neighbors", "BERT-Tiny"),
        ("search", "--space", "first", "--objective", "known", "--from-scores", "--budget", 2, "--study", "new"),
    ):
        code, _, told = archex(*command, "--store", url)
        assert code == 2
        assert "Run `archex store migrate`" in told
    with open_store(url) as store:
        with pytest.raises(InputError, match="archex store migrate"):
            Library.open(store, "first")
        with pytest.raises(InputError, match="archex store migrate"):
            choose_space(store, None, "first")
    assert archex("store", "migrate", "--store", url)[0] == 0
    code, _, told = archex("neighbors", "BERT-Tiny", "--space", "first", "--store", url)
    assert code == 0, told


def test_only_complete_libraries_of_early_versions_are_built_again(url: str):
    migrate(url, lambda line: None)
    with open_store(url) as store:
        begun = SpaceRecord("begun", {"title": "", "source": {"from": "you"}, "ready": False})
        store.put_space(begun)
        assert rebuild_outdated(store, SilentReporter()) == ["first"]
        assert store.space("begun") == begun
        built = Library.open(store, "first")
        vectors = built.embeddings.vectors.copy()
        assert rebuild_outdated(store, SilentReporter()) == []
        np.testing.assert_array_equal(Library.open(store, "first").embeddings.vectors, vectors)
        assert built.agreement > 0.99


@pytest.mark.neo4j
def test_on_a_neo4j_server_as_well(server, neo4j_url: str, url: str, archex):
    migrate(url, lambda line: None)
    with open_store(url) as store, open_store(neo4j_url) as target:
        copy_store(store, target)
    code, out, told = archex("store", "migrate", "--store", neo4j_url, "--json")
    assert code == 0, told
    assert json.loads(out)["rebuilt"] == ["first"]
    with open_store(neo4j_url) as target:
        assert len(Library.open(target, "first").embeddings.ids) == 64
