"""Backups: taken while others write, whole or absent, never over something else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from graphstore import open_store
from graphstore.backup import backup
from graphstore.contract import SCHEMA_VERSION
from graphstore.copying import copy_store, digests
from graphstore.embedded import backup as backups
from graphstore.errors import ForeignFileError, StoreError, StoreInputError
from graphstore.testing import samples

WRITER = """
import sys
from graphstore import open_store
from graphstore.records import TrialStatus
from graphstore.testing import samples
url, name, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
with open_store(url, create=False) as store:
    ids = store.architecture_ids("nano")
    print("ready", flush=True)
    for turn in range(rounds):
        pair = [samples.score(ids[turn % len(ids)], task, seed=turn, source=name) for task in ("a", "b")]
        store.add_scores(pair)
        print(pair[0].id, pair[1].id, flush=True)
        trial = store.claim_trial("first", name, 1e9, 1000.0)
        if trial is not None:
            proof = samples.score(trial.architecture, "trial", seed=trial.number)
            store.finish_trial(trial, TrialStatus.COMPLETE, 1001.0, 0.5, scores=[proof])
            print(proof.id, flush=True)
"""


def prepared(url: str, count: int) -> None:
    with open_store(url) as store:
        records = samples.architectures(count)
        store.put_space(samples.space())
        store.add_architectures("nano", records)
        store.create_study(samples.study())
        store.add_trials("first", [(record.id, {}) for record in records])


class Ear(threading.Thread):
    """Keeps what a writer said was acknowledged."""

    def __init__(self, writer: subprocess.Popen[str]) -> None:
        super().__init__()
        self.writer, self.heard, self.some = writer, list[str](), threading.Event()
        self.start()

    def run(self) -> None:
        assert self.writer.stdout is not None
        for line in self.writer.stdout:
            if line.endswith("\n"):
                self.heard += line.split()
                self.some.set()


def test_backups_while_three_processes_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Each is one moment of the store: all acknowledged before it began, and nothing in halves."""
    monkeypatch.setattr(backups, "PAGES", 8)  # many steps, so that writers come in between
    url = f"sqlite:///{tmp_path}/store.db"
    prepared(url, 300)
    command = [sys.executable, "-c", WRITER, url]
    writers = [
        subprocess.Popen([*command, name, "100000"], stdout=subprocess.PIPE, text=True) for name in ("x", "y", "z")
    ]
    ears = [Ear(writer) for writer in writers]
    try:
        for ear in ears:
            assert ear.some.wait(60)
        sizes = []
        for turn in range(4):
            for ear in ears:
                ear.some.clear()
                assert ear.some.wait(60)
            said = {word for ear in ears for word in ear.heard if word != "ready"}
            steps: list[tuple[int, int]] = []
            report = backup(url, tmp_path / f"{turn}.db", lambda _, done, total, to=steps: to.append((done, total)))
            assert len(steps) > 10
            assert steps[-1][0] == steps[-1][1]
            assert report.size_bytes == (tmp_path / f"{turn}.db").stat().st_size
            with open_store(f"sqlite:///{tmp_path}/{turn}.db", create=False) as store:
                scores = store.scores()
                assert said <= {score.id for score in scores}
                pairs = {task: {(s.architecture, s.seed, s.source) for s in scores if s.task == task} for task in "ab"}
                assert pairs["a"] == pairs["b"]
                proven = {score.architecture for score in scores if score.task == "trial"}
                trials = store.trials("first")
                assert proven == {trial.architecture for trial in trials if trial.state == "complete"}
            sizes.append(len(scores))
        assert sizes == sorted(set(sizes))
        assert all(writer.poll() is None for writer in writers)
    finally:
        for writer, ear in zip(writers, ears, strict=True):
            writer.kill()
            writer.wait()
            ear.join()
            writer.stdout.close()


def test_a_restored_backup_equals_the_store(tmp_path: Path, either_url: str):
    """Both engines end up in a SQLite store file; the way back is a copy."""
    with open_store(either_url) as store:
        prepared(either_url, 20)
        store.add_scores([samples.score(id) for id in store.architecture_ids()])
        expected = digests(store)
        report = backup(either_url, tmp_path / "saved.db")
        assert (report.url, report.moving) == (store.url, ())
    assert {path.name for path in tmp_path.iterdir()} - {"store.db", "store.db-wal", "store.db-shm"} == {"saved.db"}
    with (
        open_store(f"sqlite:///{tmp_path}/saved.db", create=False) as saved,
        open_store(f"sqlite:///{tmp_path}/restored.db") as restored,
    ):
        assert digests(saved) == expected
        assert copy_store(saved, restored).sections == expected


def test_nothing_is_overwritten_unless_told(tmp_path: Path):
    url = f"sqlite:///{tmp_path}/store.db"
    prepared(url, 5)
    taken = tmp_path / "taken.txt"
    taken.write_text("mine")
    for path, message in {
        taken: "free",
        tmp_path: "free",
        tmp_path / "none" / "x.db": "folder",
        tmp_path / "store.db": "another file",
    }.items():
        with pytest.raises(StoreInputError, match=message):
            backup(url, path)
    with pytest.raises(StoreInputError, match="another file"):
        backup(url, tmp_path / "store.db", overwrite=True)
    assert taken.read_text() == "mine"
    backup(url, taken, overwrite=True)
    with open_store(f"sqlite:///{taken}", create=False) as saved:
        assert saved.count() == 5
        # Its log would be taken for the new file's.
        with pytest.raises(StoreInputError, match="in use"):
            backup(url, taken, overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["store.db", "taken.txt"]


def test_a_name_taken_meanwhile_is_left_as_it_is(tmp_path: Path):
    url = f"sqlite:///{tmp_path}/store.db"
    prepared(url, 5)
    path = tmp_path / "saved.db"

    def intrude(section: str, done: int, total: int) -> None:
        path.write_text("somebody else's")

    with pytest.raises(StoreInputError, match="free"):
        backup(url, path, intrude)
    assert path.read_text() == "somebody else's"


def test_only_whole_backups_are_kept(tmp_path: Path):
    """A missing, foreign or damaged store gives an error and no file; the store stays as it is."""
    missing = f"sqlite:///{tmp_path}/missing.db"
    with pytest.raises(StoreInputError, match="must exist"):
        backup(missing, tmp_path / "saved.db")
    foreign = tmp_path / "foreign.db"
    foreign.write_bytes(b"SQLite format 3\x00" + bytes(84))
    with pytest.raises(ForeignFileError):
        backup(f"sqlite:///{foreign}", tmp_path / "saved.db")
    url = f"sqlite:///{tmp_path}/store.db"
    prepared(url, 200)
    store = tmp_path / "store.db"
    raw = bytearray(store.read_bytes())
    raw[len(raw) // 2 : len(raw) // 2 + 4096] = b"\xa5" * 4096
    store.write_bytes(raw)
    with pytest.raises(StoreError):
        backup(url, tmp_path / "saved.db")
    assert store.read_bytes() == raw
    assert sorted(path.name for path in tmp_path.iterdir()) == ["foreign.db", "store.db"]


def test_a_killed_backup_leaves_no_file_of_its_name(tmp_path: Path):
    url = f"sqlite:///{tmp_path}/store.db"
    prepared(url, 50)
    code = (
        "import os, sys; from pathlib import Path; from graphstore.backup import backup\n"
        "backup(sys.argv[1], Path(sys.argv[2]), lambda *_: os.kill(os.getpid(), 9))"
    )
    killed = subprocess.run([sys.executable, "-c", code, url, str(tmp_path / "saved.db")], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "saved.db").exists()
    backup(url, tmp_path / "saved.db")
    with open_store(f"sqlite:///{tmp_path}/saved.db", create=False) as saved:
        assert saved.count() == 50


def test_an_older_store_is_saved_as_it_is(tmp_path: Path):
    """So that one can be kept before it is migrated."""
    import sqlite3

    from graphstore.embedded import migrations, schema

    file = sqlite3.connect(tmp_path / "old.db", isolation_level=None)
    migrations.apply(file, 1)
    file.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
    file.close()
    backup(f"sqlite:///{tmp_path}/old.db", tmp_path / "saved.db")
    assert SCHEMA_VERSION > 1
    saved = sqlite3.connect(tmp_path / "saved.db")
    assert schema.version_of(saved) == 1
    saved.close()
    assert os.stat(tmp_path / "saved.db").st_mode == os.stat(tmp_path / "old.db").st_mode
