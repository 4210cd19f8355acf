"""Where trained instances got their weights from, in the SQLite file."""

from __future__ import annotations

import json
from collections.abc import Sequence

from graphstore.checks import check_lineage
from graphstore.embedded.database import bump, write_many
from graphstore.embedded.part import Part, known_architecture_keys
from graphstore.records import LineageRecord

_RECORDS = (
    "SELECT n.run, a.id, n.donor_run, d.id, n.method, n.share FROM lineage n "
    "JOIN architecture a ON a.key = n.architecture JOIN architecture d ON d.key = n.donor "
)


class LineagePart(Part):
    """Which run gave its weights to which."""

    def add_lineage(self, records: Sequence[LineageRecord]) -> int:
        """Add where runs got their weights from; returns how many were new. See the contract."""
        check_lineage(records)
        with self._database.writing() as db:
            keys = known_architecture_keys(db, {id for record in records for id in (record.architecture, record.donor)})
            new = write_many(
                db,
                "INSERT INTO lineage (run, donor_run, architecture, donor, method, share) VALUES (?, ?, ?, ?, ?, ?) "
                "ON CONFLICT (run, donor_run) DO NOTHING",
                ((r.run, r.donor_run, keys[r.architecture], keys[r.donor], r.method, r.share) for r in records),
            )
            if new:
                bump(db, "scores")
            return new

    def lineage(self, architecture: str | None = None) -> list[LineageRecord]:
        """All records upstream of an architecture's runs, or all. See the contract."""
        order = "ORDER BY n.run, n.donor_run"
        with self._database.reading() as db:
            if architecture is None:
                return [LineageRecord(*row) for row in db.execute(_RECORDS + order)]
            runs = {
                row[0]
                for row in db.execute(
                    "SELECT n.run FROM lineage n JOIN architecture a ON a.key = n.architecture WHERE a.id = ?",
                    (architecture,),
                )
            }
            found: list[LineageRecord] = []
            seen: set[str] = set()
            while runs:
                seen |= runs
                query = f"{_RECORDS} WHERE n.run IN (SELECT value FROM json_each(?)) {order}"
                step = [LineageRecord(*row) for row in db.execute(query, (json.dumps(sorted(runs)),))]
                found += step
                runs = {record.donor_run for record in step} - seen
        return found
