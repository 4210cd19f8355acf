"""Train one architecture and score it on every task; a study does this for each trial.

Importing this module loads no torch; ``train_and_score`` does.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, astuple
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from explorer.errors import InputError
from explorer.records import TaskScore
from explorer.space.formats import to_json
from explorer.space.spec import ArchitectureSpec
from explorer.training.files import intact, write_json
from explorer.training.metrics import Baseline, mean_baseline
from explorer.training.prepared import EncodedTask, Prepared, prepare
from explorer.training.recipe import RECIPES, Recipe, recipe_named

if TYPE_CHECKING:
    from explorer.models import FlexiBertForMaskedLM
    from explorer.training.finetune import TaskResult

__all__ = ["MEAN", "RECIPES", "Prepared", "Recipe", "prepare", "recipe_named", "train_and_score"]

MEAN = "mean"
PRETRAINED = "pretrained"
SINGLE = "/"
"""Separator of the names of a task and of one of its metrics."""
TRAIN_AGAIN = "Remove the run's folder and train again."
"""Remedy for a damaged run."""
RECIPE_FILE = "recipe.json"
"""File with all settings of a run's recipe, of which only a digest is stored elsewhere."""
PRETRAIN_SHARE = 0.45
SMALLER_PRETRAINING = "recipe.pretrain_batch or recipe.pretrain_length, or raise recipe.pretrain_pieces"
SMALLER_FINETUNING = "recipe.finetune_batch or recipe.length"


def train_and_score(
    spec: ArchitectureSpec,
    prepared: Prepared,
    recipe: Recipe,
    seed: int,
    folder: Path,
    on_progress: Callable[[float, str], None],
    on_score: Callable[[TaskScore], None],
    should_stop: Callable[[], bool],
    device: str | None = None,
    initialise: Callable[[FlexiBertForMaskedLM], None] | None = None,
    processes: int = 1,
) -> list[TaskScore]:
    """Pre-train an architecture, then fine-tune and score it on each task.

    Finished work is kept in ``folder``: ``pretrained/``, one model folder per task, ``scores.json``. A second call with
    the same folder reuses it, reports the finished scores again, and returns the same result.

    Args:
        spec: the architecture.
        prepared: text and tasks.
        recipe: the recipe with which ``prepared`` was created.
        seed: the same seed gives the same scores on the same machine.
        folder: the run's own folder; created if absent.
        on_progress: called with the finished share (0 to 1) and a message.
        on_score: called with each task's score when it is saved, and with the mean at the end.
        should_stop: polled between steps.
        device: a torch device; the GPU if there is one, else the CPU, if ``None``.
        initialise: called once on the new model before the first step of pre-training, for example to load inherited
            weights.
        processes: number of processes on this machine that share the pre-training, one per GPU.

    Returns:
        One score per task, each followed by its single metrics if it has several; then the mean over the tasks as task
        ``mean``.

    Raises:
        TrainingStopped: ``should_stop`` returned true (``explorer.training.loop``).
        TrainingFailed: a task's examples cannot be trained on, which is checked first; the loss or a prediction is not
            finite; or memory is exhausted.
        InputError: the folder belongs to another run; DataError: a file in it is damaged, or the disk is full.
    """
    import torch

    from explorer.training.distributed import pretrain_distributed
    from explorer.training.failures import guarded
    from explorer.training.finetune import finetune
    from explorer.training.loop import best_device
    from explorer.training.pretrain import pretrain
    from explorer.training.samples import chosen_part

    where = torch.device(device) if device else best_device()
    tasks = [chosen_part(task, recipe) for task in prepared.tasks]
    _claim(folder, spec, prepared, recipe, seed)

    def report(start: float, share: float, steps: int, what: str) -> Callable[[int, float], None]:
        def on_step(step: int, loss: float) -> None:
            on_progress(start + share * step / steps, f"{what}: step {step} of {steps}, loss {loss:.3f}")

        return on_step

    if not (folder / PRETRAINED).is_dir():
        report_steps = report(0.0, PRETRAIN_SHARE, recipe.pretrain_steps, "pre-training")
        work: Callable[..., object]
        work = partial(pretrain, spec, prepared, recipe, seed, folder / PRETRAINED, where, report_steps, should_stop)
        if processes > 1:
            place = (folder / PRETRAINED, where.type, processes, report_steps, should_stop)
            work = partial(pretrain_distributed, spec, prepared, recipe, seed, *place)
        guarded("pre-training", SMALLER_PRETRAINING, partial(work, initialise=initialise))
    finished = _read_scores(folder)
    scores: list[TaskScore] = []
    own: list[TaskScore] = []
    share = (1.0 - PRETRAIN_SHARE) / len(tasks)
    for index, task in enumerate(tasks):
        dataset = prepared.dataset(task)
        if (task.name, dataset) not in finished:
            what = f"fine-tuning on {task.name}"
            report_steps = report(PRETRAIN_SHARE + share * index, share, recipe.task_steps, what)
            tune = partial(finetune, spec, folder / PRETRAINED, task, prepared, recipe, seed, folder / task.name)
            result = guarded(what, SMALLER_FINETUNING, partial(tune, where, report_steps, should_stop))
            finished |= {(one.task, dataset): one for one in _scores(task, dataset, recipe, seed, result)}
            write_json(folder / "scores.json", [asdict(done) for done in finished.values()])
        own.append(finished[task.name, dataset])
        found = [
            own[-1],
            *(one for (name, data), one in finished.items() if data == dataset and name.startswith(task.name + SINGLE)),
        ]
        scores += found
        for score in found:
            on_score(score)
    mean = _mean(own, prepared, recipe, seed, folder)
    on_score(mean)
    on_progress(1.0, f"mean of {len(tasks)} tasks: {mean.value:.4f}")
    return [*scores, mean]


def _scores(task: EncodedTask, dataset: str, recipe: Recipe, seed: int, result: TaskResult) -> list[TaskScore]:
    """Return the task's score, followed by its single metrics if it is a mean of several."""
    kind = (dataset, recipe.fidelity, recipe.digest, seed)
    levels = astuple(result.baseline)
    scores = [TaskScore(task.name, task.metric.value, result.value, result.seconds, *kind, result.spread, *levels)]
    if len(result.singles) > 1:
        for name, value in result.singles.items():
            metric = task.metric if task.mismatched is not None else name
            levels = astuple(result.baselines[name])
            scores.append(TaskScore(f"{task.name}{SINGLE}{name}", metric, value, result.seconds, *kind, None, *levels))
    return scores


def _mean(scores: list[TaskScore], prepared: Prepared, recipe: Recipe, seed: int, folder: Path) -> TaskScore:
    path = folder / PRETRAINED / "pretraining.json"
    with intact(path, TRAIN_AGAIN):
        seconds = float(json.loads(path.read_text(encoding="utf-8"))["seconds"])
    seconds += sum(score.seconds for score in scores)
    metric, kind = f"mean of {len(scores)} tasks", (prepared.fingerprint, recipe.fidelity, recipe.digest, seed)
    value = sum(score.value for score in scores) / len(scores)
    known = [
        Baseline(one.majority, one.chance) for one in scores if one.majority is not None and one.chance is not None
    ]
    # Scores of a run that an earlier version began have no levels.
    levels = astuple(mean_baseline(known)) if len(known) == len(scores) else ()
    return TaskScore(MEAN, metric, value, seconds, *kind, None, *levels)


def _claim(folder: Path, spec: ArchitectureSpec, prepared: Prepared, recipe: Recipe, seed: int) -> None:
    """Record the run in a new folder; reject a folder of another run."""
    run = {
        "architecture": to_json(spec),
        "text": prepared.text,
        "fidelity": recipe.fidelity,
        "recipe": recipe.digest,
        "seed": seed,
    }
    path = folder / "run.json"
    if not path.is_file():
        write_json(folder / RECIPE_FILE, asdict(recipe))
        write_json(path, run)
        return
    with intact(path, TRAIN_AGAIN):
        found = json.loads(path.read_text(encoding="utf-8"))
    if found != run:
        rule = "be empty or belong to the same architecture, text, recipe and seed"
        raise InputError("run folder", rule, str(folder), "Choose another folder.")


def _read_scores(folder: Path) -> dict[tuple[str, str], TaskScore]:
    path = folder / "scores.json"
    if not path.is_file():
        return {}
    with intact(path, TRAIN_AGAIN):
        rows = [TaskScore(**row) for row in json.loads(path.read_text(encoding="utf-8"))]
    return {(row.task, row.dataset): row for row in rows}
