"""Training and scoring of stored architectures: for the trials of a study, or one architecture alone."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from explorer.errors import InputError
from explorer.library.records import score_record
from explorer.library.sources import SINGLE, run_source, trial_source
from explorer.library.spaces import add_architecture
from explorer.library.workplace import data_cache, run_folder
from explorer.progress import Reporter
from explorer.records import TaskScore
from explorer.similarity.graph import architecture_id
from explorer.space.formats import from_json
from explorer.space.spec import ArchitectureSpec
from explorer.studies.donors import Donor, donor_from, donor_mark, record_lineage, weight_initialisation
from explorer.studies.executors.contract import WorkerOrder
from explorer.studies.requeries import varied
from explorer.studies.spec import StudySpec, Trained
from explorer.studies.trained import TrainingChoices, objective_value
from explorer.studies.worker import Evaluation, KeepScore, Report, ShouldStop
from graphstore import GraphStore
from graphstore.records import StudyRecord, TrialRecord

if TYPE_CHECKING:
    from explorer.training.backend import Prepared, Recipe


class TrainingEvaluator:
    """Pre-trains and fine-tunes the trial's architecture; implements ``explorer.studies.worker.Evaluator``.

    Args:
        store: where the study is.
        study: a study whose evaluation is ``Trained``.
        order: the worker's.

    Raises:
        InputError: the text or tasks on this machine differ from the study's.
    """

    def __init__(self, store: GraphStore, study: StudyRecord, order: WorkerOrder) -> None:
        import torch

        torch.set_num_threads(order.threads)
        self._store, self._spec = store, StudySpec.of(study)
        assert isinstance(self._spec.evaluation, Trained)
        self._choices = TrainingChoices.of(self._spec.evaluation)
        self._prepared = self._choices.prepare(data_cache(store.url))
        if order.data and self._prepared.fingerprint != order.data:
            rule = "have the text and tasks that it has on the machine where it was started"
            remedy = "Install the same packages on every machine, and put the data at the same path."
            raise InputError(f"study {study.name}", rule, "other text or tasks", remedy)
        # Import these before the first claim: it takes seconds during which ``should_stop`` is not called.
        for module in ("finetune", "pretrain"):
            importlib.import_module(f"explorer.training.{module}")

    def folder(self, trial: TrialRecord) -> Path:
        """Return the trial's run folder; its name depends on text, recipe and seed, so old files never interfere."""
        choices, seed = self._of(trial)
        run = choices.run_digest(self._prepared, trial.architecture, seed)
        return run_folder(self._store.url, self._spec.name, f"{trial.number:04d}-{run}")

    def _of(self, trial: TrialRecord) -> tuple[TrainingChoices, int]:
        """Return the trial's training choices and seed: the study's, or a variation of them."""
        recipe, seed = varied(self._choices.recipe, self._spec.seed, str(trial.info.get("variation", "")))
        return replace(self._choices, recipe=recipe), seed

    def evaluate(
        self, trial: TrialRecord, report: Report, keep: KeepScore, should_stop: ShouldStop
    ) -> Evaluation | None:
        """Train and score; return ``None`` if ``should_stop`` returned true. Raises TrainingFailed."""
        from explorer.training.loop import TrainingStopped

        spec = from_json(self._store.summaries(ids=[trial.architecture])[0].spec)
        choices, seed = self._of(trial)
        run = Run(trial_source(self._spec.name, trial.number), self.folder(trial), seed)
        try:
            scores = _train(self._store, spec, self._prepared, choices.recipe, run, report, keep, should_stop)
        except TrainingStopped:
            return None
        return Evaluation(objective_value(scores, self._spec.objective), tuple(scores))


@dataclass(frozen=True)
class Run:
    """One training.

    Attributes:
        source: source of its scores.
        folder: folder of its files.
        seed: seed of initial weights, batches and masks.
    """

    source: str
    folder: Path
    seed: int


@dataclass(frozen=True)
class SingleTraining:
    """The result of training one architecture outside a study.

    Attributes:
        id: id of the architecture.
        run: its training.
        scores: one score per task, then their mean.
    """

    id: str
    run: Run
    scores: tuple[TaskScore, ...]


def train_single(
    store: GraphStore,
    spec: ArchitectureSpec,
    evaluation: Trained,
    seed: int,
    reporter: Reporter,
    donor: str | ArchitectureSpec | None = None,
    threads: int = 1,
    processes: int = 1,
) -> SingleTraining:
    """Train and score one architecture outside a study, and store its scores. A second call resumes or reuses it.

    Args:
        store: target store; the architecture is added to it if it is new.
        spec: the architecture.
        evaluation: recipe, tasks and data.
        seed: seed of the training.
        reporter: receives the progress of data, training and tasks.
        donor: a model folder or a trained architecture whose weights are inherited; ``None`` to follow the recipe.
        threads: torch threads of this process.
        processes: processes that share the pre-training, one per GPU.

    Raises:
        InputError, DataError: data are missing or malformed. ``check_training`` finds other errors before anything is
            written.
        TrainingFailed: the training failed.
    """
    import torch

    choices = TrainingChoices.of(evaluation)
    prepared = choices.prepare(data_cache(store.url), reporter)
    torch.set_num_threads(threads)
    id = architecture_id(spec)
    add_architecture(store, spec)
    given = None
    if donor is not None:
        given = donor_from(store, spec, donor, prepared.text)
        add_architecture(store, given.spec)
        choices = replace(choices, recipe=replace(choices.recipe, transfer_donor=donor_mark(given)))
    name = choices.run_digest(prepared, id, seed)
    run = Run(run_source(name), run_folder(store.url, SINGLE, name), seed)

    def report(share: float, note: str) -> None:
        reporter.update("training", round(share, 3), 1, note)

    def keep(score: TaskScore) -> None:
        store.add_scores([score_record(score, id, run.source)])
        reporter.update(score.task, 1, 1, f"{score.metric} {score.value:.4f}")

    scores = _train(store, spec, prepared, choices.recipe, run, report, keep, lambda: False, processes, given)
    store.add_scores([score_record(score, id, run.source) for score in scores])
    return SingleTraining(id, run, tuple(scores))


def _train(
    store: GraphStore,
    spec: ArchitectureSpec,
    prepared: Prepared,
    recipe: Recipe,
    run: Run,
    report: Report,
    keep: KeepScore,
    should_stop: ShouldStop,
    processes: int = 1,
    donor: Donor | None = None,
) -> list[TaskScore]:
    """Train and score an architecture with inherited or new weights, and record where its weights came from."""
    from explorer.training.backend import train_and_score

    initialise = weight_initialisation(store, spec, recipe, prepared.text, run.seed, run.folder, run.source, donor)
    scores = train_and_score(
        spec,
        prepared,
        recipe,
        seed=run.seed,
        folder=run.folder,
        on_progress=report,
        on_score=keep,
        should_stop=should_stop,
        processes=processes,
        initialise=initialise,
    )
    record_lineage(store, architecture_id(spec), run.folder, run.source)
    return scores
