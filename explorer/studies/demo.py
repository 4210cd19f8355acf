"""The demo: build a space, prepare the data in a second process meanwhile, and train a BOSHNAS batch in the space."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any

from explorer.errors import ExplorerError
from explorer.library.sources import trial_source
from explorer.library.spaces import build_space
from explorer.library.workplace import data_cache
from explorer.progress import Reporter
from explorer.space.grammar import load_space
from explorer.studies.executors.local import LocalExecutor
from explorer.studies.managing import open_study
from explorer.studies.reports import best_allowed, trial_counts
from explorer.studies.spec import StudySpec, Trained
from explorer.studies.trained import TrainingChoices, run_trained
from explorer.training.recipe import recipe_named
from graphstore import GraphStore
from graphstore.records import TrialRecord, TrialStatus

SPACE = "nano"
RECIPE = "nano"
WORKERS = 2
INITIAL = 4


@dataclass(frozen=True)
class DemoResult:
    """The outcome of the demo.

    Attributes:
        architectures: number of architectures in the space.
        scored: architectures that were trained on all tasks.
        failed: number of failed trainings.
        library_s: seconds from the start until the library was ready.
        first_score_s: seconds from the start until the store had a trained score; ``None`` if it has none.
        best: id, mean score, scores by task with the levels of a constant answer (``majority``) and of a random one
            (``chance``), ``model_dict`` and folder (with a model per task) of the best architecture; ``None`` if no
            trial has a value.
    """

    architectures: int
    scored: int
    failed: int
    library_s: float
    first_score_s: float | None
    best: dict[str, Any] | None


def demo_spec(trials: int, seed: int, recipe: str) -> StudySpec:
    """Return the demo's study: BOSHNAS on the nano space, its first four trials as the initial design."""
    recipe_named(recipe)
    name = "demo" + ("" if recipe == RECIPE else f"-{recipe}") + (f"-seed{seed}" if seed else "")
    evaluation, settings = Trained(recipe=recipe), {"initial": INITIAL}
    return StudySpec(name=name, space=SPACE, evaluation=evaluation, policy_settings=settings, budget=trials, seed=seed)


def run_demo(
    store: GraphStore,
    spec: StudySpec,
    reporter: Reporter,
    on_library: Callable[[], None] = lambda: None,
) -> DemoResult:
    """Build the space and run the study; an interrupted demo continues where it was.

    Args:
        store: where everything is written.
        spec: the study, as ``demo_spec`` makes it.
        reporter: receives the progress of every phase.
        on_library: called once the library is ready.
    """
    start = time.perf_counter()
    assert isinstance(spec.evaluation, Trained)
    with DataPreparation(data_cache(store.url), spec.evaluation, reporter):
        space = build_space(store, load_space(spec.space), reporter)
        library_s = time.perf_counter() - start
        on_library()
    study = open_study(store, spec)
    first_score: list[float] = []

    def watch(trials: Sequence[TrialRecord]) -> None:
        if not first_score and _has_score(store, spec.name, trials):
            first_score.append(time.perf_counter() - start)

    study = run_trained(store, study, LocalExecutor(WORKERS), reporter, lambda: False, watch)
    trials = store.trials(spec.name)
    best = best_allowed(store, study, trials)
    return DemoResult(
        architectures=len(space.embeddings.ids),
        scored=sum(trial.value is not None for trial in trials),
        failed=trial_counts(trials)[TrialStatus.FAILED],
        library_s=library_s,
        first_score_s=first_score[0] if first_score else None,
        best=_describe(store, best) if best else None,
    )


def _has_score(store: GraphStore, study: str, trials: Sequence[TrialRecord]) -> bool:
    sources = {trial_source(study, trial.number) for trial in trials}
    begun = {trial.architecture for trial in trials if trial.attempt}
    return any(score.source in sources for id in begun for score in store.scores(architecture=id))


def _describe(store: GraphStore, trial: TrialRecord) -> dict[str, Any]:
    source = trial_source(trial.study, trial.number)
    scores = [score for score in store.scores(architecture=trial.architecture) if score.source == source]
    return {
        "id": trial.architecture,
        "value": trial.value,
        "scores": {score.task: score.value for score in scores},
        "majority": {score.task: score.majority for score in scores},
        "chance": {score.task: score.chance for score in scores},
        "model_dict": json.loads(store.architecture(trial.architecture).spec),
        "folder": trial.info.get("folder"),
    }


class _Sender:
    """Sends progress through a pipe."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def update(self, phase: str, done: float, total: float, note: str = "") -> None:
        """Send one step of progress."""
        self._pipe.send((phase, done, total, note))


def _prepare(cache: Path, evaluation: Trained, pipe: Connection) -> None:
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C reaches the whole process group; the parent ends this process.
    with contextlib.suppress(ExplorerError, BrokenPipeError):
        TrainingChoices.of(evaluation).prepare(cache, _Sender(pipe))
    pipe.close()


class DataPreparation:
    """Prepares text, tokenizer and tasks in a child process during a ``with`` block; the block's end waits for it.

    A failure in the child is not raised: the study prepares its data again, which takes no time if the child succeeded,
    and raises the same error if it failed.

    Args:
        cache: folder of prepared data.
        evaluation: how the study trains.
        reporter: receives the progress.
    """

    def __init__(self, cache: Path, evaluation: Trained, reporter: Reporter) -> None:
        context = multiprocessing.get_context("spawn")
        self._receive, self._send = context.Pipe(duplex=False)
        self._process = context.Process(target=_prepare, args=(cache, evaluation, self._send), daemon=True)
        self._reporter = reporter
        self._forward = threading.Thread(target=self._pass_on, name="data progress", daemon=True)

    def __enter__(self) -> DataPreparation:
        self._process.start()
        self._send.close()
        self._forward.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._process.terminate()
        self._process.join()
        self._forward.join()
        self._receive.close()
        self._process.close()

    def _pass_on(self) -> None:
        while True:
            try:
                phase, done, total, note = self._receive.recv()
            except EOFError:
                return
            self._reporter.update(phase, done, total, note)
