"""The evaluation of a trial by training: pre-train and fine-tune its architecture, and score it."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path

from explorer.errors import InputError
from explorer.library.sources import trial_source
from explorer.library.workplace import data_cache, run_folder
from explorer.space.formats import from_json
from explorer.studies.donors import first_weights, record_lineage
from explorer.studies.executors.contract import WorkerOrder
from explorer.studies.requeries import varied
from explorer.studies.spec import StudySpec, Trained
from explorer.studies.trained import TrainingChoices, objective_value
from explorer.studies.worker import Evaluation, KeepScore, Report, ShouldStop
from graphstore import GraphStore
from graphstore.records import StudyRecord, TrialRecord


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
            remedy = "Install the same packages on every machine, and put --data at the same path."
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
        from explorer.training.backend import train_and_score
        from explorer.training.loop import TrainingStopped

        spec = from_json(self._store.summaries(ids=[trial.architecture])[0].spec)
        choices, seed = self._of(trial)
        recipe, text = choices.recipe, self._prepared.text
        folder, run = self.folder(trial), trial_source(self._spec.name, trial.number)
        try:
            scores = train_and_score(
                spec,
                self._prepared,
                recipe,
                seed=seed,
                folder=folder,
                on_progress=report,
                on_score=keep,
                should_stop=should_stop,
                initialise=first_weights(self._store, spec, recipe, text, seed, folder, run),
            )
        except TrainingStopped:
            return None
        record_lineage(self._store, trial.architecture, folder, run)
        return Evaluation(objective_value(scores, self._spec.objective), tuple(scores))
