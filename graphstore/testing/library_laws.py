"""Laws of spaces, architectures, vectors and neighbours."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from graphstore.contract import GraphStore
from graphstore.errors import NotFoundError, StoreError, StoreInputError
from graphstore.records import ArchitectureRecord, Embeddings, NeighborRecord, SpaceRecord
from graphstore.testing import samples

Reopen = Callable[[], GraphStore]


def filled(store: GraphStore, count: int = 12, seed: int = 0, space: str = "nano") -> list[ArchitectureRecord]:
    """Put a space with ``count`` architectures into the store."""
    records = samples.architectures(count, seed)
    store.put_space(samples.space(space))
    store.add_architectures(space, records)
    return records


class LibraryLaws:
    """Spaces and architectures."""

    def test_new_store_is_empty(self, store: GraphStore) -> None:
        """A new store is empty, and its revisions are 0."""
        assert store.spaces() == []
        assert store.studies() == []
        assert store.jobs() == []
        assert store.scores() == []
        assert store.measurements() == []
        assert store.summaries() == []
        assert store.count() == 0
        assert [store.revision(topic) for topic in ("", "library", "scores", "studies", "jobs")] == [0] * 5

    def test_topic_is_checked(self, store: GraphStore) -> None:
        """An unknown topic is refused."""
        with pytest.raises(StoreInputError, match="topic"):
            store.revision("weather")

    def test_closed_store_is_refused(self, store: GraphStore, reopen: Reopen) -> None:
        """A closed store raises an error; another handle on it still works."""
        other = reopen()
        other.close()
        with pytest.raises(StoreError, match="closed"):
            other.spaces()
        assert store.spaces() == []

    def test_with_closes(self, reopen: Reopen) -> None:
        """The store is its own context manager."""
        with reopen() as other:
            other.put_space(samples.space())
        with pytest.raises(StoreError, match="closed"):
            other.spaces()

    def test_space_round_trip(self, store: GraphStore, reopen: Reopen) -> None:
        """A space comes back whole, is listed by name, and is replaced by its name."""
        store.put_space(samples.space("tiny"))
        store.put_space(samples.space("nano"))
        assert [space.name for space in reopen().spaces()] == ["nano", "tiny"]
        assert reopen().space("tiny") == samples.space("tiny")
        store.put_space(SpaceRecord("tiny", {"ready": True}))
        assert reopen().space("tiny").info == {"ready": True}
        assert len(store.spaces()) == 2

    def test_space_rules(self, store: GraphStore) -> None:
        """A space needs a name and a JSON-able info."""
        with pytest.raises(StoreInputError, match="name"):
            store.put_space(SpaceRecord("", {}))
        for wrong in (float("nan"), np.zeros(2), {1, 2}):
            with pytest.raises(StoreInputError, match="JSON"):
                store.put_space(SpaceRecord("nano", {"x": wrong}))
        assert store.spaces() == []

    def test_unknown_space(self, store: GraphStore) -> None:
        """Every method that takes a space's name raises NotFoundError for an unknown one."""
        empty = Embeddings((), np.zeros((0, 0), np.float32))
        for call in (
            lambda: store.space("no"),
            lambda: store.count("no"),
            lambda: store.summaries("no"),
            lambda: store.add_architectures("no", samples.architectures(1)),
            lambda: store.put_embeddings("no", empty),
            lambda: store.embeddings("no"),
            lambda: store.nearest("no", np.zeros(2), 1),
            lambda: store.put_neighbors("no", "wl", []),
            lambda: store.neighbors("no", "id", "wl"),
            lambda: store.scores(space="no"),
            lambda: store.measurements(space="no"),
            lambda: store.create_study(samples.study(space_name="no")),
        ):
            with pytest.raises(NotFoundError, match="no"):
                call()
        assert store.count() == 0
        assert store.revision() == 0

    def test_architecture_round_trip(self, store: GraphStore, reopen: Reopen) -> None:
        """Every architecture comes back equal to what was given, its edges in their order."""
        records = filled(store, 40)
        other = reopen()
        assert [other.architecture(record.id) for record in records] == records
        assert other.count() == other.count("nano") == 40

    def test_architecture_by_prefix(self, store: GraphStore) -> None:
        """A unique prefix of six characters names an architecture; a shorter, unknown or shared one does not."""
        record = filled(store)[3]
        assert store.architecture(record.id[:6]) == record
        for wrong in (record.id[:5], "", "zzzzzzzz", record.id + "0", record.id[:6] + "%", "______"):
            with pytest.raises(NotFoundError, match="architecture"):
                store.architecture(wrong)
        twins = [_renamed(record, f"shared-{end}") for end in ("a", "b", "bc")]
        store.add_architectures("nano", twins)
        with pytest.raises(NotFoundError, match="shared-a"):
            store.architecture("shared")
        assert store.architecture("shared-b").id == "shared-b"  # whole ids win over prefixes

    def test_add_is_idempotent(self, store: GraphStore) -> None:
        """Adding twice changes nothing; new ones are appended, repeated ones counted once."""
        records = samples.architectures(10)
        store.put_space(samples.space())
        assert store.add_architectures("nano", records[:6]) == 6
        revision = store.revision("library")
        assert store.add_architectures("nano", records[:6]) == 0
        assert store.revision("library") == revision
        assert store.add_architectures("nano", [*records[4:], *records[4:]]) == 4
        assert [summary.id for summary in store.summaries("nano")] == [record.id for record in records]
        assert store.architecture(records[5].id) == records[5]

    def test_architectures_shared_by_spaces(self, store: GraphStore) -> None:
        """One architecture can be in two spaces, in another order; it is stored once and as first written."""
        records = filled(store, 5)
        store.put_space(samples.space("other"))
        changed = [_renamed(record, record.id, name="late") for record in reversed(records)]
        assert store.add_architectures("other", changed) == 5
        assert store.count() == 5
        assert store.count("other") == 5
        assert [summary.id for summary in store.summaries("other")] == [record.id for record in reversed(records)]
        assert store.architecture(records[0].id) == records[0]

    def test_progress(self, store: GraphStore) -> None:
        """Progress ends at the total and never falls."""
        store.put_space(samples.space())
        seen: list[tuple[int, int]] = []
        store.add_architectures("nano", samples.architectures(300), lambda done, total: seen.append((done, total)))
        assert seen[-1] == (300, 300)
        assert seen == sorted(seen)

    def test_summaries(self, store: GraphStore) -> None:
        """Summaries say what the records say, layer by layer, in the order asked for."""
        records = filled(store)
        for summary, record in zip(store.summaries("nano"), records, strict=True):
            assert (summary.id, summary.spec, summary.name) == (record.id, record.spec, record.name)
            assert (summary.parameters, summary.flops) == (record.parameters, record.flops)
            assert summary.heterogeneity == record.heterogeneity
            assert summary.depth == len(record.layers)
            assert summary.families == tuple(layer.family for layer in record.layers)
            assert summary.operations == tuple(f"{layer.family}_{layer.parameter}" for layer in record.layers)
            assert summary.hiddens == tuple(layer.hidden for layer in record.layers)
        wanted = [records[7].id, "unknown", records[2].id]
        assert [s.id for s in store.summaries("nano", wanted)] == [records[7].id, records[2].id]
        assert [s.id for s in store.summaries(ids=wanted)] == [records[7].id, records[2].id]
        assert store.summaries("nano", []) == []
        assert [s.id for s in store.summaries()] == sorted(record.id for record in records)
        store.put_space(samples.space("bare"))
        assert store.summaries("bare", wanted) == []

    def test_layers(self, store: GraphStore) -> None:
        """Layers come in order; unknown ids are left out."""
        records = filled(store)
        found = store.layers([records[4].id, "unknown", records[1].id])
        assert found == {records[4].id: records[4].layers, records[1].id: records[1].layers}
        assert store.layers([]) == {}

    def test_malformed_architecture_changes_nothing(self, store: GraphStore) -> None:
        """A record that breaks a rule is refused before anything is written."""
        good, bad = samples.architectures(2)
        store.put_space(samples.space())
        revision = store.revision()
        for change in (
            {"feeds": ((0, 10_000),)},
            {"feeds": ((1, 0),)},
            {"feeds": ((0, 1), (0, 1))},
            {"ops": bad.ops[1:]},
            {"layers": bad.layers[::-1] if len(bad.layers) > 1 else (bad.layers[0], bad.layers[0])},
            {"id": ""},
        ):
            with pytest.raises(StoreInputError):
                store.add_architectures("nano", [good, ArchitectureRecord(**{**vars(bad), **change})])
        assert store.count() == 0
        assert store.revision() == revision


class SimilarityLaws:
    """Vectors and stored neighbours."""

    def test_embeddings_round_trip(self, store: GraphStore, reopen: Reopen) -> None:
        """Vectors come back bit for bit in the space's order, and belong to their space alone."""
        records = filled(store)
        store.put_space(samples.space("other"))
        store.add_architectures("other", records)
        assert store.embeddings("nano").vectors.shape == (0, 0)
        vectors = np.random.default_rng(0).normal(size=(9, 16)).astype(np.float32)
        chosen = [record.id for record in records[2:11]]
        order = np.random.default_rng(1).permutation(9)
        store.put_embeddings("nano", Embeddings(tuple(chosen[i] for i in order), vectors[order]))
        found = reopen().embeddings("nano")
        assert found.ids == tuple(chosen)
        assert found.vectors.dtype == np.float32
        np.testing.assert_array_equal(found.vectors, vectors)
        assert store.embeddings("other").ids == ()

    def test_embeddings_are_replaced(self, store: GraphStore) -> None:
        """A second write replaces the first completely, even with another dimension or no vectors."""
        ids = [record.id for record in filled(store)]
        store.put_embeddings("nano", Embeddings(tuple(ids), np.ones((12, 4), np.float32)))
        assert len(store.nearest("nano", np.ones(4), 99)) == 12
        store.put_embeddings("nano", Embeddings(tuple(ids[:2]), np.zeros((2, 3), np.float32)))
        assert store.embeddings("nano").vectors.shape == (2, 3)
        assert len(store.nearest("nano", np.ones(3), 99)) == 2
        store.put_embeddings("nano", Embeddings((), np.zeros((0, 0), np.float32)))
        assert store.embeddings("nano").ids == ()
        assert store.nearest("nano", np.ones(3), 99) == []

    def test_embedding_rules(self, store: GraphStore) -> None:
        """Wrong ids, shapes and values are refused and leave the old vectors."""
        ids = tuple(record.id for record in filled(store, 3))
        right = np.arange(6, dtype=np.float32).reshape(3, 2)
        store.put_embeddings("nano", Embeddings(ids, right))
        wrong = right.copy()
        wrong[1, 1] = np.nan
        for embeddings in (
            Embeddings(ids, wrong),
            Embeddings(ids, right[:2]),
            Embeddings(ids, right[0]),
            Embeddings((ids[0], ids[1], "unknown"), right),
            Embeddings((ids[0], ids[1], ids[1]), right),
            Embeddings(ids, right.astype(np.float64) * 1e300),  # type: ignore[arg-type]
        ):
            with pytest.raises(StoreInputError):
                store.put_embeddings("nano", embeddings)
        np.testing.assert_array_equal(store.embeddings("nano").vectors, right)

    def test_nearest_equals_brute_force(self, store: GraphStore) -> None:
        """Nearest equals sorting all distances, ties by id, for vectors on a coarse grid (so that ties abound)."""
        ids = [record.id for record in filled(store, 60)]
        rng = np.random.default_rng(3)
        vectors = rng.integers(-1, 2, size=(60, 3)).astype(np.float32)
        store.put_embeddings("nano", Embeddings(tuple(ids), vectors))
        for k in (1, 7, 60, 100):
            query = rng.integers(-1, 2, size=3).astype(np.float64)
            expected = sorted((float(np.linalg.norm(v - query)), id) for id, v in zip(ids, vectors, strict=True))[:k]
            found = store.nearest("nano", query, k)
            assert [id for id, _ in found] == [id for _, id in expected]
            np.testing.assert_allclose([d for _, d in found], [d for d, _ in expected], rtol=1e-12)
        assert store.nearest("nano", np.zeros(3), 0) == []

    def test_nearest_sees_other_writers(self, store: GraphStore, reopen: Reopen) -> None:
        """Vectors that another handle writes are found immediately, despite the cache."""
        ids = tuple(record.id for record in filled(store, 2))
        store.put_embeddings("nano", Embeddings(ids, np.array([[0.0], [5.0]], np.float32)))
        assert store.nearest("nano", np.zeros(1), 1) == [(ids[0], 0.0)]
        reopen().put_embeddings("nano", Embeddings(ids, np.array([[5.0], [0.0]], np.float32)))
        assert store.nearest("nano", np.zeros(1), 1) == [(ids[1], 0.0)]

    def test_nearest_rules(self, store: GraphStore) -> None:
        """A query of another length, or one that is not finite, is refused."""
        ids = tuple(record.id for record in filled(store, 2))
        store.put_embeddings("nano", Embeddings(ids, np.ones((2, 3), np.float32)))
        for wrong in (np.ones(2), np.ones((1, 3)), np.array([0.0, np.inf, 0.0])):
            with pytest.raises(StoreInputError, match="vector"):
                store.nearest("nano", wrong, 1)

    def test_neighbors(self, store: GraphStore, reopen: Reopen) -> None:
        """Neighbours come by rank, per space and kernel, and are replaced as a whole."""
        ids = [record.id for record in filled(store, 6)]
        store.put_space(samples.space("other"))
        store.add_architectures("other", samples.architectures(6))
        near = [NeighborRecord(ids[0], ids[rank], "wl", rank, rank / 8) for rank in (3, 1, 2)]
        store.put_neighbors("nano", "wl", iter([*near, NeighborRecord(ids[1], ids[0], "wl", 1, 0.0)]))
        store.put_neighbors("nano", "walk", [NeighborRecord(ids[0], ids[5], "walk", 1, 0.5)])
        store.put_neighbors("other", "wl", [NeighborRecord(ids[0], ids[4], "wl", 1, 0.25)])
        other = reopen()
        assert other.neighbors("nano", ids[0], "wl") == sorted(near, key=lambda n: n.rank)
        assert [n.rank for n in other.neighbors("nano", ids[0], "wl", 2)] == [1, 2]
        assert [n.target for n in other.neighbors("nano", ids[0], "walk")] == [ids[5]]
        assert [n.target for n in other.neighbors("other", ids[0], "wl")] == [ids[4]]
        assert other.neighbors("nano", ids[5], "wl") == []
        assert other.neighbors("nano", "unknown", "wl") == []
        store.put_neighbors("nano", "wl", [NeighborRecord(ids[2], ids[3], "wl", 1, 0.125)])
        assert store.neighbors("nano", ids[0], "wl") == []
        assert len(store.neighbors("nano", ids[2], "wl")) == 1
        assert len(store.neighbors("nano", ids[0], "walk")) == 1
        assert len(store.neighbors("other", ids[0], "wl")) == 1

    def test_neighbor_rules(self, store: GraphStore) -> None:
        """Wrong neighbours are refused and leave the old ones."""
        ids = [record.id for record in filled(store, 3)]
        right = NeighborRecord(ids[0], ids[1], "wl", 1, 0.5)
        store.put_neighbors("nano", "wl", [right])
        for wrong in (
            NeighborRecord(ids[0], "unknown", "wl", 2, 0.5),
            NeighborRecord(ids[0], ids[2], "walk", 2, 0.5),
            NeighborRecord(ids[0], ids[2], "wl", 1, 0.5),
            NeighborRecord(ids[0], ids[2], "wl", 0, 0.5),
            NeighborRecord(ids[0], ids[2], "wl", 2, float("nan")),
        ):
            with pytest.raises(StoreInputError):
                store.put_neighbors("nano", "wl", [right, wrong])
        assert store.neighbors("nano", ids[0], "wl") == [right]

    def test_neighbors_in_bulk(self, store: GraphStore) -> None:
        """More neighbours than fit a batch arrive whole, with progress."""
        ids = [record.id for record in filled(store, 120)]
        near = [
            NeighborRecord(ids[i], ids[(i + rank) % 120], "wl", rank, rank / 64)
            for i in range(120)
            for rank in range(1, 31)
        ]
        seen: list[tuple[int, int]] = []
        store.put_neighbors("nano", "wl", near, lambda done, total: seen.append((done, total)))
        assert seen[-1] == (3600, 3600)
        assert [n for id in ids for n in store.neighbors("nano", id, "wl", 99)] == near


def _renamed(record: ArchitectureRecord, id: str, name: str = "") -> ArchitectureRecord:
    return ArchitectureRecord(**{**vars(record), "id": id, "name": name})
