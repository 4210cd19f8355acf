"""The library protocol: design spaces with their architectures, vectors, neighbours and fitted kernels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphstore.queries import ArchitectureQuery, Best, Page
from graphstore.records import (
    ArchitectureRecord,
    ArchitectureSummary,
    Embeddings,
    KernelRecord,
    LayerRecord,
    NeighborRecord,
    SpaceRecord,
)

Progress = Callable[[int, int], None]
"""Called with (done, total) during a long write."""


class LibraryStore(ABC):
    """The library of every space. Its revision topic is ``library``."""

    # Spaces and architectures -----------------------------------------------------------------------------------

    @abstractmethod
    def put_space(self, space: SpaceRecord) -> None:
        """Create the space, or replace its ``info``.

        Raises:
            StoreInputError: the name is empty or too long, or the info is not JSON-able.
        """

    @abstractmethod
    def spaces(self) -> list[SpaceRecord]:
        """Return all spaces, by name."""

    @abstractmethod
    def space(self, name: str) -> SpaceRecord:
        """Return one space.

        Raises:
            NotFoundError: the space is unknown.
        """

    @abstractmethod
    def add_architectures(
        self, space: str, architectures: Sequence[ArchitectureRecord], progress: Progress | None = None
    ) -> int:
        """Add architectures to a space, in their order, after those it holds.

        They are written in batches, each in one transaction. An architecture that is stored already joins the space
        and is not written again.

        Returns:
            The number of architectures that were new to the space.

        Raises:
            NotFoundError: the space is unknown.
            StoreInputError: a record breaks a rule.
        """

    @abstractmethod
    def count(self, space: str | None = None) -> int:
        """Return the number of architectures in the space, or in the store.

        Raises:
            NotFoundError: the space is unknown.
        """

    @abstractmethod
    def architecture(self, id: str) -> ArchitectureRecord:
        """Return one architecture by its id or a unique prefix of at least 6 characters.

        Raises:
            NotFoundError: no architecture or several have this prefix.
        """

    @abstractmethod
    def architectures(self, ids: Sequence[str]) -> list[ArchitectureRecord]:
        """Return the known architectures among ``ids``, in their order, in few round trips."""

    @abstractmethod
    def architecture_ids(self, space: str | None = None) -> list[str]:
        """Return the ids of a space's architectures in its order, or of all architectures, sorted.

        Raises:
            NotFoundError: the space is unknown.
        """

    @abstractmethod
    def summaries(self, space: str | None = None, ids: Sequence[str] | None = None) -> list[ArchitectureSummary]:
        """Return the summaries of a space in its order, or of the store by id.

        With ``ids`` only those of the known ids, in their order.

        Raises:
            NotFoundError: the space is unknown.
        """

    @abstractmethod
    def layers(self, ids: Sequence[str]) -> dict[str, tuple[LayerRecord, ...]]:
        """Return the layers of the named architectures, without unknown ids."""

    # Queries (see graphstore.queries) ----------------------------------------------------------------------------

    @abstractmethod
    def find(self, query: ArchitectureQuery) -> Page:
        """Return the architectures that fit a query, in its order, and the number that fit in all.

        Raises:
            NotFoundError: the space is unknown.
            StoreInputError: a score key fits scores that are not comparable; the error lists their kinds.
        """

    @abstractmethod
    def best_per_task(self, space: str | None = None) -> list[Best]:
        """Return the best architecture of every score kind, ordered by the fields of the kind.

        Raises:
            NotFoundError: the space is unknown.
        """

    # Vectors and neighbours -------------------------------------------------------------------------------------

    @abstractmethod
    def put_embeddings(self, space: str, embeddings: Embeddings) -> None:
        """Replace all vectors of a space, in one transaction.

        Raises:
            NotFoundError: the space is unknown.
            StoreInputError: an id is not in the space, a value is not finite, or the shape is wrong.
        """

    @abstractmethod
    def embeddings(self, space: str) -> Embeddings:
        """Return all vectors of a space, in its order; of shape ``[0, 0]`` if there are none.

        Raises:
            NotFoundError: the space is unknown.
        """

    @abstractmethod
    def nearest(self, space: str, vector: NDArray[np.floating[Any]], k: int) -> list[tuple[str, float]]:
        """Return the ``k`` architectures whose vectors are nearest to ``vector`` ``[d]``, with Euclidean distances.

        They are ordered by distance, ties by id. The distances are exact, and on the embedded engine so is the set. On
        Neo4j the set is exact for spaces of up to 1,250 architectures. In larger ones it comes from an approximate
        index, which gives five times as many candidates as asked for, at least 50; on average more than 0.99 of the 10
        nearest of 9,312 vectors were found.

        Raises:
            NotFoundError: the space is unknown.
            StoreInputError: ``vector`` is longer or shorter than the space's vectors, or is not finite.
        """

    @abstractmethod
    def put_neighbors(
        self, space: str, kernel: str, neighbors: Iterable[NeighborRecord], progress: Progress | None = None
    ) -> None:
        """Replace all neighbours of a space by one kernel; written in batches, each in one transaction.

        Raises:
            NotFoundError: the space is unknown.
            StoreInputError: a record breaks a rule, or an architecture is not in the space.
        """

    @abstractmethod
    def neighbors(self, space: str, id: str, kernel: str, k: int = 10) -> list[NeighborRecord]:
        """Return the stored neighbours of an architecture, by rank; an empty list if it has none.

        Raises:
            NotFoundError: the space is unknown.
        """

    @abstractmethod
    def kernels(self, space: str) -> list[str]:
        """Return the names of the kernels that the space has stored neighbours of, sorted.

        Raises:
            NotFoundError: the space is unknown.
        """

    @abstractmethod
    def neighbor_table(self, space: str, kernel: str) -> list[NeighborRecord]:
        """Return all stored neighbours of a space by one kernel, ordered by source id and rank.

        Raises:
            NotFoundError: the space is unknown.
        """

    @abstractmethod
    def append_to_library(
        self,
        space: str,
        architectures: Sequence[ArchitectureRecord],
        embeddings: Embeddings,
        neighbors: Sequence[NeighborRecord],
    ) -> int:
        """Add architectures with their vectors and neighbours to a space, in one transaction.

        Nothing that is stored changes. Architectures that are new to the space follow those it holds, in the given
        order. A vector is written only where the architecture has none in this space, and neighbours only where it
        has none by the same kernel. The neighbours of all other architectures stay as they are, so an appended
        architecture is never the target of an older one.

        Repeating the call changes nothing. If two processes append the same architecture, the first one to commit
        determines its position, vector and neighbours. The call also completes architectures that an
        interrupted writer left in the space without a vector or neighbours.

        Args:
            space: name of the space.
            architectures: what to add.
            embeddings: vectors of some or all of ``architectures``, as long as the space's stored vectors.
            neighbors: sources are among ``architectures``; targets are in the space or among ``architectures``; any
                kernels.

        Returns:
            The number of architectures that were new to the space.

        Raises:
            NotFoundError: the space is unknown.
            StoreInputError: a record breaks a rule, a vector or a source belongs to none of ``architectures``, a target
                is not in the space, or the vectors are longer or shorter than the stored ones.
        """

    # Fitted kernels ---------------------------------------------------------------------------------------------

    @abstractmethod
    def put_kernel(self, space: str, kernel: KernelRecord, replacing: str | None = None) -> KernelRecord:
        """Store a fitted kernel, by compare-and-set, in one transaction.

        Args:
            space: name of the space.
            kernel: the kernel; its name is unique in the space.
            replacing: digest of the stored kernel that this one may replace; ``None`` to store it only if the space
                has none of this name. Where there is none, the kernel is stored in either case.

        Returns:
            The kernel that is stored afterwards: the given one, or the stored one if that has another digest than
            ``replacing``. If several processes store a kernel at the same time, exactly one succeeds and all get the
            same kernel.

        Raises:
            NotFoundError: the space is unknown.
            StoreInputError: a field breaks a rule, or the state is larger than ``LARGEST_STATE`` bytes.
        """

    @abstractmethod
    def kernel(self, space: str, name: str) -> KernelRecord:
        """Return a fitted kernel.

        Raises:
            NotFoundError: the space is unknown, or has no fitted kernel of this name.
        """

    @abstractmethod
    def fitted_kernels(self, space: str) -> dict[str, str]:
        """Return the digests of the space's fitted kernels by their names, sorted by name; reads no state.

        Raises:
            NotFoundError: the space is unknown.
        """
