"""The connection that the parts of the Neo4j store share, and checks of names inside a transaction."""

from __future__ import annotations

from collections.abc import Collection

from graphstore.checks import check_known_architectures, missing
from graphstore.errors import Code
from graphstore.neo4j.graph import Graph, Statements


class Part:
    """Base class of the parts; the store sets the graph."""

    _graph: Graph


def need_space(db: Statements, name: str) -> None:
    """Raise NotFoundError unless the space exists."""
    if not db.rows("MATCH (s:ArchexSpace {name: $name}) RETURN 1 AS found", name=name):
        raise missing("space", name, code=Code.UNKNOWN_SPACE)


def known_architectures(db: Statements, ids: Collection[str]) -> set[str]:
    """Return the ids among ``ids`` that are in the store."""
    query = "MATCH (a:ArchexArchitecture) WHERE a.id IN $ids RETURN a.id AS id"
    return {row["id"] for row in db.rows(query, ids=sorted(ids))}


def need_architectures(db: Statements, ids: Collection[str]) -> None:
    """Raise NotFoundError unless all are in the store."""
    check_known_architectures(ids, known_architectures(db, ids))


def members(db: Statements, space: str) -> list[str]:
    """Return the ids of a space's architectures, in its order."""
    query = "MATCH (:ArchexSpace {name: $space})-[h:HOLDS]->(a) RETURN a.id AS id ORDER BY h.position"
    return [row["id"] for row in db.rows(query, space=space)]
