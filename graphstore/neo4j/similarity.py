"""Embeddings and stored neighbours in Neo4j: a property of HOLDS, and SIMILAR relations."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphstore.checks import check_embeddings, check_members, check_neighbors
from graphstore.contract import Progress
from graphstore.neo4j.graph import Rows, Statements
from graphstore.neo4j.migrations import VECTORS
from graphstore.neo4j.part import Part, members, need_space
from graphstore.records import Embeddings, NeighborRecord
from graphstore.vectors import check_point, exact_nearest

STEP = 10_000
"""Neighbours a transaction."""

ROWS = 20_000
"""Vectors a statement."""

OVERFETCH = 5
"""Candidates the index gives for each vector asked for; they are put in exact order here."""

CANDIDATES = 50
"""Least number of candidates. Of 9,312 random vectors, 10 hold 0.97 of the 10 nearest, 50 hold all."""

WALK = 25
"""So many vectors of a space are walked in the time in which the index gives one candidate (measured)."""

_REPLACE = "MATCH (:Space {name: $space})-[h:HOLDS]->(a) SET h.embedding = $vectors[a.id]"

_ADD = (
    "MATCH (:Space {name: $space})-[h:HOLDS]->(a) WITH h, $vectors[a.id] AS vector WHERE vector IS NOT NULL "
    "SET h.embedding = vector"
)

_EXTENT = (
    "MATCH (s:Space {name: $space}) RETURN s.size AS size, "
    "COLLECT {MATCH (s)-[h:HOLDS]->() WHERE h.embedding IS NOT NULL RETURN size(h.embedding) LIMIT 1}[0] AS length"
)

_INDEX = (
    "CALL db.index.vector.queryRelationships($index, $asked, $point) YIELD relationship AS h "
    "WITH h WHERE startNode(h).name = $space RETURN endNode(h).id AS id, h.embedding AS vector"
)

_SCAN = (
    "MATCH (:Space {name: $space})-[h:HOLDS]->(a) WHERE h.embedding IS NOT NULL "
    "WITH a.id AS id, h.embedding AS vector WITH id, vector, reduce(total = 0.0, i IN range(0, size($point) - 1) | "
    "total + (vector[i] - $point[i]) * (vector[i] - $point[i])) AS distance "
    "ORDER BY distance, id LIMIT $k RETURN id, vector"
)

_NEIGHBORS = (
    "MATCH (:Space {name: $space}) RETURN COLLECT {"
    "MATCH (:Architecture {id: $id})-[r:SIMILAR {space: $space, kernel: $kernel}]->(t) "
    "RETURN [t.id, r.rank, r.dissimilarity] ORDER BY r.rank LIMIT $k} AS rows"
)


class SimilarityPart(Part):
    """Vectors on (space, architecture), neighbours on (space, kernel)."""

    def put_embeddings(self, space: str, embeddings: Embeddings) -> None:
        """Replace the vectors of a space, in one transaction. See the contract."""
        vectors = check_embeddings(embeddings)
        parts = [
            dict(zip(embeddings.ids[start : start + ROWS], vectors[start : start + ROWS].tolist(), strict=True))
            for start in range(0, max(len(vectors), 1), ROWS)
        ]

        def work(db: Statements) -> None:
            need_space(db, space)
            check_members("embedding ids", space, embeddings.ids, members(db, space))
            # The whole space is walked once a statement: matching by id may be planned as a walk of it for each id.
            db.rows(_REPLACE, space=space, vectors=parts[0])
            for part in parts[1:]:
                db.rows(_ADD, space=space, vectors=part)
            db.bump("library")

        self._graph.write(["library"], work)

    def embeddings(self, space: str) -> Embeddings:
        """All vectors of a space, in its order; ``[0, 0]`` if there are none."""

        def work(db: Statements) -> Embeddings:
            need_space(db, space)
            return _load(db, space)

        # With the topic's lock: a server applies a commit piece by piece, and that of many vectors takes a while.
        return self._graph.write(["library"], work)

    def nearest(self, space: str, vector: NDArray[np.floating[Any]], k: int) -> list[tuple[str, float]]:
        """The ``k`` nearest by Euclidean distance, ties by id. See the contract."""

        def work(db: Statements) -> list[tuple[str, float]]:
            extent = db.one(_EXTENT, space=space)
            if extent is None:
                need_space(db, space)
            if extent is None or extent["length"] is None or k < 1:
                return []
            point = check_point(vector, extent["length"])
            rows = _candidates(db, space, extent["size"], point, k)
            vectors = np.array([row["vector"] for row in rows], dtype=np.float64)  # [C, d]
            return exact_nearest([row["id"] for row in rows], vectors, point, k)

        return self._graph.read(work)

    def put_neighbors(
        self, space: str, kernel: str, neighbors: Iterable[NeighborRecord], progress: Progress | None = None
    ) -> None:
        """Replace the space's SIMILAR relations of this kernel, in batches. See the contract."""
        given = list(neighbors)
        check_neighbors(kernel, given)
        given.sort(key=lambda n: (n.source, n.rank))

        def check(db: Statements) -> None:
            need_space(db, space)
            check_members("neighbours", space, (id for n in given for id in (n.source, n.target)), members(db, space))

        self._graph.read(check)
        while self._graph.write(["library"], lambda db: _forget(db, space, kernel)):
            pass
        for start in range(0, len(given), STEP):
            batch = given[start : start + STEP]
            self._graph.write(["library"], lambda db, batch=batch: _relate(db, space, kernel, batch))  # type: ignore[misc]
            if progress is not None:
                progress(min(start + STEP, len(given)), len(given))

    def neighbors(self, space: str, id: str, kernel: str, k: int = 10) -> list[NeighborRecord]:
        """The stored neighbours of an architecture, by rank. Empty if it has none."""
        rows = self._graph.ask(_NEIGHBORS, id=id, space=space, kernel=kernel, k=max(k, 0))
        if not rows:
            self._graph.read(lambda db: need_space(db, space))
            return []
        return [NeighborRecord(id, target, kernel, rank, value) for target, rank, value in rows[0]["rows"]]


def _candidates(db: Statements, space: str, size: int, point: NDArray[np.float64], k: int) -> Rows:
    """What may be among the ``k`` vectors nearest to ``point`` ``[d]``, of a space with ``size`` architectures.

    The index knows no spaces: it is asked for more until enough of what it names lies in this one, or until walking
    the space takes no longer.
    """
    wanted = asked = max(OVERFETCH * k, CANDIDATES)
    given = point.tolist()
    with np.errstate(over="ignore"):
        indexable = bool(np.isfinite(point.astype(np.float32)).all())  # the index refuses what is not
    while indexable and asked * WALK <= size:
        rows = db.rows(_INDEX, index=VECTORS, space=space, asked=asked, point=given)
        if len(rows) >= wanted:
            return rows
        asked *= 2
    return db.rows(_SCAN, space=space, point=given, k=k)


def _load(db: Statements, space: str) -> Embeddings:
    rows = db.rows(
        "MATCH (:Space {name: $space})-[h:HOLDS]->(a) WHERE h.embedding IS NOT NULL "
        "RETURN a.id AS id, h.embedding AS vector ORDER BY h.position",
        space=space,
    )
    if not rows:
        return Embeddings((), np.zeros((0, 0), dtype=np.float32))
    vectors = np.array([row["vector"] for row in rows], dtype=np.float32)  # [N, d]
    return Embeddings(tuple(row["id"] for row in rows), vectors)


def _forget(db: Statements, space: str, kernel: str) -> int:
    """Delete up to a step of SIMILAR relations; returns how many."""
    (row,) = db.rows(
        "MATCH ()-[r:SIMILAR {space: $space, kernel: $kernel}]->() WITH r LIMIT $limit DELETE r "
        "RETURN count(*) AS gone",
        space=space,
        kernel=kernel,
        limit=STEP,
    )
    gone: int = row["gone"]
    if gone:
        db.bump("library")
    return gone


def _relate(db: Statements, space: str, kernel: str, batch: list[NeighborRecord]) -> None:
    db.rows(
        "UNWIND $rows AS row MATCH (a:Architecture {id: row[0]}) MATCH (b:Architecture {id: row[1]}) "
        "CREATE (a)-[:SIMILAR {space: $space, kernel: $kernel, rank: row[2], dissimilarity: row[3]}]->(b)",
        space=space,
        kernel=kernel,
        rows=[[n.source, n.target, n.rank, float(n.dissimilarity)] for n in batch],
    )
    db.bump("library")
