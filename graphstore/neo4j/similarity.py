"""Embeddings, neighbours and fitted kernels in Neo4j.

A vector is a property of HOLDS and a neighbour a SIMILAR relation. A kernel's state is cut into byte arrays:
(:Space)-[:FITTED]->(:Kernel {space, name, digest, parameters, parts})-[:HAS_PART]->(:KernelPart {index, data}).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphstore.checks import missing
from graphstore.contract import Progress
from graphstore.library_checks import (
    check_append,
    check_embeddings,
    check_kernel,
    check_length,
    check_members,
    check_neighbors,
)
from graphstore.neo4j.graph import Rows, Statements
from graphstore.neo4j.library import BATCH, add_batch
from graphstore.neo4j.migrations import VECTORS
from graphstore.neo4j.part import Part, members, need_space
from graphstore.records import ArchitectureRecord, Embeddings, KernelRecord, NeighborRecord
from graphstore.vectors import check_point, exact_nearest

STEP = 10_000
"""Neighbours per transaction."""

ROWS = 20_000
"""Vectors, or sources of neighbours, per statement."""

OVERFETCH = 5
"""Candidates from the index per requested vector; the store orders them exactly."""

CANDIDATES = 50
"""Minimum number of candidates. Of 9,312 random vectors, 10 contain 0.97 of the 10 nearest, 50 contain all."""

WALK = 25
"""Number of vectors that a scan reads in the time that the index needs for one candidate (measured)."""

_REPLACE = "MATCH (:ArchexSpace {name: $space})-[h:HOLDS]->(a) SET h.embedding = $vectors[a.id]"

_ADD = (
    "MATCH (:ArchexSpace {name: $space})-[h:HOLDS]->(a) WITH h, $vectors[a.id] AS vector WHERE vector IS NOT NULL "
    "SET h.embedding = vector"
)

_EXTENT = (
    "MATCH (s:ArchexSpace {name: $space}) RETURN s.size AS size, "
    "COLLECT {MATCH (s)-[h:HOLDS]->() WHERE h.embedding IS NOT NULL RETURN size(h.embedding) LIMIT 1}[0] AS length"
)

_FILL = (
    "UNWIND $rows AS row MATCH (:ArchexSpace {name: $space})-[h:HOLDS]->(:ArchexArchitecture {id: row[0]}) "
    "WHERE h.embedding IS NULL SET h.embedding = row[1] RETURN count(*) AS written"
)

_INDEX = (
    "CALL db.index.vector.queryRelationships($index, $asked, $point) YIELD relationship AS h "
    "WITH h, startNode(h) AS s WHERE s:ArchexSpace AND s.name = $space "
    "RETURN endNode(h).id AS id, h.embedding AS vector"
)

_SCAN = (
    "MATCH (:ArchexSpace {name: $space})-[h:HOLDS]->(a) WHERE h.embedding IS NOT NULL "
    "WITH a.id AS id, h.embedding AS vector WITH id, vector, reduce(total = 0.0, i IN range(0, size($point) - 1) | "
    "total + (vector[i] - $point[i]) * (vector[i] - $point[i])) AS distance "
    "ORDER BY distance, id LIMIT $k RETURN id, vector"
)

PART_BYTES = 2**20
"""Bytes of a kernel's state per node; bounds the size of one statement."""

_NEIGHBORS = (
    "MATCH (:ArchexSpace {name: $space}) RETURN COLLECT {"
    "MATCH (:ArchexArchitecture {id: $id})-[r:SIMILAR {space: $space, kernel: $kernel}]->(t) "
    "RETURN [t.id, r.rank, r.dissimilarity] ORDER BY r.rank LIMIT $k} AS rows"
)


class Similarity(Part):
    """Vectors by (space, architecture), neighbours and fitted kernels by (space, kernel)."""

    def put_embeddings(self, space: str, embeddings: Embeddings) -> None:
        """Replace all vectors of a space, in one transaction."""
        vectors = check_embeddings(embeddings)
        parts = [
            dict(zip(embeddings.ids[start : start + ROWS], vectors[start : start + ROWS].tolist(), strict=True))
            for start in range(0, max(len(vectors), 1), ROWS)
        ]

        def work(db: Statements) -> None:
            need_space(db, space)
            check_members("embedding ids", space, embeddings.ids, members(db, space))
            # Scan the whole space once per statement; matching by id may be planned as one scan per id.
            db.rows(_REPLACE, space=space, vectors=parts[0])
            for part in parts[1:]:
                db.rows(_ADD, space=space, vectors=part)
            db.bump("library")

        self._graph.write(["library"], work)

    def embeddings(self, space: str) -> Embeddings:
        """Return all vectors of a space, in its order; of shape ``[0, 0]`` if there are none."""

        def work(db: Statements) -> Embeddings:
            need_space(db, space)
            return _load(db, space)

        # With the topic's lock, because a server applies a commit piece by piece and many vectors take a while.
        return self._graph.write(["library"], work)

    def nearest(self, space: str, vector: NDArray[np.floating[Any]], k: int) -> list[tuple[str, float]]:
        """Return the ``k`` architectures whose vectors are nearest to ``vector`` ``[d]``, with Euclidean distances."""

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
        """Replace all neighbours of a space by one kernel; written in batches, each in one transaction."""
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
            self._graph.write(["library"], lambda db, batch=batch: _relate(db, space, batch))  # type: ignore[misc]
            if progress is not None:
                progress(min(start + STEP, len(given)), len(given))

    def neighbors(self, space: str, id: str, kernel: str, k: int = 10) -> list[NeighborRecord]:
        """Return the stored neighbours of an architecture, by rank; an empty list if it has none."""
        rows = self._graph.ask(_NEIGHBORS, id=id, space=space, kernel=kernel, k=max(k, 0))
        if not rows:
            self._graph.read(lambda db: need_space(db, space))
            return []
        return [NeighborRecord(id, target, kernel, rank, value) for target, rank, value in rows[0]["rows"]]

    def kernels(self, space: str) -> list[str]:
        """Return the names of the kernels that the space has stored neighbours of, sorted."""

        def work(db: Statements) -> list[str]:
            need_space(db, space)
            query = "MATCH (:ArchexArchitecture)-[r:SIMILAR {space: $space}]->() RETURN DISTINCT r.kernel AS kernel"
            return sorted(row["kernel"] for row in db.rows(query, space=space))

        return self._graph.read(work)

    def neighbor_table(self, space: str, kernel: str) -> list[NeighborRecord]:
        """Return all stored neighbours of a space by one kernel, ordered by source id and rank."""

        def work(db: Statements) -> list[NeighborRecord]:
            need_space(db, space)
            ids = sorted(members(db, space))
            query = (
                "MATCH (a:ArchexArchitecture)-[r:SIMILAR {space: $space, kernel: $kernel}]->(b) WHERE a.id IN $ids "
                "RETURN a.id, b.id, r.rank, r.dissimilarity"
            )
            found: list[NeighborRecord] = []
            for start in range(0, len(ids), ROWS):
                rows = db.values(query, space=space, kernel=kernel, ids=ids[start : start + ROWS])
                found += [NeighborRecord(one, other, kernel, rank, value) for one, other, rank, value in rows]
            return sorted(found, key=lambda n: (n.source, n.rank))

        return self._graph.read(work)

    def append_to_library(
        self,
        space: str,
        architectures: Sequence[ArchitectureRecord],
        embeddings: Embeddings,
        neighbors: Sequence[NeighborRecord],
    ) -> int:
        """Add architectures with their vectors and neighbours to a space, in one transaction."""
        vectors = check_append(architectures, embeddings, neighbors)
        ids = list(dict.fromkeys(record.id for record in architectures))

        def work(db: Statements) -> int:
            need_space(db, space)
            extent = db.one(_EXTENT, space=space)
            check_length(space, vectors, extent["length"] if extent else None)
            joined = 0
            for start in range(0, len(architectures), BATCH):
                batch = {record.id: record for record in architectures[start : start + BATCH]}
                joined += add_batch(db, space, batch)
            check_members("neighbours", space, (neighbor.target for neighbor in neighbors), members(db, space))
            rows = [[id, vector] for id, vector in zip(embeddings.ids, vectors.tolist(), strict=True)]
            written = db.rows(_FILL, space=space, rows=rows)[0]["written"]
            held = db.values(
                "MATCH (a:ArchexArchitecture)-[r:SIMILAR {space: $space}]->() WHERE a.id IN $ids "
                "RETURN DISTINCT a.id, r.kernel",
                space=space,
                ids=ids,
            )
            settled = {(id, kernel) for id, kernel in held}
            new = [neighbor for neighbor in neighbors if (neighbor.source, neighbor.kernel) not in settled]
            _relate(db, space, new)
            if written:
                db.bump("library")
            return joined

        return self._graph.write(["library"], work)

    def put_kernel(self, space: str, kernel: KernelRecord, replacing: str | None = None) -> KernelRecord:
        """Store a fitted kernel, by compare-and-set, in one transaction."""
        parameters, digest = check_kernel(kernel), kernel.digest
        starts = range(0, len(kernel.state), PART_BYTES)

        def work(db: Statements) -> bool:
            need_space(db, space)
            stored = db.one(_DIGEST, space=space, name=kernel.name)
            if stored is not None and (stored["digest"] == digest or stored["digest"] != replacing):
                return stored["digest"] == digest
            db.rows(
                "MATCH (s:ArchexSpace {name: $space}) "
                "MERGE (s)-[:FITTED]->(k:ArchexKernel {space: $space, name: $name}) "
                "SET k:Kernel, k.digest = $digest, k.parameters = $parameters, k.parts = $parts "
                "WITH k MATCH (k)-[:HAS_PART]->(p) DETACH DELETE p",
                space=space,
                name=kernel.name,
                digest=digest,
                parameters=parameters,
                parts=len(starts),
            )
            for index, start in enumerate(starts):
                db.rows(
                    "MATCH (k:ArchexKernel {space: $space, name: $name}) "
                    "CREATE (k)-[:HAS_PART]->(:ArchexKernelPart:KernelPart {index: $index, data: $data})",
                    space=space,
                    name=kernel.name,
                    index=index,
                    data=kernel.state[start : start + PART_BYTES],
                )
            db.bump("library")
            return True

        return kernel if self._graph.write(["library"], work) else self.kernel(space, kernel.name)

    def kernel(self, space: str, name: str) -> KernelRecord:
        """Return a fitted kernel."""

        def work(db: Statements) -> tuple[str, KernelRecord]:
            need_space(db, space)
            found = db.one(_DIGEST, space=space, name=name)
            if found is None:
                raise missing("fitted kernel", name, f"Fit it to space {space!r} first.")
            query = (
                "MATCH (:ArchexKernel {space: $space, name: $name})-[:HAS_PART]->(p {index: $index}) "
                "RETURN p.data AS data"
            )
            parts = [db.one(query, space=space, name=name, index=index) for index in range(found["parts"])]
            state = b"".join(bytes(part["data"]) for part in parts if part is not None)
            return found["digest"], KernelRecord(name, json.loads(found["parameters"]), state)

        digest, record = self._graph.read(work)
        if record.digest != digest:
            # The server applies a commit piece by piece, so read once more with the writers locked out.
            _, record = self._graph.write(["library"], work)
        return record

    def fitted_kernels(self, space: str) -> dict[str, str]:
        """Return the digests of the space's fitted kernels by their names, sorted by name; reads no state."""

        def work(db: Statements) -> dict[str, str]:
            need_space(db, space)
            rows = db.values("MATCH (k:ArchexKernel {space: $space}) RETURN k.name, k.digest", space=space)
            return dict(sorted(rows))

        return self._graph.read(work)


_DIGEST = (
    "MATCH (k:ArchexKernel {space: $space, name: $name}) "
    "RETURN k.digest AS digest, k.parameters AS parameters, k.parts AS parts"
)


def _candidates(db: Statements, space: str, size: int, point: NDArray[np.float64], k: int) -> Rows:
    """Return candidates for the ``k`` vectors nearest to ``point`` ``[d]``, of a space with ``size`` architectures.

    The index covers all spaces. It is queried for more vectors until enough of them are in this space, or until a scan
    of the space is not slower.
    """
    wanted = asked = max(OVERFETCH * k, CANDIDATES)
    given = point.tolist()
    with np.errstate(over="ignore"):
        indexable = bool(np.isfinite(point.astype(np.float32)).all())  # the index refuses NaN and inf
    while indexable and asked * WALK <= size:
        rows = db.rows(_INDEX, index=VECTORS, space=space, asked=asked, point=given)
        if len(rows) >= wanted:
            return rows
        asked *= 2
    return db.rows(_SCAN, space=space, point=given, k=k)


def _load(db: Statements, space: str) -> Embeddings:
    rows = db.rows(
        "MATCH (:ArchexSpace {name: $space})-[h:HOLDS]->(a) WHERE h.embedding IS NOT NULL "
        "RETURN a.id AS id, h.embedding AS vector ORDER BY h.position",
        space=space,
    )
    if not rows:
        return Embeddings((), np.zeros((0, 0), dtype=np.float32))
    vectors = np.array([row["vector"] for row in rows], dtype=np.float32)  # [N, d]
    return Embeddings(tuple(row["id"] for row in rows), vectors)


def _forget(db: Statements, space: str, kernel: str) -> int:
    """Delete up to STEP SIMILAR relationships; return their number."""
    (row,) = db.rows(
        "MATCH (:ArchexArchitecture)-[r:SIMILAR {space: $space, kernel: $kernel}]->() WITH r LIMIT $limit DELETE r "
        "RETURN count(*) AS gone",
        space=space,
        kernel=kernel,
        limit=STEP,
    )
    gone: int = row["gone"]
    if gone:
        db.bump("library")
    return gone


def _relate(db: Statements, space: str, batch: list[NeighborRecord]) -> None:
    if not batch:
        return
    db.rows(
        "UNWIND $rows AS row MATCH (a:ArchexArchitecture {id: row[0]}) MATCH (b:ArchexArchitecture {id: row[1]}) "
        "CREATE (a)-[:SIMILAR {space: $space, kernel: row[2], rank: row[3], dissimilarity: row[4]}]->(b)",
        space=space,
        rows=[[n.source, n.target, n.kernel, n.rank, float(n.dissimilarity)] for n in batch],
    )
    db.bump("library")
