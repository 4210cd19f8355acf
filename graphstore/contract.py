"""The one contract of the graph store. Both engines inherit its test suite (``graphstore.testing``)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphstore.queries import ArchitectureQuery, Best, Page
from graphstore.records import (
    ArchitectureRecord,
    ArchitectureSummary,
    Embeddings,
    JobRecord,
    KernelRecord,
    LayerRecord,
    LineageRecord,
    MeasurementRecord,
    NeighborRecord,
    ScoreRecord,
    SpaceRecord,
    StudyRecord,
    StudyState,
    TrialRecord,
    TrialStatus,
)

SCHEMA_VERSION = 3
"""Version of the stored layout; a store of another version is refused and left untouched."""

Progress = Callable[[int, int], None]
"""Called with (done, total) while a long write goes on."""


class GraphStore(ABC):
    """Keeps spaces, architectures as graphs, scores, studies and jobs.

    Laws every engine keeps:

    * **Acknowledged is durable.** When a writing method returns, its effect survives the death of the process, and of
      the server. Each writing method is one transaction unless it says otherwise: another reader sees all of it or
      nothing, whatever dies.
    * **Idempotent.** Adding what is already there changes nothing, so an interrupted writer may simply write again.
    * **Unacknowledged.** A writing method that raised StoreError, or whose caller died in it, has taken effect whole,
      or not at all, or, where it writes in batches, up to some batch. The same call again completes it and leaves each
      thing once. What it returns then counts only what the second call changed: a number that were new may be
      smaller, and ``add_trials`` and ``expire_leases`` may return less (``trials`` shows all). ``create_study`` and
      ``finish_trial`` return the stored record as if nothing had happened. A repeated ``claim_trial`` may take
      another trial; the first one stays running until its lease ends and then counts as an attempt. Repeating
      ``renew_lease`` or ``update_job`` writes the same fields again, over what others wrote to them meanwhile.
    * **Threads and processes.** One store object may be used by many threads, and many processes may open the same
      store at once, on a server from many machines. Writing methods of one topic (see ``revision``) take effect one
      after the other, so no write is lost; one that touches several things, such as a trial and its scores, is seen
      whole. A reading method sees one state of the store, between two transactions; two reading methods may see two
      states. (A Neo4j server applies a commit piece by piece: what is read in that instant may be part of it. The
      vectors of a space, where that takes long, are read with the writers locked out.) What a method acknowledged is
      seen by every later read of any thread or process. Nobody gets a busy error for less than a minute of contention.
      Objects are not to be carried over a fork.
    * **Order.** Every list comes in the order its method states, the same on every engine.
    * **Errors.** What the caller did wrong raises StoreInputError (NotFoundError for unknown names; an unknown
      architecture, task or kernel that only filters a list gives an empty one); what the engine suffers raises
      StoreError. Nothing is half-written after either.
    """

    url: str
    """Where it is, without a password."""

    @abstractmethod
    def close(self) -> None:
        """Release connections. A closed store may not be used again."""

    def __enter__(self) -> GraphStore:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @abstractmethod
    def revision(self, topic: str = "") -> int:
        """A number that grows with every change, for caches.

        Args:
            topic: ``library`` (spaces, architectures, embeddings, neighbours), ``scores`` (scores, measurements),
                ``studies`` (studies, trials), ``jobs``; empty for the sum of all.
        """

    # Spaces and architectures -----------------------------------------------------------------------------------

    @abstractmethod
    def put_space(self, space: SpaceRecord) -> None:
        """Create the space or replace its ``info``."""

    @abstractmethod
    def spaces(self) -> list[SpaceRecord]:
        """All spaces, by name."""

    @abstractmethod
    def space(self, name: str) -> SpaceRecord:
        """One space. Raises NotFoundError."""

    @abstractmethod
    def add_architectures(
        self, space: str, architectures: Sequence[ArchitectureRecord], progress: Progress | None = None
    ) -> int:
        """Add architectures to a space, in their order after those it holds already.

        Written in batches, each a transaction. Known architectures join the space and are not written again.

        Returns:
            How many were new to the space.

        Raises:
            NotFoundError: no such space.
        """

    @abstractmethod
    def count(self, space: str | None = None) -> int:
        """Number of architectures in the space, or in the store."""

    @abstractmethod
    def architecture(self, id: str) -> ArchitectureRecord:
        """One architecture whole, by its id or a unique prefix of at least 6 characters. Raises NotFoundError."""

    @abstractmethod
    def summaries(self, space: str | None = None, ids: Sequence[str] | None = None) -> list[ArchitectureSummary]:
        """Summaries of a space in its order, or of the store by id; with ``ids`` those known, in their order."""

    @abstractmethod
    def layers(self, ids: Sequence[str]) -> dict[str, tuple[LayerRecord, ...]]:
        """Layers of the named architectures; unknown ids are left out."""

    # Similarity -------------------------------------------------------------------------------------------------

    @abstractmethod
    def put_embeddings(self, space: str, embeddings: Embeddings) -> None:
        """Store the vectors of architectures in a space, replacing all that were there (one transaction).

        Raises:
            StoreInputError: an id is not in the space, a value is not finite, or the shape does not fit.
        """

    @abstractmethod
    def embeddings(self, space: str) -> Embeddings:
        """All vectors of a space, in its order; empty with shape ``[0, 0]`` if there are none."""

    @abstractmethod
    def nearest(self, space: str, vector: NDArray[np.floating[Any]], k: int) -> list[tuple[str, float]]:
        """The ``k`` architectures whose vectors are nearest to ``vector`` ``[d]``, with Euclidean distances.

        Ordered by distance, ties by id. Distances are exact, and so is the set on the embedded engine. On Neo4j it is
        exact for spaces of up to 1,250 architectures; in larger ones it comes from an approximate index, of which five
        times as many candidates as asked for, at least 50, are put in exact order: of the 10 nearest of 9,312 vectors
        the mean share found was above 0.99.

        Raises:
            StoreInputError: ``vector`` has another length than the space's vectors, or is not finite.
        """

    @abstractmethod
    def put_neighbors(
        self, space: str, kernel: str, neighbors: Iterable[NeighborRecord], progress: Progress | None = None
    ) -> None:
        """Replace the space's SIMILAR relations of this kernel. Written in batches, each a transaction."""

    @abstractmethod
    def neighbors(self, space: str, id: str, kernel: str, k: int = 10) -> list[NeighborRecord]:
        """The stored neighbours of an architecture, by rank. Empty if it has none."""

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

        Repeating the call changes nothing. Of two processes that append the same architecture at once, the first one
        to commit determines its position, vector and neighbours. The call also completes architectures that an
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
            ``replacing``. Of several processes that store a kernel at once exactly one succeeds, and all get the same
            kernel.

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

    # Whole catalogues -------------------------------------------------------------------------------------------

    @abstractmethod
    def identity(self) -> str:
        """The same text for two handles exactly if both are on one store, whatever URLs they were opened by."""

    @abstractmethod
    def problems(self) -> list[str]:
        """What makes the store no sound catalogue, one sentence each; see ``graphstore.maintenance.check``."""

    @abstractmethod
    def architecture_ids(self, space: str | None = None) -> list[str]:
        """Ids of a space's architectures in its order, or of all in theirs. Raises NotFoundError (space)."""

    @abstractmethod
    def architectures(self, ids: Sequence[str]) -> list[ArchitectureRecord]:
        """The known architectures among ``ids``, whole, in their order; in few round trips."""

    @abstractmethod
    def kernels(self, space: str) -> list[str]:
        """Names of the kernels the space has stored neighbours of, sorted. Raises NotFoundError (space)."""

    @abstractmethod
    def neighbor_table(self, space: str, kernel: str) -> list[NeighborRecord]:
        """All stored neighbours of a space by a kernel, by source id and rank. Raises NotFoundError (space)."""

    @abstractmethod
    def restore_trials(self, study: str, trials: Sequence[TrialRecord]) -> int:
        """Write trials exactly as given, token and lease included, in one transaction.

        A stored trial of the same number and architecture becomes the one given if it can be a former state of it:
        claimed less often, or running with an older lease.

        Returns:
            How many were new or changed.

        Raises:
            NotFoundError: no such study or architecture.
            StoreInputError: another trial has the number or the architecture, the stored one has gone further, or a
                trial is of another study.
        """

    # Questions (see graphstore.queries) -------------------------------------------------------------------------

    @abstractmethod
    def find(self, query: ArchitectureQuery) -> Page:
        """The architectures that fit a query, in its order, and how many fit in all.

        Raises:
            NotFoundError: no such space.
            StoreInputError: a score key fits scores that are not comparable; the error lists their kinds.
        """

    @abstractmethod
    def best_per_task(self, space: str | None = None) -> list[Best]:
        """The best architecture of every score kind, by task, metric, dataset, fidelity, recipe."""

    # Lineage ----------------------------------------------------------------------------------------------------

    @abstractmethod
    def add_lineage(self, records: Sequence[LineageRecord]) -> int:
        """Add where runs got their weights from; same run and donor run: kept as first written.

        Returns:
            How many were new.

        Raises:
            NotFoundError: an architecture is unknown.
            StoreInputError: a run is its own donor, or the share is not within 0 and 1.
        """

    @abstractmethod
    def lineage(self, architecture: str | None = None) -> list[LineageRecord]:
        """All records upstream of an architecture's runs: its own, then its donors', and so on; each once.

        Ordered by distance, run, donor run. Without an architecture all records, by run and donor run.
        """

    # Scores and measurements ------------------------------------------------------------------------------------

    @abstractmethod
    def add_scores(self, scores: Iterable[ScoreRecord]) -> int:
        """Add scores; returns how many were new. Raises NotFoundError if an architecture is unknown."""

    @abstractmethod
    def scores(
        self, space: str | None = None, architecture: str | None = None, task: str | None = None
    ) -> list[ScoreRecord]:
        """Scores that fit, ordered by architecture, task, metric, source, seed, id."""

    @abstractmethod
    def add_measurements(self, measurements: Iterable[MeasurementRecord]) -> int:
        """Add or replace measurements; returns how many were new. Raises NotFoundError."""

    @abstractmethod
    def measurements(self, space: str | None = None, architecture: str | None = None) -> list[MeasurementRecord]:
        """Measurements that fit, ordered by architecture, device, quantity."""

    # Studies and trials -----------------------------------------------------------------------------------------

    @abstractmethod
    def create_study(self, study: StudyRecord) -> StudyRecord:
        """Create the study, or return the stored one if the name is taken. Raises NotFoundError (space)."""

    @abstractmethod
    def study(self, name: str) -> StudyRecord:
        """One study. Raises NotFoundError."""

    @abstractmethod
    def studies(self) -> list[StudyRecord]:
        """All studies, newest first, ties by name."""

    @abstractmethod
    def update_study(
        self,
        name: str,
        *,
        state: StudyState | None = None,
        budget: int | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> StudyRecord:
        """Change state, budget or settings (all of them). Raises NotFoundError."""

    @abstractmethod
    def add_trials(self, study: str, proposals: Sequence[tuple[str, dict[str, Any]]]) -> list[TrialRecord]:
        """Append waiting trials, numbered on from the last one.

        Args:
            study: name of the study.
            proposals: (architecture id, info) pairs. An architecture that already has a trial in the study is
                skipped.

        Returns:
            The trials that were added.

        Raises:
            NotFoundError: no such study or architecture.
        """

    @abstractmethod
    def trials(self, study: str) -> list[TrialRecord]:
        """All trials of a study, by number. Raises NotFoundError."""

    @abstractmethod
    def claim_trial(self, study: str, owner: str, lease_s: float, now: float) -> TrialRecord | None:
        """Take the waiting or stale trial with the lowest number, if any, by compare-and-set.

        The trial becomes running with a new token, one more attempt and a lease until ``now + lease_s``. Of several
        claimers exactly one gets a trial.
        """

    @abstractmethod
    def renew_lease(self, trial: TrialRecord, lease_s: float, now: float, info: dict[str, Any] | None = None) -> None:
        """Prolong the lease; merge ``info`` into the trial's. Raises LeaseLostError if the token is out of date."""

    @abstractmethod
    def finish_trial(
        self,
        trial: TrialRecord,
        state: TrialStatus,
        now: float,
        value: float | None = None,
        reason: str = "",
        scores: Sequence[ScoreRecord] = (),
    ) -> TrialRecord:
        """End a running trial and add its scores, in one transaction.

        Ending it again by the same claim, with the same state, value and reason, and with scores that are all stored,
        changes nothing and returns the stored trial: a worker that missed the acknowledgement may simply try again.

        Args:
            trial: as claimed; its token must be the newest.
            state: ``complete`` (with a finite ``value``), ``failed``, ``stale`` or ``waiting`` (given back, which
                takes the attempt back too).
            now: seconds since the epoch.
            value: the objective.
            reason: why it failed.
            scores: what to add with it.

        Raises:
            LeaseLostError: the token is out of date, or the trial is not running and ended in another way.
            StoreInputError: ``complete`` without a finite value.
        """

    @abstractmethod
    def expire_leases(self, study: str, now: float, max_attempts: int) -> list[TrialRecord]:
        """Turn running trials whose lease ended before ``now`` stale; those at the limit of attempts fail.

        Returns:
            The trials that changed.
        """

    # Jobs -------------------------------------------------------------------------------------------------------

    @abstractmethod
    def put_job(self, job: JobRecord) -> None:
        """Create or replace a job."""

    @abstractmethod
    def update_job(self, id: str, **changes: Any) -> JobRecord:
        """Change fields of a job (``state``, ``pid``, ``heartbeat``, ``progress``, …). Raises NotFoundError."""

    @abstractmethod
    def jobs(self) -> list[JobRecord]:
        """All jobs, newest first, ties by id."""
