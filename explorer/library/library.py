"""A library: the architectures of a space with their fitted kernel, vectors and neighbours.

The kernel (``explorer.similarity.kernel``) is fitted once, when the library is built, and stored; afterwards placing an
architecture, finding its neighbours and explaining them are products with stored arrays. Nothing is ever refitted:
architectures that join later are placed on the same axes, so vectors keep their values, and old and new ones compare.

Writing is safe to interrupt and safe for several processes at a time, because all writes are atomic, repeatable, and
replace nothing: the kernel is stored by compare-and-set, architectures with their vectors and neighbours by
``GraphStore.append_to_library``. Building a library again completes it.

Libraries of layout 2 (before a kernel could be chosen) have vectors by ``views``, neighbours by Weisfeiler–Lehman and
no stored kernels. They keep both; when the kernels are first needed, they are fitted to the architectures that the
vectors were computed from, and stored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explorer.errors import DataError, InputError
from explorer.library.beginning import begin, check_cost
from explorer.library.fitted import FittedKernels, load
from explorer.library.records import architecture_records
from explorer.library.settings import LAYOUT, NEIGHBORS, LibrarySettings, finishing, is_finished
from explorer.progress import Reporter, SilentReporter
from explorer.similarity.explanation import Explanation
from explorer.similarity.graph import ArchitectureGraph, architecture_id, build_graph, graph_hash
from explorer.similarity.kernel import MAX_HOURS, GraphKernel
from explorer.similarity.overlap import by_overlap
from explorer.space.formats import from_json
from explorer.space.spec import ArchitectureSpec
from graphstore import GraphStore
from graphstore.errors import NotFoundError
from graphstore.records import ArchitectureRecord, Embeddings, NeighborRecord, SpaceRecord

MAX_LIBRARY = 20_000
"""Largest number of architectures of a library, because all pairs of them are compared."""
BATCH = 1000
"""Architectures written in one transaction."""
LARGEST = 1e15
"""Largest number of a vector; its square fits into the single precision of the engines."""


class Library:
    """The library of a finished space. Vectors and kernels are read once, when they are first needed.

    Attributes:
        store: the store.
        name: name of the space.
        info: the space's record: ``title``, ``source``, ``settings`` (kernel, layout), ``embedding_spearman``.
    """

    def __init__(self, store: GraphStore, space: SpaceRecord) -> None:
        self.store, self.name, self.info = store, space.name, space.info

    @classmethod
    def open(cls, store: GraphStore, space: str) -> Library:
        """Open a finished library. Its kernels are read when they are first needed.

        Raises:
            NotFoundError: the space does not exist.
            InputError: the library is not finished.
        """
        record = store.space(space)
        if not is_finished(record.info):
            raise InputError("space", "have a finished library", space, finishing(record))
        return cls(store, record)

    @classmethod
    def build(
        cls,
        store: GraphStore,
        space: str,
        specs: Sequence[ArchitectureSpec],
        reporter: Reporter,
        source: Any,
        title: str = "",
        kernel: GraphKernel | None = None,
        parent: str = "",
        max_hours: float = MAX_HOURS,
    ) -> Library:
        """Build the library of a space, or add architectures to it. Safe to interrupt and run again.

        A chosen kernel's cost is estimated before a new library is begun, and nothing is written if it is too high.

        Args:
            store: receives the library.
            space: name of the space.
            specs: the architectures; duplicates are dropped. They follow those that the space has.
            reporter: gets the phases ``cost``, ``graphs``, ``store``, ``similarity``, ``embedding`` and
                ``neighbours``.
            source: origin of the architectures, kept with the space.
            title: one-line description.
            kernel: the kernel, not fitted yet; by default the one that the space was begun with, or else ``views``.
            parent: name of the library in whose coordinates the architectures are placed; by default the kernel is
                fitted to the architectures.
            max_hours: largest estimated processor time of the kernel.

        Returns:
            The finished library.

        Raises:
            InputError: the space was begun with another kernel, would hold more than ``MAX_LIBRARY``, or is new and
                its kernel too costly.
        """
        if kernel is not None and not any(known.name == space for known in store.spaces()):
            check_cost(kernel, specs, max_hours, reporter)
        reporter.update("graphs", 0, len(specs))
        pairs = architecture_records(specs)
        reporter.update("graphs", len(specs), len(specs))
        library = cls(store, begin(store, space, source, title, kernel, parent))
        if is_finished(library.info):
            library._append(pairs, reporter)
        else:
            library._finish(pairs, reporter, Library.open(store, parent) if parent else None)
        return cls.open(store, space)

    @property
    def settings(self) -> LibrarySettings:
        """The kernel and the layout."""
        return LibrarySettings.of(self.info)

    @property
    def agreement(self) -> float:
        """Rank correlation of the vectors' distances with the exact ones, when the library was built."""
        return float(self.info["embedding_spearman"])

    @cached_property
    def embeddings(self) -> Embeddings:
        """The stored vectors ``[N, d]`` with their ids.

        Raises:
            InputError: there are none.
        """
        found = self.store.embeddings(self.name)
        if not found.ids:
            raise InputError("space", "have vectors", self.name, "Build it, or import into it, again.")
        return found

    @cached_property
    def fitted(self) -> FittedKernels:
        """The fitted kernels, with a row for each architecture that has a vector."""
        kernels = self._stored_kernels()
        new = [id for id in self.embeddings.ids if id not in kernels.rows]
        return kernels.extended(new, self.graphs(new))

    @property
    def kernel(self) -> GraphKernel:
        """The fitted kernel behind the vectors."""
        return self.fitted.kernel

    @property
    def rows(self) -> Mapping[str, int]:
        """Position of each architecture in the rows of ``kernel``."""
        return self.fitted.rows

    def place(self, specs: Sequence[ArchitectureSpec]) -> NDArray[np.float32]:
        """Return the vectors ``[N, d]`` of any architectures."""
        return self.kernel.transform([build_graph(spec) for spec in specs])

    def vector(self, spec: ArchitectureSpec) -> NDArray[np.float32]:
        """Return the vector ``[d]`` of an architecture: the stored one if there is one, else that of ``place``."""
        id, stored = architecture_id(spec), self.embeddings
        vectors = stored.vectors[[stored.ids.index(id)]] if id in stored.ids else self.place([spec])
        return np.asarray(vectors[0])

    def nearest(self, spec: ArchitectureSpec, k: int) -> list[NeighborRecord]:
        """Return the k nearest others by exact kernel dissimilarity, ties by the library's order."""
        graph = build_graph(spec)
        id = graph_hash(graph)
        stored = self.store.neighbors(self.name, id, self.settings.kernel, k)
        return stored if len(stored) == k else self.fitted.nearest([id], [graph], k)[0]

    def nearest_by_vector(
        self, target: ArchitectureSpec | NDArray[np.floating[Any]], k: int
    ) -> list[tuple[str, float]]:
        """Return the k nearest by the Euclidean distance of vectors, ties by id, as (id, distance).

        Args:
            target: an architecture, which is left out itself, or a vector ``[d]``.
            k: how many.

        Raises:
            StoreInputError: the vector is longer or shorter than those of the library.
        """
        if not isinstance(target, ArchitectureSpec):
            return self.store.nearest(self.name, target, k) if self.embeddings.ids else []
        id = architecture_id(target)
        found = self.store.nearest(self.name, self.vector(target).astype(np.float64), k + 1)
        return [(other, distance) for other, distance in found if other != id][:k]

    def nearest_by_overlap(self, spec: ArchitectureSpec, k: int) -> list[tuple[str, float]]:
        """Return the k others with most leading layers in common, ties by vector, as (id, number of layers).

        These are the architectures whose weights it can inherit (FlexiBERT's biased overlap).
        """
        own, vector, stored = architecture_id(spec), self.vector(spec), self.embeddings
        kept = [row for row, id in enumerate(stored.ids) if id != own]
        others, vectors = [stored.ids[row] for row in kept], stored.vectors[kept]

        def distances(rows: Sequence[int]) -> NDArray[np.float64]:
            return np.asarray(np.linalg.norm(vectors[list(rows)].astype(np.float64) - vector, axis=1))

        found = by_overlap(spec, self._specs(others), distances, k)
        return [(others[row], float(shared)) for row, shared in found]

    def squared_distances(self, spec: ArchitectureSpec) -> NDArray[np.float64]:
        """Return squared kernel distances ``[N]`` of an architecture to the rows of ``kernel``."""
        return np.asarray(self.kernel.squared_distances([build_graph(spec)])[0])

    def dissimilarities(self, specs: Sequence[ArchitectureSpec]) -> NDArray[np.float64]:
        """Return the dissimilarities ``[N, N]`` of any architectures by the kernel that ranks neighbours."""
        graphs = [build_graph(spec) for spec in specs]
        return self.fitted.ranking.dissimilarities(graphs, graphs)

    def explain(self, first: ArchitectureSpec, second: ArchitectureSpec) -> Explanation:
        """Split the dissimilarity of two architectures into patterns.

        Raises:
            InputError: the kernel does not count patterns.
        """
        return self.fitted.ranking.explain(build_graph(first), build_graph(second))

    def append(self, specs: Sequence[ArchitectureSpec]) -> int:
        """Add architectures with their vectors and neighbours to the stored library.

        All that the library has stays equal to the bit. Up to ``BATCH`` architectures are added in one transaction.
        Repeating the call, or making it in several processes at the same time, adds each architecture once. Open the
        library again to work with the added ones.

        Returns:
            The number of architectures that were new to the space.

        Raises:
            InputError: the library would hold more than ``MAX_LIBRARY``.
        """
        return self._append(architecture_records(specs), SilentReporter())

    def _append(self, pairs: Sequence[tuple[ArchitectureRecord, ArchitectureGraph]], reporter: Reporter) -> int:
        held = set(self.embeddings.ids)
        new = [(record, graph) for record, graph in pairs if record.id not in held]
        if not new:
            return 0
        _check_total(self.name, len(held) + len(new))
        records, graphs = [record for record, _ in new], [graph for _, graph in new]
        ids = [record.id for record in records]
        fitted = self.fitted.extended(ids, graphs) if len(ids) > 1 else self.fitted
        neighbors = fitted.nearest(ids, graphs, NEIGHBORS)
        added = 0
        if len(records) > BATCH:
            # Neighbours may be in later batches, so all architectures must be in the space before.
            added = self.store.add_architectures(self.name, records)
        return added + self._write(records, fitted.kernel.transform(graphs), neighbors, reporter)

    def _finish(
        self, pairs: Sequence[tuple[ArchitectureRecord, ArchitectureGraph]], reporter: Reporter, parent: Library | None
    ) -> None:
        """Complete the library, which may be at any step of its construction."""
        records = [record for record, _ in pairs]
        held = self.store.architecture_ids(self.name)
        _check_total(self.name, len({*held, *(record.id for record in records)}))
        self.store.add_architectures(self.name, records, lambda done, total: reporter.update("store", done, total))
        reporter.update("store", len(records), len(records))
        ids = self.store.architecture_ids(self.name)
        known = {record.id: graph for record, graph in pairs}
        others = [id for id in ids if id not in known]
        known |= dict(zip(others, self.graphs(others), strict=True))
        graphs = [known[id] for id in ids]
        fitted = self._fit(ids, graphs, parent)
        new = [row for row, id in enumerate(ids) if id not in fitted.rows]
        fitted = fitted.extended([ids[row] for row in new], [graphs[row] for row in new])
        reporter.update("embedding", 1, 1)
        embedded = set(self.store.embeddings(self.name).ids)
        missing = [id for id in ids if id not in embedded]
        # Neighbours of all, even to complete a few: computed in another way they could differ in the last decimal.
        near = fitted.neighbors(NEIGHBORS, lambda done, total: reporter.update("similarity", done, total))
        rows = [fitted.rows[id] for id in missing]
        by_id = {record.id: record for record in records}
        by_id |= {record.id: record for record in self.store.architectures([id for id in missing if id not in by_id])}
        vectors = fitted.kernel.vectors[rows]
        self._write([by_id[id] for id in missing], vectors, [near[row] for row in rows], reporter)
        reporter.update("neighbours", 1, 1)
        agreement = fitted.kernel.agreement()
        self.store.put_space(SpaceRecord(self.name, {**self.info, "ready": True, "embedding_spearman": agreement}))

    def _fit(self, ids: Sequence[str], graphs: Sequence[ArchitectureGraph], parent: Library | None) -> FittedKernels:
        """The stored kernels; where there are none, they are fitted and stored first."""
        try:
            return self._load()
        except NotFoundError:
            if parent is None:
                fitted = FittedKernels.fit(self.settings, ids, graphs)
                if self.settings.layout < LAYOUT:
                    fitted = fitted.turned_to(self.embeddings)
            else:
                fitted = parent.fitted.on_other_graphs(ids, graphs)
            return fitted.stored(self.store, self.name)

    def _load(self) -> FittedKernels:
        kernel, ranking = self.settings.unfitted()
        return load(self.store, self.name, (kernel.name, ranking.name))

    def _stored_kernels(self) -> FittedKernels:
        try:
            return self._load()
        except NotFoundError:
            if self.settings.layout == LAYOUT:
                remedy = "Restore the store from a backup, or build the space under another name."
                raise DataError(f"space {self.name}", "have a stored kernel", None, remedy) from None
        # Architectures that layout 2 listed as adopted were placed on the axes and took no part in fitting them.
        adopted, source = set(self.info.get("adopted", ())), self.info.get("source")
        ids = [id for id in self.embeddings.ids if id not in adopted]
        place = source.get("placed_in", self.name) if isinstance(source, Mapping) else self.name
        return self._fit(ids, self.graphs(ids), None if place == self.name else Library.open(self.store, place))

    def _write(
        self,
        records: Sequence[ArchitectureRecord],
        vectors: NDArray[np.float32],
        neighbors: Sequence[Sequence[NeighborRecord]],
        reporter: Reporter,
    ) -> int:
        added = 0
        for start in range(0, len(records), BATCH):
            part = slice(start, start + BATCH)
            embeddings = Embeddings(tuple(record.id for record in records[part]), vectors[part])
            near = [neighbor for found in neighbors[part] for neighbor in found]
            added += self.store.append_to_library(self.name, records[part], embeddings, near)
            reporter.update("neighbours", min(start + BATCH, len(records)), len(records))
        return added

    def _specs(self, ids: Sequence[str]) -> list[ArchitectureSpec]:
        return [from_json(summary.spec) for summary in self.store.summaries(ids=ids)]

    def graphs(self, ids: Sequence[str]) -> list[ArchitectureGraph]:
        """Return the graphs of stored architectures."""
        return [build_graph(spec) for spec in self._specs(ids)] if ids else []


def vector_of(document: object) -> NDArray[np.float64]:
    """Return the vector ``[d]`` in a user's JSON document.

    Raises:
        DataError: the document is not a list of numbers, or a number is not finite or larger than ``LARGEST``.
    """
    remedy = "Write for example [0.25, -1, 3e-2]."
    if not isinstance(document, list) or not document:
        raise DataError("vector", "be a JSON list of numbers", document, remedy)
    for position, value in enumerate(document):
        # Compare before converting: float() overflows on huge ints, and NaN fails both bounds.
        if isinstance(value, bool) or not isinstance(value, int | float) or not -LARGEST <= value <= LARGEST:
            rule = f"be a finite number, at most {LARGEST:g} from zero"
            raise DataError(f"vector[{position}]", rule, value, remedy)
    return np.array(document, dtype=np.float64)


def _check_total(space: str, total: int) -> None:
    if total > MAX_LIBRARY:
        rule = f"hold at most {MAX_LIBRARY:,} architectures including the new ones"
        raise InputError(f"space {space}", rule, total, "Add them to another space.")
