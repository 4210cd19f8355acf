"""Where trained instances got their weights from: (:Architecture)-[:INHERITED {run, donor_run, …}]->(:Architecture)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphstore.checks import check_lineage
from graphstore.neo4j.graph import Statements
from graphstore.neo4j.part import Part, need_architectures
from graphstore.records import LineageRecord

_RECORDS = (
    "RETURN r.run AS run, a.id AS architecture, r.donor_run AS donor_run, d.id AS donor, r.method AS method, "
    "r.share AS share"
)


class LineagePart(Part):
    """Which run gave its weights to which."""

    def add_lineage(self, records: Sequence[LineageRecord]) -> int:
        """Add where runs got their weights from; returns how many were new. See the contract."""
        check_lineage(records)
        first = {(record.run, record.donor_run): record for record in reversed(records)}

        def work(db: Statements) -> int:
            need_architectures(db, {id for record in records for id in (record.architecture, record.donor)})
            stored = {
                (row["run"], row["donor_run"])
                for row in db.rows(
                    "MATCH ()-[r:INHERITED]->() WHERE r.run IN $runs RETURN r.run AS run, r.donor_run AS donor_run",
                    runs=sorted({run for run, _ in first}),
                )
            }
            new = [first[key] for key in sorted(first.keys() - stored)]
            if new:
                db.rows(
                    "UNWIND $rows AS row MATCH (a:Architecture {id: row.architecture}) "
                    "MATCH (d:Architecture {id: row.donor}) CREATE (a)-[:INHERITED {run: row.run, "
                    "donor_run: row.donor_run, method: row.method, share: row.share}]->(d)",
                    rows=[{**vars(record), "share": float(record.share)} for record in new],
                )
                db.bump("scores")
            return len(new)

        return self._graph.write(["scores"], work)

    def lineage(self, architecture: str | None = None) -> list[LineageRecord]:
        """All records upstream of an architecture's runs, or all. See the contract."""

        def work(db: Statements) -> list[LineageRecord]:
            if architecture is None:
                return _records(db.rows(f"MATCH (a)-[r:INHERITED]->(d) {_RECORDS}"))
            query = "MATCH (:Architecture {id: $id})-[r:INHERITED]->() RETURN DISTINCT r.run AS run"
            runs = {row["run"] for row in db.rows(query, id=architecture)}
            found: list[LineageRecord] = []
            seen: set[str] = set()
            while runs:
                seen |= runs
                query = f"MATCH (a)-[r:INHERITED]->(d) WHERE r.run IN $runs {_RECORDS}"
                step = _records(db.rows(query, runs=sorted(runs)))
                found += step
                runs = {record.donor_run for record in step} - seen
            return found

        return self._graph.read(work)


def _records(rows: Sequence[dict[str, Any]]) -> list[LineageRecord]:
    records = (LineageRecord(**row) for row in rows)
    return sorted(records, key=lambda record: (record.run, record.donor_run))
