"""The contract of an executor: it starts workers for a study, replaces those that die, and ends them.

An executor never decides about trials. Its workers claim them from the store, renew their leases and finish them, all
with fencing tokens, so the store alone holds the state of a trial, independent of what starts or kills the workers.
Resources are counted per trial, because a worker has one trial at a time.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from types import TracebackType

from explorer.errors import ExplorerError, InputError
from explorer.studies.executors.trial_release import release
from graphstore import GraphStore

MAX_WORKERS = 64
MAX_THREADS = 256
MAX_CRASHES = 5
"""Consecutive worker deaths without a finished trial after which the study fails."""
STOP_S = 20.0
"""Seconds in which a worker must give its trial back before it is killed."""
TRAINING = "explorer.studies.evaluation:TrainingEvaluator"


@dataclass(frozen=True)
class Resources:
    """Resources of one trial.

    Attributes:
        threads: CPU threads.
        gpus: 0 for none, a share such as 0.5 for two trials on one GPU, or a whole number. ``None``: all GPUs of the
            machine, shared by all workers that run on it.
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
    """The order of a worker; plain values, so that it can be sent to any machine.

    Attributes:
        store: URL of the store, without a password.
        study: name of the study.
        created: creation time of the study in seconds since the epoch, by which it differs from another store's study
            of the same name.
        data: fingerprint of the prepared data that every worker must have; empty for none.
        threads: CPU threads of torch.
        evaluator: dotted name of the evaluator's class; see ``explorer.studies.worker.Evaluator``.
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
        owner: owner of its leases; empty until it has reported it.
        place: where it runs, for people; empty while it waits for resources.
    """

    owner: str
    place: str


@dataclass(frozen=True)
class Ended:
    """A worker that ended without having been asked to.

    Attributes:
        owner: as in WorkerStatus.
        reason: the known cause; shown if workers keep dying.
        crashed: whether its trial may be the cause, so that the attempt counts. A lost node is not a crash.
    """

    owner: str
    reason: str
    crashed: bool


class Crew(ABC):
    """The workers of one study while it runs.

    Args:
        store: where the study is.
        order: for every worker.
        size: number of workers.
    """

    def __init__(self, store: GraphStore, order: WorkerOrder, size: int) -> None:
        self._store, self._order, self.size = store, order, size
        self._crashes = 0

    def tend(self, trials: int) -> None:
        """Start missing workers, and take back the trials of workers that ended. Called several times a second.

        Args:
            trials: number of trials that wait or run; no more workers are started than that, but none is ended.

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
        """Note that a trial was finished: deaths before it no longer count."""
        self._crashes = 0

    def stop(self) -> None:
        """Ask all workers to end and wait for them; those that do not are killed. Their trials wait again."""
        release(self._store, self._order.study, set(self._end()), count_attempt=False)

    @abstractmethod
    def status(self) -> list[WorkerStatus]:
        """Return the workers that were started and are not known to have ended."""

    @abstractmethod
    def _start(self) -> None:
        """Start one worker; it may wait for its resources."""

    @abstractmethod
    def _collect(self) -> list[Ended]:
        """Remove the workers that ended since the last call, and return them."""

    @abstractmethod
    def _end(self) -> list[str]:
        """End all workers within about ``STOP_S`` seconds; return the owners of their leases."""


class Executor(ABC):
    """Where workers run. A context manager: its end releases what the executor holds.

    Args:
        workers: largest number of parallel trials.
        resources: resources of each trial.
    """

    def __init__(self, workers: int, resources: Resources | None = None) -> None:
        if not 1 <= workers <= MAX_WORKERS:
            raise InputError("workers", f"be from 1 to {MAX_WORKERS}", workers, "Use one or two per core.")
        self.workers = workers
        self.resources = resources or Resources()

    @abstractmethod
    def check(self, store_url: str) -> None:
        """Check that the resources exist and that the workers can reach the store; writes nothing.

        Raises:
            InputError: resources are missing, or the store cannot be reached.
        """

    @abstractmethod
    def start(self, store: GraphStore, order: WorkerOrder) -> Crew:
        """Return a crew for one study; ``tend`` starts its workers."""

    def close(self) -> None:  # noqa: B027 - most executors hold nothing between studies
        """Release what is held between studies."""

    def __enter__(self) -> Executor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
