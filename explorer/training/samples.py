"""Which of a task's train examples are used: a share of them, and what is held out to choose a learning rate by."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from explorer.errors import TrainingFailed
from explorer.training.files import digest
from explorer.training.prepared import EncodedExamples, EncodedTask
from explorer.training.recipe import Recipe
from explorer.training.tasks.base import Kind

HELD_OUT = 0.1
MOST_HELD_OUT = 2000


def chosen_part(task: EncodedTask, recipe: Recipe) -> EncodedTask:
    """The task with the recipe's share of its train examples.

    Of every class the same share is taken, at least one example; a larger share holds all of a smaller one.

    Raises:
        TrainingFailed: what is left, or what the task is scored on, cannot be trained on or tell models apart.
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
    """Cut the train examples in two: those to try a learning rate on, and a tenth (at most 2000) to judge it by."""
    share = min(HELD_OUT, MOST_HELD_OUT / max(1, len(task.train)))
    held = _part(task.train, task.kind, share, _order(task, recipe, "hold out"))
    rest = np.setdiff1d(np.arange(len(task.train)), held)
    return task.train.take(rest), task.train.take(held)


def _order(task: EncodedTask, recipe: Recipe, purpose: str) -> NDArray[np.int64]:
    """An order of the train examples that task and ``task_seed`` fix, whatever the seed of the training."""
    seed = int(digest(purpose, task.name, str(recipe.task_seed)), 16)
    return np.random.default_rng(seed).permutation(len(task.train))


def _part(examples: EncodedExamples, kind: Kind, share: float, order: NDArray[np.int64]) -> NDArray[np.int64]:
    """Indices of a share of the examples, ascending: the first ones in the order, of each class for itself."""
    if kind is Kind.REGRESSION:
        return np.sort(order[: int(np.ceil(share * len(order)))])
    classes = [order[examples.labels[order] == label] for label in np.unique(examples.labels)]
    return np.sort(np.concatenate([one[: int(np.ceil(share * len(one)))] for one in classes]))


def _check(task: EncodedTask, part: str, examples: EncodedExamples) -> None:
    different = len(np.unique(examples.labels))
    if different < 2:
        what = {Kind.CLASSIFICATION: "class", Kind.REGRESSION: "value"}[task.kind]
        reason = (
            f"only one {what} among its {len(examples)} {part} examples" if len(examples) else f"no {part} examples"
        )
        raise TrainingFailed(f"task {task.name}: {reason}; give more data, or a larger recipe.train_share")
