"""What an executor is: it starts workers for a study, tends them while it runs, and ends them.

An executor never decides about trials. Its workers claim them from the store, renew their leases and finish them, all
by fencing tokens, so the store stays the only truth whatever starts or kills the workers. Resources are counted per
trial, because a worker has one trial at a time.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from types import TracebackType

from explorer.errors import ExplorerError, InputError
from explorer.studies.executors.releasing import release
from graphstore import GraphStore

MAX_WORKERS = 64
MAX_THREADS = 256
MAX_CRASHES = 5
"""Worker deaths in a row, without one finished trial, after which the study gives up."""
STOP_S = 20.0
"""Seconds that a worker has to give its trial back before it is killed."""
TRAINING = "explorer.studies.evaluation:TrainingEvaluator"


@dataclass(frozen=True)
class Resources:
    """What one trial needs.

    Attributes:
        threads: CPU threads.
        gpus: 0 for none, a share such as 0.5 for two trials on one GPU, or a whole number. ``None``: whatever the
            machine has, shared by all workers that run on it.
    """

    threads: int = 1
    gpus: float | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.threads <= MAX_THREADS:
            raise InputError("threads per trial", f"be from 1 to {MAX_THREADS}", self.threads, "One is a good start.")
        if self.gpus is not None and not (0 <= self.gpus < 1 or self.gpus in range(1, 65)):
            rule = "be 0, a share of one GPU between 0 and 1, or a whole number up to 64"
            raise InputError("GPUs per trial", rule, self.gpus, "Write for example 0.5 for two trials on each GPU.")


@dataclass(frozen=True)
class WorkerOrder:
    """All that a worker needs to know; plain values, so that it travels to any machine.

    Attributes:
        store: URL of the store, without a password.
        study: name of the study.
        created: when the study was created, in seconds since the epoch; another store's study of the same name differs.
        data: fingerprint of the prepared data that every worker must have; empty for none.
        threads: CPU threads to compute with.
        evaluator: dotted name of what evaluates a trial; see ``explorer.studies.worker.Evaluator``.
    """

    store: str
    study: str
    created: float
    data: str = ""
    threads: int = 1
    evaluator: str = TRAINING


@dataclass(frozen=True)
class WorkerStatus:
    """One worker.

    Attributes:
        owner: what its leases name as their owner; empty until it has said so.
        place: where it runs, for people; empty while it waits for a place.
    """

    owner: str
    place: str


@dataclass(frozen=True)
class Ended:
    """A worker that ended though nobody asked it to.

    Attributes:
        owner: as in WorkerStatus.
        reason: what is known of why; shown if workers keep dying.
        crashed: whether its trial may be to blame, so that the attempt counts. A node that was lost is no crash.
    """

    owner: str
    reason: str
    crashed: bool


class Crew(ABC):
    """The workers of one study while it runs.

    Args:
        store: where the study is.
        order: for every worker.
        size: how many workers.
    """

    def __init__(self, store: GraphStore, order: WorkerOrder, size: int) -> None:
        self._store, self._order, self.size = store, order, size
        self._crashes = 0

    def tend(self, trials: int) -> None:
        """Start what is missing; take back the trials of workers that ended. Called several times a second.

        Args:
            trials: how many wait or run; no more workers are started, but none is ended because there are fewer.

        Raises:
            ExplorerError: workers keep dying.
        """
        for ended in self._collect():
            self._crashes += ended.crashed
            release(self._store, self._order.study, {ended.owner}, ended.crashed)
            if self._crashes >= MAX_CRASHES:
                raise ExplorerError(f"the workers of study {self._order.study} keep dying; {ended.reason}")
        for _ in range(min(self.size, trials) - len(self.status())):
            self._start()

    def succeeded(self) -> None:
        """A trial was finished: deaths before it no longer count."""
        self._crashes = 0

    def stop(self) -> None:
        """Ask all workers to end and wait for them; those that do not are killed. Their trials wait again."""
        release(self._store, self._order.study, set(self._end()), count_attempt=False)

    @abstractmethod
    def status(self) -> list[WorkerStatus]:
        """The workers that were started and are not known to have ended."""

    @abstractmethod
    def _start(self) -> None:
        """Start one worker; it may have to wait for its resources."""

    @abstractmethod
    def _collect(self) -> list[Ended]:
        """Forget the workers that ended since the last call, and tell of them."""

    @abstractmethod
    def _end(self) -> list[str]:
        """End all workers for good within about ``STOP_S`` seconds; their owners' names."""


class Executor(ABC):
    """Where workers run. Used as a context manager: leaving it gives back what it holds.

    Args:
        workers: how many trials run at the same time, at most.
        resources: of each.
    """

    def __init__(self, workers: int, resources: Resources | None = None) -> None:
        if not 1 <= workers <= MAX_WORKERS:
            raise InputError("workers", f"be from 1 to {MAX_WORKERS}", workers, "Use one or two per core.")
        self.workers = workers
        self.resources = resources or Resources()

    @abstractmethod
    def check(self, store_url: str) -> None:
        """Find out whether this place has the resources and whether its workers can reach the store; writes nothing.

        Raises:
            InputError: it has not, or they cannot.
        """

    @abstractmethod
    def start(self, store: GraphStore, order: WorkerOrder) -> Crew:
        """A crew for one study; ``tend`` starts its workers. A study's settings never depend on who runs it."""

    def close(self) -> None:  # noqa: B027 - most executors hold nothing between studies
        """Give back what is held between studies."""

    def __enter__(self) -> Executor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
