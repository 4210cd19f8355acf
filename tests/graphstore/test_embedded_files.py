"""Files that are no store, damaged or newer are refused and left as they are, byte for byte."""

from __future__ import annotations

import os
import random
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest

from graphstore import open_store
from graphstore.backup import backup
from graphstore.contract import SCHEMA_VERSION
from graphstore.digests import digests
from graphstore.errors import ForeignFileError, StoreError, StoreInputError, StoreVersionError
from graphstore.maintenance import check
from graphstore.records import Embeddings
from graphstore.testing import samples


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store with something in it, closed."""
    file = tmp_path / "store.db"
    with open_store(f"sqlite:///{file}") as store:
        records = samples.architectures(50)
        store.put_space(samples.space())
        store.add_architectures("nano", records)
        vectors = np.ones((50, 4), np.float32)
        store.put_embeddings("nano", Embeddings(tuple(record.id for record in records), vectors))
    return file


def change(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as db:
        for statement in statements:
            db.execute(statement)
        db.commit()


def overwrite(path: Path, place: int, data: bytes) -> None:
    content = bytearray(path.read_bytes())
    content[place : place + len(data)] = data
    path.write_bytes(content)


def foreign_database(path: Path) -> None:
    path.unlink()
    change(path, "CREATE TABLE t (x)", "INSERT INTO t VALUES (1)")


def foreign_wal_database(path: Path) -> None:
    path.unlink()
    change(path, "PRAGMA journal_mode = WAL", "CREATE TABLE space (name)")


FOREIGN: dict[str, Callable[[Path], object]] = {
    "text": lambda path: path.write_text("name,score\nx,1\n" * 50),
    "short": lambda path: path.write_bytes(path.read_bytes()[:50]),
    "cut": lambda path: os.truncate(path, path.stat().st_size // 2),
    "cut by a byte": lambda path: os.truncate(path, path.stat().st_size - 1),
    "other database": foreign_database,
    "other database in WAL mode": foreign_wal_database,
    "header": lambda path: overwrite(path, 0, b"SQLite format 2"),
    "application": lambda path: change(path, "PRAGMA application_id = 7"),
    "table missing": lambda path: change(path, "PRAGMA foreign_keys = OFF", "DROP TABLE measurement"),
    "middle": lambda path: overwrite(path, path.stat().st_size // 2, random.Random(0).randbytes(20_000)),
    "first page": lambda path: overwrite(path, 100, random.Random(1).randbytes(3000)),
    "zeros": lambda path: overwrite(path, 4096, bytes(60_000)),
}


@pytest.mark.parametrize("create", [True, False])
@pytest.mark.parametrize("kind", FOREIGN)
def test_foreign_or_damaged_file(path: Path, kind: str, create: bool):
    FOREIGN[kind](path)
    before = path.read_bytes()
    with pytest.raises(ForeignFileError, match=r"store\.db"):
        open_store(f"sqlite:///{path}", create=create)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["store.db"]


@pytest.mark.parametrize("kind", FOREIGN)
def test_foreign_or_damaged_file_is_reported(path: Path, kind: str):
    FOREIGN[kind](path)
    before = path.read_bytes()
    assert not check(f"sqlite:///{path}").ok
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["store.db"]


@pytest.mark.parametrize("where", ["header", "table", "both"])
def test_newer_store(path: Path, where: str):
    newer = SCHEMA_VERSION + 1
    if where != "table":
        change(path, f"PRAGMA user_version = {newer}")
    if where != "header":
        change(path, f"UPDATE meta SET value = {newer} WHERE key = 'schema_version'")
    before = path.read_bytes()
    with pytest.raises(StoreVersionError, match=f"got {newer}"):
        open_store(f"sqlite:///{path}")
    assert str(newer) in check(f"sqlite:///{path}").problems[0]
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["store.db"]


def test_empty_file_becomes_a_store(tmp_path: Path):
    path = tmp_path / "store.db"
    path.touch()
    with pytest.raises(StoreInputError, match="must exist"):
        open_store(f"sqlite:///{path}", create=False)
    with open_store(f"sqlite:///{path}") as store:
        store.put_space(samples.space())
        assert store.count("nano") == 0


@contextmanager
def ordinary_user() -> Iterator[None]:
    """Rights bind everybody but root: become nobody for a while if the tests run as root."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.skipif(os.name != "posix", reason="rights of files are POSIX's")
@pytest.mark.parametrize(("folder_mode", "file_mode"), [(0o555, 0o444), (0o555, 0o666), (0o777, 0o444)])
def test_a_store_that_cannot_be_written(path: Path, folder_mode: int, file_mode: int):
    # Not in tmp_path, whose parents only their owner may enter.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = folder / "store.db"
        file.write_bytes(path.read_bytes())
        file.chmod(file_mode)
        folder.chmod(folder_mode)
        try:
            with ordinary_user(), open_store(f"sqlite:///{file}", create=False) as store:
                assert store.count("nano") == 50
                for call in (lambda: store.put_space(samples.space("new")), lambda: store.put_job(samples.job())):
                    with pytest.raises(StoreInputError, match=r"writable, and so must its folder, but got .*store\.db"):
                        call()
                assert len(store.nearest("nano", np.ones(4), 3)) == 3
                with tempfile.TemporaryDirectory() as mine:
                    saved = Path(mine) / "saved.db"
                    backup(f"sqlite:///{file}", saved)
                    with open_store(f"sqlite:///{saved}") as copy:
                        assert digests(copy) == digests(store)
                assert check(f"sqlite:///{file}").ok
            assert [entry.name for entry in folder.iterdir()] == ["store.db"]
        finally:
            folder.chmod(0o777)
        assert file.read_bytes() == path.read_bytes()


@pytest.mark.skipif(os.name != "posix", reason="rights of files are POSIX's")
def test_a_store_that_another_writes_is_read_without_rights(path: Path):
    """What the writer acknowledged is seen from its log, and the log is left to it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = folder / "store.db"
        file.write_bytes(path.read_bytes())
        with open_store(f"sqlite:///{file}") as writer:
            writer.put_space(samples.space("first"))
            for entry in folder.iterdir():
                entry.chmod(0o444)
            folder.chmod(0o555)
            try:
                with ordinary_user(), open_store(f"sqlite:///{file}", create=False) as reader:
                    assert [space.name for space in reader.spaces()] == ["first", "nano"]
                    if os.getuid() == 0:
                        os.seteuid(0)
                        writer.put_space(samples.space("second"))
                        os.seteuid(65534)
                        assert [space.name for space in reader.spaces()] == ["first", "nano", "second"]
            finally:
                folder.chmod(0o777)
        assert [entry.name for entry in folder.iterdir()] == ["store.db"]


@pytest.mark.parametrize("create", [True, False])
@pytest.mark.parametrize("name", ["a" * 300, "a" * 300 + "/store.db"])
def test_a_name_too_long_for_a_file(tmp_path: Path, name: str, create: bool):
    with pytest.raises(StoreInputError, match=r"store (file|URL) must .* but got '") as caught:
        open_store(f"sqlite:///{tmp_path}/{name}", create=create)
    assert "aaa" in str(caught.value)


def test_damage_under_an_open_store_is_reported(path: Path):
    with open_store(f"sqlite:///{path}") as store:
        size = path.stat().st_size
        with path.open("r+b") as file:
            file.seek(4096)
            file.write(random.Random(2).randbytes(size - 4096))
        with pytest.raises(StoreError, match=r"store\.db"):
            [store.architecture(record.id) for record in samples.architectures(50)]


def test_values_of_other_types_are_refused(path: Path):
    with open_store(f"sqlite:///{path}") as store:
        id = samples.architectures(1)[0].id
        with pytest.raises(StoreInputError, match="plain"):
            store.add_scores([samples.score(id), samples.score(id, "x", 0.5, 2**63)])
        numpy_count = samples.architecture([], parameters=np.int64(3))
        with pytest.raises(StoreInputError, match="plain"):
            store.add_architectures("nano", [*samples.architectures(60), numpy_count])
        assert store.count() == 50
        with pytest.raises(StoreInputError, match="plain"):
            store.put_job(samples.job("\ud800"))
        assert store.scores() == []
        assert store.jobs() == []


def test_reading_a_store_leaves_it_as_it_is(path: Path):
    before = path.read_bytes()
    with open_store(f"sqlite:///{path}") as store:
        store.summaries("nano")
        store.nearest("nano", np.zeros(4), 3)
    assert path.read_bytes() == before
