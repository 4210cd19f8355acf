"""A worker: claims a study's trials one after another, evaluates them, and stores the outcome.

Every executor runs this code. As a process of its own it is ``python -m explorer.studies.worker --order JSON --parent
PID --study NAME``. It ends when the study is closed, when its parent has ended, or on SIGTERM. It gives its running
trial back, which is later resumed from the last checkpoint.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import os
import pkgutil
import signal
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from types import FrameType
from typing import Protocol, TypeAlias

from explorer.errors import ExplorerError, InputError
from explorer.library.records import score_record
from explorer.library.sources import trial_source
from explorer.records import TaskScore
from explorer.studies.driver import owner_name
from explorer.studies.executors.contract import WorkerOrder
from explorer.studies.faults import Fault, give_back, machine_fault
from graphstore import GraphStore, open_store
from graphstore.errors import LeaseLostError, StoreError
from graphstore.records import StudyState, TrialRecord, TrialStatus

LEASE_S = 45.0
RENEW_S = 3.0
IDLE_S = 0.2
log = logging.getLogger(__name__)


class Lease:
    """Renews the lease of a claimed trial from a thread, and writes its progress with it.

    Args:
        store: where the trial is.
        trial: the claimed trial.
    """

    def __init__(self, store: GraphStore, trial: TrialRecord) -> None:
        self._store, self._trial = store, trial
        self._progress = (0.0, "starting")
        self._end = threading.Event()
        self.lost = False
        self._thread = threading.Thread(target=self._renew, name=f"lease {trial.number}", daemon=True)
        self._thread.start()

    def report(self, share: float, note: str) -> None:
        """Keep the trial's progress; the next renewal writes it."""
        self._progress = (share, note)

    def close(self) -> None:
        """Stop renewing."""
        self._end.set()
        self._thread.join()

    def _renew(self) -> None:
        while not self._end.wait(RENEW_S):
            share, note = self._progress
            try:
                info = {"progress": round(share, 4), "message": note}
                self._store.renew_lease(self._trial, LEASE_S, time.time(), info)
            except LeaseLostError:
                self.lost = True
                return
            except StoreError as error:
                log.warning("lease of trial %d not renewed: %s", self._trial.number, error)


@dataclass(frozen=True)
class Evaluation:
    """The outcome of a trial: the value of the study's objective, and all scores."""

    value: float
    scores: tuple[TaskScore, ...] = ()


def checked_outcome(value: object, failed: object = "") -> float | None:
    """Return the value of an outcome as a float, ``None`` for a failure. Raises InputError if it is neither or both."""
    rule = "be a finite value, or the reason of a failure"
    if not isinstance(failed, str):
        raise InputError("outcome", rule, failed, "Give the reason as a text.")
    if value is None and failed:
        return None
    if isinstance(value, bool) or not isinstance(value, Real):
        remedy = "Give one of them." if value is None else "Give a number, for example float(value)."
        raise InputError("outcome", rule, value, remedy)
    if failed:
        raise InputError("outcome", rule, (value, failed), "Give one of them.")
    try:
        number = float(value)
    except OverflowError:  # an integer beyond the largest float
        number = math.inf
    if not math.isfinite(number):
        raise InputError("outcome", rule, number, f"Tell the failure instead: failed='its value is {number}'.")
    return number


def plain_reason(reason: str) -> str:
    """Return the beginning of a reason, which may quote anything, as a text that every store keeps."""
    return reason[:500].encode("utf-8", errors="replace").decode().replace("\0", "?")


Report: TypeAlias = Callable[[float, str], None]
"""Called with the share that is done (0 to 1) and a message."""
KeepScore: TypeAlias = Callable[[TaskScore], None]
"""Called with each score as soon as it is known."""
ShouldStop: TypeAlias = Callable[[], bool]
"""Called between training steps; the evaluation stops if it returns true."""


class Evaluator(Protocol):
    """Evaluates trials. A worker makes one, from (store, study, order)."""

    def folder(self, trial: TrialRecord) -> Path:
        """Return the folder of the trial's files, which is the same for every attempt."""

    def evaluate(
        self, trial: TrialRecord, report: Report, keep: KeepScore, should_stop: ShouldStop
    ) -> Evaluation | None:
        """Evaluate one trial; return ``None`` if ``should_stop`` returned true.

        An exception fails the trial, unless it reports a fault of the machine (``explorer.studies.faults``).
        """


class Worker:
    """Claims and runs trials of one study.

    Args:
        store: where the study is.
        order: names the study and the evaluator.
        should_stop: called between training steps.

    Raises:
        InputError: the store holds another study of this name.
    """

    def __init__(self, store: GraphStore, order: WorkerOrder, should_stop: ShouldStop) -> None:
        self._store, self._should_stop = store, should_stop
        study = store.study(order.study)
        if study.created != order.created:
            remedy = "Give all machines the same store."
            raise InputError("store", "be the study's own on every machine", store.url, remedy)
        self._name = study.name
        self._evaluator: Evaluator = pkgutil.resolve_name(order.evaluator)(store, study, order)

    def run(self) -> None:
        """Work until the study is closed, ``should_stop`` returns true, or a trial meets a fault of the machine."""
        owner, fit = owner_name(), True
        while fit and not self._should_stop() and self._store.study(self._name).state is StudyState.OPEN:
            trial = self._store.claim_trial(self._name, owner, LEASE_S, time.time())
            if trial is None:
                time.sleep(IDLE_S)
            else:
                fit = self._run_trial(trial)

    def _run_trial(self, trial: TrialRecord) -> bool:
        """Evaluate a trial and store its outcome; return whether the machine is fit for another one."""
        store = self._store
        source = trial_source(self._name, trial.number)
        folder = self._evaluator.folder(trial)
        place = {"folder": str(folder), "host": socket.gethostname()}
        store.renew_lease(trial, LEASE_S, time.time(), place)
        log.info("trial %d: attempt %d in %s", trial.number, trial.attempt, folder)
        lease = Lease(store, trial)
        done: Evaluation | None = None
        fault: Fault | None = None
        state, reason = TrialStatus.WAITING, ""

        def keep(score: TaskScore) -> None:
            store.add_scores([score_record(score, trial.architecture, source)])

        try:
            done = self._evaluator.evaluate(trial, lease.report, keep, lambda: lease.lost or self._should_stop())
            if done is not None:
                checked_outcome(done.value)
                state = TrialStatus.COMPLETE
        except KeyboardInterrupt:
            state = TrialStatus.WAITING
        except (ExplorerError, StoreError, ValueError, RuntimeError, MemoryError, OSError) as error:
            log.exception("trial %d failed", trial.number)
            done, fault = None, machine_fault(error, folder)
            state, reason = TrialStatus.FAILED, f"{type(error).__name__}: {error}"[:500]
        finally:
            lease.close()
        if lease.lost:
            return fault is None
        records = [score_record(score, trial.architecture, source) for score in done.scores] if done else []
        value = done.value if done else None
        try:
            if fault is not None:
                ended = give_back(store, trial, fault)
            else:
                ended = store.finish_trial(trial, state, time.time(), value=value, reason=reason, scores=records)
        except LeaseLostError:
            log.warning("trial %d was given to another worker; its scores stay", trial.number)
            return fault is None
        shown = ended.reason if value is None else f"{value:.4f}"
        log.info("trial %d: %s %s", trial.number, ended.state.value, shown)
        return fault is None or ended.state is TrialStatus.FAILED


def main() -> None:
    """Entry of the worker process."""
    parser = argparse.ArgumentParser(description="Work on the trials of a study.")
    parser.add_argument("--order", required=True, help="a WorkerOrder as JSON")
    parser.add_argument("--parent", required=True, type=int)
    parser.add_argument("--study", required=True, help="shown in the list of processes")
    arguments = parser.parse_args()
    logging.basicConfig(level="INFO", format="%(asctime)s %(message)s")
    stopping = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        stopping.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole process group; the parent ends its workers.
    order = WorkerOrder(**json.loads(arguments.order))
    with open_store(order.store, create=False) as store:
        Worker(store, order, lambda: stopping.is_set() or os.getppid() != arguments.parent).run()


if __name__ == "__main__":
    main()
