"""Laws of appending to a library and of fitted kernels."""

from __future__ import annotations

import dataclasses
import random
import signal

import numpy as np
import pytest

from graphstore.contract import GraphStore
from graphstore.errors import NotFoundError, StoreInputError
from graphstore.library_checks import LARGEST_STATE
from graphstore.records import ArchitectureRecord, Embeddings, KernelRecord, NeighborRecord
from graphstore.testing import samples, users
from graphstore.testing.library_laws import Reopen, filled
from graphstore.testing.oracle import NaiveLibrary

KERNEL = users.KERNEL


def vectors_of(records: list[ArchitectureRecord], seed: int = 0, length: int = 4) -> Embeddings:
    """Random vectors of all records."""
    vectors = np.random.default_rng(seed).normal(size=(len(records), length)).astype(np.float32)
    return Embeddings(tuple(record.id for record in records), vectors)


def edges(sources: list[ArchitectureRecord], targets: list[ArchitectureRecord], kernel: str = KERNEL, shift: int = 0):  # type: ignore[no-untyped-def]  # noqa: ANN201
    """Two neighbours of every source."""
    ids = [record.id for record in targets]
    return [
        NeighborRecord(source.id, ids[(turn + rank + shift) % len(ids)], kernel, rank, (rank + shift) / 8)
        for turn, source in enumerate(sources)
        for rank in (1, 2)
    ]


class AppendLaws:
    """Appending architectures with their vectors and neighbours."""

    def test_append_leaves_what_is_stored(self, store: GraphStore, reopen: Reopen) -> None:
        """Appended architectures come last, whole; vectors and neighbours of the others stay equal to the bit."""
        old, new = self._library(store), samples.architectures(5, seed=9)
        before = store.embeddings("nano")
        table = store.neighbor_table("nano", KERNEL)
        given = vectors_of(new, seed=1)
        near = edges(new, [*old, *new])
        assert store.append_to_library("nano", new, given, [*near, *edges(new, old, "walk")]) == 5
        other = reopen()
        assert other.architecture_ids("nano") == [record.id for record in (*old, *new)]
        assert other.architectures([record.id for record in new]) == new
        after = other.embeddings("nano")
        assert after.ids == (*before.ids, *given.ids)
        np.testing.assert_array_equal(after.vectors, np.concatenate([before.vectors, given.vectors]))
        assert sorted(other.neighbor_table("nano", KERNEL), key=place) == sorted([*table, *near], key=place)
        assert other.neighbor_table("nano", "walk") == sorted(edges(new, old, "walk"), key=place)
        assert store.problems() == []

    def test_append_is_idempotent(self, store: GraphStore) -> None:
        """A repeated append changes nothing, even with other vectors and neighbours."""
        old, new = self._library(store), samples.architectures(3, seed=9)
        store.append_to_library("nano", new, vectors_of(new), edges(new, old))
        held = everything(store)
        assert store.append_to_library("nano", new, vectors_of(new), edges(new, old)) == 0
        assert store.append_to_library("nano", new, vectors_of(new, seed=5), edges(new, old, shift=1)) == 0
        assert everything(store) == held

    def test_append_completes_what_was_left_unfinished(self, store: GraphStore) -> None:
        """Members without a vector or neighbours get them, and keep their position."""
        old, new = self._library(store), samples.architectures(4, seed=9)
        store.add_architectures("nano", new[1:3])
        assert store.append_to_library("nano", new, vectors_of(new), edges(new, old)) == 2
        order = [record.id for record in (*old, *new[1:3], new[0], new[3])]
        assert store.architecture_ids("nano") == order
        assert store.embeddings("nano").ids == tuple(order)
        assert all(len(store.neighbors("nano", record.id, KERNEL)) == 2 for record in new)

    def test_append_to_a_space_without_vectors(self, store: GraphStore) -> None:
        """Vectors and neighbours are optional, and the first vectors determine the length."""
        store.put_space(samples.space())
        new = samples.architectures(4)
        nothing = Embeddings((), np.zeros((0, 0), np.float32))
        assert store.append_to_library("nano", new[:1], nothing, []) == 1
        assert store.append_to_library("nano", new, vectors_of(new[1:], length=7), []) == 3
        assert store.embeddings("nano").vectors.shape == (3, 7)
        assert len(store.nearest("nano", np.zeros(7), 9)) == 3

    def test_refused_append_changes_nothing(self, store: GraphStore) -> None:
        """Every rule is checked before anything is written."""
        old, new = self._library(store), samples.architectures(3, seed=9)
        held, right = everything(store), vectors_of(new)
        stranger = samples.architectures(1, seed=77)
        infinite = Embeddings(right.ids, np.full((3, 4), np.inf, np.float32))
        broken = dataclasses.replace(new[0], feeds=((1, 0),))
        for architectures, embeddings, neighbors in (
            (new, vectors_of(new, length=5), []),
            (new, vectors_of([*new, *stranger]), []),
            (new, infinite, []),
            ([broken, *new[1:]], right, []),
            (new, right, edges(old[:1], new)),
            (new, right, edges(new, stranger)),
            (new, right, [*edges(new, old), *edges(new[:1], old)]),
        ):
            with pytest.raises(StoreInputError):
                store.append_to_library("nano", architectures, embeddings, neighbors)
            assert everything(store) == held
        with pytest.raises(NotFoundError, match="tiny"):
            store.append_to_library("tiny", new, right, [])
        assert everything(store) == held

    def test_appends_equal_a_naive_library(self, store: GraphStore) -> None:
        """Random overlapping appends give the same library as plain lists and dictionaries."""
        rng = random.Random(5)
        pool = samples.architectures(14, seed=2)
        store.put_space(samples.space())
        naive = NaiveLibrary()
        for turn in range(10):
            given = rng.sample(pool, rng.randint(1, 6))
            embedded = rng.sample(given, rng.randint(0, len(given)))
            known = [record for record in pool if record.id in naive.ids]
            near = edges(rng.sample(given, rng.randint(0, len(given))), [*known, *given], rng.choice(("wl", "walk")))
            vectors = vectors_of(embedded, turn, 3)
            assert store.append_to_library("nano", given, vectors, near) == naive.append(given, vectors, near)
            assert store.architecture_ids("nano") == naive.ids
            found = store.embeddings("nano")
            assert dict(zip(found.ids, found.vectors.tolist(), strict=True)) == naive.vectors
            assert found.ids == tuple(id for id in naive.ids if id in naive.vectors)
            for kernel in ("wl", "walk"):
                expected = [n for (_, name), table in naive.neighbors.items() if name == kernel for n in table]
                assert store.neighbor_table("nano", kernel) == sorted(expected, key=place)

    def test_append_killed_at_every_step(self, store: GraphStore, reopen: Reopen) -> None:
        """A process that is killed between any two statements leaves all or nothing; the same call completes it."""
        old = self._library(store)
        with users.Crew() as crew:
            for step in range(1, 200):
                new = users.of_round(f"step{step}", 0)
                before = everything(store)
                member = crew.start(users.doomed_append, store.url, "nano", f"step{step}", step)
                member.join(60)
                if member.exitcode == 0:
                    break
                assert member.exitcode == -signal.SIGKILL
                if everything(store) != before:
                    assert_appended(store, old, new)
                store.append_to_library("nano", new, *users.library_of(new, old[0].id))
                assert_appended(store, old, new)
                old += new
            assert member.exitcode == 0
            assert step > 5
        assert reopen().problems() == []

    def test_two_processes_append_at_once(self, store: GraphStore) -> None:
        """Two processes append different architectures and the same ones; each is there once, with all it has."""
        old = self._library(store)
        turns = 6
        with users.Crew() as crew:
            both = [crew.talk(users.appender, store.url, name, old[0].id, turns) for name in ("a", "b")]
            counts = [users.result(connection) for connection in both]
        shared = [record for turn in range(turns) for record in users.of_round("shared", turn)]
        own = [record for name in ("a", "b") for turn in range(turns) for record in users.of_round(name, turn)]
        assert sum(counts) == len(shared) + len(own)
        assert_appended(store, old, [*shared, *own])
        order = store.architecture_ids("nano")
        assert order[: len(old)] == [record.id for record in old]
        assert sorted(order[len(old) :]) == sorted(record.id for record in (*shared, *own))
        for name in ("a", "b"):
            mine = [record.id for turn in range(turns) for record in users.of_round(name, turn)]
            assert [id for id in order if id in set(mine)] == mine
        assert store.problems() == []

    @staticmethod
    def _library(store: GraphStore) -> list[ArchitectureRecord]:
        records = filled(store, 8)
        store.put_embeddings("nano", vectors_of(records, seed=3))
        store.put_neighbors("nano", KERNEL, edges(records, records))
        return records


def place(neighbor: NeighborRecord) -> tuple[str, int]:
    """Return the position of a neighbour in its table."""
    return neighbor.source, neighbor.rank


def everything(store: GraphStore) -> object:
    """Return the contents of a library as comparable values."""
    found = store.embeddings("nano")
    tables = [store.neighbor_table("nano", kernel) for kernel in store.kernels("nano")]
    return store.architecture_ids("nano"), found.ids, found.vectors.tobytes(), tables, store.revision()


def assert_appended(store: GraphStore, old: list[ArchitectureRecord], new: list[ArchitectureRecord]) -> None:
    """Every new architecture is in the space once, whole, with its vector and neighbours."""
    ids = store.architecture_ids("nano")
    assert len(ids) == len(set(ids))
    assert store.architectures([record.id for record in new]) == new
    found = store.embeddings("nano")
    assert found.ids == tuple(ids)
    vectors = dict(zip(found.ids, found.vectors.tolist(), strict=True))
    expected, near = users.library_of(new, old[0].id)
    assert [vectors[id] for id in expected.ids] == expected.vectors.tolist()
    assert [n for record in new for n in store.neighbors("nano", record.id, KERNEL)] == near


class KernelLaws:
    """Fitted kernels."""

    def test_kernel_round_trip(self, store: GraphStore, reopen: Reopen) -> None:
        """A kernel comes back equal, per space and name, with a large state and an empty one."""
        for name in ("nano", "tiny"):
            store.put_space(samples.space(name))
        state = random.Random(0).randbytes(3 * 2**20 + 5)
        kernels = [
            KernelRecord("views", {"depth": 4, "weights": [0.1, 1e-300], "note": "Ünïcode ✓"}, state),
            KernelRecord("grakel:WL-OA", {}, b""),
            KernelRecord("it's", {"10": 1, "2": None}, bytes(range(256))),
        ]
        for kernel in kernels:
            assert store.put_kernel("nano", kernel) == kernel
        store.put_kernel("tiny", dataclasses.replace(kernels[0], state=b"other"))
        other = reopen()
        for kernel in kernels:
            assert other.kernel("nano", kernel.name) == kernel
        assert other.kernel("tiny", "views").state == b"other"
        assert other.fitted_kernels("nano") == {k.name: k.digest for k in sorted(kernels, key=lambda k: k.name)}
        assert list(other.fitted_kernels("nano")) == sorted(kernel.name for kernel in kernels)
        assert store.kernels("nano") == []
        assert store.problems() == []

    def test_kernel_is_replaced_by_compare_and_set(self, store: GraphStore, reopen: Reopen) -> None:
        """A stored kernel stays unless its digest is named; a repeated call changes nothing."""
        store.put_space(samples.space())
        first, second = (KernelRecord("views", {"n": n}, b"x" * n) for n in (2_500_000, 3))
        assert store.put_kernel("nano", first, replacing="whatever") == first
        revision = store.revision("library")
        assert store.put_kernel("nano", second) == first
        assert store.put_kernel("nano", second, replacing=second.digest) == first
        assert store.put_kernel("nano", first) == first
        assert store.put_kernel("nano", first, replacing=first.digest) == first
        assert store.revision("library") == revision
        assert store.put_kernel("nano", second, replacing=first.digest) == second
        assert store.put_kernel("nano", second, replacing=first.digest) == second
        assert reopen().kernel("nano", "views") == second
        assert store.revision("library") == revision + 1
        assert store.problems() == []

    def test_kernel_rules(self, store: GraphStore) -> None:
        """Unknown names and wrong fields are refused and nothing is written."""
        store.put_space(samples.space())
        revision = store.revision()
        for call in (
            lambda: store.kernel("nano", "views"),
            lambda: store.kernel("no", "views"),
            lambda: store.fitted_kernels("no"),
            lambda: store.put_kernel("no", KernelRecord("views", {}, b"")),
        ):
            with pytest.raises(NotFoundError):
                call()
        for wrong in (
            KernelRecord("", {}, b""),
            KernelRecord("views", {"x": float("nan")}, b""),
            KernelRecord("views", {}, "text"),  # type: ignore[arg-type]
            KernelRecord("views", {}, bytes(LARGEST_STATE + 1)),
        ):
            with pytest.raises(StoreInputError):
                store.put_kernel("nano", wrong)
        assert store.revision() == revision

    def test_kernel_killed_at_every_step(self, store: GraphStore) -> None:
        """A process that is killed while it stores a kernel leaves the old one or the new one, whole."""
        store.put_space(samples.space())
        stored = store.put_kernel("nano", users.kernel_of(0))
        with users.Crew() as crew:
            for step in range(1, 100):
                member = crew.start(users.doomed_kernel, store.url, "nano", step, stored.digest)
                member.join(60)
                new = users.kernel_of(step)
                found = store.kernel("nano", KERNEL)
                if member.exitcode == 0:
                    assert found == new
                    break
                assert member.exitcode == -signal.SIGKILL
                assert found in (stored, new)
                stored = store.put_kernel("nano", new, replacing=found.digest)
                assert store.kernel("nano", KERNEL) == stored == new
            assert member.exitcode == 0
            assert step > 3
        assert store.problems() == []

    def test_two_processes_store_a_kernel(self, store: GraphStore) -> None:
        """If two processes store a kernel at the same time, both get the stored one."""
        with users.Crew() as crew:
            both = [crew.talk(users.kernel_maker, store.url, number) for number in (1, 2)]
            assert [users.received(connection) for connection in both] == ["ready"] * 2
            for turn in range(8):
                store.put_space(samples.space(f"space-{turn}"))
                for connection in both:
                    connection.send(f"space-{turn}")
                got = [users.received(connection) for connection in both]
                assert got[0] == got[1] == store.kernel(f"space-{turn}", KERNEL).digest
            for connection in both:
                connection.send(None)
                users.result(connection)
