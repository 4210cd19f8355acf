"""What the parts of the Neo4j store share: the connection, and checks of names inside a transaction."""

from __future__ import annotations

from collections.abc import Collection

from graphstore.checks import check_known_architectures, missing
from graphstore.neo4j.graph import Graph, Statements


class Part:
    """Base of the store's parts; the store itself sets the graph."""

    _graph: Graph


def need_space(db: Statements, name: str) -> None:
    """Raise NotFoundError unless the space is there."""
    if not db.rows("MATCH (s:Space {name: $name}) RETURN 1 AS found", name=name):
        raise missing("space", name, "Build one with `archex space build nano`, or see `archex space count`.")


def known_architectures(db: Statements, ids: Collection[str]) -> set[str]:
    """The ids among ``ids`` that are in the store."""
    query = "MATCH (a:Architecture) WHERE a.id IN $ids RETURN a.id AS id"
    return {row["id"] for row in db.rows(query, ids=sorted(ids))}


def need_architectures(db: Statements, ids: Collection[str]) -> None:
    """Raise NotFoundError unless all are in the store."""
    check_known_architectures(ids, known_architectures(db, ids))


def members(db: Statements, space: str) -> list[str]:
    """Ids of a space's architectures, in its order."""
    query = "MATCH (:Space {name: $space})-[h:HOLDS]->(a) RETURN a.id AS id ORDER BY h.position"
    return [row["id"] for row in db.rows(query, space=space)]
