"""A store's file that was copied without its write-ahead log is noticed, and a file that is complete is not accused."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from graphstore import GraphStore, open_store
from graphstore.backup import backup
from graphstore.digests import digests
from graphstore.embedded.maintenance import LACKING
from graphstore.maintenance import check
from graphstore.testing import samples


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store with something in it, closed."""
    file = tmp_path / "store.db"
    with open_store(f"sqlite:///{file}") as store:
        store.put_space(samples.space())
        store.add_architectures("nano", samples.architectures(8))
    return file


def copied(path: Path, name: str = "copy.db") -> Path:
    """Copy the file alone, as ``cp`` does."""
    return Path(shutil.copy(path, path.with_name(name)))


def lacks(path: Path) -> bool:
    problems = check(f"sqlite:///{path}").problems
    assert problems in ((), (LACKING,))
    return bool(problems)


def studies(path: Path) -> list[str]:
    with open_store(f"sqlite:///{path}", create=False) as store:
        return sorted(study.name for study in store.studies())


def test_a_copy_of_a_file_in_use_is_noticed_until_it_is_written(path: Path):
    with open_store(f"sqlite:///{path}") as store:
        store.create_study(samples.study("first"))
        store.create_study(samples.study("newest"))
        copy = copied(path)
        assert not lacks(path)
    assert lacks(copy)
    said: list[str] = []
    with open_store(f"sqlite:///{copy}", say=said.append) as reader:
        assert [study.name for study in reader.studies()] != ["newest", "first"]
        assert reader.risks == (LACKING,)
    assert said == [f"warning: {LACKING}"]
    assert lacks(copy), "reading must not take the notice away"
    with open_store(f"sqlite:///{copy}") as writer:
        writer.create_study(samples.study("its own"))
    assert not lacks(copy)
    said.clear()
    open_store(f"sqlite:///{copy}", say=said.append).close()
    assert said == []


def test_a_copy_of_a_closed_file_is_complete(path: Path):
    for turn in range(3):
        with open_store(f"sqlite:///{path}") as store:
            store.create_study(samples.study(f"study-{turn}"))
        copy = copied(path, f"copy-{turn}.db")
        assert not lacks(copy)
        assert len(studies(copy)) == turn + 1


def test_a_copy_with_the_log_is_complete(path: Path):
    with open_store(f"sqlite:///{path}") as store:
        store.create_study(samples.study("newest"))
        store.create_study(samples.study("after it"))
        copy = copied(path)
        shutil.copy(path.with_name("store.db-wal"), path.with_name("copy.db-wal"))
    assert not lacks(copy)
    assert studies(copy) == ["after it", "newest"]


def test_a_command_that_ends_completes_the_file_that_others_have_open(path: Path):
    """What it wrote is in the file itself, although the last one with the file open has not closed it."""
    with open_store(f"sqlite:///{path}") as app:
        assert app.studies() == []
        with open_store(f"sqlite:///{path}") as command:
            command.create_study(samples.study("mine"))
        copy = copied(path)
        assert not lacks(copy)
        assert studies(copy) == ["mine"]
        app.put_job(samples.job())
        app.put_job(samples.job("job-2"))
        assert lacks(copied(path, "later.db"))


def test_a_reader_that_ends_does_not_hide_what_a_writer_adds(path: Path):
    with open_store(f"sqlite:///{path}") as writer:
        for turn in range(3):
            writer.create_study(samples.study(f"a{turn}"))
            with open_store(f"sqlite:///{path}") as reader:
                assert len(reader.studies()) == 2 * turn + 1
            writer.create_study(samples.study(f"b{turn}"))
            writer.put_job(samples.job(f"job-{turn}"))
            assert lacks(copied(path, f"copy-{turn}.db"))


def test_a_backup_of_a_file_in_use_is_complete(path: Path, tmp_path: Path):
    with open_store(f"sqlite:///{path}") as store:
        store.create_study(samples.study("newest"))
        store.put_job(samples.job())
        backup(f"sqlite:///{path}", tmp_path / "saved.db")
        held = digests(store)
    assert not lacks(tmp_path / "saved.db")
    with open_store(f"sqlite:///{tmp_path / 'saved.db'}", create=False) as saved:
        assert digests(saved) == held


def test_after_a_long_reader_the_next_write_makes_copies_notice(path: Path):
    """SQLite cannot move anything from the log into the file while somebody reads an older state."""
    with open_store(f"sqlite:///{path}") as reader, open_store(f"sqlite:///{path}") as writer:
        with reader._database.reading() as db:  # type: ignore[attr-defined]
            assert db.execute("SELECT count(*) FROM study").fetchone() == (0,)
            writer.create_study(samples.study("first"))
        writer.create_study(samples.study("second"))
        writer.create_study(samples.study("third"))
        assert lacks(copied(path))


WRITES = """
import os, sys, time
from graphstore import open_store
from graphstore.testing import samples
store = open_store(sys.argv[1])
store.create_study(samples.study("newest"))
store.put_job(samples.job())
print("written", flush=True)
if sys.argv[2] == "wait":
    time.sleep(600)
if sys.argv[2] == "fork" and os.fork() == 0:
    sys.exit()
"""


def test_a_process_that_was_killed_leaves_its_log(path: Path):
    command = [sys.executable, "-c", WRITES, f"sqlite:///{path}", "wait"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "written\n"
        process.send_signal(signal.SIGKILL)
    assert lacks(copied(path))
    assert not lacks(path)
    assert studies(path) == ["newest"]
    assert not lacks(copied(path, "later.db")), "the reader completed the file"


@pytest.mark.parametrize("way", ["end", "fork"])
def test_a_process_that_ends_without_closing_completes_the_file(path: Path, way: str):
    subprocess.run([sys.executable, "-c", WRITES, f"sqlite:///{path}", way], check=True, capture_output=True)
    copy = copied(path)
    assert not lacks(copy)
    assert studies(copy) == ["newest"]
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["copy.db", "store.db"]


def test_copies_at_random_moments_are_complete_or_noticed(path: Path):
    """Random writers and readers come and go; every copy holds everything acknowledged, or says that it may not."""
    rng = random.Random(7)
    opened: list[GraphStore] = []
    written = 0
    seen = {True: 0, False: 0}
    for turn in range(80):
        action = rng.random()
        if action < 0.3 and len(opened) < 3:
            opened.append(open_store(f"sqlite:///{path}"))
        elif action < 0.5 and opened:
            opened.pop(rng.randrange(len(opened))).close()
        elif opened:
            store = rng.choice(opened)
            if rng.random() < 0.6:
                store.create_study(samples.study(f"study-{turn}"))
                written += 1
            else:
                assert len(store.studies()) == written
        copy = copied(path, f"copy-{turn}.db")
        lacking = lacks(copy)
        seen[lacking] += 1
        assert lacking or len(studies(copy)) == written
        copy.unlink()
    for store in opened:
        store.close()
    assert min(seen.values()) > 5


@pytest.mark.skipif(os.name != "posix", reason="needs the command cp")
def test_commands_tell_of_it(path: Path, archex):
    with open_store(f"sqlite:///{path}") as store:
        store.create_study(samples.study("first"))
        store.create_study(samples.study("newest"))
        subprocess.run(["cp", str(path), str(path.with_name("copy.db"))], check=True)
    url = f"sqlite:///{path.with_name('copy.db')}"
    code, printed, told = archex("store", "check", "--store", url)
    assert code == 1
    assert f"problem: {LACKING}" in told
    code, printed, told = archex("studies", "--store", url, "--json")
    assert code == 0
    assert f"warning: {LACKING}" in told
    assert "newest" not in printed
