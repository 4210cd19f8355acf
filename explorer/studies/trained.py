"""Studies that train: prepare the data once, keep workers busy, let the policy choose.

A study whose settings name a super-network evaluates inside it instead (``explorer.studies.supernet``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from explorer.errors import InputError
from explorer.library.workplace import data_cache
from explorer.progress import Reporter, SilentReporter
from explorer.records import TaskScore
from explorer.studies.coordinator import OnPoll, drive
from explorer.studies.driver import own_scores
from explorer.studies.executors.contract import Executor, WorkerOrder
from explorer.studies.supernet import SETTING as SUPERNET
from explorer.studies.supernet import check_supernet, run_inside
from graphstore import GraphStore
from graphstore.records import StudyRecord

if TYPE_CHECKING:
    from explorer.training.backend import Prepared, Recipe

TRANSFER_SETTINGS = ("transfer", "transfer_overlap", "transfer_donor")
"""Settings of a study that take the place of its recipe's."""


@dataclass(frozen=True)
class TrainingChoices:
    """What a study's trainings have in common.

    Attributes:
        recipe: how they train.
        tasks: names of the downstream tasks; empty for the default three.
        data: folder of GLUE-format tasks, ``hub:NAME``, or ``None`` for the default text's own tasks.
        task_files: the user's own tasks.
    """

    recipe: Recipe
    tasks: tuple[str, ...]
    data: Path | None
    task_files: tuple[Path, ...] = ()

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> TrainingChoices:
        """Read a study's settings.

        Raises:
            InputError: no such recipe.
        """
        from explorer.training.backend import recipe_named

        recipe = recipe_named(settings.get("recipe") or "nano")
        recipe = replace(recipe, **{name: settings[name] for name in TRANSFER_SETTINGS if name in settings})
        data = settings.get("data")
        tasks = tuple(settings.get("tasks") or ())
        files = tuple(Path(file) for file in settings.get("task_files") or ())
        return cls(recipe, tasks, Path(data) if data else None, files)

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
            self.task_files,
        )

    def run_digest(self, prepared: Prepared, architecture: str, seed: int) -> str:
        """Short digest of everything that a run's files depend on: of the tasks too, as each has one model there."""
        parts = (architecture, prepared.fingerprint, self.recipe.fidelity, self.recipe.digest, seed)
        return hashlib.blake2b(repr(parts).encode(), digest_size=4).hexdigest()


def check_training(settings: Mapping[str, Any], objective: str) -> None:
    """Check a study's training choices, and read a user's own data once, before anything is written.

    Raises:
        InputError: no such recipe or task, or the objective is none of the tasks.
        DataError: the data does not exist or is malformed.
    """
    from explorer.training.sources import check_source, resolve_source

    if SUPERNET in settings:
        check_supernet(settings, objective)
        return
    choices = TrainingChoices.from_settings(settings)
    source = resolve_source(choices.tasks or None, choices.data, choices.task_files)
    check_source(source)
    names = [*source.tasks, "mean"]
    if objective not in names:
        raise InputError("objective", f"be one of {', '.join(names)}", objective, "Choose one of them.")


def _check_same_data(store: GraphStore, study: StudyRecord, prepared: Prepared) -> None:
    """Refuse to go on with other text or tasks: old and new scores of the study would not be comparable."""
    if any(score.dataset != prepared.fingerprint for score in own_scores(store, study, "mean")):
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
        study: the study.
        executor: starts the workers; another one may have run the study before.
        reporter: told of the data's preparation and of the trials.
        stop: asked several times a second.
        on_poll: shown all trials several times a second.

    Raises:
        ExplorerError: workers keep dying; InputError, DataError: the data or the tasks are no good.
    """
    if SUPERNET in study.settings:
        return run_inside(store, study, executor, reporter, stop, on_poll)
    choices = TrainingChoices.from_settings(study.settings)
    prepared = choices.prepare(data_cache(store.url), reporter)
    _check_same_data(store, study, prepared)
    order = WorkerOrder(store.url, study.name, study.created, prepared.fingerprint, executor.resources.threads)
    return drive(store, study, executor, order, reporter, stop, on_poll)
