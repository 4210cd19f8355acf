"""The contract suite of executors: every executor's test class inherits ``ExecutorContractSuite``.

Studies run on a real store with real workers; only what a worker does with a trial is replaced by something cheap
(``explorer.testing.executor_probe``). The tests need a fixture ``store``: an opened store, with at least ten embedded
architectures in the space ``small``.
"""

# ruff: noqa: D102 - the names of the tests say what they test

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from explorer.errors import InputError, MachineFault
from explorer.studies.budgets import MAX_ATTEMPTS
from explorer.studies.candidates import space_candidates
from explorer.studies.coordinator import TrialEnds
from explorer.studies.driver import owner_name
from explorer.studies.executors.contract import Crew, Ended, Executor, Resources, WorkerOrder, WorkerStatus
from explorer.studies.worker import Worker
from explorer.testing.executor_probe import EVALUATOR, STUDY, probe_study, run_probes
from graphstore import GraphStore, open_store
from graphstore.records import StudyState, TrialRecord, TrialStatus

SPACE = "small"


class ExecutorContractSuite(ABC):
    """Laws of an executor. Give ``options``: what ``make_executor`` needs to make the one under test.

    The place it names must have two CPUs for workers, and two GPUs (which nobody computes on) that are called 0 and 1.
    """

    @abstractmethod
    def options(self) -> dict[str, Any]:
        """Arguments of ``make_executor`` but ``workers`` and ``resources``."""

    @abstractmethod
    def make(self, workers: int, resources: Resources | None = None) -> Executor:
        """The executor under test; leaving its ``with`` block gives everything back but what the tests share."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        """Where the probes leave their notes."""
        place = tmp_path / "notes"
        place.mkdir()
        return place

    def test_all_trials_run_once_several_at_a_time(self, store: GraphStore, folder: Path) -> None:
        settings = {"folder": str(folder), "together": 2}
        with self.make(2) as executor:
            executor.check(store.url)
            study = run_probes(store, executor, SPACE, 4, settings)
        trials = store.trials(STUDY)
        assert study.state is StudyState.DONE
        assert sorted(s.source for s in store.scores(task="probe")) == [f"trained:{STUDY}/{n}" for n in range(4)]
        assert [(t.state, t.attempt, t.value) for t in trials] == [
            (TrialStatus.COMPLETE, 1, float(number)) for number in range(4)
        ]
        assert {trial.info["folder"] for trial in trials} == {str(folder)}
        # Each of the first two waited until both had begun.
        first = [notes(folder)[f"{number}-1"]["pid"] for number in range(2)]
        assert first[0] != first[1]
        wait_for(lambda: not alive(pids(folder)))

    def test_a_trial_whose_worker_crashes_is_retried_up_to_the_limit(self, store: GraphStore, folder: Path) -> None:
        settings = {"folder": str(folder), "crash": {"0": MAX_ATTEMPTS, "1": 1}}
        ended: list[TrialRecord] = []
        with self.make(1) as executor:
            study = run_probes(store, executor, SPACE, 3, settings, on_poll=TrialEnds((), ended.append))
        first, second, third = store.trials(STUDY)
        assert study.state is StudyState.DONE
        assert (first.state, first.attempt) == (TrialStatus.FAILED, MAX_ATTEMPTS)
        assert "died" in first.reason
        assert (second.state, second.attempt) == (TrialStatus.COMPLETE, 2)
        assert (third.state, third.attempt) == (TrialStatus.COMPLETE, 1)
        assert sorted(notes(folder)) == ["0-1", "0-2", "0-3", "1-1", "1-2", "2-1"]
        assert sorted(ended, key=lambda trial: trial.number) == [first, second, third]
        TrialEnds([first, second], ended.append)([first, second, third])
        assert ended[3:] == [third]
        wait_for(lambda: not alive(pids(folder)))

    def test_a_full_disk_stops_the_study_and_fails_no_trial(self, store: GraphStore, folder: Path) -> None:
        settings = {"folder": str(folder), "full": [1]}
        with self.make(1) as executor:
            for stops in (1, 2):
                with pytest.raises(MachineFault, match=r"trial 1 met a fault of the machine .*No space left on device"):
                    run_probes(store, executor, SPACE, 3, settings)
                first, second, *_ = store.trials(STUDY)
                assert first.state is TrialStatus.COMPLETE
                assert (second.state, second.attempt, second.info["faults"]) == (TrialStatus.WAITING, 0, stops)
                assert store.study(STUDY).state is StudyState.STOPPED
            wait_for(lambda: not alive(pids(folder)))
            (folder / "room").touch()
            study = run_probes(store, executor, SPACE, 3, settings)
        assert study.state is StudyState.DONE
        assert [(t.state, t.attempt) for t in store.trials(STUDY)] == [(TrialStatus.COMPLETE, 1)] * 3

    def test_a_stop_gives_the_trials_back_and_leaves_nobody(self, store: GraphStore, folder: Path) -> None:
        settings = {"folder": str(folder), "wait": 0}
        seen: list[TrialRecord] = []

        def both_run(trials: Sequence[TrialRecord]) -> None:
            running = [trial for trial in trials if trial.state is TrialStatus.RUNNING]
            if len(notes(folder)) == 2 == len(running):
                seen[:] = running

        with self.make(2) as executor:
            study = run_probes(store, executor, SPACE, 2, settings, lambda: bool(seen), both_run)
            assert study.state is StudyState.STOPPED
            wait_for(lambda: not alive(pids(folder)))
        assert [(t.state, t.attempt, t.owner) for t in store.trials(STUDY)] == [(TrialStatus.WAITING, 0, "")] * 2

    def test_a_crew_tells_where_its_workers_are(self, store: GraphStore, folder: Path) -> None:
        study = probe_study(store, SPACE, 1, {"folder": str(folder), "wait": 0})
        store.add_trials(STUDY, [(space_candidates(store, SPACE).ids[0], {})])
        order = WorkerOrder(store.url, STUDY, study.created, "", 1, EVALUATOR)
        with self.make(1) as executor:
            crew = executor.start(store, order)

            def at_work() -> bool:
                crew.tend(1)
                return bool(notes(folder)) and all(worker.owner for worker in crew.status())

            assert crew.status() == []
            try:
                wait_for(at_work)
                (worker,) = crew.status()
                assert worker.owner == store.trials(STUDY)[0].owner
                assert worker.place
            finally:
                crew.stop()
            assert crew.status() == []

    def test_nothing_outlives_a_killed_coordinator_and_another_goes_on(self, store: GraphStore, folder: Path) -> None:
        settings = {"folder": str(folder), "wait": 0}
        given = {
            "store": store.url,
            "executor": {"workers": 1, **self.options()},
            "space": SPACE,
            "budget": 1,
            "settings": settings,
        }
        process = subprocess.Popen([sys.executable, "-m", "explorer.testing.executor_probe", json.dumps(given)])
        try:
            wait_for(lambda: bool(notes(folder)) or process.poll() is not None)
            workers = pids(folder)
            assert alive(workers)
        finally:
            process.kill()
            process.wait()
        wait_for(lambda: not alive(workers))
        (folder / "go").touch()
        with self.make(1) as executor:
            study = run_probes(store, executor, SPACE, 1, settings)
        assert study.state is StudyState.DONE
        assert [(t.state, t.value) for t in store.trials(STUDY)] == [(TrialStatus.COMPLETE, 0.0)]

    def test_every_trial_gets_its_threads_and_no_gpu_it_did_not_ask_for(self, store: GraphStore, folder: Path) -> None:
        with self.make(1, Resources(threads=2, gpus=0)) as executor:
            run_probes(store, executor, SPACE, 1, {"folder": str(folder)})
        (note,) = notes(folder).values()
        assert (note["threads"], note["gpus"]) == ("2", "")

    def test_trials_at_the_same_time_get_gpus_of_their_own(self, store: GraphStore, folder: Path) -> None:
        settings = {"folder": str(folder), "together": 2}
        with self.make(2, Resources(gpus=1)) as executor:
            executor.check(store.url)
            run_probes(store, executor, SPACE, 2, settings)
        assert sorted(note["gpus"] for note in notes(folder).values()) == ["0", "1"]

    def test_what_no_machine_has_is_refused_before_anything_is_written(self, store: GraphStore) -> None:
        with self.make(1, Resources(gpus=64)) as executor, pytest.raises(InputError, match="64"):
            executor.check(store.url)
        assert store.studies() == []


class ThreadExecutor(Executor):
    """Runs one worker in a thread of this process, which has imported torch already.

    For tests of what a worker does; those of starting, killing and replacing processes need ``LocalExecutor``.
    """

    def __init__(self) -> None:
        super().__init__(1)

    def check(self, store_url: str) -> None:
        """Do nothing: this process has what it needs."""

    def start(self, store: GraphStore, order: WorkerOrder) -> ThreadCrew:
        """Return a crew of one thread."""
        return ThreadCrew(store, order, 1)


class ThreadCrew(Crew):
    """One worker in a thread. Attributes and arguments are those of ``Crew``."""

    def __init__(self, store: GraphStore, order: WorkerOrder, size: int) -> None:
        super().__init__(store, order, size)
        self._asked = threading.Event()
        self._threads: list[threading.Thread] = []

    def status(self) -> list[WorkerStatus]:
        """Return the thread, once it was started."""
        return [WorkerStatus(owner_name(), thread.name) for thread in self._threads]

    def _start(self) -> None:
        self._threads.append(threading.Thread(target=self._work, name="worker", daemon=True))
        self._threads[-1].start()

    def _work(self) -> None:
        with open_store(self._order.store, create=False) as store:
            Worker(store, self._order, self._asked.is_set).run()

    def _collect(self) -> list[Ended]:
        ended = [thread for thread in self._threads if not thread.is_alive()]
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        return [Ended(owner_name(), f"the thread {thread.name} ended", crashed=True) for thread in ended]

    def _end(self) -> list[str]:
        self._asked.set()
        for thread in self._threads:
            thread.join()
        owners = [status.owner for status in self.status()]
        self._threads.clear()
        return owners


def notes(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the notes of the probes by number and attempt of their trial."""
    return {file.stem: json.loads(file.read_text()) for file in folder.glob("*.json")}


def pids(folder: Path) -> set[int]:
    """Return the processes that evaluated a trial."""
    return {int(note["pid"]) for note in notes(folder).values()}


def alive(processes: set[int]) -> set[int]:
    """Return the processes that still run; zombies do not."""
    found = set()
    for pid in processes:
        try:
            if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                found.add(pid)
        except psutil.NoSuchProcess:
            continue
    return found


def wait_for(condition: Callable[[], object], seconds: float = 120.0) -> None:
    """Wait until the condition holds. Raises AssertionError if it does not within ``seconds``."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition was not met in time"
        time.sleep(0.1)
