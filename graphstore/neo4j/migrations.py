"""Layouts of the Neo4j store, one migration after the other; a new store is made by running all of them.

Every rule is idempotent, so an interrupted migration is simply run again; the version is written after its rules. A
migration that was published never changes: what is to be different becomes the next one.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import neo4j
from neo4j.exceptions import ClientError

from graphstore.checks import TOPICS
from graphstore.fields import is_number

VECTORS = "archex_holds_embedding"
"""Name of the index over the vectors of all spaces. Quantization would change the order of what is near."""

INDEX_SECONDS = 600
"""How long to wait until the indexes hold what is there already."""


class Rule(NamedTuple):
    """A constraint or an index: ``CREATE kind name IF NOT EXISTS body``."""

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

MIGRATIONS = (_FIRST, _SECOND, _THIRD)
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
    rows = transaction.run("MATCH (s:Study) WHERE s.spec IS NULL RETURN properties(s) AS facts").data()
    described = []
    for facts in (row["facts"] for row in rows):
        kept = {key: facts[key] for key in ("name", "space", "policy", "objective", "seed", "budget")}
        spec = json.dumps({"version": 1, **kept, "settings": json.loads(facts["settings"])}, separators=(",", ":"))
        described.append(study_facts(facts["name"], facts["space"], spec, facts["state"], facts["created"]))
    query = "UNWIND $rows AS row MATCH (s:Study {name: row.name}) SET s = row"
    transaction.run(query, rows=sorted(described, key=lambda row: str(row["name"]))).consume()


_CONVERSIONS: dict[int, Callable[[neo4j.ManagedTransaction], None]] = {3: _third}
"""Changes of the nodes after the rules of a migration, by the version it leads to; each can be repeated."""


def rules(version: int) -> list[Rule]:
    """The constraints and indexes that a store of ``version`` has."""
    return [rule for step in MIGRATIONS[:version] for rule in step]


def apply(session: neo4j.Session, first: int, last: int) -> None:
    """Take the migrations ``first`` to ``last``; to be repeated after an interruption.

    The version is written last: a store that states one has all of it.
    """
    for step in MIGRATIONS[first - 1 : last]:
        for rule in step:
            try:
                session.execute_write(_create, rule)
            except ClientError as error:
                # IF NOT EXISTS does not see what another process is just making.
                if error.code != "Neo.ClientError.Schema.EquivalentSchemaRuleAlreadyExists":
                    raise
    session.run("CALL db.awaitIndexes($seconds)", seconds=INDEX_SECONDS).consume()
    for version in range(first, last + 1):
        if version in _CONVERSIONS:
            session.execute_write(_CONVERSIONS[version])
    session.execute_write(write_version, last)


def _create(transaction: neo4j.ManagedTransaction, rule: Rule) -> None:
    transaction.run(f"CREATE {rule.kind} {rule.name} IF NOT EXISTS {rule.body}").consume()


def write_version(transaction: neo4j.ManagedTransaction, version: int) -> None:
    """State the version, and make the counters of changes and the store's identity where they are missing.

    A counter that was lost begins at the time in milliseconds, above all it can have counted: caches keep by it what
    they read at a lower one.
    """
    counters = (
        "OPTIONAL MATCH (s:Meta {topic: 'schema'}) WITH CASE WHEN s IS NULL THEN 0 ELSE timestamp() END AS first "
        "UNWIND $topics AS topic MERGE (m:Meta {topic: topic}) SET m.locked = true "
        "WITH m, first WHERE m.revision IS NULL SET m.revision = first"
    )
    transaction.run(counters, topics=sorted(TOPICS)).consume()
    # Another process may be one version ahead already. Read the old values after the first SET, which waits for it.
    raised = (
        "MERGE (m:Meta {topic: 'schema'}) SET m.locked = true "
        "WITH m SET m.version = CASE WHEN coalesce(m.version, 0) < $version THEN $version ELSE m.version END, "
        "m.identity = coalesce(m.identity, randomUUID())"
    )
    transaction.run(raised, version=version).consume()
