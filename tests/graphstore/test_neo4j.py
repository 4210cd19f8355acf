"""The Neo4j engine keeps the contract, on a real server."""

from __future__ import annotations

import os
from urllib.parse import quote, urlsplit

import numpy as np
import pytest

from graphstore import GraphStore, open_store
from graphstore.checks import TOPICS
from graphstore.contract import SCHEMA_VERSION
from graphstore.errors import StoreError, StoreInputError, StoreVersionError
from graphstore.maintenance import check, migrate
from graphstore.records import Embeddings
from graphstore.testing import GraphStoreSuite, samples
from graphstore.vectors import exact_nearest

pytestmark = pytest.mark.neo4j


@pytest.fixture
def reopen(server, neo4j_url: str):
    handles: list[GraphStore] = []

    def open_one() -> GraphStore:
        handles.append(open_store(neo4j_url))
        return handles[-1]

    yield open_one
    for handle in handles:
        handle.close()


class TestNeo4jStore(GraphStoreSuite):
    examples = 10

    @pytest.fixture
    def fresh(self, server, store):
        def emptied() -> GraphStore:
            # Its layout stays; making it anew would take longer than the questions.
            cypher(server, "MATCH (n) WHERE NOT n:ArchexMeta DETACH DELETE n")
            return store

        return emptied

    @pytest.fixture
    def store(self, reopen) -> GraphStore:
        return reopen()


def cypher(server, query: str) -> list[list[object]]:
    with server.session() as session:
        return session.run(query).values()


def test_graph_is_laid_out_for_cypher(server, reopen):
    store = reopen()
    (record,) = samples.architectures(1, seed=4)
    store.put_space(samples.space())
    store.add_architectures("nano", [record])
    store.create_study(samples.study())
    store.add_trials("first", [(record.id, {})])
    store.add_scores([samples.score(record.id)])
    query = "MATCH (n) WHERE NOT n:ArchexMeta UNWIND labels(n) AS label RETURN label, count(*)"
    counts = dict(cypher(server, query))
    own = {label: count for label, count in counts.items() if not label.startswith("Archex")}
    assert counts == own | {f"Archex{label}": count for label, count in own.items()}
    assert own == {
        "Space": 1,
        "Architecture": 1,
        "Layer": len(record.layers),
        "Op": len(record.ops),
        "Study": 1,
        "Trial": 1,
        "Score": 1,
    }
    ends = "MATCH (a:Architecture)-[:HAS_OP]->(o:Op) RETURN o.kind ORDER BY o.index"
    assert cypher(server, ends) == [["input"], ["output"]]
    inner = "MATCH (:Architecture)-[:HAS_LAYER]->(l:Layer)-[:HAS_OP]->(o:Op) RETURN l.index, o.index ORDER BY o.index"
    assert cypher(server, inner) == [[op.layer, op.index] for op in record.ops if op.layer >= 0]
    path = "MATCH p = SHORTEST 1 (:Op {kind: 'input'})-[:FEEDS]->+(:Op {kind: 'output'}) RETURN length(p) > 2"
    assert cypher(server, path) == [[True]]
    edges = "MATCH (o:Op)-[f:FEEDS]->(t:Op) RETURN o.index, t.index ORDER BY f.position"
    assert cypher(server, edges) == [list(edge) for edge in record.feeds]
    assert cypher(server, "MATCH (:Study)-[:RAN]->(:Trial)-[:EVALUATES]->(a)<-[:OF]-(:Score) RETURN a.id") == [
        [record.id]
    ]


@pytest.mark.slow
def test_nearest_in_a_large_space(server, reopen):
    """The index names nearly all of the nearest, among the vectors of other spaces and after they were replaced."""
    store, count = reopen(), 9312
    for space in ("nano", "like", "longer"):
        store.put_space(samples.space(space))
    # Bare architectures: with layers and operations they would take a minute.
    with server.session() as session:
        session.run(
            "UNWIND range(0, $n - 1) AS i CREATE (a:ArchexArchitecture {id: 'a' + toString(i)}) WITH a, i "
            "MATCH (s:Space) SET s.size = $n CREATE (s)-[:HOLDS {position: i}]->(a)",
            n=count,
        ).consume()
    rng = np.random.default_rng(0)
    ids = tuple(f"a{i}" for i in range(count))
    centres = 3 * rng.normal(size=(60, 16))
    vectors = (centres[rng.integers(60, size=count)] + 0.3 * rng.normal(size=(count, 16))).astype(np.float32)
    near = vectors + 0.05 * rng.normal(size=(count, 16)).astype(np.float32)
    store.put_embeddings("nano", Embeddings(ids, vectors[::-1]))
    store.put_embeddings("like", Embeddings(ids[:3000], near[:3000]))
    store.put_embeddings("longer", Embeddings(ids[:500], np.hstack([vectors, vectors])[:500]))
    store.put_embeddings("nano", Embeddings(ids, vectors))
    shares = []
    for place in rng.integers(count, size=40):
        query = vectors[place] + 0.1 * rng.normal(size=16)
        expected, found = exact_nearest(ids, vectors.astype(np.float64), query, 10), store.nearest("nano", query, 10)
        assert found == sorted(found, key=lambda pair: (pair[1], pair[0]))
        distances = {id: float(np.linalg.norm(vectors[int(id[1:])] - query)) for id, _ in found}
        assert {id: pytest.approx(distance) for id, distance in found} == distances
        shares.append(len(dict(expected).keys() & dict(found).keys()) / 10)
    assert np.mean(shares) >= 0.99
    # Where the index cannot serve, every vector is looked at.
    many = store.nearest("nano", vectors[0], 400)
    assert [id for id, _ in many] == [id for id, _ in exact_nearest(ids, vectors.astype(np.float64), vectors[0], 400)]
    assert store.nearest("nano", np.full(16, 1e39), 1)[0][1] > 1e39
    (pair,) = store.nearest("longer", np.hstack([vectors[7], vectors[7]]), 1)
    assert pair == ("a7", 0.0)
    for wrong in (np.ones(32), np.full(16, np.nan)):
        with pytest.raises(StoreInputError, match="vector"):
            store.nearest("nano", wrong, 1)


def test_newer_store_is_left_as_it_is(server, reopen):
    reopen().close()
    cypher(server, f"MATCH (m:ArchexMeta {{topic: 'schema'}}) SET m.version = {SCHEMA_VERSION + 1}")
    before = cypher(server, "MATCH (n) RETURN properties(n)")
    with pytest.raises(StoreVersionError, match="version"):
        reopen()
    assert cypher(server, "MATCH (n) RETURN properties(n)") == before


@pytest.mark.parametrize(
    "damage",
    [
        "MATCH (n) DETACH DELETE n",
        "MATCH (m:ArchexMeta) WHERE m.topic <> 'schema' DELETE m",
        "MATCH (m:ArchexMeta) REMOVE m.revision",
    ],
)
def test_lost_counters_are_told_and_made_again(server, neo4j_url, reopen, damage: str):
    store = reopen()
    samples.fill(store, 3)
    at = {topic: store.revision(topic) for topic in TOPICS}
    cypher(server, damage)
    writes = (
        lambda: store.put_space(samples.space("new")),
        lambda: store.add_scores([samples.score(samples.architectures(1)[0].id, "new")]),
        lambda: store.create_study(samples.study("new")),
        lambda: store.put_job(samples.job("new")),
    )
    for write in writes:
        with pytest.raises(StoreError, match=r"counter of changes of .* is missing.*or migrate it"):
            write()
    emptied = "DETACH" in damage
    assert not any("new" in str(rows) for rows in cypher(server, "MATCH (n) RETURN properties(n)"))
    if not emptied and "REMOVE" in damage:
        migrate(neo4j_url, lambda line: None)
    else:
        reopen()
    # What was read at a revision before must not be taken for what is there now.
    assert all(emptied or store.revision(topic) > at[topic] for topic in TOPICS)
    assert check(neo4j_url).problems == ()
    if emptied:
        store.put_space(samples.space())
        store.add_architectures("nano", samples.architectures(1))
    for write in writes:
        write()


def test_no_server_is_an_error_without_the_password(monkeypatch):
    monkeypatch.setenv("NEO4J_PASSWORD", "from-environment")
    for url in ("bolt://me:hush-hush@127.0.0.1:1", "bolt://127.0.0.1:1"):
        with pytest.raises(StoreError) as caught:
            open_store(url)
        shown = f"{caught.value!r} {caught.value.__cause__!r}"
        assert "127.0.0.1:1" in shown
        assert "hush" not in shown
        assert "from-environment" not in shown


def test_the_log_in_of_a_url_is_kept_for_processes_that_work_for_the_store(neo4j_url):
    """A server that asks for no password takes any."""
    before = dict(os.environ)
    user, password = before.get("NEO4J_USER", "me"), before.get("NEO4J_PASSWORD", "p@s/t")
    parts = urlsplit(neo4j_url)
    with open_store(f"{parts.scheme}://{user}:{quote(password, safe='')}@{parts.netloc.rpartition('@')[2]}") as store:
        assert store.login == {"NEO4J_USER": user, "NEO4J_PASSWORD": password}
        assert password not in store.url
    assert dict(os.environ) == before
