"""Spaces and architectures in the SQLite file."""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Sequence

from graphstore.contract import Progress
from graphstore.embedded.database import bump, write_many
from graphstore.embedded.part import Part, architecture_keys, space_key
from graphstore.library_checks import PREFIX_LENGTH, check_architectures, check_space, one_id, operations_of
from graphstore.records import ArchitectureRecord, ArchitectureSummary, LayerRecord, OpRecord, SpaceRecord

BATCH = 1000
"""Architectures per transaction."""

LAST_CHARACTER = "\U0010ffff"
"""Sorts after every other character, so it ends the range of a prefix."""

SUMMARY = "a.id, a.spec, a.name, a.parameters, a.flops, a.heterogeneity, a.profile"
"""Columns of an architecture ``a`` that ``summary_of`` reads."""


class Architectures(Part):
    """Spaces, architectures, their layers and graphs."""

    def put_space(self, space: SpaceRecord) -> None:
        """Create the space, or replace its ``info``."""
        info = check_space(space)
        with self._database.writing() as db:
            changed = db.execute(
                "INSERT INTO space (name, info) VALUES (?, ?) "
                "ON CONFLICT (name) DO UPDATE SET info = excluded.info WHERE info <> excluded.info",
                (space.name, info),
            ).rowcount
            if changed:
                bump(db, "library")

    def spaces(self) -> list[SpaceRecord]:
        """Return all spaces, by name."""
        with self._database.reading() as db:
            rows = db.execute("SELECT name, info FROM space ORDER BY name").fetchall()
        return [SpaceRecord(name, json.loads(info)) for name, info in rows]

    def space(self, name: str) -> SpaceRecord:
        """Return one space."""
        with self._database.reading() as db:
            key = space_key(db, name)
            (info,) = db.execute("SELECT info FROM space WHERE key = ?", (key,)).fetchone()
        return SpaceRecord(name, json.loads(info))

    def add_architectures(
        self, space: str, architectures: Sequence[ArchitectureRecord], progress: Progress | None = None
    ) -> int:
        """Add architectures to a space, in their order, after those it holds."""
        check_architectures(architectures)
        added = 0
        with self._database.reading() as db:
            space_key(db, space)
        for start in range(0, len(architectures), BATCH):
            batch = {record.id: record for record in architectures[start : start + BATCH]}
            with self._database.writing() as db:
                added += add_batch(db, space_key(db, space), batch)
            if progress is not None:
                progress(min(start + BATCH, len(architectures)), len(architectures))
        return added

    def count(self, space: str | None = None) -> int:
        """Return the number of architectures in the space, or in the store."""
        with self._database.reading() as db:
            if space is None:
                row: tuple[int] = db.execute("SELECT count(*) FROM architecture").fetchone()
            else:
                key = space_key(db, space)
                row = db.execute("SELECT count(*) FROM holds WHERE space = ?", (key,)).fetchone()
        return row[0]

    def architecture(self, id: str) -> ArchitectureRecord:
        """Return one architecture by its id or a unique prefix of at least 6 characters."""
        with self._database.reading() as db:
            found = [row[0] for row in db.execute("SELECT id FROM architecture WHERE id = ?", (id,))]
            if not found and len(id) >= PREFIX_LENGTH:
                query = "SELECT id FROM architecture WHERE id > ? AND id < ? ORDER BY id LIMIT 2"
                found = [row[0] for row in db.execute(query, (id, id + LAST_CHARACTER))]
            (key,) = db.execute("SELECT key FROM architecture WHERE id = ?", (one_id(id, found),)).fetchone()
            return _whole(db, [key])[key]

    def summaries(self, space: str | None = None, ids: Sequence[str] | None = None) -> list[ArchitectureSummary]:
        """Return the summaries of a space in its order, or of the store by id."""
        joins, conditions, order, values = "", [], " ORDER BY a.id", list[object]()
        with self._database.reading() as db:
            if space is not None:
                joins, order = " JOIN holds h ON h.architecture = a.key", " ORDER BY h.position"
                conditions.append("h.space = ?")
                values.append(space_key(db, space))
            if ids is not None:
                conditions.append("a.id IN (SELECT value FROM json_each(?))")
                values.append(json.dumps(list(ids)))
            where = " WHERE " + " AND ".join(conditions) if conditions else ""
            rows = db.execute(f"SELECT {SUMMARY} FROM architecture a" + joins + where + order, values).fetchall()
        found = [summary_of(*row) for row in rows]
        if ids is None:
            return found
        by_id = {summary.id: summary for summary in found}
        return [by_id[id] for id in ids if id in by_id]

    def layers(self, ids: Sequence[str]) -> dict[str, tuple[LayerRecord, ...]]:
        """Return the layers of the named architectures, without unknown ids."""
        with self._database.reading() as db:
            keys = architecture_keys(db, ids)
            rows = db.execute(
                _LAYERS.replace("SELECT ", "SELECT l.architecture, ")
                + " WHERE l.architecture IN (SELECT value FROM json_each(?)) ORDER BY l.architecture, l.position",
                (json.dumps(list(keys.values())),),
            ).fetchall()
        grouped: dict[int, list[LayerRecord]] = {key: [] for key in keys.values()}
        for key, *values in rows:
            grouped[key].append(_layer(*values))
        return {id: tuple(grouped[keys[id]]) for id in ids if id in keys}

    def architectures(self, ids: Sequence[str]) -> list[ArchitectureRecord]:
        """Return the known architectures among ``ids``, in their order, in few round trips."""
        with self._database.reading() as db:
            keys = architecture_keys(db, ids)
            found = _whole(db, list(keys.values()))
        return [found[keys[id]] for id in ids if id in keys]

    def architecture_ids(self, space: str | None = None) -> list[str]:
        """Return the ids of a space's architectures in its order, or of all architectures, sorted."""
        with self._database.reading() as db:
            if space is None:
                rows = db.execute("SELECT id FROM architecture ORDER BY id")
            else:
                rows = db.execute(
                    "SELECT a.id FROM holds h JOIN architecture a ON a.key = h.architecture "
                    "WHERE h.space = ? ORDER BY h.position",
                    (space_key(db, space),),
                )
            return [id for (id,) in rows]


_AMONG = "architecture IN (SELECT value FROM json_each(?)) ORDER BY architecture, position"
_LAYERS = "SELECT l.position, l.family, l.parameter, l.hidden, l.heads, l.feed_forward FROM layer l"


def _layer(index: int, family: str, parameter: str, hidden: int, heads: int, feed_forward: str) -> LayerRecord:
    return LayerRecord(index, family, parameter, hidden, heads, tuple(json.loads(feed_forward)))


def _whole(db: sqlite3.Connection, keys: list[int]) -> dict[int, ArchitectureRecord]:
    wanted = (json.dumps(keys),)
    layers: dict[int, list[LayerRecord]] = defaultdict(list)
    for key, index, family, parameter, hidden, heads, widths in db.execute(
        f"SELECT architecture, position, family, parameter, hidden, heads, feed_forward FROM layer WHERE {_AMONG}",
        wanted,
    ):
        layers[key].append(LayerRecord(index, family, parameter, hidden, heads, tuple(json.loads(widths))))
    ops: dict[int, list[OpRecord]] = defaultdict(list)
    for key, *facts in db.execute(f"SELECT architecture, position, kind, label, layer FROM op WHERE {_AMONG}", wanted):
        ops[key].append(OpRecord(*facts))
    feeds: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for key, source, target in db.execute(f"SELECT architecture, source, target FROM feeds WHERE {_AMONG}", wanted):
        feeds[key].append((source, target))
    rows = db.execute(
        "SELECT key, id, spec, name, parameters, flops, heterogeneity FROM architecture "
        "WHERE key IN (SELECT value FROM json_each(?))",
        wanted,
    )
    return {
        key: ArchitectureRecord(
            id, spec, name, parameters, flops, heterogeneity, tuple(layers[key]), tuple(ops[key]), tuple(feeds[key])
        )
        for key, id, spec, name, parameters, flops, heterogeneity in rows
    }


def summary_of(
    id: str, spec: str, name: str, parameters: int, flops: int, heterogeneity: float, profile: str
) -> ArchitectureSummary:
    """Return the summary from a row of SUMMARY."""
    families, operations, hiddens = json.loads(profile)
    return ArchitectureSummary(
        id, spec, name, len(families), parameters, flops, heterogeneity,
        tuple(families), tuple(operations), tuple(hiddens),
    )  # fmt: skip


def add_batch(db: sqlite3.Connection, space: int, batch: dict[str, ArchitectureRecord]) -> int:
    """Write the new architectures of a batch and add all of it to the space; return the number that are new to it."""
    keys = architecture_keys(db, batch)
    (free,) = db.execute("SELECT coalesce(max(key), 0) + 1 FROM architecture").fetchone()
    new = [record for id, record in batch.items() if id not in keys]
    held = {
        key
        for (key,) in db.execute(
            "SELECT architecture FROM holds WHERE space = ? AND architecture IN (SELECT value FROM json_each(?))",
            (space, json.dumps(list(keys.values()))),
        )
    }
    keys |= {record.id: free + offset for offset, record in enumerate(new)}
    numbered = [(keys[record.id], record) for record in new]
    write_many(
        db,
        "INSERT INTO architecture VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        ((key, r.id, r.spec, r.name, r.parameters, r.flops, r.heterogeneity, _profile(r)) for key, r in numbered),
    )
    write_many(
        db,
        "INSERT INTO layer VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            (key, y.index, y.family, y.parameter, y.hidden, y.heads, json.dumps(y.feed_forward, separators=(",", ":")))
            for key, record in numbered
            for y in record.layers
        ),
    )
    write_many(
        db,
        "INSERT INTO op VALUES (?, ?, ?, ?, ?)",
        ((key, op.index, op.kind, op.label, op.layer) for key, record in numbered for op in record.ops),
    )
    write_many(
        db,
        "INSERT INTO feeds VALUES (?, ?, ?, ?)",
        (
            (key, position, source, target)
            for key, record in numbered
            for position, (source, target) in enumerate(record.feeds)
        ),
    )
    (end,) = db.execute("SELECT coalesce(max(position), -1) + 1 FROM holds WHERE space = ?", (space,)).fetchone()
    joining = [keys[id] for id in batch if keys[id] not in held]
    joined = write_many(
        db,
        "INSERT INTO holds (space, position, architecture) VALUES (?, ?, ?)",
        ((space, end + offset, key) for offset, key in enumerate(joining)),
    )
    if joined:
        bump(db, "library")
    return joined


def _profile(record: ArchitectureRecord) -> str:
    families = [layer.family for layer in record.layers]
    hiddens = [layer.hidden for layer in record.layers]
    return json.dumps([families, operations_of(record), hiddens], separators=(",", ":"))
