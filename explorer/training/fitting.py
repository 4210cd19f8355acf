"""Fine-tune one model on a set of examples and evaluate it on others."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor

from explorer.errors import TrainingFailed
from explorer.models import FlexiBertForSequenceClassification
from explorer.space.spec import ArchitectureSpec
from explorer.training.files import intact
from explorer.training.loop import optimise
from explorer.training.metrics import Metric, evaluate
from explorer.training.prepared import EncodedExamples, EncodedTask, Prepared
from explorer.training.pretrain import model_config
from explorer.training.recipe import Recipe
from explorer.training.tasks.base import TaskKind
from explorer.training.tokenizer import token_types

POOL_BATCHES = 16
DEV_BATCH = 128
ENCODER = "flexibert."


@dataclass(frozen=True)
class Batch:
    """Examples padded on the right to the longest: ``ids``, ``mask`` and ``types`` ``[B, S]``, ``labels [B]``."""

    ids: Tensor
    mask: Tensor
    types: Tensor
    labels: Tensor


def collate(examples: EncodedExamples, indices: NDArray[np.int64], pair: bool) -> Batch:
    """Collate examples into one batch on the CPU."""
    longest = int(examples.lengths[indices].max())
    ids = np.full((len(indices), longest), examples.special.pad, dtype=np.int64)
    mask, types = np.zeros_like(ids), np.zeros_like(ids)
    for row, index in enumerate(indices):
        sequence = examples.sequence(int(index))
        ids[row, : len(sequence)] = sequence
        mask[row, : len(sequence)] = 1
        types[row, : len(sequence)] = token_types(sequence, pair, examples.special.end)
    return Batch(*(torch.from_numpy(array) for array in (ids, mask, types, examples.labels[indices])))


def bucketed(lengths: NDArray[np.int64], batch: int, rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """Yield batches of indices endlessly, in a new order each epoch, grouping examples of similar length.

    Args:
        lengths: tokens of each example, ``[N]``.
        batch: batch size; the last batch of an epoch may be smaller.
        rng: random generator.
    """
    while True:
        order = rng.permutation(len(lengths))
        batches = []
        for start in range(0, len(order), batch * POOL_BATCHES):
            pool = order[start : start + batch * POOL_BATCHES]
            pool = pool[np.argsort(lengths[pool], kind="stable")]
            batches += [pool[first : first + batch] for first in range(0, len(pool), batch)]
        yield from (batches[index] for index in rng.permutation(len(batches)))


@dataclass(frozen=True)
class Fitting:
    """The shared inputs of all fine-tunings of a run.

    Attributes:
        spec: the architecture.
        pretrained: folder that ``pretrain`` saved.
        prepared: vocabulary and length.
        recipe: the settings.
        device: device to compute on.
        should_stop: polled between steps.
    """

    spec: ArchitectureSpec
    pretrained: Path
    prepared: Prepared
    recipe: Recipe
    device: torch.device
    should_stop: Callable[[], bool]

    def fit(
        self,
        task: EncodedTask,
        examples: EncodedExamples,
        rate: float,
        steps: int,
        seed: int,
        on_step: Callable[[int, float], None],
    ) -> FlexiBertForSequenceClassification:
        """Fine-tune a fresh copy of the pre-trained model. The caller seeds torch's RNGs.

        Args:
            task: the task.
            examples: training examples.
            rate: peak learning rate.
            steps: optimiser steps.
            seed: seed of the batches.
            on_step: called with the number of finished steps and the latest loss.

        Raises:
            TrainingStopped: ``should_stop`` returned true.
            TrainingFailed: the loss is not finite.
        """
        regression = task.kind is TaskKind.REGRESSION
        # Correlations ignore scale, and a standardised target is close to the classifier's initial output of 0.
        shift, scale = (float(np.mean(examples.labels)), float(np.std(examples.labels))) if regression else (0.0, 1.0)
        model = FlexiBertForSequenceClassification(model_config(self.spec, self.prepared, self.recipe, task.classes))
        _load_encoder(model, self.pretrained)
        model.to(self.device)  # type: ignore[arg-type]

        def losses() -> Iterator[Callable[[], Tensor]]:
            for indices in bucketed(examples.lengths, self.recipe.finetune_batch, np.random.default_rng([seed, 1])):
                batch = collate(examples, indices, task.pair)
                labels = ((batch.labels - shift) / scale).float() if regression else batch.labels.long()
                yield (
                    lambda batch=batch, labels=labels: (
                        model(  # type: ignore[misc]
                            input_ids=batch.ids.to(self.device),
                            attention_mask=batch.mask.to(self.device),
                            token_type_ids=batch.types.to(self.device),
                            labels=labels.to(self.device),
                        ).loss
                    )
                )

        optimise(model, losses(), steps, rate, self.recipe, on_step, self.should_stop)
        if regression:
            _unscale(model, shift, scale)
        return model


@dataclass(frozen=True)
class Judgement:
    """The evaluation of a model on examples: each single metric of the task, and the mean loss."""

    metrics: dict[Metric, float]
    loss: float


def judge(model: torch.nn.Module, task: EncodedTask, examples: EncodedExamples, device: torch.device) -> Judgement:
    """Score a model on examples of a task.

    Raises:
        TrainingFailed: a prediction is not finite.
    """
    logits = predict(model, examples, task.pair, device)
    if not np.isfinite(logits).all():
        raise TrainingFailed("a prediction is not a finite number")
    labels = torch.from_numpy(examples.labels)
    if task.kind is TaskKind.REGRESSION:
        predicted, loss = logits[:, 0], torch.nn.functional.mse_loss(torch.from_numpy(logits[:, 0]), labels)
    else:
        predicted = logits.argmax(1).astype(np.float64)
        loss = torch.nn.functional.cross_entropy(torch.from_numpy(logits), labels.long())
    return Judgement(evaluate(task.metric, examples.labels, predicted), loss.item())


def _unscale(model: FlexiBertForSequenceClassification, shift: float, scale: float) -> None:
    """Rescale the outputs of a model trained on standardised targets to the task's units."""
    with torch.no_grad():
        model.classifier.weight.mul_(scale)
        model.classifier.bias.mul_(scale).add_(shift)


def predict(model: torch.nn.Module, examples: EncodedExamples, pair: bool, device: torch.device) -> NDArray[np.float64]:
    """Return outputs ``[N, labels]`` for examples in order; the model is left in evaluation mode."""
    model.eval()
    order = np.argsort(examples.lengths, kind="stable")
    rows: list[NDArray[np.float64]] = []
    with torch.inference_mode():
        for start in range(0, len(order), DEV_BATCH):
            batch = collate(examples, order[start : start + DEV_BATCH], pair)
            ids, mask, types = (tensor.to(device) for tensor in (batch.ids, batch.mask, batch.types))
            output = model(input_ids=ids, attention_mask=mask, token_type_ids=types)
            rows.append(output.logits.double().cpu().numpy())
    logits = np.concatenate(rows)
    return logits[np.argsort(order)]


def _load_encoder(model: FlexiBertForSequenceClassification, pretrained: Path) -> None:
    path = pretrained / "model.safetensors"
    with intact(path, "Remove the run's folder and train again."):
        weights = load_file(path)
    own = {name.removeprefix(ENCODER): tensor for name, tensor in weights.items() if name.startswith(ENCODER)}
    result = model.flexibert.load_state_dict(own, strict=False)
    left = [name for name in result.missing_keys if not name.startswith("pooler.")]
    if left or result.unexpected_keys:
        raise TrainingFailed(f"{pretrained} holds another architecture: {json.dumps(left + result.unexpected_keys)}")
