"""Check and migrate a SQLite file."""

from __future__ import annotations

import contextlib
import itertools
import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

from graphstore.checks import TOPICS
from graphstore.contract import SCHEMA_VERSION
from graphstore.embedded import migrations, schema
from graphstore.embedded.backup import backup_file, new_file
from graphstore.embedded.database import BUSY_SECONDS, Database
from graphstore.errors import StoreError, StoreInputError
from graphstore.records import JobState, StudyState, TrialStatus
from graphstore.reports import MISLED, UNFINISHED, Findings, MigrationReport, with_examples

LACKING = (
    "the file was copied while a program wrote to the original, and its write-ahead log (NAME-wal) was not copied: it "
    "may lack what was written last. Make a backup of the original, or copy it when nobody has it open"
)
"""A problem that ends when something is written to the file, which is then a store of its own."""

DAMAGES = 20
"""Maximum number of damaged places that a check reports."""

_COUNTED = {
    "spaces": "space", "architectures": "architecture", "layers": "layer", "ops": "op", "feeds": "feeds",
    "members": "holds", "neighbors": "similar", "scores": "score", "measurements": "measurement",
    "kernels": "kernel", "lineage": "lineage", "studies": "study", "trials": "trial", "jobs": "job",
}  # fmt: skip


def _gaps(table: str, group: str, position: str) -> str:
    """Return a query for the groups of a table's rows that are not numbered from 0 without gaps."""
    return (
        f"SELECT {group} FROM {table} GROUP BY {group} HAVING min({position}) != 0 OR max({position}) != count(*) - 1"
    )


def _states(*states: str) -> str:
    return ", ".join(f"'{state}'" for state in states)


# Each problem, the tables that its query reads, and the query, which returns the names of the faulty records.
_SEMANTICS: tuple[tuple[str, tuple[str, ...], str], ...] = (
    (
        "architectures with another number of layers than their summary says",
        ("architecture", "layer"),
        "SELECT id FROM architecture a WHERE (SELECT count(*) FROM layer WHERE architecture = a.key) "
        "IS NOT CASE WHEN json_valid(profile) THEN json_array_length(profile, '$[0]') END",
    ),
    (
        "architectures whose layers are not numbered from 0",
        ("architecture", "layer"),
        f"SELECT id FROM architecture WHERE key IN ({_gaps('layer', 'architecture', 'position')})",
    ),
    (
        "architectures whose operations are not numbered from 0",
        ("architecture", "op"),
        f"SELECT id FROM architecture WHERE key IN ({_gaps('op', 'architecture', 'position')})",
    ),
    (
        "architectures with operations in a layer they do not have",
        ("architecture", "layer", "op"),
        "SELECT DISTINCT id FROM op o JOIN architecture a ON a.key = o.architecture WHERE o.layer != -1 AND NOT EXISTS "
        "(SELECT 1 FROM layer WHERE architecture = o.architecture AND position = o.layer)",
    ),
    (
        "architectures whose edges are not numbered from 0",
        ("architecture", "feeds"),
        f"SELECT id FROM architecture WHERE key IN ({_gaps('feeds', 'architecture', 'position')})",
    ),
    (
        "architectures with edges from or to operations they do not have, or backwards",
        ("architecture", "feeds", "op"),
        "SELECT DISTINCT id FROM feeds f JOIN architecture a ON a.key = f.architecture "
        "LEFT JOIN op s ON s.architecture = f.architecture AND s.position = f.source "
        "LEFT JOIN op t ON t.architecture = f.architecture AND t.position = f.target "
        "WHERE s.position IS NULL OR t.position IS NULL OR f.source >= f.target",
    ),
    (
        "spaces whose architectures are not numbered from 0",
        ("holds", "space"),
        f"SELECT name FROM space WHERE key IN ({_gaps('holds', 'space', 'position')})",
    ),
    (
        "spaces with vectors of several lengths",
        ("holds", "space"),
        "SELECT name FROM space WHERE key IN (SELECT space FROM holds WHERE embedding IS NOT NULL GROUP BY space "
        "HAVING count(DISTINCT length(embedding)) > 1 OR max(length(embedding) % 4) OR NOT min(length(embedding)))",
    ),
    (
        "spaces with neighbours that are not in them",
        ("holds", "similar", "space"),
        "SELECT DISTINCT p.name FROM similar n JOIN space p ON p.key = n.space "
        "LEFT JOIN holds s ON s.space = n.space AND s.architecture = n.source "
        "LEFT JOIN holds t ON t.space = n.space AND t.architecture = n.target "
        "WHERE s.position IS NULL OR t.position IS NULL",
    ),
    (
        "studies whose trials are not numbered from 0",
        ("study", "trial"),
        f"SELECT name FROM study WHERE key IN ({_gaps('trial', 'study', 'number')})",
    ),
    (
        "studies in an unknown state",
        ("study",),
        f"SELECT name FROM study WHERE state NOT IN ({_states(*StudyState)})",
    ),
    (
        "trials in an unknown state",
        ("trial",),
        f"SELECT study || '/' || number FROM trial WHERE state NOT IN ({_states(*TrialStatus)})",
    ),
    ("jobs in an unknown state", ("job",), f"SELECT id FROM job WHERE state NOT IN ({_states(*JobState)})"),
    (
        "invalid revision counters",
        ("revision",),
        f"SELECT topic FROM revision WHERE value < 0 OR topic NOT IN ({_states(*TOPICS)})",
    ),
)


def check_file(path: Path) -> Findings:
    """Check a file of any version without changing it. See ``graphstore.maintenance.check``."""
    _need_file(path)
    try:
        schema.recognise(path)
    except StoreInputError as error:
        return Findings(0, {}, (str(error),))
    except OSError as error:
        raise StoreError(f"the store {str(path)!r} cannot be read: {error}. Check its rights.") from error
    log = schema.log_of(path)
    shared = log.exists()
    found = _look(path, shared)
    if found.problems and not shared and log.exists():
        return _look(path, True)  # somebody opened it in between and may have moved pages during the check
    return found


def migrate_file(path: Path, say: Callable[[str], None]) -> MigrationReport:
    """Migrate a file to the newest version. See ``graphstore.maintenance.migrate``."""
    _need_file(path)
    database = Database(path, create=False, any_version=True)
    backup = ""
    try:
        # Copy inside the transaction, while nobody else can write, so that the copy is what the migration started with.
        with database.writing() as db:
            before = schema.version_of(db)
            if before < SCHEMA_VERSION:
                copy = path.with_name(f"{path.name}.v{before}.bak")
                say(f"copying the store to {copy}")
                with new_file(copy, overwrite=True) as temporary:
                    backup_file(path, temporary)
                backup = str(copy.absolute())
            for version in range(before + 1, SCHEMA_VERSION + 1):
                say(f"migrating from version {version - 1} to {version}")
                migrations.apply(db, version)
    finally:
        database.close()
    return MigrationReport(f"sqlite:///{path.absolute()}", before, max(before, SCHEMA_VERSION), backup)


def _need_file(path: Path) -> None:
    if not path.is_file() or not path.stat().st_size:
        raise StoreInputError(f"store file must exist, but got {str(path)!r}. Name another.")


def _look(path: Path, shared: bool) -> Findings:
    # Without a write-ahead log nobody else has the file open; immutable reading creates no files next to it.
    place = f"{path.absolute().as_uri()}?{'mode=ro' if shared else 'immutable=1'}"
    connection = sqlite3.connect(place, uri=True, timeout=BUSY_SECONDS, isolation_level=None)
    with contextlib.closing(connection) as db:
        try:
            db.execute("BEGIN")
            held = {kind: _names(db, kind) for kind in ("table", "index")}
            version = schema.version_of(db) if "meta" in held["table"] else 0
            if version < 1:
                return Findings(0, {}, ("the file has no version: it is not a store, or is damaged",))
            damages = [row[0] for row in db.execute(f"PRAGMA integrity_check({DAMAGES})") if row[0] != "ok"]
        except sqlite3.OperationalError as error:
            raise StoreError(f"the store {str(path)!r} cannot be read: {error}. Check its rights.") from error
        except sqlite3.DatabaseError as error:
            return Findings(0, {}, (f"the file is damaged: {error}; restore it from a copy",))
        problems = [f"the file is damaged: {damage}" for damage in damages]
        for kind, names in migrations.parts(min(version, SCHEMA_VERSION)).items():
            problems += [f"the {kind} {name} is missing" for name in sorted(names - held[kind])]
        (header,) = db.execute("PRAGMA user_version").fetchone()
        if header != version:
            problems.append(f"the file's header says version {header}, its table says {version}")
        if schema.lacks_log(path, db):
            problems.append(LACKING)
        problems += inconsistencies(db)
        return Findings(version, _counts(db, held["table"]), tuple(problems))


def _names(db: sqlite3.Connection, kind: str) -> set[str]:
    return {name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = ?", (kind,))}


def _counts(db: sqlite3.Connection, tables: set[str]) -> dict[str, int]:
    counts = {}
    for kind, table in _COUNTED.items():
        # A table that cannot be counted was reported as damaged.
        with contextlib.suppress(sqlite3.DatabaseError):
            if table in tables:
                (counts[kind],) = db.execute(f"SELECT count(*) FROM {table}").fetchone()
    return counts


def inconsistencies(db: sqlite3.Connection) -> Iterator[str]:
    """Yield the problems of a catalogue that SQLite's own checks do not find."""
    tables = _names(db, "table")
    if "meta" in tables and schema.entry(db, schema.COPYING):
        yield UNFINISHED
    try:
        orphans: dict[tuple[str, str], int] = {}
        for table, _, parent, _ in db.execute("PRAGMA foreign_key_check"):
            orphans[table, parent] = orphans.get((table, parent), 0) + 1
        for (table, parent), number in sorted(orphans.items()):
            yield f"rows of {table} that refer to no {parent}: {number}"
    except sqlite3.DatabaseError as error:
        yield f"references could not be checked: {error}"
    for problem, needed, query in _SEMANTICS:
        if not tables.issuperset(needed):
            continue
        try:
            culprits = [name for (name,) in db.execute(query)]
        except sqlite3.DatabaseError as error:
            yield f"{problem}: could not be checked ({error})"
            continue
        if culprits:
            yield with_examples(problem, culprits)
    try:
        wrong = _misled(db) if tables.issuperset(("architecture", "layer")) else []
    except sqlite3.DatabaseError as error:
        yield f"{MISLED}: could not be checked ({error})"
        return
    if wrong:
        yield with_examples(MISLED, wrong)


def _misled(db: sqlite3.Connection) -> list[str]:
    """Return the architectures whose summary does not match their layers."""
    rows = db.execute(
        "SELECT a.id, a.profile, l.family, l.parameter, l.hidden FROM architecture a "
        "LEFT JOIN layer l ON l.architecture = a.key ORDER BY a.key, l.position"
    )
    wrong = []
    for (id, profile), found in itertools.groupby(rows, key=lambda row: row[:2]):
        layers = [row[2:] for row in found if row[2] is not None]
        families, _, hiddens = zip(*layers, strict=True) if layers else ((), (), ())
        operations = [f"{family}_{parameter}" for family, parameter, _ in layers]
        try:
            told_of = json.loads(profile)
        except ValueError:
            told_of = None
        if told_of != [list(families), operations, list(hiddens)]:
            wrong.append(id)
    return wrong
