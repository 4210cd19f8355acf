"""Stores that earlier versions wrote are migrated with all they hold, and their studies make the same proposals.

Each folder of ``tests/fixtures/stores`` has a store of one version; ``tests/fixtures/make_store.py`` made it.
"""

from __future__ import annotations

import base64
import json
import lzma
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from graphstore import GraphStore, open_store
from graphstore.contract import SCHEMA_VERSION
from graphstore.digests import digests
from graphstore.errors import StoreVersionError
from graphstore.maintenance import check, migrate
from graphstore.records import TrialStatus

FOLDERS = sorted((Path(__file__).parents[1] / "fixtures" / "stores").iterdir())
RECORDS_CHANGED = ("studies",)
"""Sections whose records have other fields now than in an old version; the number of records must be the same."""

every_version = pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)


def expected(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "expected.json").read_text())


@pytest.fixture
def old_file(folder: Path, tmp_path: Path) -> str:
    """URL of the store file."""
    path = tmp_path / "store.db"
    path.write_bytes(lzma.decompress((folder / "store.db.xz").read_bytes()))
    return f"sqlite:///{path}"


@pytest.fixture
def old_server(folder: Path, server, neo4j_url: str) -> str:
    """URL of the server, with the nodes and relationships of the old one."""
    lines = lzma.decompress((folder / "server.jsonl.xz").read_bytes()).decode().splitlines()
    rows = [json.loads(line, object_hook=decoded) for line in lines]
    nodes, edges = defaultdict(list), defaultdict(list)
    for row in rows:
        (nodes[":".join(row["labels"])] if "labels" in row else edges[row["type"]]).append(row)
    with server.session() as session:
        ids: dict[str, str] = {}
        for labels, group in nodes.items():
            query = f"UNWIND $rows AS row CREATE (n:{labels}) SET n = row.properties RETURN elementId(n)"
            made = session.run(query, rows=group).value()
            ids |= dict(zip([row["id"] for row in group], made, strict=True))
        for type, group in edges.items():
            for row in group:
                row |= {"source": ids[row["source"]], "target": ids[row["target"]]}
            query = (
                "UNWIND $rows AS row MATCH (a) WHERE elementId(a) = row.source MATCH (b) "
                f"WHERE elementId(b) = row.target CREATE (a)-[r:{type}]->(b) SET r = row.properties"
            )
            session.run(query, rows=group).consume()
    return neo4j_url


def decoded(document: dict[str, Any]) -> dict[str, Any] | bytes:
    """Return the bytes that ``make_store.py`` encoded, and any other document as it is."""
    return base64.b64decode(document["base64"]) if document.keys() == {"base64"} else document


def assert_migrated(url: str, folder: Path) -> None:
    wanted = expected(folder)
    if wanted["version"] < SCHEMA_VERSION:
        with pytest.raises(StoreVersionError):
            open_store(url)
        # The dump of a server has no constraints and indexes.
        assert all("migrate it" in problem or "creates it again" in problem for problem in check(url).problems)
        report = migrate(url, lambda line: None)
        assert (report.before, report.after) == (wanted["version"], SCHEMA_VERSION)
    assert check(url).problems == ()
    with open_store(url) as store:
        found = {section: vars(digest) for section, digest in digests(store).items()}
        for section, digest in wanted["sections"].items():
            if section in RECORDS_CHANGED:
                assert found[section]["count"] == digest["count"], section
            else:
                assert found[section] == digest, section
        assert_studies(store)


def assert_studies(store: GraphStore) -> None:
    """Trials of every state are there, with their leases and tokens."""
    trials = store.trials("external")
    states = [trial.state for trial in trials]
    assert set(states) == {TrialStatus.COMPLETE, TrialStatus.FAILED, TrialStatus.RUNNING, TrialStatus.WAITING}
    (held,) = [trial for trial in trials if trial.state is TrialStatus.RUNNING]
    assert held.owner == "elsewhere"
    assert held.token > 1
    assert held.lease_expires > 0
    assert store.claim_trial("external", "me", 60.0, 1e9) is not None


@every_version
def test_an_old_file_is_migrated(folder: Path, old_file: str):
    assert_migrated(old_file, folder)


@every_version
@pytest.mark.neo4j
def test_an_old_server_is_migrated(folder: Path, old_server: str):
    assert_migrated(old_server, folder)


@every_version
def test_old_studies_make_the_same_proposals(folder: Path, old_file: str, archex):
    migrate(old_file, lambda line: None)
    wanted = expected(folder)["resumed"]
    for name, architectures in wanted.items():
        with open_store(old_file) as store:
            done = len(store.trials(name))
        assert 0 < done < len(architectures)
        for command in (("extend", name, "--budget", len(architectures)), ("resume", name, "--wait")):
            code, _, told = archex("search", *command, "--store", old_file)
            assert code == 0, told
        with open_store(old_file) as store:
            assert [trial.architecture for trial in store.trials(name)] == architectures, name
