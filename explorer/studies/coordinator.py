"""The loop of a running study: the policy proposes and an executor's workers evaluate, until the study has ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TypeAlias

from explorer.progress import Reporter
from explorer.studies.budgets import MAX_ATTEMPTS
from explorer.studies.driver import ENDED, OnTrial, StudyDriver, close_study
from explorer.studies.executors.contract import Crew, Executor, WorkerOrder
from explorer.studies.executors.trial_release import release_dead
from explorer.studies.faults import FaultWatch
from explorer.studies.objectives import study_candidates
from explorer.studies.spec import StudySpec
from graphstore import GraphStore
from graphstore.records import StudyRecord, StudyState, TrialRecord, TrialStatus

POLL_S = 0.3
OnPoll: TypeAlias = Callable[[Sequence[TrialRecord]], None]


class TrialEnds:
    """Calls back once for every trial that ends while a study runs; pass it as ``on_poll``.

    Args:
        before: the study's trials so far; no call is made for those that have ended.
        on_trial: called in the process that runs the study; an exception that it raises stops the study.
    """

    def __init__(self, before: Sequence[TrialRecord], on_trial: OnTrial) -> None:
        self._reported = {trial.number for trial in before if trial.state in ENDED}
        self._on_trial = on_trial

    def __call__(self, trials: Sequence[TrialRecord]) -> None:
        """Take all trials of the study."""
        for trial in trials:
            if trial.state in ENDED and trial.number not in self._reported:
                self._reported.add(trial.number)
                self._on_trial(trial)


def drive(
    store: GraphStore,
    study: StudyRecord,
    executor: Executor,
    order: WorkerOrder,
    reporter: Reporter,
    stop: Callable[[], bool],
    on_poll: OnPoll | None = None,
) -> StudyRecord:
    """Run a study until it is done or stopped; no worker of it is left afterwards.

    Args:
        store: where the study is.
        study: the study.
        executor: starts the workers.
        order: for every worker.
        reporter: receives the progress of the trials.
        stop: called several times a second; the study stops if it returns true.
        on_poll: called with all trials several times a second.

    Raises:
        ExplorerError: workers keep dying.
        MachineFault: a trial met a fault of its machine; it waits again.
    """
    release_dead(store, store.trials(study.name))
    driver = StudyDriver(store, study, study_candidates(store, StudySpec.of(study)))
    faults = FaultWatch(driver.trials())
    crew = executor.start(store, order)
    finished = -1
    try:
        while not stop():
            if store.study(study.name).state is not StudyState.OPEN:  # Another run of the study has just ended.
                store.update_study(study.name, state=StudyState.OPEN)
            store.expire_leases(study.name, time.time(), MAX_ATTEMPTS)
            driver.refill(executor.workers)
            trials = driver.trials()
            faults.check(trials)
            _report(reporter, driver.spec.budget, trials, crew)
            if on_poll is not None:
                on_poll(trials)
            ended = sum(trial.state in ENDED for trial in trials)
            if ended > finished >= 0:
                crew.succeeded()
            finished = ended
            if driver.finished():
                break
            crew.tend(len(trials) - ended)
            time.sleep(POLL_S)
    finally:
        crew.stop()
        study = close_study(store, driver)
    if on_poll is not None:
        on_poll(driver.trials())  # Trials may have ended since the last poll.
    return study


def _report(reporter: Reporter, budget: int, trials: Sequence[TrialRecord], crew: Crew) -> None:
    ended = sum(trial.state in ENDED for trial in trials)
    running = [trial for trial in trials if trial.state is TrialStatus.RUNNING]
    share = ended + sum(float(trial.info.get("progress", 0.0)) for trial in running)
    note = "; ".join(f"#{trial.number} {trial.info.get('message', 'starting')}" for trial in running)
    if not running and ended < len(trials):
        workers = crew.status()
        crowded = workers and not any(worker.place for worker in workers)
        note = "the workers wait for resources" if crowded else "the workers are loading"
    reporter.update("trainings", round(share, 2), budget, note)
