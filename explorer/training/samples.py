"""Selection of a task's train examples: the share that is used, and the part held out to choose a learning rate."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from explorer.errors import TrainingFailed
from explorer.training.files import digest
from explorer.training.prepared import EncodedExamples, EncodedTask
from explorer.training.recipe import Recipe
from explorer.training.tasks.base import TaskKind

HELD_OUT = 0.1
MOST_HELD_OUT = 2000


def chosen_part(task: EncodedTask, recipe: Recipe) -> EncodedTask:
    """Return the task with the recipe's share of its train examples.

    The share is stratified by class with at least one example each; a larger share contains every smaller one.

    Raises:
        TrainingFailed: the train or dev examples are empty or constant.
    """
    if recipe.train_share < 1:
        chosen = _part(task.train, task.kind, recipe.train_share, _order(task, recipe, "share"))
        task = dataclasses.replace(task, train=task.train.take(chosen))
    _check(task, "train", task.train)
    for name, examples in task.devs.items():
        _check(task, name or "dev", examples)
    if recipe.tune_rates:
        for part, examples in zip(("remaining train", "held-out train"), held_out(task, recipe), strict=True):
            _check(task, part, examples)
    return task


def held_out(task: EncodedTask, recipe: Recipe) -> tuple[EncodedExamples, EncodedExamples]:
    """Split the train examples into those for trying learning rates and a held-out tenth (at most 2000)."""
    share = min(HELD_OUT, MOST_HELD_OUT / max(1, len(task.train)))
    held = _part(task.train, task.kind, share, _order(task, recipe, "hold out"))
    rest = np.setdiff1d(np.arange(len(task.train)), held)
    return task.train.take(rest), task.train.take(held)


def _order(task: EncodedTask, recipe: Recipe, purpose: str) -> NDArray[np.int64]:
    """Return a permutation of the train examples that depends only on the task and ``task_seed``."""
    seed = int(digest(purpose, task.name, str(recipe.task_seed)), 16)
    return np.random.default_rng(seed).permutation(len(task.train))


def _part(examples: EncodedExamples, kind: TaskKind, share: float, order: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return ascending indices of a share of the examples: the first ones of the order within each class."""
    if kind is TaskKind.REGRESSION:
        return np.sort(order[: int(np.ceil(share * len(order)))])
    classes = [order[examples.labels[order] == label] for label in np.unique(examples.labels)]
    return np.sort(np.concatenate([one[: int(np.ceil(share * len(one)))] for one in classes]))


def _check(task: EncodedTask, part: str, examples: EncodedExamples) -> None:
    different = len(np.unique(examples.labels))
    if different < 2:
        what = {TaskKind.CLASSIFICATION: "class", TaskKind.REGRESSION: "value"}[task.kind]
        reason = (
            f"only one {what} among its {len(examples)} {part} examples" if len(examples) else f"no {part} examples"
        )
        raise TrainingFailed(f"task {task.name}: {reason}; give more data, or a larger recipe.train_share")
