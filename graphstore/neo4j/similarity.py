"""Embeddings and stored neighbours in Neo4j: a property of HOLDS, and SIMILAR relations."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphstore.checks import check_embeddings, check_members, check_neighbors
from graphstore.contract import Progress
from graphstore.neo4j.graph import Statements
from graphstore.neo4j.part import Part, members, need_space
from graphstore.records import Embeddings, NeighborRecord
from graphstore.vectors import VectorCache, exact_nearest

STEP = 10_000
"""Neighbours a transaction."""

ROWS = 2_000
"""Vectors a statement."""


class SimilarityPart(Part):
    """Vectors on (space, architecture), neighbours on (space, kernel)."""

    _vectors: VectorCache

    def put_embeddings(self, space: str, embeddings: Embeddings) -> None:
        """Replace the vectors of a space, in one transaction. See the contract."""
        vectors = check_embeddings(embeddings)
        rows = sorted(zip(embeddings.ids, vectors.tolist(), strict=True), key=lambda row: row[0])

        def work(db: Statements) -> None:
            need_space(db, space)
            check_members("embedding ids", space, embeddings.ids, members(db, space))
            db.rows("MATCH (:Space {name: $space})-[h:HOLDS]->() REMOVE h.embedding", space=space)
            for start in range(0, len(rows), ROWS):
                db.rows(
                    "UNWIND $rows AS row MATCH (a:Architecture {id: row[0]})<-[h:HOLDS]-(:Space {name: $space}) "
                    "SET h.embedding = row[1]",
                    space=space,
                    rows=rows[start : start + ROWS],
                )
            db.bump("library")

        self._graph.write(["library"], work)

    def embeddings(self, space: str) -> Embeddings:
        """All vectors of a space, in its order; ``[0, 0]`` if there are none."""

        def work(db: Statements) -> Embeddings:
            need_space(db, space)
            return _load(db, space)

        return self._graph.read(work)

    def nearest(self, space: str, vector: NDArray[np.floating[Any]], k: int) -> list[tuple[str, float]]:
        """The ``k`` nearest by Euclidean distance, ties by id. See the contract."""

        def work(db: Statements) -> tuple[tuple[str, ...], NDArray[np.float64]]:
            need_space(db, space)
            return self._vectors.get(space, db.revision("library"), lambda: _load(db, space))

        ids, vectors = self._graph.read(work)
        return exact_nearest(ids, vectors, vector, k)

    def put_neighbors(
        self, space: str, kernel: str, neighbors: Iterable[NeighborRecord], progress: Progress | None = None
    ) -> None:
        """Replace the space's SIMILAR relations of this kernel, in batches. See the contract."""
        given = sorted(neighbors, key=lambda n: (n.source, n.rank))
        check_neighbors(kernel, given)

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

        def work(db: Statements) -> list[NeighborRecord]:
            need_space(db, space)
            rows = db.rows(
                "MATCH (:Architecture {id: $id})-[r:SIMILAR {space: $space, kernel: $kernel}]->(t) "
                "RETURN t.id AS target, r.rank AS rank, r.dissimilarity AS dissimilarity ORDER BY rank LIMIT $k",
                id=id,
                space=space,
                kernel=kernel,
                k=max(k, 0),
            )
            return [NeighborRecord(id, row["target"], kernel, row["rank"], row["dissimilarity"]) for row in rows]

        return self._graph.read(work)


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
