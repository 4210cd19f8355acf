"""The main job on the embedded store: a built space, and a BOSHNAS batch of real trainings in it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from explorer.library.build import build_space
from explorer.library.sources import trial_source
from explorer.library.workplace import data_cache
from explorer.progress import Reporter
from explorer.space.grammar import load_space
from explorer.studies.background import DataPreparation
from explorer.studies.driver import StudyPlan, best_trial, open_study
from explorer.studies.executors.local import LocalExecutor
from explorer.studies.trained import run_trained
from explorer.training.recipe import recipe_named
from graphstore import GraphStore
from graphstore.records import TrialRecord

SPACE = "nano"
RECIPE = "nano"
WORKERS = 2
INITIAL = 4


@dataclass(frozen=True)
class DemoResult:
    """What the demo found.

    Attributes:
        architectures: in the space.
        scored: architectures trained on all tasks.
        failed: trainings that failed.
        library_s: seconds from the start until the library was ready.
        first_score_s: seconds from the start until a trained score was in the store; ``None`` if there is none.
        best: id, mean score, scores by task, ``model_dict`` and folder (a model per task in it) of the best; ``None``
            if there is none.
    """

    architectures: int
    scored: int
    failed: int
    library_s: float
    first_score_s: float | None
    best: dict[str, Any] | None


def demo_plan(trials: int, seed: int, recipe: str) -> StudyPlan:
    """The demo's study: BOSHNAS on the nano space, its first four trials as the initial design."""
    recipe_named(recipe)
    settings = {"from_scores": False, "recipe": recipe, "tasks": [], "data": None, "initial": INITIAL}
    name = "demo" + ("" if recipe == RECIPE else f"-{recipe}") + (f"-seed{seed}" if seed else "")
    return StudyPlan(name, SPACE, "boshnas", "mean", seed, trials, settings)


def run_demo(
    store: GraphStore,
    plan: StudyPlan,
    reporter: Reporter,
    on_library: Callable[[], None] = lambda: None,
) -> DemoResult:
    """Build what is missing, train what is missing, and tell what was found.

    Args:
        store: where everything goes; an interrupted demo goes on where it was.
        plan: the study.
        reporter: told of every phase.
        on_library: called once the library is ready.
    """
    start = time.perf_counter()
    with DataPreparation(data_cache(store.url), plan.settings, reporter):
        space = build_space(store, load_space(plan.space), reporter)
        library_s = time.perf_counter() - start
        on_library()
    study = open_study(store, plan)
    first_score: list[float] = []

    def watch(trials: Sequence[TrialRecord]) -> None:
        if not first_score and _has_score(store, plan.name, trials):
            first_score.append(time.perf_counter() - start)

    run_trained(store, study, LocalExecutor(WORKERS), reporter, lambda: False, watch)
    trials = store.trials(plan.name)
    best = best_trial(trials)
    return DemoResult(
        architectures=int(space.info["architectures"]),
        scored=sum(trial.value is not None for trial in trials),
        failed=sum(trial.state.value == "failed" for trial in trials),
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
    scores = {s.task: s.value for s in store.scores(architecture=trial.architecture) if s.source == source}
    return {
        "id": trial.architecture,
        "value": trial.value,
        "scores": scores,
        "model_dict": json.loads(store.architecture(trial.architecture).spec),
        "folder": trial.info.get("folder"),
    }
