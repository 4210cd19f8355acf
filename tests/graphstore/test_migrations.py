"""Stores of older versions are refused, then migrated without losing anything, whatever comes between."""

from __future__ import annotations

import hashlib
import json
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import neo4j
import pytest

from graphstore import GraphStore, open_store
from graphstore.checks import TOPICS
from graphstore.contract import SCHEMA_VERSION
from graphstore.digests import digests
from graphstore.embedded import migrations as embedded
from graphstore.embedded import schema
from graphstore.errors import Code, ForeignFileError, StoreError, StoreInputError, StoreVersionError
from graphstore.maintenance import check, migrate
from graphstore.neo4j import migrations as neo4j_migrations
from graphstore.records import LineageRecord
from graphstore.reports import MigrationReport
from graphstore.testing import samples

PUBLISHED = ("2476509e5367", "559f58c93bf5", "10a3b3c958ed", "2825ba25729e")
"""Digests of the migrations of the SQLite file that users have taken already: they must never change."""

STEPS = [f"migrating from version {version} to {version + 1}" for version in range(1, SCHEMA_VERSION)]


def silent(_: str) -> None:
    pass


def contents(store: GraphStore) -> object:
    """Everything a store of version 1 can hold."""
    return digests(store), store.jobs(), [store.revision(topic) for topic in TOPICS]


def at_once(url: str, times: int = 4) -> list[MigrationReport]:
    """Migrate several times at once, each with connections of its own, as processes have."""
    barrier, reports = threading.Barrier(times), []

    def run() -> None:
        barrier.wait()
        reports.append(migrate(url, silent))

    threads = [threading.Thread(target=run) for _ in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return reports


def test_every_version_has_its_migration():
    assert len(embedded.MIGRATIONS) == len(neo4j_migrations.MIGRATIONS) == SCHEMA_VERSION
    found = [hashlib.blake2b(text.encode(), digest_size=6).hexdigest() for text in embedded.MIGRATIONS]
    assert found[: len(PUBLISHED)] == list(PUBLISHED)


# SQLite -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    """A store of the newest version with everything in it that version 1 can hold."""
    path = tmp_path / "whole.db"
    with open_store(f"sqlite:///{path}") as store:
        samples.fill(store)
    return path


@pytest.fixture
def old(tmp_path: Path, whole: Path) -> Path:
    """The same in the layout of version 1."""
    path = tmp_path / "old.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("ATTACH ? AS whole", (str(whole),))
        db.execute("BEGIN")
        embedded.apply(db, 1)
        db.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
        for table in sorted(embedded.parts(1)["table"] - {"meta", "study"}):
            columns = ", ".join(name for _, name, *_ in db.execute(f"PRAGMA table_info({table})"))
            db.execute(f"INSERT INTO {table} SELECT {columns} FROM whole.{table}")
        described = ", ".join(f"spec ->> '{name}'" for name in ("policy", "objective", "seed", "budget", "settings"))
        db.execute(f"INSERT INTO study SELECT key, name, space, {described}, state, created FROM whole.study")
        db.execute("COMMIT")
    return path


def version_of(path: Path) -> tuple[int, int]:
    """The version by the table and by the header."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        return schema.version_of(db), db.execute("PRAGMA user_version").fetchone()[0]


def layout(path: Path) -> list[tuple[str, ...]]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name").fetchall()


def assert_migrated(path: Path, whole: Path) -> None:
    with open_store(f"sqlite:///{path}") as store, open_store(f"sqlite:///{whole}") as original:
        assert contents(store) == contents(original)
        first, second = (summary.id for summary in store.summaries("nano")[:2])
        assert store.add_lineage([LineageRecord("run/1", first, "run/0", second, "ordered", 0.5)]) == 1
    assert layout(path) == layout(whole)
    assert check(f"sqlite:///{path}").problems == ()


def test_older_file_is_refused_and_left_as_it_is(old: Path):
    before = old.read_bytes()
    with pytest.raises(StoreVersionError, match="Migrate it") as refused:
        open_store(f"sqlite:///{old}")
    assert (refused.value.code, refused.value.url) == (Code.OLD_LAYOUT, f"sqlite:///{old}")
    report = check(f"sqlite:///{old}")
    assert (report.version, report.newest, report.ok) == (1, SCHEMA_VERSION, False)
    assert len(report.problems) == 1
    assert "migrate it" in report.problems[0]
    assert old.read_bytes() == before
    assert sorted(file.name for file in old.parent.iterdir()) == ["old.db", "whole.db"]


def test_file_is_migrated_with_all_it_holds(old: Path, whole: Path):
    said: list[str] = []
    report = migrate(f"sqlite:///{old}", said.append)
    backup = old.with_name("old.db.v1.bak")
    assert report == MigrationReport(f"sqlite:///{old}", 1, SCHEMA_VERSION, str(backup))
    assert said == [f"copying the store to {backup}", *STEPS]
    assert version_of(old) == (SCHEMA_VERSION, SCHEMA_VERSION)
    assert_migrated(old, whole)
    assert version_of(backup) == (1, 1)
    migrate(f"sqlite:///{backup}", silent)
    assert_migrated(backup, whole)


def test_newest_file_is_left_as_it_is(whole: Path):
    before = whole.read_bytes()
    assert migrate(f"sqlite:///{whole}", silent) == MigrationReport(
        f"sqlite:///{whole}", SCHEMA_VERSION, SCHEMA_VERSION
    )
    assert whole.read_bytes() == before
    assert [file.name for file in whole.parent.iterdir()] == ["whole.db"]


def failing(statements: Callable[[int], list[str]], act: Callable[[], None]) -> Callable[[int], list[str]]:
    """Statements of a migration, of which the one before the last acts otherwise."""

    class Acting(list[str]):
        def __iter__(self):
            yield from list.__iter__(self[:-1])
            act()

    return lambda version: Acting(statements(version))


def test_failed_migration_leaves_the_old_version(old: Path, whole: Path, monkeypatch: pytest.MonkeyPatch):
    def full() -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(embedded, "statements", failing(embedded.statements, full))
        with pytest.raises(StoreError, match="disk is full"):
            migrate(f"sqlite:///{old}", silent)
    assert version_of(old) == (1, 1)
    with pytest.raises(StoreVersionError):
        open_store(f"sqlite:///{old}")
    assert migrate(f"sqlite:///{old}", silent).before == 1
    assert_migrated(old, whole)


KILLED = """
import os, signal, sys
from graphstore.embedded import migrations
from graphstore.maintenance import migrate
class Deadly(list):
    def __iter__(self):
        yield from list.__iter__(self[:-1])
        os.kill(os.getpid(), signal.SIGKILL)
statements = migrations.statements
migrations.statements = lambda version: Deadly(statements(version))
migrate(sys.argv[1], lambda line: None)
"""


def test_killed_migration_leaves_the_old_version(old: Path, whole: Path):
    done = subprocess.run([sys.executable, "-c", KILLED, f"sqlite:///{old}"], timeout=120, check=False)
    assert done.returncode == -signal.SIGKILL
    with pytest.raises(StoreVersionError, match="got 1"):
        open_store(f"sqlite:///{old}")
    assert migrate(f"sqlite:///{old}", silent).before == 1
    assert_migrated(old, whole)


def test_files_are_migrated_by_one_of_many(old: Path, whole: Path):
    reports = at_once(f"sqlite:///{old}")
    assert (
        sorted((report.before, bool(report.backup)) for report in reports)
        == [(1, True)] + [(SCHEMA_VERSION, False)] * 3
    )
    assert_migrated(old, whole)
    assert version_of(old.with_name("old.db.v1.bak")) == (1, 1)


def test_migration_while_an_older_program_has_the_file_open(old: Path):
    with closing(sqlite3.connect(old, isolation_level=None)) as program:
        jobs = program.execute("SELECT count(*) FROM job").fetchone()
        migrate(f"sqlite:///{old}", silent)
        program.execute("UPDATE job SET message = 'still here'")
        assert program.execute("SELECT count(*) FROM job").fetchone() == jobs
        with open_store(f"sqlite:///{old}") as store:
            assert store.jobs()[0].message == "still here"
        assert check(f"sqlite:///{old}").problems == ()


def test_what_is_no_store_is_not_migrated(old: Path, tmp_path: Path):
    with pytest.raises(StoreInputError, match="must exist"):
        migrate(f"sqlite:///{tmp_path / 'none.db'}", silent)
    text = tmp_path / "text.db"
    text.write_text("name,score\n" * 50)
    with pytest.raises(ForeignFileError):
        migrate(f"sqlite:///{text}", silent)
    damaged = bytearray(old.read_bytes())
    damaged[8192:40_000] = bytes(40_000 - 8192)
    old.write_bytes(damaged)
    with pytest.raises(ForeignFileError, match="undamaged"):
        migrate(f"sqlite:///{old}", silent)
    assert old.read_bytes() == damaged
    assert not list(tmp_path.glob("*.bak"))


# Neo4j --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def old_server(server, neo4j_url: str) -> Iterator[tuple[str, object]]:
    """URL of a store of version 1, and all that is in it."""
    with open_store(neo4j_url) as store:
        samples.fill(store)
        held = contents(store)
    with server.session() as session:
        to_version_3(session)
        for rule in (*neo4j_migrations.MIGRATIONS[1], *neo4j_migrations.MIGRATIONS[2]):
            session.run(f"DROP {rule.kind.split()[-1]} {rule.name}").consume()
        settings = json.dumps(samples.study().spec["settings"])
        session.run("MATCH (s:Study) SET s.settings = $settings REMOVE s.spec, s.version", settings=settings).consume()
        session.run("MATCH (m:Meta {topic: 'schema'}) SET m.version = 1").consume()
    yield neo4j_url, held
    migrate(neo4j_url, silent)  # the server is shared, and its constraints stay


def to_version_3(session: neo4j.Session) -> None:
    """Give a store of the newest version the labels, constraints and indexes of version 3."""
    for label in ("Meta", *neo4j_migrations._OWN):
        session.run(f"MATCH (n:Archex{label}) SET n:{label} REMOVE n:Archex{label}").consume()
    newest = neo4j_migrations.rules(SCHEMA_VERSION)
    for rule in newest:
        if rule not in neo4j_migrations.rules(3):
            session.run(f"DROP {rule.kind} {rule.name}").consume()
    for rule in neo4j_migrations.rules(3):
        session.run(f"CREATE {rule.kind} {rule.name} IF NOT EXISTS {rule.body}").consume()
    session.run("CALL db.awaitIndexes(60)").consume()
    session.run("MATCH (m:Meta {topic: 'schema'}) SET m.version = 3").consume()


def rules_of(server) -> set[str]:
    with server.session() as session:
        return set(session.run("SHOW INDEXES YIELD name RETURN name").value())


def names(rules: Sequence[neo4j_migrations.Rule]) -> set[str]:
    return {rule.name for rule in rules}


@pytest.mark.neo4j
def test_server_is_refused_then_migrated(server, old_server: tuple[str, object]):
    url, held = old_server
    with pytest.raises(StoreVersionError, match="Migrate it") as refused:
        open_store(url)
    assert (refused.value.code, refused.value.url) == (Code.OLD_LAYOUT, url)
    report = check(url)
    assert (report.version, len(report.problems)) == (1, 1)
    assert "migrate it" in report.problems[0]
    assert not names(neo4j_migrations.MIGRATIONS[1]) & rules_of(server)
    said: list[str] = []
    assert migrate(url, said.append) == MigrationReport(url, 1, SCHEMA_VERSION)
    assert said == STEPS
    assert names(neo4j_migrations.rules(SCHEMA_VERSION)) <= rules_of(server)
    assert check(url).problems == ()
    with open_store(url) as store:
        assert contents(store) == held
    assert migrate(url, silent) == MigrationReport(url, SCHEMA_VERSION, SCHEMA_VERSION)


@pytest.mark.neo4j
@pytest.mark.parametrize("stop", [1, 4], ids=["before the labels", "after the labels"])
def test_interrupted_migration_of_a_server_goes_on(server, old_server: tuple[str, object], monkeypatch, stop: int):
    url, held = old_server
    change, done = neo4j_migrations._change, 0

    def interrupted(transaction, statement: str) -> None:
        nonlocal done
        done += "archex_inherited" in statement or statement.startswith("DROP")
        if done == stop:
            raise KeyboardInterrupt
        change(transaction, statement)

    with monkeypatch.context() as patched:
        patched.setattr(neo4j_migrations, "_change", interrupted)
        with pytest.raises(KeyboardInterrupt):
            migrate(url, silent)
    assert check(url).version == 1
    reports = at_once(url)
    assert {report.after for report in reports} == {SCHEMA_VERSION}
    assert check(url).problems == ()
    with open_store(url) as store:
        assert contents(store) == held


@pytest.mark.neo4j
def test_empty_and_newer_servers_are_not_migrated(server, neo4j_url: str):
    with pytest.raises(StoreInputError, match="holds none"):
        migrate(neo4j_url, silent)
    assert check(neo4j_url).problems == ("the database does not contain a store",)
    open_store(neo4j_url).close()
    with server.session() as session:
        session.run("MATCH (m:ArchexMeta {topic: 'schema'}) SET m.version = 99").consume()
    with pytest.raises(StoreVersionError, match="got 99"):
        migrate(neo4j_url, silent)
    report = check(neo4j_url)
    assert report.version == 99
    assert "newer" in report.problems[0]
