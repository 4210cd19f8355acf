"""Check and migrate a Neo4j database."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator

from graphstore.checks import TOPICS
from graphstore.contract import SCHEMA_VERSION
from graphstore.errors import StoreInputError, StoreVersionError
from graphstore.neo4j import migrations, properties
from graphstore.neo4j.graph import Graph, Statements
from graphstore.neo4j.status import Server
from graphstore.records import JobState, StudyState, TrialStatus
from graphstore.reports import MISLED, UNFINISHED, Findings, MigrationReport, with_examples

_COUNTED = {
    "spaces": "(found:ArchexSpace)",
    "architectures": "(found:ArchexArchitecture)",
    "layers": "(found:ArchexLayer)",
    "ops": "(found:ArchexOp)",
    "feeds": "(:ArchexOp)-[found:FEEDS]->()",
    "members": "(:ArchexSpace)-[found:HOLDS]->()",
    "neighbors": "(:ArchexArchitecture)-[found:SIMILAR]->()",
    "kernels": "(found:ArchexKernel)",
    "scores": "(found:ArchexScore)",
    "measurements": "(found:ArchexMeasurement)",
    "lineage": "(:ArchexArchitecture)-[found:INHERITED]->()",
    "studies": "(found:ArchexStudy)",
    "trials": "(found:ArchexTrial)",
    "jobs": "(found:ArchexJob)",
}

_GAPS = (
    " WITH owner, count(*) AS total, count(DISTINCT number) AS apart, min(number) AS low, max(number) AS high "
    "WHERE apart <> total OR low <> 0 OR high <> total - 1 RETURN owner"
)
"""Owners whose numbers are not 0, 1, 2, …"""

_EDGES = (
    "MATCH (x)-[:HAS_OP]->(o:ArchexOp)-[:FEEDS]->(t:ArchexOp)<-[:HAS_OP]-(y) "
    "WITH CASE WHEN x:ArchexLayer THEN head([(a)-[:HAS_LAYER]->(x) | a.id]) ELSE x.id END AS source, o, t, "
    "CASE WHEN y:ArchexLayer THEN head([(a)-[:HAS_LAYER]->(y) | a.id]) ELSE y.id END AS target "
)

# Each problem, and a query that returns the names of the faulty records.
_SEMANTICS = (
    (
        "architectures with another number of layers than their summary says",
        "MATCH (a:ArchexArchitecture) WHERE COUNT {(a)-[:HAS_LAYER]->(:ArchexLayer)} <> coalesce(a.depth, -1) "
        "RETURN a.id",
    ),
    (
        MISLED,
        "MATCH (a:ArchexArchitecture) "
        "WITH a, COLLECT {MATCH (a)-[:HAS_LAYER]->(l:ArchexLayer) RETURN l ORDER BY l.index} AS layers "
        "WHERE coalesce(a.families, []) <> [l IN layers | l.family] "
        "OR coalesce(a.operations, []) <> [l IN layers | l.family + '_' + l.parameter] "
        "OR coalesce(a.hiddens, []) <> [l IN layers | l.hidden] RETURN a.id",
    ),
    (
        "architectures whose layers are not numbered from 0",
        "MATCH (a:ArchexArchitecture)-[:HAS_LAYER]->(l:ArchexLayer) WITH a.id AS owner, l.index AS number" + _GAPS,
    ),
    (
        "architectures whose operations are not numbered from 0",
        "MATCH (a:ArchexArchitecture) CALL (a) {MATCH (a)-[:HAS_OP]->(o:ArchexOp) RETURN o.index AS number UNION ALL "
        "MATCH (a)-[:HAS_LAYER]->(:ArchexLayer)-[:HAS_OP]->(o:ArchexOp) RETURN o.index AS number} "
        "WITH a.id AS owner, number" + _GAPS,
    ),
    (
        "architectures whose edges are not numbered from 0",
        "MATCH (a:ArchexArchitecture) CALL (a) {"
        "MATCH (a)-[:HAS_OP]->(:ArchexOp)-[f:FEEDS]->() RETURN f.position AS number UNION ALL "
        "MATCH (a)-[:HAS_LAYER]->()-[:HAS_OP]->(:ArchexOp)-[f:FEEDS]->() RETURN f.position AS number} "
        "WITH a.id AS owner, number" + _GAPS,
    ),
    (
        "architectures with edges to operations of another, or backwards",
        _EDGES + "WITH source, target, o, t WHERE source <> target OR o.index >= t.index RETURN DISTINCT source",
    ),
    (
        "layers that belong to no architecture, or to several",
        "MATCH (l:ArchexLayer) WHERE COUNT {(:ArchexArchitecture)-[:HAS_LAYER]->(l)} <> 1 RETURN elementId(l)",
    ),
    (
        "operations that belong to no layer or architecture, or to several",
        "MATCH (o:ArchexOp) WHERE COUNT {()-[:HAS_OP]->(o)} <> 1 RETURN elementId(o)",
    ),
    (
        "operations in another layer than they say",
        "MATCH (n)-[:HAS_OP]->(o:ArchexOp) "
        "WHERE coalesce(o.layer, -2) <> CASE WHEN n:ArchexLayer THEN n.index ELSE -1 END RETURN elementId(o)",
    ),
    (
        "spaces whose architectures are not numbered from 0",
        "MATCH (s:ArchexSpace)-[h:HOLDS]->() WITH s.name AS owner, h.position AS number" + _GAPS,
    ),
    (
        "spaces with another number of architectures than they say, or with one twice",
        "MATCH (s:ArchexSpace) OPTIONAL MATCH (s)-[:HOLDS]->(a:ArchexArchitecture) WITH s, count(a) AS total, "
        "count(DISTINCT a) AS apart WHERE total <> coalesce(s.size, -1) OR apart <> total RETURN s.name",
    ),
    (
        "spaces with vectors of several lengths",
        "MATCH (s:ArchexSpace)-[h:HOLDS]->() WHERE h.embedding IS NOT NULL "
        "WITH s, count(DISTINCT size(h.embedding)) AS lengths WHERE lengths > 1 RETURN s.name",
    ),
    (
        "spaces with neighbours that are not in them",
        "MATCH (a:ArchexArchitecture)-[r:SIMILAR]->(b) "
        "WHERE NOT EXISTS {(a)<-[:HOLDS]-(s:ArchexSpace) WHERE s.name = r.space} "
        "OR NOT EXISTS {(b)<-[:HOLDS]-(s:ArchexSpace) WHERE s.name = r.space} RETURN DISTINCT r.space",
    ),
    (
        "architectures with several neighbours of one rank",
        "MATCH (a:ArchexArchitecture)-[r:SIMILAR]->() WITH a, r.space AS space, r.kernel AS kernel, count(*) AS total, "
        "count(DISTINCT r.rank) AS apart WHERE apart <> total RETURN DISTINCT a.id",
    ),
    (
        "fitted kernels without their space, or with parts missing",
        "MATCH (k:ArchexKernel) WHERE NOT EXISTS {(k)<-[:FITTED]-(s:ArchexSpace) WHERE s.name = k.space} "
        "OR COUNT {(k)-[:HAS_PART]->(:ArchexKernelPart)} <> coalesce(k.parts, -1) RETURN k.space + '/' + k.name",
    ),
    (
        "parts of fitted kernels that belong to no kernel",
        "MATCH (p:ArchexKernelPart) WHERE NOT EXISTS {(:ArchexKernel)-[:HAS_PART]->(p)} RETURN elementId(p)",
    ),
    (
        "scores without their architecture",
        "MATCH (s:ArchexScore) WHERE NOT EXISTS {(s)-[:OF]->(a:ArchexArchitecture) WHERE a.id = s.architecture} "
        "RETURN s.id",
    ),
    (
        "measurements without their architecture",
        "MATCH (m:ArchexMeasurement) WHERE NOT EXISTS {(m)-[:OF]->(a:ArchexArchitecture) WHERE a.id = m.architecture} "
        "RETURN m.architecture + '/' + m.device + '/' + m.quantity",
    ),
    (
        "studies without their space",
        "MATCH (s:ArchexStudy) WHERE NOT EXISTS {MATCH (p:ArchexSpace) WHERE p.name = s.space} RETURN s.name",
    ),
    (
        "studies whose trials are not numbered from 0",
        "MATCH (s:ArchexStudy)-[:RAN]->(t:ArchexTrial) WITH s.name AS owner, t.number AS number" + _GAPS,
    ),
    (
        "trials without their study or architecture",
        "MATCH (t:ArchexTrial) WHERE NOT EXISTS {(t)<-[:RAN]-(s:ArchexStudy) WHERE s.name = t.study} OR NOT EXISTS "
        "{(t)-[:EVALUATES]->(a:ArchexArchitecture) WHERE a.id = t.architecture} "
        "RETURN t.study + '/' + toString(t.number)",
    ),
    (
        "studies in an unknown state",
        f"MATCH (s:ArchexStudy) WHERE NOT coalesce(s.state, '') IN {[state.value for state in StudyState]} "
        "RETURN s.name",
    ),
    (
        "trials in an unknown state",
        f"MATCH (t:ArchexTrial) WHERE NOT coalesce(t.state, '') IN {[state.value for state in TrialStatus]} "
        "RETURN t.study + '/' + toString(t.number)",
    ),
    (
        "jobs in an unknown state",
        f"MATCH (j:ArchexJob) WHERE NOT coalesce(j.state, '') IN {[state.value for state in JobState]} RETURN j.id",
    ),
)


def check_server(server: Server) -> Findings:
    """Check a database of any version. See ``graphstore.maintenance.check``."""
    with _opened(server) as graph:
        if not graph.version:
            return Findings(0, {}, ("the database does not contain a store",))

        def work(db: Statements) -> Findings:
            counts = {}
            for kind, pattern in _COUNTED.items():
                query = migrations.in_version(f"MATCH {pattern} RETURN count(found) AS number", graph.version)
                counts[kind] = int(db.rows(query)[0]["number"])
            problems = (*_layout(db, graph.version), *inconsistencies(db, graph.version))
            return Findings(graph.version, counts, problems)

        return graph.read(work)


def migrate_server(server: Server, say: Callable[[str], None]) -> MigrationReport:
    """Migrate a database to the newest version; if it has the newest, create missing parts of its layout again."""
    with _opened(server) as graph:
        before = graph.version
        if not before:
            raise StoreInputError(
                f"database must hold a store, but got {server.name!r}, which holds none. Name another."
            )
        if before > SCHEMA_VERSION:
            raise StoreVersionError(
                f"version of the store must be at most {SCHEMA_VERSION}, but got {before} in {server.name!r}. "
                "Update this software; the store was not changed."
            )
        for version in range(before + 1, SCHEMA_VERSION + 1):
            say(f"migrating from version {version - 1} to {version}")
        graph.lay_out(before + 1)
        return MigrationReport(server.name, before, SCHEMA_VERSION)


@contextlib.contextmanager
def _opened(server: Server) -> Iterator[Graph]:
    graph = Graph(server.url, server.user, server.password, server.database, any_version=True)
    try:
        yield graph
    finally:
        graph.close()


def _layout(db: Statements, version: int) -> Iterator[str]:
    """Yield the parts of the layout that are missing or not online."""
    if version > SCHEMA_VERSION:
        yield f"the layout's version is {version}, newer than this software knows ({SCHEMA_VERSION}): update it"
    constraints = {row["name"] for row in db.rows("SHOW CONSTRAINTS YIELD name RETURN name")}
    indexes = {row["name"]: row["state"] for row in db.rows("SHOW INDEXES YIELD name, state RETURN name, state")}
    for rule in migrations.rules(min(version, SCHEMA_VERSION)):
        there = rule.name in (constraints if rule.kind == "CONSTRAINT" else indexes)
        if not there:
            yield f"the {rule.kind.lower()} {rule.name} is missing: migrating the store creates it again"
        elif indexes[rule.name] != "ONLINE":
            yield f"the index {rule.name} must be ONLINE, but is {indexes[rule.name]}: wait, or drop it and migrate"
    counters = "MATCH (m:ArchexMeta) WHERE m.topic <> 'schema' RETURN m.topic AS topic, m.revision AS revision"
    topics = db.rows(migrations.in_version(counters, version))
    found = Counter(row["topic"] for row in topics if isinstance(row["revision"], int) and row["revision"] >= 0)
    for topic in TOPICS:
        if found[topic] != 1:
            number = found[topic]
            yield f"counters of changes of {topic} must be 1, but are {number}: migrating the store creates it again"
    identity = "MATCH (m:ArchexMeta {topic: 'schema'}) WHERE m.identity IS :: STRING NOT NULL RETURN m.identity"
    if version > 1 and len(db.rows(migrations.in_version(identity, version))) != 1:
        yield "the store's identity is missing: migrating the store creates it again"


def inconsistencies(db: Statements, version: int = SCHEMA_VERSION) -> Iterator[str]:
    """Yield the problems that constraints cannot prevent."""
    if db.rows("MATCH (m:ArchexMeta {topic: 'schema'}) WHERE m.copying RETURN m.copying"):
        yield UNFINISHED
    # The records of an older version have other properties.
    for problem, query in (*_SEMANTICS, *(properties.queries() if version == SCHEMA_VERSION else ())):
        culprits = [next(iter(row.values())) for row in db.rows(migrations.in_version(query, version))]
        if culprits:
            yield with_examples(problem, culprits)
