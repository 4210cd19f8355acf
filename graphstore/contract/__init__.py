"""The contract of a graph store: four protocols and what they share.

Both engines inherit its test suite, ``graphstore.testing``.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from graphstore.contract.jobs import JobStore
from graphstore.contract.library import LibraryStore, Progress
from graphstore.contract.scores import ScoreStore
from graphstore.contract.studies import StudyStore

__all__ = ["SCHEMA_VERSION", "GraphStore", "JobStore", "LibraryStore", "Progress", "ScoreStore", "StudyStore"]

SCHEMA_VERSION = 5
"""Version of the stored layout. A store of another version is refused and not changed; see ``maintenance.migrate``."""


class GraphStore(LibraryStore, ScoreStore, StudyStore, JobStore):
    """Keeps design spaces with their architectures as graphs, scores, studies and jobs.

    Every engine keeps these laws:

    * **Acknowledged is durable.** When a writing method returns, its effect survives the death of the process, and of
      the server. Each writing method is one transaction unless it says otherwise: another reader sees all of it or
      nothing, even if a process or the server dies.
    * **Idempotent.** Adding what is stored already changes nothing, so an interrupted writer may repeat the call.
    * **Unacknowledged.** A writing method that raised StoreError, or whose caller died in it, has taken effect
      completely, or not at all, or, where it writes in batches, up to some batch. The same call again completes it and
      leaves each thing once. Its return value then counts only what the second call changed: the number of new records
      may be smaller, and ``add_trials`` and ``expire_leases`` may return less (``trials`` returns all).
      ``create_study`` and ``finish_trial`` return the stored record as if nothing had happened. A repeated
      ``claim_trial`` may take another trial; the first one stays running until its lease ends and then counts as an
      attempt. Repeating ``renew_lease`` or ``update_job`` writes the same fields again and may overwrite what others
      wrote to them in between.
    * **Threads and processes.** Many threads may use one store object, and many processes may open the same store at
      once, on a server from many machines. Writing methods of one topic (see ``revision``) take effect one after the
      other, so no write is lost; a write of several things, such as a trial and its scores, becomes visible as a
      whole. A reading method sees one state of the store, between two transactions; two reading methods may see two
      states. (A Neo4j server applies a commit piece by piece, so a read in that instant may see a part of it. The
      vectors of a space, whose commit takes longer, are read with the writers locked out.) Every later read of any
      thread or process sees what a method acknowledged. Nobody gets a busy error for less than a minute of contention.
      A store object must not be used after a fork.
    * **Order.** Every list comes in the order that its method states, the same on every engine.
    * **Errors.** A mistake of the caller raises StoreInputError (NotFoundError for unknown names; an unknown
      architecture, task or kernel that only filters a list gives an empty one); a failure of the engine raises
      StoreError. Nothing is half-written after either.
    """

    url: str
    """URL of the store, without a password."""
    login: Mapping[str, str] = MappingProxyType({})
    """Environment variables with which another process can open ``url``. They hold the password: store or print them
    nowhere."""
    risks: Sequence[str] = ()
    """What may lose data here, found when the store was opened; sentences for its user."""

    @abstractmethod
    def close(self) -> None:
        """Release connections. A closed store cannot be used again."""

    def __enter__(self) -> GraphStore:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @abstractmethod
    def revision(self, topic: str = "") -> int:
        """Return a number that grows with every change, for caches.

        Args:
            topic: ``library``, ``scores``, ``studies`` or ``jobs``; empty for the sum of all.

        Raises:
            StoreInputError: the topic is unknown.
        """

    @abstractmethod
    def identity(self) -> str:
        """Return a text that is equal for two handles exactly if both are on the same store, also by different URLs."""

    @abstractmethod
    def mark_copy(self, unfinished: bool) -> None:
        """Note that a copy into this store has begun, or that it has ended. ``problems`` reports an unfinished one."""

    @abstractmethod
    def problems(self) -> list[str]:
        """Return the inconsistencies of the store, one sentence each; see ``maintenance.check``."""
