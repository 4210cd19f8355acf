"""Studies that train: prepare the data once, keep worker processes busy, let the policy choose."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from explorer.errors import ExplorerError, InputError
from explorer.records import TaskScore
from explorer.runner.candidates import space_candidates
from explorer.runner.progress import Reporter, SilentReporter
from explorer.runner.studies import ENDED, MAX_ATTEMPTS, StudyDriver, close_study, trial_source
from explorer.runner.workplace import data_cache, log_folder
from graphstore import GraphStore
from graphstore.errors import LeaseLostError
from graphstore.records import StudyRecord, StudyState, TrialRecord, TrialStatus

if TYPE_CHECKING:
    from explorer.training.backend import Prepared, Recipe

POLL_S = 0.3
STOP_S = 20.0
MAX_CRASHES = 5
"""Worker deaths in a row, without one finished trial, after which the study gives up."""


@dataclass(frozen=True)
class TrainingChoices:
    """What a study's trainings have in common.

    Attributes:
        recipe: how they train.
        tasks: names of the downstream tasks; empty for the default three.
        data: folder of GLUE-format tasks, or ``None`` for the default text's own tasks.
    """

    recipe: Recipe
    tasks: tuple[str, ...]
    data: Path | None

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> TrainingChoices:
        """Read a study's settings.

        Raises:
            InputError: no such recipe.
        """
        from explorer.training.backend import recipe_named

        data = settings.get("data")
        tasks = tuple(settings.get("tasks") or ())
        return cls(recipe_named(settings.get("recipe") or "nano"), tasks, Path(data) if data else None)

    def prepare(self, cache: Path, reporter: Reporter | None = None) -> Prepared:
        """Text, tokenizer and tasks, from the cache where they are there. Raises InputError, DataError."""
        from explorer.training.backend import prepare

        shown = reporter or SilentReporter()
        return prepare(
            cache,
            self.recipe,
            self.tasks or None,
            self.data,
            lambda share, note: shown.update("text and tasks", round(share, 3), 1, note),
        )

    def run_digest(self, prepared: Prepared, architecture: str, seed: int) -> str:
        """Short digest of everything that a run's files depend on."""
        parts = (architecture, prepared.text, self.recipe.fidelity, self.recipe.digest, seed)
        return hashlib.blake2b(repr(parts).encode(), digest_size=4).hexdigest()


def check_training(settings: Mapping[str, Any], objective: str) -> None:
    """Check a study's training choices, and read a user's own data once, before anything is written.

    Raises:
        InputError: no such recipe or task, or the objective is none of the tasks.
        DataError: the data does not exist or is malformed.
    """
    from explorer.training.prepared import check_source, resolve_source

    choices = TrainingChoices.from_settings(settings)
    source = resolve_source(choices.tasks or None, choices.data)
    check_source(source)
    names = [*source.tasks, "mean"]
    if objective not in names:
        raise InputError("objective", f"be one of {', '.join(names)}", objective, "Choose one of them.")


def _check_same_data(store: GraphStore, study: StudyRecord, prepared: Prepared) -> None:
    """Refuse to go on with other text or tasks: old and new scores of the study would not be comparable."""
    for trial in store.trials(study.name):
        for score in store.scores(architecture=trial.architecture, task="mean"):
            if score.source == trial_source(study.name, trial.number) and score.dataset != prepared.fingerprint:
                rule = "have the text and tasks it began with"
                remedy = "Restore the data (or the packages, for the default text), or start another --study."
                raise InputError(f"study {study.name}", rule, "other text or tasks", remedy)


def objective_value(scores: Sequence[TaskScore], objective: str) -> float:
    """The score a study maximises.

    Raises:
        InputError: nothing was scored under that name.
    """
    for score in scores:
        if score.task == objective:
            return score.value
    known = ", ".join(score.task for score in scores)
    raise InputError("objective", f"be one of the trained tasks: {known}", objective, "Choose one of them.")


def release_dead(store: GraphStore, study: str, count_attempt: bool) -> None:
    """Take back trials whose owner was a process of this host that is gone, without waiting for the lease.

    Args:
        store: where the study is.
        study: its name.
        count_attempt: whether the trial may be to blame: its worker died by itself, and was not stopped with others.
    """
    for trial in store.trials(study):
        host, _, pid = trial.owner.rpartition(":")
        if trial.state is TrialStatus.RUNNING and host == socket.gethostname() and not psutil.pid_exists(int(pid)):
            _release(store, trial, count_attempt)


def _release(store: GraphStore, trial: TrialRecord, count_attempt: bool) -> None:
    exhausted = trial.attempt >= MAX_ATTEMPTS
    state = TrialStatus.FAILED if exhausted else TrialStatus.STALE
    try:
        if count_attempt:
            store.finish_trial(trial, state, time.time(), reason=f"its worker died, {trial.attempt} times so far")
        else:
            store.finish_trial(trial, TrialStatus.WAITING, time.time())
    except LeaseLostError:
        return  # Somebody else has it by now.


class WorkerPool:
    """Worker processes of one study on this machine.

    Args:
        store: where the study is.
        study: its name.
        size: how many processes.
    """

    def __init__(self, store: GraphStore, study: str, size: int) -> None:
        self._store, self._study = store, study
        self._processes: list[subprocess.Popen[bytes]] = []
        self._crashes = 0
        self.size = size
        self.log = log_folder(store.url) / f"{study}.workers.log"
        self.log.parent.mkdir(parents=True, exist_ok=True)

    def tend(self) -> None:
        """Start what is missing; take back the trials of workers that died.

        Raises:
            ExplorerError: workers keep dying.
        """
        for process in [p for p in self._processes if p.poll() is not None]:
            self._processes.remove(process)
            self._crashes += 1  # A worker ends by itself only when its study is closed.
            release_dead(self._store, self._study, count_attempt=True)
        if self._crashes >= MAX_CRASHES:
            tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-12:])
            raise ExplorerError(f"the workers of study {self._study} keep dying; the end of {self.log}:\n{tail}")
        while len(self._processes) < self.size:
            self._processes.append(self._start())

    def succeeded(self) -> None:
        """A trial was finished: deaths before it no longer count."""
        self._crashes = 0

    def stop(self) -> None:
        """Ask all workers to end and wait for them; those that do not are killed."""
        for process in self._processes:
            if process.poll() is None:
                process.terminate()
        deadline = time.monotonic() + STOP_S
        for process in self._processes:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._processes.clear()
        release_dead(self._store, self._study, count_attempt=False)

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "explorer.runner.worker", "--store", self._store.url]
        command += ["--parent", str(os.getpid()), "--study", self._study]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
        with self.log.open("ab") as log:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)


def run_trained(
    store: GraphStore,
    study: StudyRecord,
    workers: int,
    reporter: Reporter,
    stop: Callable[[], bool],
    on_poll: Callable[[Sequence[TrialRecord]], None] | None = None,
) -> StudyRecord:
    """Run a study whose trials are trained by local worker processes.

    Args:
        store: where the study is.
        study: the study.
        workers: number of processes.
        reporter: told of the data's preparation and of the trials.
        stop: asked several times a second.
        on_poll: shown all trials several times a second.

    Raises:
        ExplorerError: workers keep dying; InputError, DataError: the data or the tasks are no good.
    """
    choices = TrainingChoices.from_settings(study.settings)
    prepared = choices.prepare(data_cache(store.url), reporter)
    _check_same_data(store, study, prepared)
    release_dead(store, study.name, count_attempt=False)
    driver = StudyDriver(store, study, space_candidates(store, study.space))
    pool = WorkerPool(store, study.name, workers)
    finished = -1
    try:
        while not stop():
            if store.study(study.name).state is not StudyState.OPEN:  # Another run of the study has just ended.
                store.update_study(study.name, state=StudyState.OPEN)
            store.expire_leases(study.name, time.time(), MAX_ATTEMPTS)
            driver.refill(workers)
            trials = store.trials(study.name)
            _report(reporter, study, trials)
            if on_poll is not None:
                on_poll(trials)
            ended = sum(trial.state in ENDED for trial in trials)
            if ended > finished >= 0:
                pool.succeeded()
            finished = ended
            if driver.finished():
                break
            pool.tend()
            time.sleep(POLL_S)
    finally:
        pool.stop()
        study = close_study(store, driver)
    return study


def _report(reporter: Reporter, study: StudyRecord, trials: Sequence[TrialRecord]) -> None:
    ended = sum(trial.state in ENDED for trial in trials)
    running = [trial for trial in trials if trial.state is TrialStatus.RUNNING]
    share = ended + sum(float(trial.info.get("progress", 0.0)) for trial in running)
    note = "; ".join(f"#{trial.number} {trial.info.get('message', 'starting')}" for trial in running)
    if not running and ended < len(trials):
        note = "the workers are loading"
    reporter.update("trainings", round(share, 2), study.budget, note)
