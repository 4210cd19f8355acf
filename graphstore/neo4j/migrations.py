"""Layouts of the Neo4j store, one migration after the other; a new store gets what is left of all of them.

Every rule is idempotent, so an interrupted migration is simply run again; the version is written after its rules. A
migration that was published never changes: what is to be different becomes the next one.

Since version 4 each node of the store has, next to its plain label such as ``Study``, a label of its own:
``ArchexStudy``. All statements and constraints use the latter, so nodes of other programs in the database, whatever
their labels and properties, are neither read nor in the way.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import neo4j
from neo4j.exceptions import ClientError, TransientError

from graphstore.checks import TOPICS
from graphstore.fields import is_number

VECTORS = "archex_holds_embedding"
"""Name of the index over the vectors of all spaces. Quantization would change the order of what is near."""

INDEX_SECONDS = 600
"""How long to wait until the indexes hold what is there already."""


PREFIX = "Archex"
"""Beginning of the labels that only nodes of the store have."""

MARKED = 4
"""First version whose nodes have these labels."""

BATCH = 10_000
"""Nodes per transaction in a migration."""

ATTEMPTS = 10
"""How often a step of a migration is tried if it deadlocks with the same step of another process."""


class Rule(NamedTuple):
    """A constraint or an index: ``CREATE kind name IF NOT EXISTS body``; without a body, one that is dropped."""

    kind: str
    name: str
    body: str


_FIRST = (
    Rule("CONSTRAINT", "archex_meta", "FOR (n:Meta) REQUIRE n.topic IS UNIQUE"),
    Rule("CONSTRAINT", "archex_space", "FOR (n:Space) REQUIRE n.name IS UNIQUE"),
    Rule("CONSTRAINT", "archex_architecture", "FOR (n:Architecture) REQUIRE n.id IS UNIQUE"),
    Rule("CONSTRAINT", "archex_score", "FOR (n:Score) REQUIRE n.id IS UNIQUE"),
    Rule(
        "CONSTRAINT",
        "archex_measurement",
        "FOR (n:Measurement) REQUIRE (n.architecture, n.device, n.quantity) IS UNIQUE",
    ),
    Rule("CONSTRAINT", "archex_study", "FOR (n:Study) REQUIRE n.name IS UNIQUE"),
    Rule("CONSTRAINT", "archex_trial", "FOR (n:Trial) REQUIRE (n.study, n.number) IS UNIQUE"),
    Rule("CONSTRAINT", "archex_trial_architecture", "FOR (n:Trial) REQUIRE (n.study, n.architecture) IS UNIQUE"),
    Rule("CONSTRAINT", "archex_job", "FOR (n:Job) REQUIRE n.id IS UNIQUE"),
    Rule("INDEX", "archex_score_task", "FOR (n:Score) ON (n.task, n.value)"),
    Rule("INDEX", "archex_similar", "FOR ()-[r:SIMILAR]-() ON (r.space, r.kernel)"),
)

_SECOND = (
    Rule("INDEX", "archex_inherited", "FOR ()-[r:INHERITED]-() ON (r.run)"),
    Rule("INDEX", "archex_parameters", "FOR (n:Architecture) ON (n.parameters)"),
    Rule(
        "VECTOR INDEX",
        VECTORS,
        "FOR ()-[r:HOLDS]-() ON (r.embedding) OPTIONS {indexConfig: "
        "{`vector.similarity_function`: 'euclidean', `vector.quantization.enabled`: false}}",
    ),
)

_THIRD = (Rule("CONSTRAINT", "archex_kernel", "FOR (n:Kernel) REQUIRE (n.space, n.name) IS UNIQUE"),)

_FOURTH = (
    *(Rule(rule.kind, rule.name, "") for rule in (*_FIRST, *_SECOND, *_THIRD) if rule.body.startswith("FOR (n:")),
    Rule("CONSTRAINT", "archex_meta_topic", "FOR (n:ArchexMeta) REQUIRE n.topic IS UNIQUE"),
    Rule("CONSTRAINT", "archex_space_name", "FOR (n:ArchexSpace) REQUIRE n.name IS UNIQUE"),
    Rule("CONSTRAINT", "archex_architecture_id", "FOR (n:ArchexArchitecture) REQUIRE n.id IS UNIQUE"),
    Rule("CONSTRAINT", "archex_score_id", "FOR (n:ArchexScore) REQUIRE n.id IS UNIQUE"),
    Rule(
        "CONSTRAINT",
        "archex_measurement_key",
        "FOR (n:ArchexMeasurement) REQUIRE (n.architecture, n.device, n.quantity) IS UNIQUE",
    ),
    Rule("CONSTRAINT", "archex_study_name", "FOR (n:ArchexStudy) REQUIRE n.name IS UNIQUE"),
    Rule("CONSTRAINT", "archex_trial_number", "FOR (n:ArchexTrial) REQUIRE (n.study, n.number) IS UNIQUE"),
    Rule("CONSTRAINT", "archex_trial_evaluates", "FOR (n:ArchexTrial) REQUIRE (n.study, n.architecture) IS UNIQUE"),
    Rule("CONSTRAINT", "archex_job_id", "FOR (n:ArchexJob) REQUIRE n.id IS UNIQUE"),
    Rule("CONSTRAINT", "archex_kernel_name", "FOR (n:ArchexKernel) REQUIRE (n.space, n.name) IS UNIQUE"),
    Rule("INDEX", "archex_score_value", "FOR (n:ArchexScore) ON (n.task, n.value)"),
    Rule("INDEX", "archex_architecture_parameters", "FOR (n:ArchexArchitecture) ON (n.parameters)"),
)

_FIFTH: tuple[Rule, ...] = ()
"""Scores may have ``majority`` and ``chance``, which a program of version 4 could not read."""

MIGRATIONS = (_FIRST, _SECOND, _THIRD, _FOURTH, _FIFTH)
"""The first is what version 1 has; each further one leads from the version before it to the next."""


def study_facts(name: str, space: str, spec: str, state: str, created: float) -> dict[str, Any]:
    """Return the properties of a study's node.

    The texts and numbers that the description (JSON text) holds by a name, such as ``policy`` and ``budget``, are
    properties of their own too, so that Cypher can read them.
    """
    plain = {key: value for key, value in json.loads(spec).items() if isinstance(value, str) or is_number(value)}
    return {**plain, "name": name, "space": space, "spec": spec, "state": state, "created": float(created)}


def _third(transaction: neo4j.ManagedTransaction) -> None:
    """Move what describes a study into one JSON document, version 1 of that document: the old properties as they were.

    Studies that have a document stay as they are.
    """
    # Only a study of the store has settings; other programs may have nodes with this label.
    query = "MATCH (s:Study) WHERE s.spec IS NULL AND s.settings IS NOT NULL RETURN properties(s) AS facts"
    rows = transaction.run(query).data()
    described = []
    for facts in (row["facts"] for row in rows):
        kept = {key: facts[key] for key in ("name", "space", "policy", "objective", "seed", "budget")}
        spec = json.dumps({"version": 1, **kept, "settings": json.loads(facts["settings"])}, separators=(",", ":"))
        described.append(study_facts(facts["name"], facts["space"], spec, facts["state"], facts["created"]))
    query = "UNWIND $rows AS row MATCH (s:Study {name: row.name}) SET s = row"
    transaction.run(query, rows=sorted(described, key=lambda row: str(row["name"]))).consume()


_OWN = {
    "Space": ("name", "info"),
    "Architecture": ("id", "spec", "parameters", "flops"),
    "Layer": ("index", "family", "parameter", "hidden"),
    "Op": ("index", "kind", "label"),
    "Score": ("id", "architecture", "task", "metric"),
    "Measurement": ("architecture", "device", "quantity"),
    "Study": ("name", "space", "spec"),
    "Trial": ("study", "number", "architecture", "token"),
    "Job": ("id", "kind", "host", "heartbeat"),
    "Kernel": ("space", "name", "digest"),
    "KernelPart": ("index", "data"),
}
"""Properties that every node of the store has, by its plain label; nodes of other programs lack some of them."""


def _fourth(session: neo4j.Session) -> None:
    """Give the nodes of the store their own labels; first the counters, so that older programs can write no more.

    Those find no counter with the label ``Meta``, and refuse. The node with the version keeps that label, so that they
    say on opening that the store is newer.
    """

    def counters(transaction: neo4j.ManagedTransaction) -> None:
        # Wait for another process that does the same.
        stated = "MATCH (m:Meta {topic: 'schema'}) WHERE m.version IN range(1, $version - 1) "
        transaction.run(stated + "SET m.locked = true", version=MARKED).consume()
        # An interrupted migration leaves version 3, whose program makes the counters that it misses again.
        query = (
            "MATCH (m:Meta) WHERE m.topic IN $topics AND m.revision IS NOT NULL AND NOT m:ArchexMeta "
            "OPTIONAL MATCH (kept:ArchexMeta {topic: m.topic}) WHERE kept <> m "
            "FOREACH (_ IN CASE WHEN kept IS NULL THEN [1] ELSE [] END | SET m:ArchexMeta) "
            "FOREACH (_ IN CASE WHEN kept IS NULL THEN [] ELSE [1] END | "
            "SET kept.revision = kept.revision + m.revision DETACH DELETE m)"
        )
        transaction.run(query, topics=sorted(TOPICS)).consume()
        transaction.run("MATCH (m:ArchexMeta) WHERE m.topic IN $topics REMOVE m:Meta", topics=sorted(TOPICS)).consume()
        transaction.run(stated + "SET m:ArchexMeta", version=MARKED).consume()

    session.execute_write(counters)
    for label, properties in _OWN.items():
        held = " AND ".join(f"n.`{name}` IS NOT NULL" for name in properties)
        query = (
            f"MATCH (n:{label}) WHERE NOT n:{PREFIX}{label} AND {held} "
            f"CALL (n) {{ SET n:{PREFIX}{label} }} IN TRANSACTIONS OF {BATCH} ROWS"
        )
        _run_alone(session, query)


def _run_alone(session: neo4j.Session, query: str) -> None:
    """Run a statement that commits by itself; the driver does not repeat it after a deadlock."""
    for attempt in range(ATTEMPTS):
        try:
            session.run(query).consume()
            return
        except TransientError:
            if attempt == ATTEMPTS - 1:
                raise


_CONVERSIONS: dict[int, Callable[[neo4j.Session], None]] = {
    3: lambda session: session.execute_write(_third),
    4: _fourth,
}
"""Changes of the nodes after the rules of a migration, by the version it leads to; each can be repeated."""


def in_version(query: str, version: int) -> str:
    """Return a query with the labels that the nodes have in a version of the layout."""
    return query if version >= MARKED else query.replace(f":{PREFIX}", ":")


def rules(version: int) -> list[Rule]:
    """The constraints and indexes that a store of ``version`` has."""
    held: dict[str, Rule] = {}
    for rule in (rule for step in MIGRATIONS[:version] for rule in step):
        if rule.body:
            held[rule.name] = rule
        else:
            held.pop(rule.name)
    return list(held.values())


def apply(session: neo4j.Session, first: int, last: int) -> None:
    """Take the migrations ``first`` to ``last``; to be repeated after an interruption.

    For a new store ``first`` is behind ``last``. Constraints and indexes that the last version does not have are not
    made on the way, and dropped at the end. The version is written last: a store that states one has all of it.
    """
    for rule in rules(last):
        try:
            session.execute_write(_change, f"CREATE {rule.kind} {rule.name} IF NOT EXISTS {rule.body}")
        except ClientError as error:
            # IF NOT EXISTS does not see what another process is just making.
            if error.code != "Neo.ClientError.Schema.EquivalentSchemaRuleAlreadyExists":
                raise
    session.run("CALL db.awaitIndexes($seconds)", seconds=INDEX_SECONDS).consume()
    for version in range(first, last + 1):
        if version in _CONVERSIONS:
            _CONVERSIONS[version](session)
    for rule in (rule for step in MIGRATIONS[:last] for rule in step if not rule.body):
        session.execute_write(_change, f"DROP {rule.kind} {rule.name} IF EXISTS")
    session.execute_write(write_version, last)


def _change(transaction: neo4j.ManagedTransaction, statement: str) -> None:
    transaction.run(statement).consume()


def write_version(transaction: neo4j.ManagedTransaction, version: int) -> None:
    """State the version, and make the counters of changes and the store's identity where they are missing.

    A counter that was lost begins at the time in milliseconds, above all it can have counted: caches keep by it what
    they read at a lower one.
    """
    counters = (
        "OPTIONAL MATCH (s:ArchexMeta {topic: 'schema'}) "
        "WITH CASE WHEN s IS NULL THEN 0 ELSE timestamp() END AS first "
        "UNWIND $topics AS topic MERGE (m:ArchexMeta {topic: topic}) SET m.locked = true "
        "WITH m, first WHERE m.revision IS NULL SET m.revision = first"
    )
    transaction.run(counters, topics=sorted(TOPICS)).consume()
    # Another process may be one version ahead already. Read the old values after the first SET, which waits for it.
    raised = (
        "MERGE (m:ArchexMeta {topic: 'schema'}) SET m:Meta, m.locked = true "
        "WITH m SET m.version = CASE WHEN coalesce(m.version, 0) < $version THEN $version ELSE m.version END, "
        "m.identity = coalesce(m.identity, randomUUID())"
    )
    transaction.run(raised, version=version).consume()
