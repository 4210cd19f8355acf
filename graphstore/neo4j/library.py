"""Spaces and architectures in Neo4j.

(:Space)-[:HOLDS {position, embedding}]->(:Architecture)-[:HAS_LAYER]->(:Layer)-[:HAS_OP]->(:Op)-[:FEEDS]->(:Op); the
input and the output belong to the architecture itself by HAS_OP. FEEDS keeps the edge's position in its record.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from graphstore.checks import PREFIX_LENGTH, check_architecture, check_name, missing, one_id, operations_of, to_json
from graphstore.contract import Progress
from graphstore.neo4j.graph import Statements
from graphstore.neo4j.part import Part, known_architectures, need_space
from graphstore.records import ArchitectureRecord, ArchitectureSummary, LayerRecord, OpRecord, SpaceRecord

BATCH = 250
"""Architectures a transaction; larger ones are no faster and need more memory on the server."""

_CREATE = """
UNWIND $rows AS row
CREATE (a:Architecture) SET a = row.facts
WITH a, row
CALL (a, row) {
    UNWIND row.layers AS facts
    WITH a, facts ORDER BY facts.index
    CREATE (a)-[:HAS_LAYER]->(l:Layer) SET l = facts
    RETURN collect(l) AS layers
}
CALL (a, row, layers) {
    UNWIND row.ops AS facts
    WITH CASE WHEN facts.layer < 0 THEN a ELSE layers[facts.layer] END AS owner, facts ORDER BY facts.index
    CREATE (owner)-[:HAS_OP]->(o:Op) SET o = facts
    RETURN collect(o) AS ops
}
CALL (row, ops) {
    UNWIND range(0, size(row.feeds) - 1) AS position
    WITH position, ops[row.feeds[position][0]] AS source, ops[row.feeds[position][1]] AS target
    CREATE (source)-[:FEEDS {position: position}]->(target)
}
"""

_WHOLE = """
MATCH (a:Architecture {id: $id})
RETURN a {.id, .spec, .name, .parameters, .flops, .heterogeneity} AS facts,
    [(a)-[:HAS_LAYER]->(l) | properties(l)] AS layers,
    [(a)-[:HAS_OP]->(o) | properties(o)] + [(a)-[:HAS_LAYER]->()-[:HAS_OP]->(o) | properties(o)] AS ops,
    [(a)-[:HAS_OP]->(o)-[f:FEEDS]->(t) | [f.position, o.index, t.index]]
    + [(a)-[:HAS_LAYER]->()-[:HAS_OP]->(o)-[f:FEEDS]->(t) | [f.position, o.index, t.index]] AS feeds
"""

_SUMMARY = (
    "a {.id, .spec, .name, .depth, .parameters, .flops, .heterogeneity, .families, .operations, .hiddens} AS summary"
)


class LibraryPart(Part):
    """Spaces, architectures, their layers and graphs."""

    def put_space(self, space: SpaceRecord) -> None:
        """Create the space or replace its ``info``."""
        check_name("space name", space.name)
        info = to_json("space info", space.info)

        def work(db: Statements) -> None:
            stored = db.one("MATCH (s:Space {name: $name}) RETURN s.info AS info", name=space.name)
            if stored is None or stored["info"] != info:
                query = "MERGE (s:Space {name: $name}) ON CREATE SET s.size = 0 SET s.info = $info"
                db.rows(query, name=space.name, info=info)
                db.bump("library")

        self._graph.write(["library"], work)

    def spaces(self) -> list[SpaceRecord]:
        """All spaces, by name."""
        rows = self._graph.read(lambda db: db.rows("MATCH (s:Space) RETURN s.name AS name, s.info AS info"))
        return sorted((SpaceRecord(row["name"], json.loads(row["info"])) for row in rows), key=lambda space: space.name)

    def space(self, name: str) -> SpaceRecord:
        """One space. Raises NotFoundError."""

        def work(db: Statements) -> str:
            need_space(db, name)
            return str(db.rows("MATCH (s:Space {name: $name}) RETURN s.info AS info", name=name)[0]["info"])

        return SpaceRecord(name, json.loads(self._graph.read(work)))

    def add_architectures(
        self, space: str, architectures: Sequence[ArchitectureRecord], progress: Progress | None = None
    ) -> int:
        """Add architectures to a space, in batches. See the contract."""
        for architecture in architectures:
            check_architecture(architecture)
        self._graph.read(lambda db: need_space(db, space))
        added = 0
        for start in range(0, len(architectures), BATCH):
            batch = {record.id: record for record in architectures[start : start + BATCH]}
            added += self._graph.write(["library"], lambda db, batch=batch: _add_batch(db, space, batch))  # type: ignore[misc]
            if progress is not None:
                progress(min(start + BATCH, len(architectures)), len(architectures))
        return added

    def count(self, space: str | None = None) -> int:
        """Number of architectures in the space, or in the store."""

        def work(db: Statements) -> int:
            if space is None:
                return int(db.rows("MATCH (a:Architecture) RETURN count(a) AS n")[0]["n"])
            need_space(db, space)
            return int(db.rows("MATCH (:Space {name: $n})-[h:HOLDS]->() RETURN count(h) AS n", n=space)[0]["n"])

        return self._graph.read(work)

    def architecture(self, id: str) -> ArchitectureRecord:
        """One architecture whole, by its id or a unique prefix. Raises NotFoundError."""

        def work(db: Statements) -> dict[str, Any]:
            whole = db.one(_WHOLE, id=id)
            if whole is None:
                query = "MATCH (a:Architecture) WHERE a.id STARTS WITH $id RETURN a.id AS id ORDER BY id LIMIT 2"
                found = [row["id"] for row in db.rows(query, id=id)] if len(id) >= PREFIX_LENGTH else []
                whole = db.one(_WHOLE, id=one_id(id, found))
            if whole is None:
                raise missing("architecture", id, "Look the id up in the table of its space.")
            return whole

        row = self._graph.read(work)
        return ArchitectureRecord(
            **row["facts"],
            layers=_layers(row["layers"]),
            ops=tuple(OpRecord(**facts) for facts in sorted(row["ops"], key=lambda facts: int(facts["index"]))),
            feeds=tuple((source, target) for _, source, target in sorted(row["feeds"])),
        )

    def summaries(self, space: str | None = None, ids: Sequence[str] | None = None) -> list[ArchitectureSummary]:
        """Summaries of a space in its order, or of the store by id; with ``ids`` those known, in their order."""

        def work(db: Statements) -> list[dict[str, Any]]:
            if space is not None:
                need_space(db, space)
            wanted = "" if ids is None else " WHERE a.id IN $ids"
            if space is None:
                query = f"MATCH (a:Architecture){wanted} RETURN {_SUMMARY}"
            elif ids is None:
                query = f"MATCH (:Space {{name: $space}})-[h:HOLDS]->(a) RETURN {_SUMMARY} ORDER BY h.position"
            else:
                query = f"MATCH (a:Architecture){wanted} AND EXISTS {{(:Space {{name: $space}})-[:HOLDS]->(a)}} "
                query += f"RETURN {_SUMMARY}"
            return [row["summary"] for row in db.rows(query, space=space, ids=None if ids is None else sorted(ids))]

        found = [_summary(facts) for facts in self._graph.read(work)]
        if ids is not None:
            by_id = {summary.id: summary for summary in found}
            return [by_id[id] for id in ids if id in by_id]
        return found if space is not None else sorted(found, key=lambda summary: summary.id)

    def layers(self, ids: Sequence[str]) -> dict[str, tuple[LayerRecord, ...]]:
        """Layers of the named architectures; unknown ids are left out."""
        query = (
            "MATCH (a:Architecture) WHERE a.id IN $ids "
            "RETURN a.id AS id, [(a)-[:HAS_LAYER]->(l) | properties(l)] AS layers"
        )
        rows = self._graph.read(lambda db: db.rows(query, ids=sorted(set(ids))))
        found = {row["id"]: _layers(row["layers"]) for row in rows}
        return {id: found[id] for id in ids if id in found}


def _layers(rows: list[dict[str, Any]]) -> tuple[LayerRecord, ...]:
    ordered = sorted(rows, key=lambda facts: int(facts["index"]))
    return tuple(LayerRecord(**{**facts, "feed_forward": tuple(facts["feed_forward"])}) for facts in ordered)


def _summary(facts: dict[str, Any]) -> ArchitectureSummary:
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
        "depth": len(record.layers),
        "families": [layer.family for layer in record.layers],
        "operations": operations_of(record),
        "hiddens": [layer.hidden for layer in record.layers],
    }
    return {
        "facts": facts,
        "layers": [vars(layer) for layer in record.layers],
        "ops": [vars(op) for op in record.ops],
        "feeds": record.feeds,
    }


def _add_batch(db: Statements, space: str, batch: dict[str, ArchitectureRecord]) -> int:
    """Write the new architectures of a batch and make all of it members; returns how many joined the space."""
    known = known_architectures(db, batch)
    rows = [_row(record) for id, record in batch.items() if id not in known]
    if rows:
        db.rows(_CREATE, rows=rows)
    query = (
        "MATCH (a:Architecture) WHERE a.id IN $ids AND EXISTS {(:Space {name: $space})-[:HOLDS]->(a)} RETURN a.id AS id"
    )
    held = {row["id"] for row in db.rows(query, ids=sorted(known), space=space)}
    joining = [id for id in batch if id not in held]
    if joining:
        db.rows(
            "MATCH (s:Space {name: $space}) WITH s, s.size AS size SET s.size = size + size($ids) WITH s, size "
            "UNWIND range(0, size($ids) - 1) AS offset MATCH (a:Architecture {id: $ids[offset]}) "
            "CREATE (s)-[:HOLDS {position: size + offset}]->(a)",
            space=space,
            ids=joining,
        )
        db.bump("library")
    return len(joining)
