"""Concurrent users of a store, for tests: each function runs in its own process.

``Crew`` starts the processes from a server that has imported everything once, so that starting one takes milliseconds.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import multiprocessing
import os
import signal
import sqlite3
import sys
import time
import traceback
import types
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from graphstore.contract import GraphStore
from graphstore.embedded.database import Database
from graphstore.errors import StoreError
from graphstore.neo4j.graph import Statements
from graphstore.records import (
    ArchitectureRecord,
    Embeddings,
    JobRecord,
    JobState,
    KernelRecord,
    MeasurementRecord,
    NeighborRecord,
    ScoreRecord,
    TrialRecord,
    TrialStatus,
)
from graphstore.testing import samples
from graphstore.url import open_store

STUDY = "first"
LIBRARY = "nano"
KERNEL = "wl"
BATCH = 5
"""Architectures that the command adds in one call."""
NEIGHBORS = 3
VERSIONS = 5
"""Number of writes of vectors per round, so that reads often fall between them."""
THREADS = 8
LONG_S = 1e9
"""A lease that does not end."""


class Crew:
    """Processes that share no memory with this one. A context manager that kills the remaining ones."""

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([__name__, "graphstore.neo4j.store"])
        self._members: list[ForkServerProcess] = []

    def start(self, role: Callable[..., None], *arguments: Any) -> ForkServerProcess:
        """Run ``role(*arguments)`` in a new process."""
        member = self._context.Process(target=role, args=arguments)
        with _no_main():
            member.start()
        self._members.append(member)
        return member

    def talk(self, role: Callable[..., Any], *arguments: Any) -> Connection:
        """Run ``role(connection, *arguments)`` in a new process; returns this end of the connection."""
        mine, other = self._context.Pipe()
        self.start(_answer, role, other, *arguments)
        other.close()
        return mine

    def event(self) -> Event:
        """An event that can be given to roles."""
        return self._context.Event()

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *exception: object) -> None:
        for member in self._members:
            member.kill()
            member.join()
            member.close()


@contextlib.contextmanager
def _no_main() -> Iterator[None]:
    """Start a process that does not run this one's main module again; under a test runner it may be anything."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _answer(role: Callable[..., Any], connection: Connection, *arguments: Any) -> None:
    """Run a role and send what it returns, or the text of what it raised."""
    try:
        connection.send((True, role(connection, *arguments)))
    except BaseException:
        connection.send((False, traceback.format_exc()))


def result(connection: Connection, timeout_s: float = 240.0) -> Any:
    """Return the result of a role. Raises AssertionError with the traceback if it raised."""
    assert connection.poll(timeout_s), f"a process did not answer within {timeout_s:.0f} s"
    fine, value = connection.recv()
    connection.close()
    assert fine, value
    return value


# A writer that may be killed ---------------------------------------------------------------------------------------


def of_round(name: str, turn: int) -> list[ArchitectureRecord]:
    """The architectures a writer adds in one of its rounds; no other writer or round has the same."""
    records = samples.architectures(3, zlib.crc32(f"{name}/{turn}".encode()))
    return [dataclasses.replace(record, id=f"{name}-{turn}-{record.id}") for record in records]


def proof(architecture: str, task: str, source: str, seed: int = 0) -> ScoreRecord:
    """A score that shows who wrote it."""
    return ScoreRecord(architecture, task, "accuracy", 0.5, "data", "steps=5", "recipe", seed, source)


def writer(url: str, name: str, path: Path, rounds: int = 100_000) -> None:
    """Write to the space ``name`` and the study ``first``; append each acknowledged thing to a file as a line."""
    with path.open("ab", buffering=0) as file, open_store(url, create=False) as store:

        def say(*words: object) -> None:
            file.write((" ".join(map(str, words)) + "\n").encode())

        members: list[str] = []
        for turn in range(rounds):
            records = of_round(name, turn)
            store.add_architectures(name, records)
            members += [record.id for record in records]
            say("architectures", turn)
            vectors = np.full((len(members), 4), turn, np.float32)
            store.put_embeddings(name, Embeddings(tuple(members), vectors))
            say("embeddings", turn)
            store.add_scores([proof(records[0].id, task, name, turn) for task in ("a", "b")])
            say("scores", turn)
            store.add_trials(STUDY, [(records[1].id, {"turn": turn})])
            say("trial", records[1].id)
            trial = store.claim_trial(STUDY, name, LONG_S, 1000.0)
            if trial is not None:
                say("claim", trial.number)
                scores = [proof(trial.architecture, task, name) for task in ("x", "y")]
                store.finish_trial(trial, TrialStatus.COMPLETE, 1001.0, 0.5, scores=scores)
                say("finish", trial.number)
            store.put_job(JobRecord(f"{name}-{turn}", "search", JobState.DONE, 1, "h", 1.0, 1.0, "", "", {}, 1.0))
            say("job", f"{name}-{turn}")


# Processes that append to a library or store a kernel --------------------------------------------------------------


def library_of(records: Sequence[ArchitectureRecord], anchor: str) -> tuple[Embeddings, list[NeighborRecord]]:
    """Vectors ``[N, 4]`` of architectures and one neighbour of each: the anchor. Both depend on the ids alone."""
    places = [zlib.crc32(record.id.encode()) / 2**32 for record in records]
    vectors = np.outer(places, [1, 2, 3, 4]).astype(np.float32)
    near = [NeighborRecord(r.id, anchor, KERNEL, 1, place) for r, place in zip(records, places, strict=True)]
    return Embeddings(tuple(record.id for record in records), vectors), near


def kernel_of(number: int) -> KernelRecord:
    """A kernel whose state is more than one part on a server."""
    return KernelRecord(KERNEL, {"number": number}, number.to_bytes(4, "little") * 300_000)


def doomed_append(url: str, space: str, name: str, step: int) -> None:
    """Append to a library, and be killed before the given statement of it, counted from 1, or right after the call."""
    with open_store(url, create=False) as store:
        records = of_round(name, 0)
        vectors, near = library_of(records, store.architecture_ids(space)[0])
        with _killed_at(step):
            store.append_to_library(space, records, vectors, near)


def doomed_kernel(url: str, space: str, step: int, replacing: str) -> None:
    """Replace a kernel, and be killed before the given statement of it, counted from 1, or right after the call."""
    with open_store(url, create=False) as store, _killed_at(step):
        store.put_kernel(space, kernel_of(step), replacing=replacing)


@contextlib.contextmanager
def _killed_at(step: int) -> Iterator[None]:
    """Kill this process with SIGKILL before the given statement of the block, or at its end if that comes first."""
    steps, latest = itertools.count(1), ""

    def count(statement: str) -> None:
        nonlocal latest
        # The rows of one insertion are one step.
        if statement[:20] != latest and next(steps) == step:
            os.kill(os.getpid(), signal.SIGKILL)
        latest = statement[:20]

    def before(method: Callable[..., Any]) -> Callable[..., Any]:
        def counted(self: object, query: str, **parameters: Any) -> Any:
            count(query)
            return method(self, query, **parameters)

        return counted

    def traced(self: Database, *arguments: Any) -> sqlite3.Connection:
        connection = connect(self, *arguments)
        connection.set_trace_callback(count)
        return connection

    connect, borrowed = Database._connect, Database._borrowed

    @contextlib.contextmanager
    def renewed(self: Database) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._idle.clear()  # so that the next connection is a traced one
        with borrowed(self) as connection:
            yield connection

    with (
        mock.patch.object(Database, "_connect", traced),
        mock.patch.object(Database, "_borrowed", renewed),
        mock.patch.object(Statements, "rows", before(Statements.rows)),
        mock.patch.object(Statements, "values", before(Statements.values)),
    ):
        yield
        count("the end")


def appender(connection: Connection, url: str, name: str, anchor: str, turns: int) -> int:
    """Append architectures of its own and ones that others append too; returns how many were new."""
    added = 0
    with open_store(url, create=False) as store:
        for turn in range(turns):
            for owner in (name, "shared"):
                records = of_round(owner, turn)
                added += store.append_to_library(LIBRARY, records, *library_of(records, anchor))
    return added


def kernel_maker(connection: Connection, url: str, number: int) -> None:
    """Store a kernel in every space whose name it receives; send the digest of the stored kernel."""
    with open_store(url, create=False) as store:
        connection.send("ready")
        while (space := connection.recv()) is not None:
            connection.send(store.put_kernel(space, kernel_of(number)).digest)


def received(connection: Connection, timeout_s: float = 60.0) -> Any:
    """Return the next message of a role. Raises AssertionError if none comes."""
    assert connection.poll(timeout_s), f"a process did not answer within {timeout_s:.0f} s"
    return connection.recv()


# Claimants that race -----------------------------------------------------------------------------------------------


def claimant(connection: Connection, url: str, owner: str) -> int:
    """Execute orders: ``("claim", when)``, ``("finish", trial, value)``, ``None`` to end. Return the claims."""
    won = 0
    with open_store(url, create=False) as store:
        connection.send(os.getpid())
        while (order := connection.recv()) is not None:
            try:
                if order[0] == "claim":
                    while time.monotonic() < order[1]:
                        pass
                    trial = store.claim_trial(STUDY, owner, 10.0, 1000.0)
                    won += trial is not None
                    connection.send(trial)
                else:
                    connection.send(_finish(store, owner, order[1], order[2]))
            except StoreError as error:
                connection.send(error)
    return won


def _finish(store: GraphStore, owner: str, trial: TrialRecord, value: float) -> TrialRecord:
    scores = [proof(trial.architecture, "x", owner)]
    return store.finish_trial(trial, TrialStatus.COMPLETE, 1001.0, value, scores=scores)


# An app, a search and a command ------------------------------------------------------------------------------------


def app(connection: Connection, url: str, end: Event) -> int:
    """Read everything in 8 threads and write jobs until ``end``; returns the rounds of all threads."""
    with open_store(url, create=False) as store, ThreadPoolExecutor(THREADS) as pool:
        return sum(pool.map(lambda index: _visit(store, index, end), range(THREADS)))


def _visit(store: GraphStore, index: int, end: Event) -> int:
    seen: list[str] = []
    turn = embedded = 0
    job = samples.job(f"app-{index}")
    store.put_job(job)
    while not end.is_set() or not turn:
        # Each kind of read has two threads that do little else, so that it often falls between two writes.
        if index % 4 == 0 or not turn:
            embedded = _look_at_vectors(store, embedded)
        if index % 4 == 1 or not turn:
            _look_at_study(store)
        if index % 4 == 2 or not turn:
            seen = _look_at_library(store, seen, index)
        if index % 4 == 3 or not turn:
            store.update_job(job.id, progress=turn / 1e6, info={"turn": turn})
            (mine,) = [found for found in store.jobs() if found.id == job.id]
            assert (mine.progress, mine.info) == (turn / 1e6, {"turn": turn})
        turn += 1
    return turn


def _look_at_library(store: GraphStore, seen: Sequence[str], index: int) -> list[str]:
    summaries = store.summaries(LIBRARY)
    ids = [summary.id for summary in summaries]
    assert ids[: len(seen)] == list(seen), "what was read before is not there, or in another order"
    assert len(ids) % BATCH == 0, "half a batch of architectures"
    if ids:
        summary = summaries[index % len(summaries)]
        whole = store.architecture(summary.id)
        assert (len(whole.layers), whole.spec, whole.parameters) == (summary.depth, summary.spec, summary.parameters)
        assert {target for _, target in whole.feeds} == set(range(1, len(whole.ops))), "a graph in pieces"
        found = store.neighbors(LIBRARY, ids[0], KERNEL)
        assert len(found) in (0, NEIGHBORS), "half of the neighbours"
        assert len({neighbor.dissimilarity for neighbor in found}) <= 1, "neighbours of two calls"
    return ids


def _look_at_vectors(store: GraphStore, before: int) -> int:
    found = store.embeddings(LIBRARY)
    assert len(set(found.vectors.ravel().tolist())) <= 1, "vectors of two calls"
    assert len(found.ids) % BATCH == 0, "half of the vectors of a call"
    assert len(found.ids) >= before, "the old vectors are gone and the new ones not yet there"
    return len(found.ids)


def _look_at_study(store: GraphStore) -> None:
    trials = store.trials(STUDY)
    assert [trial.number for trial in trials] == list(range(len(trials)))
    done = {trial.architecture for trial in trials if trial.state is TrialStatus.COMPLETE}
    scores = store.scores(LIBRARY)
    tasks = {task: {(s.architecture, s.seed) for s in scores if s.task == task} for task in ("a", "b", "x", "y")}
    assert tasks["a"] == tasks["b"], "half of the scores of a call"
    assert tasks["x"] == tasks["y"], "half of the scores of a trial"
    assert done <= {architecture for architecture, _ in tasks["x"]}, "a complete trial without its scores"


def search(connection: Connection, url: str, count: int) -> list[int]:
    """Propose, claim, renew and finish trials until ``count`` are complete; returns their numbers."""
    finished: list[int] = []
    with open_store(url, create=False) as store:
        while len(finished) < count:
            ids = [summary.id for summary in store.summaries(LIBRARY)][:count]
            store.add_trials(STUDY, [(id, {}) for id in ids])
            while (trial := store.claim_trial(STUDY, "search", LONG_S, 1000.0)) is not None:
                store.renew_lease(trial, LONG_S, 1000.5, {"message": "half way"})
                scores = [proof(trial.architecture, task, "search") for task in ("x", "y")]
                store.finish_trial(trial, TrialStatus.COMPLETE, 1001.0, 0.5, scores=scores)
                finished.append(trial.number)
    return finished


def command(connection: Connection, url: str, rounds: int) -> list[str]:
    """Add architectures, vectors, neighbours, scores and measurements; returns the ids it added."""
    records = samples.architectures(rounds * BATCH)
    ids = [record.id for record in records]
    with open_store(url, create=False) as store:
        for turn in range(rounds):
            new = records[turn * BATCH : (turn + 1) * BATCH]
            assert store.add_architectures(LIBRARY, new) == BATCH
            known = ids[: (turn + 1) * BATCH]
            for version in range(VERSIONS):
                vectors = np.full((len(known), 4), turn * VERSIONS + version, np.float32)
                store.put_embeddings(LIBRARY, Embeddings(tuple(known), vectors))
            near = [NeighborRecord(ids[0], ids[rank], KERNEL, rank, float(turn)) for rank in range(1, NEIGHBORS + 1)]
            store.put_neighbors(LIBRARY, KERNEL, near)
            pairs = [proof(record.id, task, "command", turn) for record in new for task in ("a", "b")]
            assert store.add_scores(pairs) == 2 * BATCH
            store.add_measurements([MeasurementRecord(record.id, "cpu", "latency", 0.5, "s") for record in new])
    return ids
