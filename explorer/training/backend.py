"""Train one architecture and score it on every task: what a study does with each trial.

Importing this module loads no torch; ``train_and_score`` does.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from explorer.errors import InputError
from explorer.records import TaskScore
from explorer.space.formats import to_json
from explorer.space.spec import ArchitectureSpec
from explorer.training.files import write_json
from explorer.training.prepared import EncodedTask, Prepared, prepare
from explorer.training.recipe import RECIPES, Recipe, recipe_named

__all__ = ["MEAN", "RECIPES", "Prepared", "Recipe", "prepare", "recipe_named", "train_and_score"]

MEAN = "mean"
PRETRAINED = "pretrained"
PRETRAIN_SHARE = 0.45


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
) -> list[TaskScore]:
    """Pre-train an architecture, then fine-tune and score it on each task.

    What is finished stays in ``folder``: ``pretrained/``, one model folder per task, ``scores.json``. A second call
    with the same folder repeats none of it, reports the finished scores again, and ends with the same result.

    Args:
        spec: the architecture.
        prepared: text and tasks.
        recipe: the settings; the one ``prepared`` was made with.
        seed: the same seed gives the same scores on the same machine.
        folder: the run's own folder; made if absent.
        on_progress: told the share done (0 to 1) and what is going on.
        on_score: told each task's score as soon as it is saved, and the mean at the end.
        should_stop: asked between steps.
        device: a torch device; the GPU if there is one, else the CPU, if ``None``.

    Returns:
        One score per task, then their mean as task ``mean``.

    Raises:
        TrainingStopped: ``should_stop`` said so (``explorer.training.loop``).
        TrainingFailed: the loss or a prediction is not a finite number.
        InputError: the folder belongs to another run.
    """
    import torch

    from explorer.training.finetune import finetune
    from explorer.training.loop import best_device
    from explorer.training.pretrain import pretrain

    where = torch.device(device) if device else best_device()
    _claim(folder, spec, prepared, recipe, seed)

    def report(start: float, share: float, steps: int, what: str) -> Callable[[int, float], None]:
        def on_step(step: int, loss: float) -> None:
            on_progress(start + share * step / steps, f"{what}: step {step} of {steps}, loss {loss:.3f}")

        return on_step

    if not (folder / PRETRAINED).is_dir():
        told = report(0.0, PRETRAIN_SHARE, recipe.pretrain_steps, "pre-training")
        pretrain(spec, prepared, recipe, seed, folder / PRETRAINED, where, told, should_stop)
    finished = _read_scores(folder)
    scores: list[TaskScore] = []
    share = (1.0 - PRETRAIN_SHARE) / len(prepared.tasks)
    for index, task in enumerate(prepared.tasks):
        score = finished.get((task.name, prepared.dataset(task)))
        if score is None:
            start = PRETRAIN_SHARE + share * index
            told = report(start, share, recipe.finetune_steps, f"fine-tuning on {task.name}")
            value, seconds = finetune(
                spec, folder / PRETRAINED, task, prepared, recipe, seed, folder / task.name, where, told, should_stop
            )
            score = _score(task, prepared, recipe, seed, value, seconds)
            finished[task.name, score.dataset] = score
            write_json(folder / "scores.json", [asdict(done) for done in finished.values()])
        scores.append(score)
        on_score(score)
    mean = _mean(scores, prepared, recipe, seed, folder)
    on_score(mean)
    on_progress(1.0, f"mean of {len(scores)} tasks: {mean.value:.4f}")
    return [*scores, mean]


def _score(task: EncodedTask, prepared: Prepared, recipe: Recipe, seed: int, value: float, seconds: float) -> TaskScore:
    dataset = prepared.dataset(task)
    return TaskScore(task.name, task.metric.value, value, seconds, dataset, recipe.fidelity, recipe.digest, seed)


def _mean(scores: list[TaskScore], prepared: Prepared, recipe: Recipe, seed: int, folder: Path) -> TaskScore:
    summary = json.loads((folder / PRETRAINED / "pretraining.json").read_text(encoding="utf-8"))
    seconds = summary["seconds"] + sum(score.seconds for score in scores)
    value = sum(score.value for score in scores) / len(scores)
    metric = f"mean of {len(scores)} tasks"
    return TaskScore(MEAN, metric, value, seconds, prepared.fingerprint, recipe.fidelity, recipe.digest, seed)


def _claim(folder: Path, spec: ArchitectureSpec, prepared: Prepared, recipe: Recipe, seed: int) -> None:
    """Write into a new folder whose run it is; refuse a folder of another run."""
    run = {
        "architecture": to_json(spec),
        "text": prepared.text,
        "fidelity": recipe.fidelity,
        "recipe": recipe.digest,
        "seed": seed,
    }
    path = folder / "run.json"
    if not path.is_file():
        write_json(path, run)
    elif json.loads(path.read_text(encoding="utf-8")) != run:
        rule = "be empty or belong to the same architecture, text, recipe and seed"
        raise InputError("run folder", rule, str(folder), "Choose another folder.")


def _read_scores(folder: Path) -> dict[tuple[str, str], TaskScore]:
    path = folder / "scores.json"
    if not path.is_file():
        return {}
    rows = [TaskScore(**row) for row in json.loads(path.read_text(encoding="utf-8"))]
    return {(row.task, row.dataset): row for row in rows}
