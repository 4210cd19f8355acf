"""Nodes of other programs in the same database, whatever their labels and properties, are ignored by every command."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from graphstore import GraphStore, open_store
from graphstore.backup import backup
from graphstore.contract import SCHEMA_VERSION
from graphstore.copying import copy_store
from graphstore.cypher import run_query
from graphstore.digests import digests
from graphstore.maintenance import check, migrate
from graphstore.neo4j import migrations
from graphstore.neo4j.saved_queries import saved_queries
from graphstore.queries import ArchitectureQuery, Sort
from graphstore.records import LineageRecord, ScoreKind
from graphstore.testing import samples

pytestmark = pytest.mark.neo4j

LABELS = ("Meta", *migrations._OWN)

FOREIGN = (
    # Bare, twice, and with the keys that our nodes of these labels have.
    *(f"UNWIND range(1, 2) AS n CREATE (:{label})" for label in LABELS),
    "UNWIND range(1, 2) AS n CREATE (:Space {name: 'nano'}), (:Study {name: 'first'}), (:Job {id: 'job-1'})",
    "UNWIND range(1, 2) AS n CREATE (:Meta {topic: 'scores'}), (:Meta {topic: 'schema', version: 'III'})",
    "CREATE (:Study {name: 'Diabetes', settings: 'blind', state: 'recruiting'})-[:RAN]->(:Trial {number: 7, state: 5})",
    "CREATE (:Score {id: 7, value: 'C major', task: 'SST-2', source: 'Bach:1'})-[:OF]->(:Architecture {id: 'baroque'})",
    "CREATE (:Architecture {id: 'gothic'})-[:HAS_LAYER]->(:Layer {index: 'ash'})-[:HAS_OP]->(:Op)-[:FEEDS]->(:Op)",
    "CREATE (:Space {name: 'nano'})-[:HOLDS {position: 1, embedding: [1.0, 2.0]}]->(:Architecture {id: 'room'})",
    "CREATE (:Architecture)-[:SIMILAR {space: 'nano', kernel: 'wl', rank: 1}]->(:Architecture)",
    "CREATE (:Architecture)-[:INHERITED {run: 'run/1', donor_run: 'run/0'}]->(:Architecture)",
    "CREATE (:Measurement {device: 'cpu', quantity: 'latency_s', value: 'long'})-[:OF]->(:Architecture)",
    "CREATE (:Kernel {space: 'nano', name: 'linux'})-[:HAS_PART]->(:KernelPart {index: 0})",
)


@pytest.fixture
def shared(server, neo4j_url: str) -> Iterator[str]:
    """URL of a database that another program uses."""
    with server.session() as session:
        for statement in FOREIGN:
            session.run(statement).consume()
    yield neo4j_url
    with server.session() as session:
        assert dump(session) == FOUND, "the other program's nodes were changed"


def dump(session) -> tuple[int, int]:
    """Number of the other program's nodes and relationships, which nothing of ours touches."""
    nodes = "MATCH (n) WHERE none(label IN labels(n) WHERE label STARTS WITH 'Archex') RETURN count(n)"
    edges = "MATCH (n)-[r]->() WHERE none(label IN labels(n) WHERE label STARTS WITH 'Archex') RETURN count(r)"
    return session.run(nodes).value()[0], session.run(edges).value()[0]


FOUND = (2 * len(LABELS) + 2 * 3 + 2 * 2 + 2 + 2 + 4 + 2 + 2 + 2 + 2 + 2, 1 + 1 + 3 + 1 + 1 + 1 + 1 + 1)


def fill(store: GraphStore) -> None:
    records = samples.fill(store)
    store.add_lineage([LineageRecord("run/1", records[0].id, "run/0", records[1].id, "ordered", 0.5)])
    store.put_kernel("nano", samples_kernel())


def samples_kernel():
    from graphstore.records import KernelRecord

    return KernelRecord("wl", {"depth": 3}, bytes(range(256)) * 20)


def test_every_reading_and_writing_method_ignores_them(shared: str, tmp_path: Path):
    """Two stores with the same calls, one alone and one among others' nodes, hold the same and answer the same."""
    with open_store(f"sqlite:///{tmp_path / 'alone.db'}") as alone, open_store(shared) as store:
        for one in (alone, store):
            fill(one)
        held = [digests(one) | {"trials": len(one.trials("first"))} for one in (store, alone)]  # they have a time
        assert held[0] == held[1]
        assert store.jobs() == alone.jobs()
        assert store.best_per_task() == alone.best_per_task()
        query = ArchitectureQuery(sort=(Sort(ScoreKind("SST-2"), True),), limit=None)
        assert store.find(query) == alone.find(query)
        vector = alone.embeddings("nano").vectors[0]
        assert [id for id, _ in store.nearest("nano", vector, 5)] == [id for id, _ in alone.nearest("nano", vector, 5)]
        assert store.count() == alone.count()
        assert store.lineage() == alone.lineage()
        for one in (alone, store):
            one.put_neighbors("nano", "wl", [])
            assert one.kernels("nano") == []
            assert one.remove_measurements("cpu") == 5
            assert one.remove_scores("t") == 25
            assert one.update_job("job-1", message="on").message == "on"
        assert store.problems() == []


def test_check_backup_and_copy_ignore_them(shared: str, tmp_path: Path):
    with open_store(shared) as store:
        fill(store)
        held = digests(store)
    report = check(shared)
    assert report.problems == ()
    assert (report.counts["spaces"], report.counts["studies"], report.counts["lineage"]) == (2, 1, 1)
    backup(shared, tmp_path / "saved.db")
    with open_store(shared) as store, open_store(f"sqlite:///{tmp_path / 'copy.db'}") as copy:
        copy_store(store, copy)
        assert digests(copy) == held
    with open_store(f"sqlite:///{tmp_path / 'saved.db'}", create=False) as saved:
        assert digests(saved) == held


def test_a_store_is_copied_into_a_database_in_use(shared: str, tmp_path: Path):
    with open_store(f"sqlite:///{tmp_path / 'store.db'}") as source, open_store(shared) as store:
        fill(source)
        copy_store(source, store)
        assert digests(store) == digests(source)
    assert check(shared).problems == ()


def test_saved_queries_ignore_them(server, shared: str):
    values = {"id": samples.architectures(1)[0].id, "from": samples.architectures(1)[0].id}
    values["to"] = samples.architectures(2)[1].id
    with open_store(shared) as store:
        fill(store)
        for query in saved_queries():
            given = {
                parameter.name: values[parameter.name] for parameter in query.parameters if parameter.name in values
            }
            rows = run_query(store, query.text, query.values(given)).rows
            text = str(rows)
            assert not any(word in text for word in ("gothic", "baroque", "Diabetes", "Bach", "room")), query.name
            if query.name == "counts":
                assert ["node", "Study", 1] in [list(row) for row in rows]
                assert ["relation", "INHERITED", 1] in [list(row) for row in rows]


def test_commands_ignore_them(shared: str, archex):
    with open_store(shared) as store:
        fill(store)
    for command in (
        ("store", "check"), ("search", "list"), ("studies",), ("best",), ("find", "--limit", "3"), ("store", "backup"),
        ("space", "count", "nano"), ("cypher", "--saved", "counts"),
    ):  # fmt: skip
        target = () if command[0] == "space" else ("--store", shared)
        code, printed, told = archex(*command, *target)
        assert code == 0, (command, told)
        assert "Diabetes" not in printed + told


def test_names_that_others_use_stay_free_for_them(server, shared: str):
    """No constraint of the store holds for other programs' nodes, old or new."""
    open_store(shared).close()
    with server.session() as session:
        for label in LABELS:
            session.run(f"CREATE (:{label} {{id: 'x', name: 'x', topic: 'x', study: 'x', number: 1}})").consume()
            session.run(f"CREATE (:{label} {{id: 'x', name: 'x', topic: 'x', study: 'x', number: 1}})").consume()
            session.run(f"MATCH (n:{label} {{id: 'x'}}) DELETE n").consume()


# Stores of version 3 -----------------------------------------------------------------------------------------------


def to_version_3(session) -> None:
    """Give a store of the newest version the labels of version 3, as far as a migration sees them."""
    for label in LABELS:
        session.run(f"MATCH (n:Archex{label}) SET n:{label} REMOVE n:Archex{label}").consume()
    session.run("MATCH (m:Meta {topic: 'schema'}) WHERE m.identity IS NOT NULL SET m.version = 3").consume()


def test_a_store_of_version_3_is_told_from_them_by_its_properties(server, shared: str):
    with open_store(shared) as store:
        fill(store)
        held = digests(store)
    with server.session() as session:
        to_version_3(session)
    assert migrate(shared, lambda line: None).before == 3
    assert check(shared).problems == ()
    with open_store(shared) as store:
        assert digests(store) == held


def test_a_program_of_version_3_cannot_write_after_the_migration(server, neo4j_url: str):
    """It finds no counter, which its own lock demands, and the store's version on opening."""
    with open_store(neo4j_url) as store:
        fill(store)
    with server.session() as session:
        to_version_3(session)
    migrate(neo4j_url, lambda line: None)
    with server.session() as session:
        assert session.run("MATCH (m:Meta {topic: 'scores'}) RETURN m").value() == []
        versions = session.run("MATCH (m:Meta {topic: 'schema'}) RETURN m.version").value()
        assert versions == [SCHEMA_VERSION]


def test_counters_that_a_program_of_version_3_made_again_are_joined(server, neo4j_url: str):
    """After an interrupted migration that program makes new counters; none of its changes may go unnoticed."""
    with open_store(neo4j_url) as store:
        fill(store)
        before = store.revision("scores")
    with server.session() as session:
        to_version_3(session)
        # The state after the first step of the migration, and what the old program does then.
        session.run("MATCH (m:Meta) WHERE m.topic <> 'schema' SET m:ArchexMeta REMOVE m:Meta").consume()
        session.run("CREATE (:Meta {topic: 'scores', revision: 5})").consume()
    reports = []
    threads = [threading.Thread(target=lambda: reports.append(migrate(neo4j_url, lambda line: None))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(reports) == 3
    assert check(neo4j_url).problems == ()
    with open_store(neo4j_url) as store:
        assert store.revision("scores") == before + 5
