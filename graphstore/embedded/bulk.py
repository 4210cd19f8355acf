"""Reading and restoring whole catalogues in the SQLite file."""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from graphstore.checks import missing, to_json
from graphstore.embedded.database import bump
from graphstore.embedded.part import Part, architecture_keys, known_architecture_keys, space_key
from graphstore.records import (
    ArchitectureRecord,
    LayerRecord,
    NeighborRecord,
    OpRecord,
    TrialRecord,
    TrialStatus,
)
from graphstore.restoring import to_restore

_COLUMNS = (
    "number", "state", "attempt", "token", "owner", "lease_expires", "value", "reason", "info", "created", "started",
    "finished",
)  # fmt: skip
_AMONG = "architecture IN (SELECT value FROM json_each(?)) ORDER BY architecture, position"


class BulkPart(Part):
    """What copies and backups read and write; see the contract's section on whole catalogues."""

    def architecture_ids(self, space: str | None = None) -> list[str]:
        """Ids of a space in its order, or of the store in theirs."""
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

    def architectures(self, ids: Sequence[str]) -> list[ArchitectureRecord]:
        """The known architectures among ``ids``, whole, in their order."""
        with self._database.reading() as db:
            keys = architecture_keys(db, ids)
            found = _whole(db, list(keys.values()))
        return [found[keys[id]] for id in ids if id in keys]

    def kernels(self, space: str) -> list[str]:
        """Names of the kernels the space has neighbours of, sorted."""
        with self._database.reading() as db:
            query = "SELECT DISTINCT kernel FROM similar WHERE space = ? ORDER BY kernel"
            return [kernel for (kernel,) in db.execute(query, (space_key(db, space),))]

    def neighbor_table(self, space: str, kernel: str) -> list[NeighborRecord]:
        """All stored neighbours of a space by a kernel, by source id and rank."""
        with self._database.reading() as db:
            rows = db.execute(
                "SELECT s.id, t.id, n.rank, n.dissimilarity FROM similar n JOIN architecture s ON s.key = n.source "
                "JOIN architecture t ON t.key = n.target WHERE n.space = ? AND n.kernel = ? ORDER BY s.id, n.rank",
                (space_key(db, space), kernel),
            )
            return [NeighborRecord(source, target, kernel, rank, value) for source, target, rank, value in rows]

    def restore_trials(self, study: str, trials: Sequence[TrialRecord]) -> int:
        """Write trials exactly as given; returns how many changed. See the contract."""
        with self._database.writing() as db:
            found = db.execute("SELECT key FROM study WHERE name = ?", (study,)).fetchone()
            if found is None:
                raise missing("study", study, "Create it first.")
            changed = to_restore(study, trials, _stored(db, study, found[0]))
            keys = known_architecture_keys(db, {trial.architecture for trial in changed})
            db.executemany(
                f"INSERT INTO trial (study, architecture, {', '.join(_COLUMNS)}) "
                f"VALUES ({', '.join('?' * (len(_COLUMNS) + 2))}) ON CONFLICT (study, number) DO UPDATE SET "
                + ", ".join(f"{name} = excluded.{name}" for name in _COLUMNS[1:]),
                ((found[0], keys[trial.architecture], *_row(trial)) for trial in changed),
            )
            if changed:
                bump(db, "studies")
        return len(changed)


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


def _stored(db: sqlite3.Connection, study: str, key: int) -> list[TrialRecord]:
    rows = db.execute(
        f"SELECT a.id, {', '.join(f't.{name}' for name in _COLUMNS)} FROM trial t "
        "JOIN architecture a ON a.key = t.architecture WHERE t.study = ?",
        (key,),
    )
    return [_trial(study, id, dict(zip(_COLUMNS, values, strict=True))) for id, *values in rows]


def _trial(study: str, architecture: str, facts: dict[str, Any]) -> TrialRecord:
    known = {**facts, "state": TrialStatus(facts["state"]), "info": json.loads(facts["info"])}
    return TrialRecord(study=study, architecture=architecture, **known)


def _row(trial: TrialRecord) -> list[Any]:
    facts = {**vars(trial), "state": trial.state.value, "info": to_json("trial info", trial.info)}
    return [facts[name] for name in _COLUMNS]
