"""Spaces and architectures in Neo4j.

(:Space)-[:HOLDS {position, embedding}]->(:Architecture)-[:HAS_LAYER]->(:Layer)-[:HAS_OP]->(:Op)-[:FEEDS]->(:Op); the
architecture itself HAS_OP the input and the output. FEEDS stores the position of the edge in its record.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from graphstore.checks import missing
from graphstore.contract import Progress
from graphstore.library_checks import PREFIX_LENGTH, check_architectures, check_space, one_id, operations_of
from graphstore.neo4j.graph import Statements
from graphstore.neo4j.part import Part, known_architectures, members, need_space
from graphstore.records import ArchitectureRecord, ArchitectureSummary, LayerRecord, OpRecord, SpaceRecord

BATCH = 250
"""Architectures per transaction; larger ones are not faster and need more memory on the server."""

# Columns instead of maps, because the driver packs every value separately and most of a batch is operations and edges.
_CREATE = """
UNWIND $rows AS row
CREATE (a:ArchexArchitecture:Architecture) SET a = row.facts
WITH a, row
CALL (a, row) {
    UNWIND row.layers AS facts
    WITH a, facts ORDER BY facts[0]
    CREATE (a)-[:HAS_LAYER]->(l:ArchexLayer:Layer {
        index: facts[0], family: facts[1], parameter: facts[2], hidden: facts[3], heads: facts[4],
        feed_forward: facts[5]
    })
    RETURN collect(l) AS layers
}
CALL (a, row, layers) {
    UNWIND range(0, size(row.owners) - 1) AS index
    WITH CASE WHEN row.owners[index] < 0 THEN a ELSE layers[row.owners[index]] END AS owner, index ORDER BY index
    CREATE (owner)-[:HAS_OP]->(o:ArchexOp:Op {
        index: index, kind: row.kinds[index], label: row.labels[index], layer: row.owners[index]
    })
    RETURN collect(o) AS ops
}
CALL (row, ops) {
    UNWIND range(0, size(row.sources) - 1) AS position
    WITH position, ops[row.sources[position]] AS source, ops[row.targets[position]] AS target
    CREATE (source)-[:FEEDS {position: position}]->(target)
}
"""

WHOLE = """
RETURN [a.id, a.spec, a.name, a.parameters, a.flops, a.heterogeneity] AS facts,
    [(a)-[:HAS_LAYER]->(l) | [l.index, l.family, l.parameter, l.hidden, l.heads, l.feed_forward]] AS layers,
    [(a)-[:HAS_OP]->(o) | [o.index, o.kind, o.label, o.layer]]
    + [(a)-[:HAS_LAYER]->()-[:HAS_OP]->(o) | [o.index, o.kind, o.label, o.layer]] AS ops,
    [(a)-[:HAS_OP]->(o)-[f:FEEDS]->(t) | [f.position, o.index, t.index]]
    + [(a)-[:HAS_LAYER]->()-[:HAS_OP]->(o)-[f:FEEDS]->(t) | [f.position, o.index, t.index]] AS feeds
"""
"""End of a query for complete architectures ``a``; ``whole_of`` reads its rows."""

_ONE = f"MATCH (a:ArchexArchitecture {{id: $id}}) {WHOLE}"
_AMONG = f"MATCH (a:ArchexArchitecture) WHERE a.id IN $ids {WHOLE}"

SUMMARY = (
    "a {.id, .spec, .name, .depth, .parameters, .flops, .heterogeneity, .families, .operations, .hiddens} AS summary"
)
"""Map of an architecture ``a`` that ``summary_of`` reads."""


class Architectures(Part):
    """Spaces, architectures, their layers and graphs."""

    def put_space(self, space: SpaceRecord) -> None:
        """Create the space, or replace its ``info``."""
        info = check_space(space)

        def work(db: Statements) -> None:
            stored = db.one("MATCH (s:ArchexSpace {name: $name}) RETURN s.info AS info", name=space.name)
            if stored is None or stored["info"] != info:
                query = "MERGE (s:ArchexSpace {name: $name}) ON CREATE SET s:Space, s.size = 0 SET s.info = $info"
                db.rows(query, name=space.name, info=info)
                db.bump("library")

        self._graph.write(["library"], work)

    def spaces(self) -> list[SpaceRecord]:
        """Return all spaces, by name."""
        rows = self._graph.read(lambda db: db.rows("MATCH (s:ArchexSpace) RETURN s.name AS name, s.info AS info"))
        return sorted((SpaceRecord(row["name"], json.loads(row["info"])) for row in rows), key=lambda space: space.name)

    def space(self, name: str) -> SpaceRecord:
        """Return one space."""

        def work(db: Statements) -> str:
            need_space(db, name)
            return str(db.rows("MATCH (s:ArchexSpace {name: $name}) RETURN s.info AS info", name=name)[0]["info"])

        return SpaceRecord(name, json.loads(self._graph.read(work)))

    def add_architectures(
        self, space: str, architectures: Sequence[ArchitectureRecord], progress: Progress | None = None
    ) -> int:
        """Add architectures to a space, in their order, after those it holds."""
        check_architectures(architectures)
        self._graph.read(lambda db: need_space(db, space))
        added = 0
        for start in range(0, len(architectures), BATCH):
            batch = {record.id: record for record in architectures[start : start + BATCH]}
            added += self._graph.write(["library"], lambda db, batch=batch: add_batch(db, space, batch))  # type: ignore[misc]
            if progress is not None:
                progress(min(start + BATCH, len(architectures)), len(architectures))
        return added

    def count(self, space: str | None = None) -> int:
        """Return the number of architectures in the space, or in the store."""

        def work(db: Statements) -> int:
            if space is None:
                return int(db.rows("MATCH (a:ArchexArchitecture) RETURN count(a) AS n")[0]["n"])
            need_space(db, space)
            return int(db.rows("MATCH (:ArchexSpace {name: $n})-[h:HOLDS]->() RETURN count(h) AS n", n=space)[0]["n"])

        return self._graph.read(work)

    def architecture(self, id: str) -> ArchitectureRecord:
        """Return one architecture by its id or a unique prefix of at least 6 characters."""
        rows = self._graph.ask(_ONE, id=id)
        if rows:
            return whole_of(**rows[0])

        def work(db: Statements) -> dict[str, Any]:
            query = "MATCH (a:ArchexArchitecture) WHERE a.id STARTS WITH $id RETURN a.id AS id ORDER BY id LIMIT 2"
            found = [row["id"] for row in db.rows(query, id=id)] if len(id) >= PREFIX_LENGTH else []
            whole = db.one(_ONE, id=one_id(id, found))
            if whole is None:
                raise missing("architecture", id, "Look the id up in the table of its space.")
            return whole

        return whole_of(**self._graph.read(work))

    def summaries(self, space: str | None = None, ids: Sequence[str] | None = None) -> list[ArchitectureSummary]:
        """Return the summaries of a space in its order, or of the store by id."""

        def work(db: Statements) -> list[dict[str, Any]]:
            if space is not None:
                need_space(db, space)
            wanted = "" if ids is None else " WHERE a.id IN $ids"
            if space is None:
                query = f"MATCH (a:ArchexArchitecture){wanted} RETURN {SUMMARY}"
            elif ids is None:
                query = f"MATCH (:ArchexSpace {{name: $space}})-[h:HOLDS]->(a) RETURN {SUMMARY} ORDER BY h.position"
            else:
                held = "EXISTS {(:ArchexSpace {name: $space})-[:HOLDS]->(a)}"
                query = f"MATCH (a:ArchexArchitecture){wanted} AND {held} RETURN {SUMMARY}"
            return [row["summary"] for row in db.rows(query, space=space, ids=None if ids is None else sorted(ids))]

        found = [summary_of(facts) for facts in self._graph.read(work)]
        if ids is not None:
            by_id = {summary.id: summary for summary in found}
            return [by_id[id] for id in ids if id in by_id]
        return found if space is not None else sorted(found, key=lambda summary: summary.id)

    def layers(self, ids: Sequence[str]) -> dict[str, tuple[LayerRecord, ...]]:
        """Return the layers of the named architectures, without unknown ids."""
        query = (
            "MATCH (a:ArchexArchitecture) WHERE a.id IN $ids "
            "RETURN a.id AS id, "
            "[(a)-[:HAS_LAYER]->(l) | [l.index, l.family, l.parameter, l.hidden, l.heads, l.feed_forward]] AS layers"
        )
        rows = self._graph.read(lambda db: db.rows(query, ids=sorted(set(ids))))
        found = {row["id"]: _layers(row["layers"]) for row in rows}
        return {id: found[id] for id in ids if id in found}

    def architectures(self, ids: Sequence[str]) -> list[ArchitectureRecord]:
        """Return the known architectures among ``ids``, in their order, in few round trips."""
        found: dict[str, ArchitectureRecord] = {}
        wanted = sorted(set(ids))
        for start in range(0, len(wanted), BATCH):
            batch = wanted[start : start + BATCH]
            for row in self._graph.read(lambda db, batch=batch: db.values(_AMONG, ids=batch)):  # type: ignore[misc]
                record = whole_of(*row)
                found[record.id] = record
        return [found[id] for id in ids if id in found]

    def architecture_ids(self, space: str | None = None) -> list[str]:
        """Return the ids of a space's architectures in its order, or of all architectures, sorted."""

        def work(db: Statements) -> list[str]:
            if space is None:
                return sorted(row["id"] for row in db.rows("MATCH (a:ArchexArchitecture) RETURN a.id AS id"))
            need_space(db, space)
            return members(db, space)

        return self._graph.read(work)


def whole_of(
    facts: list[Any], layers: list[list[Any]], ops: list[list[Any]], feeds: list[list[int]]
) -> ArchitectureRecord:
    """Return the architecture from a row of WHOLE."""
    id, spec, name, parameters, flops, heterogeneity = facts
    return ArchitectureRecord(
        id, spec, name, parameters, flops, heterogeneity, _layers(layers),
        tuple(OpRecord(*op) for op in sorted(ops, key=lambda row: int(row[0]))),
        tuple((source, target) for _, source, target in sorted(feeds)),
    )  # fmt: skip


def _layers(rows: list[list[Any]]) -> tuple[LayerRecord, ...]:
    ordered = sorted(rows, key=lambda row: int(row[0]))
    return tuple(
        LayerRecord(index, family, parameter, hidden, heads, tuple(widths))
        for index, family, parameter, hidden, heads, widths in ordered
    )


def summary_of(facts: dict[str, Any]) -> ArchitectureSummary:
    """Return the summary from a map of SUMMARY."""
    lists = {field: tuple(facts[field]) for field in ("families", "operations", "hiddens")}
    return ArchitectureSummary(**{**facts, **lists})


def _row(record: ArchitectureRecord) -> dict[str, Any]:
    facts = {
        "id": record.id,
        "spec": record.spec,
        "name": record.name,
        "parameters": record.parameters,
        "flops": record.flops,
        "heterogeneity": float(record.heterogeneity),
        "depth": record.depth,
        "families": [layer.family for layer in record.layers],
        "operations": operations_of(record),
        "hiddens": [layer.hidden for layer in record.layers],
    }
    return {
        "facts": facts,
        "layers": [
            [layer.index, layer.family, layer.parameter, layer.hidden, layer.heads, layer.feed_forward]
            for layer in record.layers
        ],
        "owners": [op.layer for op in record.ops],
        "kinds": [op.kind for op in record.ops],
        "labels": [op.label for op in record.ops],
        "sources": [source for source, _ in record.feeds],
        "targets": [target for _, target in record.feeds],
    }


def add_batch(db: Statements, space: str, batch: dict[str, ArchitectureRecord]) -> int:
    """Write the new architectures of a batch and add all of it to the space; return the number that are new to it."""
    known = known_architectures(db, batch)
    rows = [_row(record) for id, record in batch.items() if id not in known]
    if rows:
        db.rows(_CREATE, rows=rows)
    query = (
        "MATCH (a:ArchexArchitecture) WHERE a.id IN $ids AND EXISTS {(:ArchexSpace {name: $space})-[:HOLDS]->(a)} "
        "RETURN a.id AS id"
    )
    held = {row["id"] for row in db.rows(query, ids=sorted(known), space=space)}
    joining = [id for id in batch if id not in held]
    if joining:
        db.rows(
            "MATCH (s:ArchexSpace {name: $space}) WITH s, s.size AS size SET s.size = size + size($ids) WITH s, size "
            "UNWIND range(0, size($ids) - 1) AS offset MATCH (a:ArchexArchitecture {id: $ids[offset]}) "
            "CREATE (s)-[:HOLDS {position: size + offset}]->(a)",
            space=space,
            ids=joining,
        )
        db.bump("library")
    return len(joining)
