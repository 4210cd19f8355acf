"""Cheap trials that record what an executor gave them, and a coordinator that can be killed.

``ProbeEvaluator`` evaluates the trials: each attempt writes a note into the probe's folder and then does what the
settings say, which are a file in the store's work folder. ``python -m explorer.testing.executor_probe JSON`` runs such
a study in a process of its own.
"""

from __future__ import annotations

import errno
import json
import math
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from explorer.library.workplace import work_folder
from explorer.progress import SilentReporter
from explorer.records import TaskScore
from explorer.studies.coordinator import OnPoll, drive
from explorer.studies.executors.contract import Executor, Resources, WorkerOrder
from explorer.studies.executors.registry import make_executor
from explorer.studies.managing import open_study
from explorer.studies.spec import StudySpec, Trained
from explorer.studies.worker import Evaluation, KeepScore, Report, ShouldStop
from graphstore import GraphStore, open_store
from graphstore.records import StudyRecord, TrialRecord

EVALUATOR = "explorer.testing.executor_probe:ProbeEvaluator"
STUDY = "probes"
SETTINGS = "probe.json"
PAUSE_S = 0.05
PATIENCE_S = 90.0
"""How long a trial waits for its conditions, so that a broken executor fails its tests instead of hanging them."""


class ProbeEvaluator:
    """Evaluates a trial as the probe's settings say; the value is the trial's number.

    * ``folder``: folder of the notes ``NUMBER-ATTEMPT.json``, each with ``pid``, ``threads`` and ``gpus``;
    * ``crash``: by trial number, number of attempts that kill their own process;
    * ``full``: numbers of the trials that meet a full disk until the file ``room`` is in the folder;
    * ``together``: every trial waits until this many have begun;
    * ``wait``: trials from this number on wait until the file ``go`` is in the folder.

    Each finished trial has one score, of task ``probe``.
    """

    def __init__(self, store: GraphStore, study: StudyRecord, order: WorkerOrder) -> None:
        self._settings: dict[str, Any] = json.loads((work_folder(store.url) / SETTINGS).read_text())
        self._folder = Path(self._settings["folder"])

    def folder(self, trial: TrialRecord) -> Path:
        """Return the folder of all notes."""
        return self._folder

    def evaluate(
        self, trial: TrialRecord, report: Report, keep: KeepScore, should_stop: ShouldStop
    ) -> Evaluation | None:
        """Write the note, then crash, wait or return."""
        note = {
            "pid": os.getpid(),
            "threads": os.environ.get("OMP_NUM_THREADS", ""),
            "gpus": os.environ.get("CUDA_VISIBLE_DEVICES"),
        }
        place = self._folder / f"{trial.number}-{trial.attempt}.json"
        place.with_suffix(".part").write_text(json.dumps(note))
        place.with_suffix(".part").replace(place)
        if trial.attempt <= self._settings.get("crash", {}).get(str(trial.number), 0):
            os.kill(os.getpid(), signal.SIGKILL)
        if trial.number in self._settings.get("full", ()) and not (self._folder / "room").exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._folder / "model"))
        together = self._settings.get("together", 0)
        ready = [lambda: len(list(self._folder.glob("*.json"))) >= together]
        if trial.number >= self._settings.get("wait", math.inf):
            ready.append(lambda: (self._folder / "go").exists())
        if not _come(ready, should_stop):
            return None
        score = TaskScore(
            "probe", "number", float(trial.number), seconds=0.0, dataset="none", fidelity="none", recipe="none", seed=0
        )
        return Evaluation(score.value, (score,))


def _come(conditions: list[Callable[[], bool]], should_stop: ShouldStop) -> bool:
    deadline = time.monotonic() + PATIENCE_S
    while not all(condition() for condition in conditions):
        if should_stop():
            return False
        if time.monotonic() > deadline:
            raise RuntimeError("the conditions of the trial were not met in time")
        time.sleep(PAUSE_S)
    return True


def probe_study(store: GraphStore, space: str, budget: int, settings: dict[str, Any]) -> StudyRecord:
    """Start or resume the study ``probes`` of random architectures; ``settings`` are those of ``ProbeEvaluator``."""
    place = work_folder(store.url)
    place.mkdir(parents=True, exist_ok=True)
    (place / SETTINGS).write_text(json.dumps(settings))
    return open_study(store, StudySpec(name=STUDY, space=space, evaluation=Trained(), policy="random", budget=budget))


def run_probes(
    store: GraphStore,
    executor: Executor,
    space: str,
    budget: int,
    settings: dict[str, Any],
    stop: Callable[[], bool] = lambda: False,
    on_poll: OnPoll | None = None,
) -> StudyRecord:
    """Run the study of ``probe_study``."""
    study = probe_study(store, space, budget, settings)
    order = WorkerOrder(store.url, study.name, study.created, "", executor.resources.threads, EVALUATOR)
    return drive(store, study, executor, order, SilentReporter(), stop, on_poll)


def main() -> None:
    """Run probes as the only argument, a JSON object, says."""
    given = json.loads(sys.argv[1])
    given["executor"]["resources"] = Resources(**given["executor"].get("resources", {}))
    with open_store(given["store"], create=False) as store, make_executor(**given["executor"]) as executor:
        executor.check(store.url)
        run_probes(store, executor, given["space"], given["budget"], given["settings"])


if __name__ == "__main__":
    main()
