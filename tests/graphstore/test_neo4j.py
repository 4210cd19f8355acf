"""The Neo4j engine keeps the contract, on a real server."""

from __future__ import annotations

import pytest

from graphstore import GraphStore, open_store
from graphstore.contract import SCHEMA_VERSION
from graphstore.errors import StoreError, StoreVersionError
from graphstore.testing import GraphStoreSuite, samples

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
    labels = "labels(n)[0]"
    counts = dict(cypher(server, f"MATCH (n) WHERE NOT n:Meta RETURN {labels}, count(*)"))
    assert counts == {
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


def test_newer_store_is_left_as_it_is(server, reopen):
    reopen().close()
    cypher(server, f"MATCH (m:Meta {{topic: 'schema'}}) SET m.version = {SCHEMA_VERSION + 1}")
    before = cypher(server, "MATCH (n) RETURN properties(n)")
    with pytest.raises(StoreVersionError, match="version"):
        reopen()
    assert cypher(server, "MATCH (n) RETURN properties(n)") == before


def test_no_server_is_an_error_without_the_password(monkeypatch):
    monkeypatch.setenv("NEO4J_PASSWORD", "from-environment")
    for url in ("bolt://me:hush-hush@127.0.0.1:1", "bolt://127.0.0.1:1"):
        with pytest.raises(StoreError) as caught:
            open_store(url)
        shown = f"{caught.value!r} {caught.value.__cause__!r}"
        assert "127.0.0.1:1" in shown
        assert "hush" not in shown
        assert "from-environment" not in shown
