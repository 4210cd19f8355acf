"""Several processes on one store of either engine: many users at once, races for trials, writers that are killed."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from graphstore import GraphStore, open_store
from graphstore.errors import LeaseLostError
from graphstore.records import TrialRecord, TrialStatus
from graphstore.testing import samples, users

KILLS_A_TURN, TURNS = 2, 10


@pytest.fixture
def crew() -> Iterator[users.Crew]:
    with users.Crew() as crew:
        yield crew


def prepare(url: str, architectures: int = 0) -> None:
    """A store with the space and the study that the users expect."""
    with open_store(url) as store:
        store.put_space(samples.space(users.LIBRARY))
        store.add_architectures(users.LIBRARY, samples.architectures(architectures))
        store.create_study(samples.study(users.STUDY))


def test_an_app_a_search_and_a_command_at_once(either_url: str, crew: users.Crew):
    prepare(either_url)
    rounds = 6
    count = rounds * users.BATCH
    end = crew.event()
    app = crew.talk(users.app, either_url, end)
    search = crew.talk(users.search, either_url, count)
    command = crew.talk(users.command, either_url, rounds)
    ids = users.result(command)
    assert sorted(users.result(search)) == list(range(count))
    end.set()
    assert users.result(app) >= users.THREADS
    with open_store(either_url) as store:
        assert [summary.id for summary in store.summaries(users.LIBRARY)] == ids
        assert [store.architecture(id) for id in ids] == samples.architectures(count)
        trials = store.trials(users.STUDY)
        assert sorted(trial.architecture for trial in trials) == sorted(ids)
        assert {(t.state, t.attempt, t.token) for t in trials} == {(TrialStatus.COMPLETE, 1, 1)}
        assert [trial.info for trial in trials] == [{"message": "half way"}] * count
        written = sorted((score.architecture, score.task, score.source) for score in store.scores())
        expected = [(id, task, source) for id in ids for task, source in SCORES]
        assert written == sorted(expected)
        assert len(store.measurements()) == count
        assert store.embeddings(users.LIBRARY).ids == tuple(ids)
        assert [n.dissimilarity for n in store.neighbors(users.LIBRARY, ids[0], users.KERNEL)] == [rounds - 1] * 3
        assert len(store.jobs()) == users.THREADS


SCORES = [(task, "command") for task in ("a", "b")] + [(task, "search") for task in ("x", "y")]


# Races for a trial -------------------------------------------------------------------------------------------------


def hire(crew: users.Crew, url: str, *owners: str) -> list[tuple[Connection, int]]:
    """Claimants that have the store open, with their process ids."""
    connections = [crew.talk(users.claimant, url, owner) for owner in owners]
    return [(connection, connection.recv()) for connection in connections]


def claim_at_once(*connections: Connection) -> list[TrialRecord | None]:
    when = time.monotonic() + 0.002
    for connection in connections:
        connection.send(("claim", when))
    return [connection.recv() for connection in connections]


def test_two_processes_race_and_exactly_one_wins(either_url: str, crew: users.Crew):
    races = 100 if either_url.startswith("sqlite") else 40
    prepare(either_url, races)
    (one, _), (other, _) = hire(crew, either_url, "one", "other")
    with open_store(either_url) as store:
        for number, summary in enumerate(store.summaries(users.LIBRARY)):
            store.add_trials(users.STUDY, [(summary.id, {})])
            found = claim_at_once(one, other)
            (won,) = [trial for trial in found if trial is not None]
            assert (won.number, won.attempt, won.token) == (number, 1, 1)
            assert won == store.trials(users.STUDY)[number]
    one.send(None)
    other.send(None)
    wins = [users.result(one), users.result(other)]
    assert sum(wins) == races
    assert min(wins) > 0, "the processes did not race"


def test_a_late_writer_is_refused(either_url: str, crew: users.Crew):
    prepare(either_url, 1)
    (late, pid), (quick, _) = hire(crew, either_url, "late", "quick")
    with open_store(either_url) as store:
        (summary,) = store.summaries(users.LIBRARY)
        store.add_trials(users.STUDY, [(summary.id, {})])
        first = claim_at_once(late)[0]
        os.kill(pid, signal.SIGSTOP)
        try:
            late.send(("finish", first, 0.25))
            (stale,) = store.expire_leases(users.STUDY, 1011.0, 3)
            assert (stale.state, stale.attempt) == (TrialStatus.STALE, 1)
            second = claim_at_once(quick)[0]
        finally:
            os.kill(pid, signal.SIGCONT)
        refused = late.recv()
        assert isinstance(refused, LeaseLostError)
        assert "token" in str(refused)
        assert store.trials(users.STUDY) == [second]
        assert store.scores() == []
        quick.send(("finish", second, 0.5))
        done = quick.recv()
        late.send(("finish", first, 0.5))
        assert isinstance(late.recv(), LeaseLostError)
        assert store.trials(users.STUDY) == [done]
        assert [score.source for score in store.scores()] == ["quick"]


def test_a_trial_whose_workers_die_is_stale_until_the_limit(either_url: str, crew: users.Crew):
    limit = 3
    prepare(either_url, 1)
    with open_store(either_url) as store:
        (summary,) = store.summaries(users.LIBRARY)
        store.add_trials(users.STUDY, [(summary.id, {})])
        for attempt in range(1, limit + 1):
            ((worker, pid),) = hire(crew, either_url, f"worker-{attempt}")
            (claimed,) = claim_at_once(worker)
            assert (claimed.attempt, claimed.owner) == (attempt, f"worker-{attempt}")
            os.kill(pid, signal.SIGKILL)
            assert store.expire_leases(users.STUDY, 1009.0, limit) == []
            (ended,) = store.expire_leases(users.STUDY, 1011.0, limit)
            assert ended.state is (TrialStatus.STALE if attempt < limit else TrialStatus.FAILED)
            assert store.trials(users.STUDY) == [ended]
            worker.close()
        assert store.claim_trial(users.STUDY, "nobody", 10.0, 1000.0) is None


# Killed writers ----------------------------------------------------------------------------------------------------


def test_writers_killed_at_twenty_points_lose_nothing(either_url: str, crew: users.Crew, tmp_path: Path):
    rng = random.Random(0)
    prepare(either_url)
    said: dict[str, Path] = {}
    for turn in range(TURNS):
        names = [f"{letter}{turn}" for letter in "xyz"[:KILLS_A_TURN]]
        with open_store(either_url) as store:
            for name in names:
                store.put_space(samples.space(name))
        said |= {name: tmp_path / f"{name}.txt" for name in names}
        members = [crew.start(users.writer, either_url, name, said[name]) for name in names]
        for name, member in sorted(zip(names, members, strict=True), key=lambda _: rng.random()):
            enough = rng.randint(1, 25)
            while len(lines(said[name])) < enough:
                assert member.is_alive()
                time.sleep(0.001)
            time.sleep(rng.uniform(0.0, 0.02))
            member.kill()
        for member in members:
            member.join()
            assert member.exitcode == -signal.SIGKILL
        with open_store(either_url) as store:
            check(store, {name: said[name] for name in names})
    assert len(said) == KILLS_A_TURN * TURNS
    with open_store(either_url) as store:
        check(store, said)


def lines(path: Path) -> list[list[str]]:
    """What a writer said in full; its last line may have been cut off."""
    text = path.read_text() if path.exists() else ""
    return [line.split() for line in text[: text.rfind("\n") + 1].splitlines()]


def check(store: GraphStore, said: dict[str, Path]) -> None:
    """Everything acknowledged is there, and nothing is there in halves."""
    settle(store)
    trials = {trial.number: trial for trial in store.trials(users.STUDY)}
    assert sorted(trials) == list(range(len(trials)))
    scores = store.scores()
    jobs = {job.id for job in store.jobs()}
    tried = {trial.architecture for trial in trials.values()}
    done = {trial.architecture for trial in trials.values() if trial.state is TrialStatus.COMPLETE}
    assert all(trial.attempt <= 1 for trial in trials.values())
    tasks = {task: {(s.architecture, s.seed, s.source) for s in scores if s.task == task} for task in "abxy"}
    assert tasks["a"] == tasks["b"]
    assert tasks["x"] == tasks["y"]
    assert {architecture for architecture, _, _ in tasks["x"]} == done
    claims: list[str] = []
    for name, path in said.items():
        words = lines(path)
        turns = {kind: [int(what) for k, what in words if k == kind] for kind in ("architectures", "embeddings")}
        check_library(store, name, max(turns["architectures"], default=-1), max(turns["embeddings"], default=-1))
        for kind, what in words:
            if kind == "scores":
                assert (users.of_round(name, int(what))[0].id, int(what), name) in tasks["a"]
            elif kind == "trial":
                assert what in tried
            elif kind == "claim":
                assert trials[int(what)].state in (TrialStatus.RUNNING, TrialStatus.COMPLETE)
                claims.append(what)
            elif kind == "finish":
                assert trials[int(what)].state is TrialStatus.COMPLETE
            elif kind == "job":
                assert what in jobs
    assert len(set(claims)) == len(claims)


def check_library(store: GraphStore, name: str, added: int, embedded: int) -> None:
    """A writer's space has every acknowledged round, and at most one more; graphs and vectors are whole."""
    ids = [summary.id for summary in store.summaries(name)]
    records = [record for turn in range(added + 2) for record in users.of_round(name, turn)]
    assert len(ids) in (3 * (added + 1), 3 * (added + 2))
    assert ids == [record.id for record in records[: len(ids)]]
    assert [store.architecture(id) for id in ids] == records[: len(ids)]
    stored = store.embeddings(name)
    vectors = set(stored.vectors.ravel().tolist())
    if embedded >= 0 or vectors:
        assert len(vectors) == 1
        (turn,) = vectors
        assert embedded <= turn <= embedded + 1
        assert stored.ids == tuple(ids[: 3 * (int(turn) + 1)])


def settle(store: GraphStore) -> None:
    """Wait until a server has ended what the killed clients had asked of it."""
    before = -1
    while (now := store.revision()) != before:
        before = now
        time.sleep(0.05)
