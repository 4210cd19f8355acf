"""Several processes on one SQLite file, and writers that are killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from graphstore import open_store
from graphstore.errors import StoreError
from graphstore.records import TrialStatus
from graphstore.testing import samples

WRITER = Path(__file__).with_name("store_writer.py")


def start(url: str, name: str, rounds: int) -> subprocess.Popen[str]:
    command = [sys.executable, str(WRITER), url, name, str(rounds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def prepare(tmp_path: Path, trials: int) -> str:
    url = f"sqlite:///{tmp_path}/store.db"
    with open_store(url) as store:
        records = samples.architectures(trials)
        store.put_space(samples.space())
        store.add_architectures("nano", records)
        store.create_study(samples.study())
        store.add_trials("first", [(record.id, {}) for record in records])
    return url


def check(url: str, said: list[str]) -> None:
    """Everything acknowledged is there, and nothing is there in halves."""
    facts = [line.split() for line in said if line.count(" ") == 1]
    with open_store(url, create=False) as store:
        scores = store.scores()
        trials = {trial.number: trial for trial in store.trials("first")}
        jobs = {job.id for job in store.jobs()}
        ids = {score.id for score in scores}
        for kind, what in facts:
            if kind == "score":
                assert what in ids
            elif kind == "job":
                assert what in jobs
            elif kind == "claim":
                assert trials[int(what)].state in (TrialStatus.RUNNING, TrialStatus.COMPLETE)
            else:
                assert trials[int(what)].state is TrialStatus.COMPLETE
        claims = [what for kind, what in facts if kind == "claim"]
        assert len(set(claims)) == len(claims)
        assert all(trial.attempt <= 1 for trial in trials.values())
        pairs = {task: {(s.architecture, s.seed, s.source) for s in scores if s.task == task} for task in ("a", "b")}
        assert pairs["a"] == pairs["b"]
        proven = {score.architecture for score in scores if score.task == "trial"}
        assert proven == {trial.architecture for trial in trials.values() if trial.state is TrialStatus.COMPLETE}


def test_three_processes_write_at_once(tmp_path: Path):
    url = prepare(tmp_path, 60)
    writers = [start(url, name, 40) for name in ("x", "y", "z")]
    said = [line.strip() for writer in writers for line in writer.communicate(timeout=120)[0].splitlines()]
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    check(url, said)
    with open_store(url) as store:
        assert len(store.scores()) == 3 * 40 * 2 + 60
        assert len(store.jobs()) == 3 * 40
        assert all(trial.state is TrialStatus.COMPLETE for trial in store.trials("first"))


def test_killed_writers_lose_nothing_acknowledged(tmp_path: Path):
    url = prepare(tmp_path, 200)
    rng = random.Random(0)
    said: list[str] = []
    for turn in range(4):
        writers = [start(url, f"{name}{turn}", 100_000) for name in ("x", "y")]
        for writer in writers:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "ready\n"
        heard: list[list[str]] = [[], []]
        ears = [
            threading.Thread(target=lambda w=writer, h=lines: h.extend(w.stdout))
            for writer, lines in zip(writers, heard, strict=True)
        ]
        for ear in ears:
            ear.start()
        time.sleep(rng.uniform(0.05, 0.4))
        for writer in writers:
            os.kill(writer.pid, signal.SIGKILL)
        for writer, ear in zip(writers, ears, strict=True):
            ear.join()
            writer.wait()
            writer.stdout.close()
        # A line cut off by the kill was not said in full.
        said += [line.strip() for lines in heard for line in lines if line.endswith("\n")]
        check(url, said)
    assert len(said) > 20


def test_processes_create_one_store(tmp_path: Path):
    code = (
        "import sys; from graphstore import open_store; from graphstore.records import SpaceRecord\n"
        "with open_store(sys.argv[1]) as store: store.put_space(SpaceRecord(sys.argv[2]))"
    )
    url = f"sqlite:///{tmp_path}/store.db"
    makers = [subprocess.Popen([sys.executable, "-c", code, url, f"s{index}"]) for index in range(6)]
    assert [maker.wait(60) for maker in makers] == [0] * 6
    with open_store(url) as store:
        assert [space.name for space in store.spaces()] == [f"s{index}" for index in range(6)]


def test_store_carried_over_a_fork_is_refused(tmp_path: Path):
    with open_store(f"sqlite:///{tmp_path}/store.db") as store:
        child = os.fork()
        if not child:
            try:
                store.spaces()
            except StoreError as error:
                os._exit(0 if "fork" in str(error) else 2)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert store.spaces() == []


@pytest.mark.parametrize("kind", ["reader", "writer"])
def test_exception_in_a_transaction_frees_the_store(tmp_path: Path, kind: str):
    url = prepare(tmp_path, 2)
    with open_store(url) as store, open_store(url) as other:
        database = store._database
        transaction = database.reading if kind == "reader" else database.writing

        def interrupted():
            with transaction() as db:
                db.execute("SELECT 1")
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            interrupted()
        other.put_space(samples.space("after"))
        assert store.space("after").name == "after"
