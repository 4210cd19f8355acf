"""The one contract of the graph store. Both engines inherit its test suite (``graphstore.testing``)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphstore.records import (
    ArchitectureRecord,
    ArchitectureSummary,
    Embeddings,
    JobRecord,
    LayerRecord,
    MeasurementRecord,
    NeighborRecord,
    ScoreRecord,
    SpaceRecord,
    StudyRecord,
    StudyState,
    TrialRecord,
    TrialStatus,
)

SCHEMA_VERSION = 1
"""Version of the stored layout; a store of a higher version is refused and left untouched."""

Progress = Callable[[int, int], None]
"""Called with (done, total) while a long write goes on."""


class GraphStore(ABC):
    """Keeps spaces, architectures as graphs, scores, studies and jobs.

    Laws every engine keeps:

    * **Acknowledged is durable.** When a writing method returns, its effect survives the death of the process. Each
      writing method is one transaction unless it says otherwise: another reader sees all of it or nothing.
    * **Idempotent.** Adding what is already there changes nothing, so an interrupted writer may simply write again.
    * **Threads and processes.** One store object may be used by many threads, and many processes may open the same
      store at once; nobody gets a busy error for less than a minute of contention. Objects are not to be carried
      over a fork.
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

        Ordered by distance, ties by id. Distances are exact.

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

    # Scores and measurements ------------------------------------------------------------------------------------

    @abstractmethod
    def add_scores(self, scores: Sequence[ScoreRecord]) -> int:
        """Add scores; returns how many were new. Raises NotFoundError if an architecture is unknown."""

    @abstractmethod
    def scores(
        self, space: str | None = None, architecture: str | None = None, task: str | None = None
    ) -> list[ScoreRecord]:
        """Scores that fit, ordered by architecture, task, metric, source, seed, id."""

    @abstractmethod
    def add_measurements(self, measurements: Sequence[MeasurementRecord]) -> int:
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
    def update_study(self, name: str, *, state: StudyState | None = None, budget: int | None = None) -> StudyRecord:
        """Change state or budget. Raises NotFoundError."""

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

        Args:
            trial: as claimed; its token must be the newest.
            state: ``complete`` (with a finite ``value``), ``failed``, ``stale`` or ``waiting`` (given back, which
                takes the attempt back too).
            now: seconds since the epoch.
            value: the objective.
            reason: why it failed.
            scores: what to add with it.

        Raises:
            LeaseLostError: the token is out of date, or the trial is not running.
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
