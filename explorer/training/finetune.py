"""Fine-tuning a pre-trained model on one task: choose a learning rate, train from every seed, score on dev examples.

Dev examples are never used for choices: learning rates are compared on held-out train examples.
"""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from explorer.errors import TrainingFailed
from explorer.models import FlexiBertForSequenceClassification
from explorer.space.spec import ArchitectureSpec
from explorer.training.files import digest, new_folder, writable, write_json
from explorer.training.fitting import Fitting, judge
from explorer.training.loop import reproducible
from explorer.training.metrics import Baseline, Metric, baselines, mean_baseline
from explorer.training.prepared import EncodedTask, Prepared
from explorer.training.pretrain import save_model
from explorer.training.recipe import Recipe
from explorer.training.samples import held_out

SUMMARY = "finetuning.json"
OnStep = Callable[[int, float], None]
Value = TypeVar("Value")


@dataclass(frozen=True)
class TriedRate:
    """A learning rate with its score and loss on the held-out examples, ``None`` if it diverged."""

    rate: float
    value: float | None = None
    loss: float | None = None


@dataclass(frozen=True)
class TaskResult:
    """The result of fine-tuning on a task.

    Attributes:
        value: the task's score, the mean over the seeds.
        singles: each single metric on each dev set, such as ``f1`` or ``accuracy_matched``; means over the seeds.
        spread: standard deviation of the score over the seeds (n - 1); ``None`` for one seed.
        rate: the peak learning rate.
        tried: the candidate rates.
        seeds: ``singles`` per seed.
        seconds: wall time.
        baselines: levels of a constant and of a random answer, as ``singles``; those of the score are their means.
    """

    value: float
    singles: dict[str, float]
    spread: float | None
    rate: float
    tried: tuple[TriedRate, ...]
    seeds: tuple[dict[str, float], ...]
    seconds: float
    baselines: dict[str, Baseline]

    @property
    def baseline(self) -> Baseline:
        """The levels of the score."""
        return mean_baseline(self.baselines.values())


def finetune(
    spec: ArchitectureSpec,
    pretrained: Path,
    task: EncodedTask,
    prepared: Prepared,
    recipe: Recipe,
    seed: int,
    folder: Path,
    device: torch.device,
    on_step: OnStep,
    should_stop: Callable[[], bool],
) -> TaskResult:
    """Choose a learning rate, fine-tune from every seed, score, and save a model as a ``transformers`` folder.

    The model is that of the first seed; ``finetuning.json`` next to it has the complete result.

    Args:
        spec: the architecture.
        pretrained: folder that ``pretrain`` saved.
        task: the task with its train examples.
        prepared: vocabulary and length.
        recipe: the settings.
        seed: seed of the classifier's initial weights, batches and dropout.
        folder: target folder; an existing model is replaced.
        device: device to compute on.
        on_step: receives the number of finished steps, of ``recipe.task_steps``, and the newest loss.
        should_stop: polled between steps.

    Returns:
        The scores on the task's dev examples.

    Raises:
        TrainingStopped: ``should_stop`` returned true.
        TrainingFailed: the loss or a prediction is not finite with the rate, or with every candidate rate.
        DataError: the disk is full.
    """
    started = time.monotonic()
    fitting = Fitting(spec, pretrained, prepared, recipe, device, should_stop)
    tried = _try_rates(fitting, task, own_seed(seed, task, 0), on_step)
    rate = _best(tried) if tried else recipe.finetune_rate
    first: FlexiBertForSequenceClassification | None = None
    seeds: list[dict[str, float]] = []
    for turn in range(recipe.finetune_seeds):
        before = len(tried) * recipe.tune_steps + turn * recipe.finetune_steps
        run_seed = own_seed(seed, task, turn)
        with reproducible(run_seed, device):
            model = fitting.fit(task, task.train, rate, recipe.finetune_steps, run_seed, _after(before, on_step))
            seeds.append(_on_devs(model, task, device))
        if first is None:
            first = model.cpu()
    assert first is not None, "a recipe has at least one seed"
    values = [float(np.mean(list(one.values()))) for one in seeds]
    result = TaskResult(
        value=float(np.mean(values)),
        singles={name: float(np.mean([one[name] for one in seeds])) for name in seeds[0]},
        spread=float(np.std(values, ddof=1)) if len(values) > 1 else None,
        rate=rate,
        tried=tried,
        seeds=tuple(seeds),
        seconds=time.monotonic() - started,
        baselines=task_baselines(task),
    )
    if folder.exists():
        # A run that was killed before its score was written leaves a model behind.
        shutil.rmtree(folder)
    with writable(folder), new_folder(folder) as temporary:
        save_model(first, prepared, temporary)
        write_json(temporary / SUMMARY, asdict(result))
    return result


def own_seed(seed: int, task: EncodedTask, turn: int) -> int:
    """Return the seed of one fine-tuning, which differs for each task and each repetition."""
    return int(digest(str(seed), task.name, *([str(turn)] if turn else [])), 16) % 2**31


def _after(before: int, on_step: OnStep) -> OnStep:
    return lambda step, loss: on_step(before + step, loss)


def _on_devs(model: torch.nn.Module, task: EncodedTask, device: torch.device) -> dict[str, float]:
    """Return every single metric on every dev set; MNLI's sets are distinguished by suffixes."""
    judged = {name: judge(model, task, examples, device).metrics for name, examples in task.devs.items()}
    return _named(judged)


def task_baselines(task: EncodedTask) -> dict[str, Baseline]:
    """Return the levels of every single metric on every dev set, for answers that know the task's train labels."""
    return _named({name: baselines(task.metric, task.train.labels, dev.labels) for name, dev in task.devs.items()})


def _named(found: Mapping[str, Mapping[Metric, Value]]) -> dict[str, Value]:
    """Return what was found for each metric on each dev set by the name of both."""
    return {
        f"{metric}_{name}" if name else metric.value: value
        for name, metrics in found.items()
        for metric, value in metrics.items()
    }


def _try_rates(fitting: Fitting, task: EncodedTask, seed: int, on_step: OnStep) -> tuple[TriedRate, ...]:
    """Train with each of the recipe's rates on a part of the train examples and evaluate on the rest."""
    recipe, tried = fitting.recipe, []
    if not recipe.tune_rates:
        return ()
    part, held = held_out(task, recipe)
    for turn, rate in enumerate(recipe.tune_rates):
        report_step = _after(turn * recipe.tune_steps, on_step)
        try:
            with reproducible(seed, fitting.device):
                model = fitting.fit(task, part, rate, recipe.tune_steps, seed, report_step)
                found = judge(model, task, held, fitting.device)
        except TrainingFailed:
            tried.append(TriedRate(rate))
            continue
        tried.append(TriedRate(rate, float(np.mean(list(found.metrics.values()))), found.loss))
    if all(one.value is None for one in tried):
        rates = ", ".join(f"{rate:g}" for rate in recipe.tune_rates)
        raise TrainingFailed(
            f"the loss was not a finite number with any of recipe.tune_rates = {rates}; use lower ones"
        )
    return tuple(tried)


def _best(tried: tuple[TriedRate, ...]) -> float:
    """Return the rate with the highest score; ties are broken by the lowest loss."""

    def rank(one: TriedRate) -> tuple[float, float]:
        if one.value is None or one.loss is None:
            return -math.inf, -math.inf
        return one.value, -one.loss

    return max(tried, key=rank).rate
