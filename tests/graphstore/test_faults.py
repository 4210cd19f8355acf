"""The disk is full under the SQLite file: a clear error, nothing lost, nothing damaged, and the same call goes on."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from graphstore import GraphStore, open_store
from graphstore.embedded.database import Database
from graphstore.errors import ForeignFileError, StoreError, StoreInputError
from graphstore.records import Embeddings, ScoreRecord, TrialStatus
from graphstore.testing import samples

SIZE = 4 * 2**20


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of four megabytes; skips where none may be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("needs the program mount")
    if done.returncode:
        pytest.skip(f"needs the right to mount a small file system: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def prepare(store: GraphStore) -> list[str]:
    """A study of 8 trials, one of them claimed."""
    records = samples.architectures(8)
    store.put_space(samples.space())
    store.add_architectures("nano", records)
    store.create_study(samples.study())
    store.add_trials("first", [(record.id, {}) for record in records])
    assert store.claim_trial("first", "w", 1e9, 1000.0) is not None
    return [record.id for record in records]


def scores(ids: list[str], turn: int) -> list[ScoreRecord]:
    """Eight scores with long names, so that a small disk is soon full."""
    return [samples.score(id, f"task-{turn}", 0.5, turn, "t:" + "x" * 998) for id in ids]


def last_scores(ids: list[str]) -> list[ScoreRecord]:
    """More scores than there is room for."""
    return [score for turn in range(-30, 0) for score in scores(ids, turn)]


def fill(store: GraphStore, ids: list[str]) -> tuple[list[ScoreRecord], list[ScoreRecord], StoreError]:
    """Add scores until one call is refused: what was acknowledged, what was refused, and the error."""
    kept: list[ScoreRecord] = []
    for turn in range(100_000):
        batch = scores(ids, turn)
        try:
            store.add_scores(batch)
        except StoreError as error:
            return kept, batch, error
        kept += batch
    raise AssertionError("the disk did not get full")


def check_error(error: StoreError) -> None:
    assert not isinstance(error, StoreInputError | ForeignFileError)
    assert "disk is full" in str(error)
    assert "space" in str(error)


def key(score: ScoreRecord) -> str:
    return score.id


def everything(store: GraphStore) -> tuple[object, ...]:
    return store.summaries(), store.trials("first"), sorted(store.scores(), key=key), store.jobs(), store.revision()


def check_file(path: Path) -> None:
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []


def test_a_full_disk_loses_nothing(small_disk: Path):
    path = small_disk / "store.db"
    url = f"sqlite:///{path}"
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(SIZE * 5 // 8))
    with open_store(url) as store:
        ids = prepare(store)
        kept, refused, error = fill(store, ids)
        check_error(error)
        before = everything(store)
        assert before[2] == sorted(kept, key=key)
        for call in calls(store, ids, refused):
            with pytest.raises(StoreError) as caught:
                call()
            check_error(caught.value)
            assert everything(store) == before
        check_file(path)
        ballast.unlink()
        for call in calls(store, ids, refused):
            call()
    with open_store(url, create=False) as store:
        check_done(store, ids, kept + refused)
    check_file(path)


def test_a_full_disk_can_still_be_opened(small_disk: Path):
    """A process that comes when the disk is full reads everything, or hears that the disk is full."""
    url = f"sqlite:///{small_disk / 'store.db'}"
    with open_store(url) as store:
        ids = prepare(store)
        kept, _, _ = fill(store, ids)
        (small_disk / "rest").write_bytes(bytes(free(small_disk)))
        with open_store(url, create=False) as other:
            assert sorted(other.scores(), key=key) == sorted(kept, key=key)
    try:
        with open_store(url, create=False) as late:
            assert sorted(late.scores(), key=key) == sorted(kept, key=key)
    except StoreError as error:
        check_error(error)
    (small_disk / "rest").unlink()
    with open_store(url, create=False) as late:
        assert sorted(late.scores(), key=key) == sorted(kept, key=key)


@pytest.mark.parametrize("left", [0, 4096, 20_000])
def test_a_new_store_on_a_full_disk(small_disk: Path, left: int):
    rest = small_disk / "rest"
    rest.write_bytes(bytes(free(small_disk) - left))
    path = small_disk / "store.db"
    with pytest.raises(StoreError) as refused:
        open_store(f"sqlite:///{path}")
    check_error(refused.value)
    rest.unlink()
    with open_store(f"sqlite:///{path}") as store:
        assert len(prepare(store)) == 8


def free(folder: Path) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


def test_a_file_at_its_limit_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The same with a limit on the file's pages in place of the disk's, which needs no rights."""
    limit = {"pages": 150}
    connect = Database._connect

    def limited(self: Database, *arguments: str) -> sqlite3.Connection:
        connection = connect(self, *arguments)
        connection.execute(f"PRAGMA max_page_count = {limit['pages']}")
        return connection

    monkeypatch.setattr(Database, "_connect", limited)
    path = tmp_path / "store.db"
    with open_store(f"sqlite:///{path}") as store:
        ids = prepare(store)
        kept, refused, error = fill(store, ids)
        check_error(error)
        before = everything(store)
        assert before[2] == sorted(kept, key=key)
        with pytest.raises(StoreError) as caught:
            store.add_scores(refused)
        check_error(caught.value)
        assert everything(store) == before
        check_file(path)
    limit["pages"] = 100_000
    with open_store(f"sqlite:///{path}", create=False) as store:
        assert everything(store) == before
        for call in calls(store, ids, refused):
            call()
        check_done(store, ids, kept + refused)
    check_file(path)


def calls(store: GraphStore, ids: list[str], refused: list[ScoreRecord]) -> list[Callable[[], object]]:
    """Calls that need more room than is left."""
    more = samples.architectures(300, seed=5)
    (trial,) = (trial for trial in store.trials("first") if trial.owner == "w" or trial.value is not None)
    vectors = Embeddings(tuple(ids), np.ones((len(ids), 4096), np.float32))
    return [
        lambda: store.add_scores(refused),
        lambda: store.add_architectures("nano", more),
        lambda: store.put_embeddings("nano", vectors),
        lambda: store.finish_trial(trial, TrialStatus.COMPLETE, 1001.0, 0.5, scores=last_scores(ids)),
    ]


def check_done(store: GraphStore, ids: list[str], kept: list[ScoreRecord]) -> None:
    """The calls have taken effect, each once."""
    assert sorted(store.scores(), key=key) == sorted(kept + last_scores(ids), key=key)
    known = dict.fromkeys([*ids, *(record.id for record in samples.architectures(300, seed=5))])
    assert [summary.id for summary in store.summaries("nano")] == list(known)
    assert store.embeddings("nano").ids == tuple(ids)
    assert [trial.state for trial in store.trials("first")].count(TrialStatus.COMPLETE) == 1
