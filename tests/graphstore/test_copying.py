"""Whole catalogues between engines: equal by digests, resumable after a kill, never mixed with another catalogue."""

from __future__ import annotations

import dataclasses
import functools
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from graphstore import GraphStore, open_store
from graphstore.copying import PASSES, copy_store, digests
from graphstore.errors import StoreError, StoreInputError
from graphstore.maintenance import check
from graphstore.records import (
    Embeddings,
    JobState,
    KernelRecord,
    LineageRecord,
    MeasurementRecord,
    NeighborRecord,
    SpaceRecord,
    StudyState,
    TrialRecord,
    TrialStatus,
)
from graphstore.reports import UNFINISHED
from graphstore.testing import samples
from graphstore.url import SQLITE_PREFIX

TASKS = (("SST-2", 1, {}), ("SST-2", 2, {"majority": 0.1 + 0.2}), ("mean", 1, {"majority": 0, "chance": -0.125}))
COPIER = """
import sys
from graphstore import open_store
from graphstore.copying import copy_store
with open_store(sys.argv[1], create=False) as source, open_store(sys.argv[2]) as target:
    copy_store(source, target, lambda *step: print(*step, flush=True))
"""


def filled(url: str, count: int = 40) -> GraphStore:
    """A new store with every kind of record, in every state."""
    if url.startswith(SQLITE_PREFIX):
        Path(url.removeprefix(SQLITE_PREFIX)).write_bytes(filled_file(count))
        return open_store(url, create=False)
    return fill(open_store(url), count)


@functools.cache
def filled_file(count: int) -> bytes:
    """The SQLite file of such a store."""
    with tempfile.TemporaryDirectory() as folder:
        fill(open_store(f"{SQLITE_PREFIX}{folder}/filled.db"), count).close()
        return Path(folder, "filled.db").read_bytes()


def fill(store: GraphStore, count: int) -> GraphStore:
    records = samples.architectures(count, seed=5)
    ids = [record.id for record in records]
    for name, part in (("nano", records), ("empty", []), ("tiny", list(reversed(records[: count // 2])))):
        store.put_space(samples.space(name))
        store.add_architectures(name, part)
    rng = np.random.default_rng(0)
    vectors, limits = rng.normal(size=(count - 3, 5)).astype(np.float32), np.finfo(np.float32)
    vectors[0, :3] = [-0.0, limits.smallest_subnormal, limits.max]
    store.put_embeddings("nano", Embeddings(tuple(ids[3:]), vectors))
    store.put_embeddings("tiny", Embeddings(tuple(ids[:2]), vectors[:2, :3]))
    for space, kernel, held in (("nano", "wl", ids), ("nano", "nh", ids[:7]), ("tiny", "wl", ids[:5])):
        table = [
            NeighborRecord(one, held[(place + rank) % len(held)], kernel, rank, float(rng.random()))
            for place, one in enumerate(held)
            for rank in range(1, 4)
        ]
        store.put_neighbors(space, kernel, table)
    for space, kernel, times in (("nano", "views", 5_000), ("nano", "wl", 5), ("tiny", "wl", 5)):
        store.put_kernel(space, KernelRecord(kernel, {"of": space}, bytes(range(256)) * times))
    store.add_scores(samples.score(id, task, rng.random(), seed, **x) for id in ids[:9] for task, seed, x in TASKS)
    store.add_measurements([MeasurementRecord(id, "cpu", "latency", float(rng.random()), "s") for id in ids[4:8]])
    runs = [f"trained:first/{number}" for number in range(3)]
    store.add_lineage([LineageRecord(runs[n], ids[n], runs[0], ids[0], "ordered", n / 7) for n in (1, 2)])
    store.create_study(samples.study())
    store.create_study(samples.study("second", "tiny", created=50.0))
    store.update_study("second", state=StudyState.DONE, spec={"budget": 99})
    store.restore_trials("first", [trial(number, ids[number], state) for number, state in enumerate(TrialStatus)])
    store.add_trials("second", [(ids[0], {"origin": "Ünïcode"})])
    for state in JobState:
        store.put_job(dataclasses.replace(samples.job(f"job-{state}"), state=state, info={"a": [1, 2.5, None]}))
    return store


def trial(number: int, architecture: str, state: TrialStatus) -> TrialRecord:
    claimed, held = int(state is not TrialStatus.WAITING), state is TrialStatus.RUNNING
    value = 0.1 + 0.2 if state is TrialStatus.COMPLETE else None
    return TrialRecord(
        "first", number, architecture, state, claimed, 2 * claimed, "me" if held else "", 90.0 * held, value,
        f"reason {number}", {"x": number}, 1.0, 2.0, 3.0,
    )  # fmt: skip


def test_there_and_back_again(tmp_path: Path, either_url: str):
    """Every record of every kind survives a copy to each engine and back; running jobs stay where they run."""
    seen: dict[str, tuple[int, int]] = {}

    def note(section: str, done: int, total: int) -> None:
        assert 0 <= done <= total
        seen[section] = (done, total)

    with (
        filled(f"sqlite:///{tmp_path}/one.db") as one,
        open_store(either_url) as middle,
        open_store(f"sqlite:///{tmp_path}/back.db") as back,
    ):
        before = one.revision()
        there = copy_store(one, middle, note)
        assert {"members of nano", "architectures", "vectors", "scores", "trials of first", "jobs"} <= set(seen)
        assert all(done == total for done, total in seen.values())
        assert (there.moving, one.revision()) == ((), before)
        again = copy_store(middle, back)
        assert digests(one) == digests(middle) == digests(back) == there.sections == again.sections
        assert {section: digest.count for section, digest in there.sections.items()} == {
            "spaces": 3, "members": 60, "architectures": 40, "vectors": 39, "neighbors": 156, "kernels": 3,
            "scores": 27, "measurements": 4, "lineage": 2, "studies": 2, "trials": 6, "jobs": 4,
        }  # fmt: skip
        ids = [summary.id for summary in one.summaries()]
        assert back.architectures(ids) == one.architectures(ids) == [one.architecture(id) for id in ids]
        assert back.trials("first") == one.trials("first")
        assert back.embeddings("nano").vectors.tobytes() == one.embeddings("nano").vectors.tobytes()
        assert (back.spaces(), back.studies(), back.scores()) == (one.spaces(), one.studies(), one.scores())
        assert {job.id for job in back.jobs()} == {f"job-{state}" for state in ("done", "stopped", "failed", "lost")}
        at = middle.revision()
        copy_store(one, middle)
        assert middle.revision() == at


def changes() -> dict[str, Callable[[GraphStore], object]]:
    """One change for every section, each of which the digests must show, and of these sections only."""
    ids = [record.id for record in samples.architectures(41, seed=5)]
    extra = samples.architectures(41, seed=5)[40]

    def vectors(store: GraphStore) -> None:
        held = store.embeddings("tiny")
        store.put_embeddings("tiny", Embeddings(held.ids, held.vectors[::-1]))

    def neighbors(store: GraphStore) -> None:
        first, *rest = store.neighbor_table("nano", "nh")
        closer = dataclasses.replace(first, dissimilarity=np.nextafter(first.dissimilarity, 0).item())
        store.put_neighbors("nano", "nh", [closer, *rest])

    def refit(store: GraphStore) -> None:
        held = store.kernel("nano", "views")
        store.put_kernel("nano", dataclasses.replace(held, state=b"new"), replacing=held.digest)

    return {
        "spaces": lambda store: store.put_space(SpaceRecord("nano", {"ready": True})),
        "members": lambda store: store.add_architectures("empty", store.architectures(ids[:1])),
        "architectures,members": lambda store: store.add_architectures("nano", [extra]),
        "vectors": vectors,
        "neighbors": neighbors,
        "kernels": refit,
        "scores": lambda store: store.add_scores([samples.score(ids[0], "new")]),
        "measurements": lambda store: store.add_measurements([MeasurementRecord(ids[4], "cpu", "latency", 7.0, "s")]),
        "lineage": lambda store: store.add_lineage([LineageRecord("a", ids[0], "b", ids[1], "ordered", 0.5)]),
        "studies": lambda store: store.update_study("first", spec={"budget": 17}),
        "trials": lambda store: store.claim_trial("first", "you", 5.0, 10.0),
        "jobs": lambda store: store.update_job("job-failed", message="why"),
    }


def test_a_change_is_seen_by_the_digests_and_copied(tmp_path: Path, either_url: str):
    with filled(f"sqlite:///{tmp_path}/one.db") as one, open_store(either_url) as other:
        copy_store(one, other)
        for sections, change in changes().items():
            change(one)
            mine, theirs = digests(one), digests(other)
            assert {name for name in mine if mine[name] != theirs[name]} == set(sections.split(","))
            copy_store(one, other)
            assert digests(other) == mine


def additions() -> dict[str, Callable[[GraphStore], object]]:
    """What a target may hold that the source has not."""
    every = changes()
    kept = ("members", "architectures,members", "scores", "lineage", "trials")
    return {
        **{name: every[name] for name in kept},
        "space": lambda store: store.put_space(samples.space("more")),
        "kernel": lambda store: store.put_neighbors("tiny", "x", store_neighbor(store)),
        "study": lambda store: store.create_study(samples.study("third")),
        "trial": lambda store: store.add_trials("second", [(store.architecture_ids("tiny")[0], {})]),
        "job": lambda store: store.put_job(samples.job("more")),
        "measurement": lambda store: store.add_measurements(
            [MeasurementRecord(store.architecture_ids()[0], "gpu", "latency", 7.0, "s")]
        ),
    }


def store_neighbor(store: GraphStore) -> list[NeighborRecord]:
    first, second = store.architecture_ids("tiny")[:2]
    return [NeighborRecord(first, second, "x", 1, 0.5)]


@pytest.mark.parametrize("kind", list(additions()))
def test_target_with_something_of_its_own_is_refused_and_left_as_it_is(tmp_path: Path, kind: str):
    with filled(f"sqlite:///{tmp_path}/one.db") as one, open_store(f"sqlite:///{tmp_path}/two.db") as two:
        copy_store(one, two)
        additions()[kind](two)
        one.add_scores([samples.score(one.architecture_ids()[0], "later")])
        before = digests(two), two.revision()
        with pytest.raises(StoreInputError, match=r"nothing that the source lacks|in a later state"):
            copy_store(one, two)
        assert (digests(two), two.revision()) == before
        with pytest.raises(StoreInputError, match="another store"):
            copy_store(one, one)


def test_a_file_by_another_name_is_the_same_store(tmp_path: Path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "link.db").symlink_to(tmp_path / "one.db")
    with filled(f"sqlite:///{tmp_path}/one.db", 12) as one:
        for name in ("link.db", "folder/../one.db"):
            with open_store(f"sqlite:///{tmp_path}/{name}") as same:
                assert same.identity() == one.identity()
                with pytest.raises(StoreInputError, match="another store"):
                    copy_store(one, same)
        with open_store(f"sqlite:///{tmp_path}/two.db") as two:
            assert two.identity() != one.identity()


@pytest.mark.neo4j
def test_a_server_by_another_address_is_the_same_store(server, neo4j_url: str):
    with open_store(neo4j_url) as one:
        before = digests(one)
        for url in (neo4j_url.replace("bolt://", "neo4j://"), neo4j_url.replace("127.0.0.1", "localhost")):
            with open_store(url) as same:
                assert (same.identity(), same.url == one.url) == (one.identity(), url == neo4j_url)
                with pytest.raises(StoreInputError, match="another store"):
                    copy_store(one, same)
        first = one.identity()
        assert digests(one) == before
    with server.session() as session:
        session.run("MATCH (m:ArchexMeta) DELETE m").consume()
    with open_store(neo4j_url) as other:
        assert other.identity() not in (first, "None")


@pytest.mark.neo4j
@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        ("MATCH (s:Score)-[r:OF]->() WITH r LIMIT 1 DELETE r", "scores without their architecture: 1"),
        (
            "MATCH (a:Architecture) WITH a LIMIT 1 SET a.families = ['x']",
            "summary does not match their layers: 1",
        ),
        ("MATCH (m:Measurement) WITH m LIMIT 1 SET m.value = sqrt(-1)", "measurements with a property .*: 1"),
    ],
)
def test_an_unsound_source_is_refused(tmp_path: Path, server, neo4j_url: str, damage: str, problem: str):
    with filled(neo4j_url, 12) as one, open_store(f"sqlite:///{tmp_path}/two.db") as two:
        with server.session() as session:
            session.run(damage).consume()
        with pytest.raises(StoreError, match=f"source of a copy must be consistent.*{problem}"):
            copy_store(one, two)
        assert two.revision() == 0


@pytest.mark.neo4j
def test_a_wrong_summary_is_in_the_digests(server, neo4j_url: str):
    with open_store(neo4j_url) as store:
        samples.fill(store, 3)
        for change in ("a.families = ['x']", "a.operations = ['x']", "a.hiddens = [1]", "a.depth = 9"):
            before = digests(store)
            with server.session() as session:
                session.run(f"MATCH (a:Architecture) WITH a ORDER BY a.id LIMIT 1 SET {change}").consume()
            after = digests(store)
            assert [name for name in after if after[name] != before[name]] == ["architectures"]


def test_an_unsound_file_is_refused(tmp_path: Path):
    with filled(f"sqlite:///{tmp_path}/one.db", 12) as one, open_store(f"sqlite:///{tmp_path}/two.db") as two:
        with closing(sqlite3.connect(tmp_path / "one.db")) as db:
            db.execute("UPDATE score SET architecture = 999 WHERE id = (SELECT min(id) FROM score)")
            db.commit()
        with pytest.raises(StoreError, match=r"source of a copy must be consistent.*rows of score that refer to no"):
            copy_store(one, two)
        assert two.revision() == 0


def test_target_whose_records_say_something_else_is_refused(tmp_path: Path):
    (record, *_) = samples.architectures(1)
    others = {
        "facts": dataclasses.replace(record, parameters=7),
        "value": record,
        "study": record,
    }
    for kind, changed in others.items():
        with (
            open_store(f"sqlite:///{tmp_path}/{kind}-one.db") as one,
            open_store(f"sqlite:///{tmp_path}/{kind}-two.db") as two,
        ):
            for store, held, number in ((one, record, 1), (two, changed, 2)):
                store.put_space(samples.space())
                store.add_architectures("nano", [held])
                if kind == "value":
                    store.add_scores([samples.score(record.id, value=number / 4)])
                if kind == "study":
                    store.create_study(samples.study(created=number))
            before = digests(two)
            with pytest.raises(StoreInputError, match=kind):
                copy_store(one, two)
            assert digests(two) == before


def test_what_differs_after_all_is_named(tmp_path: Path):
    """The same facts but another graph: seen by the comparison at the end."""
    (record, *_) = samples.architectures(1)
    other = dataclasses.replace(record, feeds=tuple(reversed(record.feeds)))
    with open_store(f"sqlite:///{tmp_path}/one.db") as one, open_store(f"sqlite:///{tmp_path}/two.db") as two:
        for store, held in ((one, record), (two, other)):
            store.put_space(samples.space())
            store.add_architectures("nano", [held])
        with pytest.raises(StoreError, match="architectures of the copy"):
            copy_store(one, two)


def test_killed_copies_are_taken_up_again(tmp_path: Path, either_url: str):
    """`kill -9` at random steps: what is there is a whole part of the source, and the next run ends the work."""
    source = f"sqlite:///{tmp_path}/one.db"
    rng = random.Random(3)
    command = [sys.executable, "-c", COPIER, source, either_url]
    with filled(source, 150) as one, open_store(either_url) as two:
        expected = digests(one)
        for last in (2, 8, 25):
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as copier:
                assert copier.stdout is not None
                for _ in range(rng.randint(1, last)):
                    assert copier.stdout.readline()
                time.sleep(rng.uniform(0.0, 0.05))
                copier.kill()
            assert copier.returncode == -signal.SIGKILL
            # A check sees half a commit of a server for a moment after its client died.
            assert UNFINISHED in check(either_url).problems or (last == 25 and digests(two) == expected)
            held = two.architecture_ids()
            assert two.architectures(held) == one.architectures(held)
            assert all(space.info in ({}, one.space(space.name).info) for space in two.spaces())
        done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        assert digests(two) == expected
        assert check(either_url).problems == ()


class Growing:
    """A progress callable that writes to the source whenever the copy has come to a place it knows."""

    def __init__(self, store: GraphStore, rounds: int) -> None:
        self.store, self.left = store, rounds
        self.records = samples.architectures(60 + 5 * rounds, seed=5)[60:]

    def __call__(self, section: str, done: int, total: int) -> None:
        if not self.left or section not in ("scores", "jobs") or done != total:
            return
        self.left -= 1
        new, self.records = self.records[:5], self.records[5:]
        ids = [record.id for record in new]
        self.store.add_architectures("nano", new)
        vectors = np.full((5, 2), self.left, dtype=np.float32)
        self.store.put_embeddings("nano", Embeddings(tuple(ids), vectors))
        self.store.add_trials("first", [(id, {}) for id in ids])
        claimed = self.store.claim_trial("first", "me", 10.0, 100.0)
        assert claimed is not None
        proof = samples.score(claimed.architecture, "trial", seed=claimed.number)
        self.store.finish_trial(claimed, TrialStatus.COMPLETE, 101.0, 0.5, scores=[proof])


def test_source_that_grows_meanwhile_is_gone_over_again(tmp_path: Path, either_url: str):
    with filled(f"sqlite:///{tmp_path}/one.db", 60) as one, open_store(either_url) as two:
        report = copy_store(one, two, Growing(one, 3))
        assert report.moving == ()
        assert 2 <= report.passes <= PASSES
        assert report.sections["architectures"].count == 75
        assert digests(one) == digests(two) == report.sections


def test_source_that_never_rests_is_said_so(tmp_path: Path):
    with filled(f"sqlite:///{tmp_path}/one.db", 60) as one, open_store(f"sqlite:///{tmp_path}/two.db") as two:
        report = copy_store(one, two, Growing(one, 50))
        assert report.passes == PASSES
        assert {"architectures", "trials"} <= set(report.moving)
        copy_store(one, two)
        assert digests(one) == digests(two)
