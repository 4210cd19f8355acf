"""Studies whose trials are trained by workers. The data is prepared once, before the workers start."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from explorer.errors import InputError
from explorer.library.workplace import data_cache
from explorer.progress import Reporter, SilentReporter
from explorer.records import TaskScore
from explorer.studies.coordinator import OnPoll, drive
from explorer.studies.driver import own_scores
from explorer.studies.executors.contract import Executor, WorkerOrder
from explorer.studies.spec import StudySpec, Trained
from graphstore import GraphStore
from graphstore.records import StudyRecord

if TYPE_CHECKING:
    from explorer.training.backend import Prepared, Recipe

TRANSFER = ("transfer", "transfer_overlap", "transfer_donor")
"""Fields of ``Trained`` that override the recipe's."""


@dataclass(frozen=True)
class TrainingChoices:
    """The settings that all trainings of a study share.

    Attributes:
        recipe: how the models are trained, weight transfer included.
        tasks: names of the downstream tasks; empty for the default three.
        data: folder of GLUE-format tasks, ``hub:NAME``, or ``None`` for the default text's own tasks.
        task_files: the user's own tasks.
    """

    recipe: Recipe
    tasks: tuple[str, ...]
    data: Path | None
    task_files: tuple[Path, ...] = ()

    @classmethod
    def of(cls, evaluation: Trained) -> TrainingChoices:
        """Resolve a spec's recipe and paths. Raises InputError if the recipe does not exist."""
        from explorer.training.backend import recipe_named

        changes = {name: getattr(evaluation, name) for name in TRANSFER if getattr(evaluation, name) is not None}
        recipe = replace(recipe_named(evaluation.recipe), **changes)
        data = Path(evaluation.data) if evaluation.data else None
        return cls(recipe, evaluation.tasks, data, tuple(Path(file) for file in evaluation.task_files))

    def prepare(self, cache: Path, reporter: Reporter | None = None) -> Prepared:
        """Return text, tokenizer and tasks, from the cache if they are in it. Raises InputError, DataError."""
        from explorer.training.backend import prepare

        shown = reporter or SilentReporter()
        return prepare(
            cache,
            self.recipe,
            self.tasks or None,
            self.data,
            lambda share, note: shown.update("text and tasks", round(share, 3), 1, note),
            self.task_files,
        )

    def run_digest(self, prepared: Prepared, architecture: str, seed: int) -> str:
        """Return a short digest of everything that a run's files depend on, the tasks included: each has a model."""
        parts = (architecture, prepared.fingerprint, self.recipe.fidelity, self.recipe.digest, seed)
        return hashlib.blake2b(repr(parts).encode(), digest_size=4).hexdigest()


def check_training(evaluation: Trained, objective: str) -> None:
    """Check how a study trains, and read a user's own data once.

    Raises:
        InputError: no such recipe or task, or the objective is not one of the tasks.
        DataError: the data does not exist or is malformed.
    """
    from explorer.training.sources import check_source, resolve_source

    choices = TrainingChoices.of(evaluation)
    source = resolve_source(choices.tasks or None, choices.data, choices.task_files)
    check_source(source)
    names = [*source.tasks, "mean"]
    if objective not in names:
        raise InputError("objective", f"be one of {', '.join(names)}", objective, "Choose one of them.")


def _check_same_data(store: GraphStore, study: StudyRecord, prepared: Prepared) -> None:
    """Refuse other text or tasks: old and new scores of the study would not be comparable."""
    if any(score.dataset != prepared.fingerprint for score in own_scores(store, study, "mean")):
        rule = "have the text and tasks that it was started with"
        remedy = "Restore the data (or the packages, for the default text), or start another study."
        raise InputError(f"study {study.name}", rule, "other text or tasks", remedy)


def objective_value(scores: Sequence[TaskScore], objective: str) -> float:
    """Return the score that a study maximises. Raises InputError if no score has this name."""
    for score in scores:
        if score.task == objective:
            return score.value
    known = ", ".join(score.task for score in scores)
    raise InputError("objective", f"be one of the trained tasks: {known}", objective, "Choose one of them.")


def run_trained(
    store: GraphStore,
    study: StudyRecord,
    executor: Executor,
    reporter: Reporter,
    stop: Callable[[], bool],
    on_poll: OnPoll | None = None,
) -> StudyRecord:
    """Run a study whose trials are trained by an executor's workers.

    Args:
        store: where the study is.
        study: a study whose evaluation is ``Trained``.
        executor: starts the workers; another one may have run the study before.
        reporter: receives the progress of the data's preparation and of the trials.
        stop: called several times a second; the study stops if it returns true.
        on_poll: called with all trials several times a second.

    Raises:
        ExplorerError: workers keep dying. InputError, DataError: the data or the tasks cannot be used.
    """
    evaluation = StudySpec.of(study).evaluation
    assert isinstance(evaluation, Trained)
    choices = TrainingChoices.of(evaluation)
    prepared = choices.prepare(data_cache(store.url), reporter)
    _check_same_data(store, study, prepared)
    order = WorkerOrder(store.url, study.name, study.created, prepared.fingerprint, executor.resources.threads)
    return drive(store, study, executor, order, reporter, stop, on_poll)
