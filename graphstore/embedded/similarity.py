"""Vectors, neighbours and fitted kernels in the SQLite file."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphstore.checks import missing
from graphstore.contract import Progress
from graphstore.embedded.database import bump, revision_of, write_many
from graphstore.embedded.library import add_batch
from graphstore.embedded.part import Part, member_keys, space_key
from graphstore.library_checks import (
    check_append,
    check_embeddings,
    check_kernel,
    check_length,
    check_members,
    check_neighbors,
)
from graphstore.records import ArchitectureRecord, Embeddings, KernelRecord, NeighborRecord
from graphstore.vectors import VectorCache, exact_nearest

STEP = 20_000
"""Neighbours between two reports of progress."""


class Similarity(Part):
    """Vectors by (space, architecture), neighbours and fitted kernels by (space, kernel)."""

    _vectors: VectorCache

    def put_embeddings(self, space: str, embeddings: Embeddings) -> None:
        """Replace all vectors of a space, in one transaction."""
        vectors = check_embeddings(embeddings).astype("<f4")
        with self._database.writing() as db:
            key = space_key(db, space)
            keys = member_keys(db, key)
            check_members("embedding ids", space, embeddings.ids, keys)
            db.execute("UPDATE holds SET embedding = NULL WHERE space = ? AND embedding IS NOT NULL", (key,))
            write_many(
                db,
                "UPDATE holds SET embedding = ? WHERE space = ? AND architecture = ?",
                ((vector.tobytes(), key, keys[id]) for id, vector in zip(embeddings.ids, vectors, strict=True)),
            )
            bump(db, "library")

    def embeddings(self, space: str) -> Embeddings:
        """Return all vectors of a space, in its order; of shape ``[0, 0]`` if there are none."""
        with self._database.reading() as db:
            return _load(db, space_key(db, space))

    def nearest(self, space: str, vector: NDArray[np.floating[Any]], k: int) -> list[tuple[str, float]]:
        """Return the ``k`` architectures whose vectors are nearest to ``vector`` ``[d]``, with Euclidean distances."""
        with self._database.reading() as db:
            key = space_key(db, space)
            ids, vectors = self._vectors.get(space, revision_of(db, "library"), lambda: _load(db, key))
        return exact_nearest(ids, vectors, vector, k)

    def put_neighbors(
        self, space: str, kernel: str, neighbors: Iterable[NeighborRecord], progress: Progress | None = None
    ) -> None:
        """Replace all neighbours of a space by one kernel; written in batches, each in one transaction."""
        given = list(neighbors)
        check_neighbors(kernel, given)
        with self._database.writing() as db:
            key = space_key(db, space)
            keys = member_keys(db, key)
            check_members("neighbours", space, (id for n in given for id in (n.source, n.target)), keys)
            db.execute("DELETE FROM similar WHERE space = ? AND kernel = ?", (key, kernel))
            for start in range(0, len(given), STEP):
                write_many(
                    db,
                    "INSERT INTO similar VALUES (?, ?, ?, ?, ?, ?)",
                    (
                        (key, kernel, keys[n.source], n.rank, keys[n.target], n.dissimilarity)
                        for n in given[start : start + STEP]
                    ),
                )
                if progress is not None:
                    progress(min(start + STEP, len(given)), len(given))
            bump(db, "library")

    def neighbors(self, space: str, id: str, kernel: str, k: int = 10) -> list[NeighborRecord]:
        """Return the stored neighbours of an architecture, by rank; an empty list if it has none."""
        with self._database.reading() as db:
            rows = db.execute(
                "SELECT t.id, n.rank, n.dissimilarity FROM similar n JOIN architecture t ON t.key = n.target "
                "WHERE n.space = ? AND n.kernel = ? AND n.source = (SELECT key FROM architecture WHERE id = ?) "
                "ORDER BY n.rank LIMIT ?",
                (space_key(db, space), kernel, id, max(k, 0)),
            ).fetchall()
        return [NeighborRecord(id, target, kernel, rank, dissimilarity) for target, rank, dissimilarity in rows]

    def kernels(self, space: str) -> list[str]:
        """Return the names of the kernels that the space has stored neighbours of, sorted."""
        with self._database.reading() as db:
            query = "SELECT DISTINCT kernel FROM similar WHERE space = ? ORDER BY kernel"
            return [kernel for (kernel,) in db.execute(query, (space_key(db, space),))]

    def neighbor_table(self, space: str, kernel: str) -> list[NeighborRecord]:
        """Return all stored neighbours of a space by one kernel, ordered by source id and rank."""
        with self._database.reading() as db:
            rows = db.execute(
                "SELECT s.id, t.id, n.rank, n.dissimilarity FROM similar n JOIN architecture s ON s.key = n.source "
                "JOIN architecture t ON t.key = n.target WHERE n.space = ? AND n.kernel = ? ORDER BY s.id, n.rank",
                (space_key(db, space), kernel),
            )
            return [NeighborRecord(source, target, kernel, rank, value) for source, target, rank, value in rows]

    def append_to_library(
        self,
        space: str,
        architectures: Sequence[ArchitectureRecord],
        embeddings: Embeddings,
        neighbors: Sequence[NeighborRecord],
    ) -> int:
        """Add architectures with their vectors and neighbours to a space, in one transaction."""
        vectors = check_append(architectures, embeddings, neighbors).astype("<f4")
        with self._database.writing() as db:
            key = space_key(db, space)
            stored = db.execute(
                "SELECT length(embedding) / 4 FROM holds WHERE space = ? AND embedding IS NOT NULL LIMIT 1", (key,)
            ).fetchone()
            check_length(space, vectors, stored[0] if stored else None)
            joined = add_batch(db, key, {record.id: record for record in architectures})
            keys = member_keys(db, key)
            check_members("neighbours", space, (neighbor.target for neighbor in neighbors), keys)
            written = write_many(
                db,
                "UPDATE holds SET embedding = ? WHERE space = ? AND architecture = ? AND embedding IS NULL",
                ((vector.tobytes(), key, keys[id]) for id, vector in zip(embeddings.ids, vectors, strict=True)),
            )
            held = set(
                db.execute(
                    "SELECT DISTINCT source, kernel FROM similar WHERE space = ? "
                    "AND source IN (SELECT value FROM json_each(?))",
                    (key, json.dumps([keys[record.id] for record in architectures])),
                )
            )
            written += write_many(
                db,
                "INSERT INTO similar VALUES (?, ?, ?, ?, ?, ?)",
                (
                    (key, n.kernel, keys[n.source], n.rank, keys[n.target], n.dissimilarity)
                    for n in neighbors
                    if (keys[n.source], n.kernel) not in held
                ),
            )
            if written:
                bump(db, "library")
        return joined

    def put_kernel(self, space: str, kernel: KernelRecord, replacing: str | None = None) -> KernelRecord:
        """Store a fitted kernel, by compare-and-set, in one transaction."""
        parameters = check_kernel(kernel)
        with self._database.writing() as db:
            key = space_key(db, space)
            changed = db.execute(
                "INSERT INTO kernel (space, name, digest, parameters, state) VALUES (?, ?, ?, ?, ?) "
                "ON CONFLICT (space, name) DO UPDATE SET digest = excluded.digest, parameters = excluded.parameters, "
                "state = excluded.state WHERE digest = ? AND digest <> excluded.digest",
                (key, kernel.name, kernel.digest, parameters, kernel.state, replacing),
            ).rowcount
            if changed:
                bump(db, "library")
                return kernel
            return _kernel(db, key, kernel.name) or kernel

    def kernel(self, space: str, name: str) -> KernelRecord:
        """Return a fitted kernel."""
        with self._database.reading() as db:
            found = _kernel(db, space_key(db, space), name)
        if found is None:
            raise missing("fitted kernel", name, f"Fit it to space {space!r} first.")
        return found

    def fitted_kernels(self, space: str) -> dict[str, str]:
        """Return the digests of the space's fitted kernels by their names, sorted by name; reads no state."""
        with self._database.reading() as db:
            query = "SELECT name, digest FROM kernel WHERE space = ? ORDER BY name"
            return dict(db.execute(query, (space_key(db, space),)))


def _kernel(db: sqlite3.Connection, space: int, name: str) -> KernelRecord | None:
    query = "SELECT name, parameters, state FROM kernel WHERE space = ? AND name = ?"
    row = db.execute(query, (space, name)).fetchone()
    return None if row is None else KernelRecord(row[0], json.loads(row[1]), row[2])


def _load(db: sqlite3.Connection, space: int) -> Embeddings:
    rows = db.execute(
        "SELECT a.id, h.embedding FROM holds h JOIN architecture a ON a.key = h.architecture "
        "WHERE h.space = ? AND h.embedding IS NOT NULL ORDER BY h.position",
        (space,),
    ).fetchall()
    if not rows:
        return Embeddings((), np.zeros((0, 0), dtype=np.float32))
    joined = np.frombuffer(b"".join(blob for _, blob in rows), dtype="<f4")
    vectors = joined.reshape(len(rows), -1).astype(np.float32)  # [N, d]
    return Embeddings(tuple(id for id, _ in rows), vectors)
