"""Fine-tuning a pre-trained model on one task, and scoring it on the task's dev examples."""

from __future__ import annotations

import json
import shutil
import time
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
from explorer.training.files import digest, new_folder
from explorer.training.loop import optimise, reproducible
from explorer.training.metrics import evaluate
from explorer.training.prepared import EncodedExamples, EncodedTask, Prepared
from explorer.training.pretrain import model_config, save_model
from explorer.training.recipe import Recipe
from explorer.training.tasks.base import Kind
from explorer.training.tokenizer import PAD, token_types

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
    """Put examples together to one batch on the CPU."""
    longest = int(examples.lengths[indices].max())
    ids = np.full((len(indices), longest), PAD, dtype=np.int64)
    mask, types = np.zeros_like(ids), np.zeros_like(ids)
    for row, index in enumerate(indices):
        sequence = examples.sequence(int(index))
        ids[row, : len(sequence)] = sequence
        mask[row, : len(sequence)] = 1
        types[row, : len(sequence)] = token_types(sequence, pair)
    return Batch(*(torch.from_numpy(array) for array in (ids, mask, types, examples.labels[indices])))


def bucketed(lengths: NDArray[np.int64], batch: int, rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """Yield batches of indices for ever: every epoch in a new order, within it examples of similar length together.

    Args:
        lengths: tokens of each example, ``[N]``.
        batch: examples of a batch; the last one of an epoch may be smaller.
        rng: where chance comes from.
    """
    while True:
        order = rng.permutation(len(lengths))
        batches = []
        for start in range(0, len(order), batch * POOL_BATCHES):
            pool = order[start : start + batch * POOL_BATCHES]
            pool = pool[np.argsort(lengths[pool], kind="stable")]
            batches += [pool[first : first + batch] for first in range(0, len(pool), batch)]
        yield from (batches[index] for index in rng.permutation(len(batches)))


def finetune(
    spec: ArchitectureSpec,
    pretrained: Path,
    task: EncodedTask,
    prepared: Prepared,
    recipe: Recipe,
    seed: int,
    folder: Path,
    device: torch.device,
    on_step: Callable[[int, float], None],
    should_stop: Callable[[], bool],
) -> tuple[float, float]:
    """Fine-tune, score, and save the model as a ``transformers`` folder.

    Args:
        spec: the architecture.
        pretrained: folder that ``pretrain`` saved.
        task: the task.
        prepared: vocabulary and length.
        recipe: the settings.
        seed: fixes the classifier's initial weights, batches and dropout.
        folder: where to save; replaces a model that is there.
        device: where to compute.
        on_step: told the number of finished steps and the newest loss.
        should_stop: asked between steps.

    Returns:
        The task's metric on its dev examples, and the seconds spent.

    Raises:
        TrainingStopped: ``should_stop`` said so.
        TrainingFailed: the loss or a prediction is not a finite number.
    """
    started = time.monotonic()
    own_seed = int(digest(str(seed), task.name), 16) % 2**31
    regression = task.kind is Kind.REGRESSION
    # Correlations ignore scale, and a standardised target needs no long way from the classifier's start at 0.
    shift, scale = (float(np.mean(task.train.labels)), float(np.std(task.train.labels))) if regression else (0.0, 1.0)
    with reproducible(own_seed, device):
        model = FlexiBertForSequenceClassification(model_config(spec, prepared, recipe, task.classes))
        _load_encoder(model, pretrained)
        model.to(device)  # type: ignore[arg-type]

        def losses() -> Iterator[Callable[[], Tensor]]:
            for indices in bucketed(task.train.lengths, recipe.finetune_batch, np.random.default_rng([own_seed, 1])):
                batch = collate(task.train, indices, task.pair)
                labels = ((batch.labels - shift) / scale).float() if regression else batch.labels.long()
                yield (
                    lambda batch=batch, labels=labels: (
                        model(  # type: ignore[misc]
                            input_ids=batch.ids.to(device),
                            attention_mask=batch.mask.to(device),
                            token_type_ids=batch.types.to(device),
                            labels=labels.to(device),
                        ).loss
                    )
                )

        optimise(model, losses(), recipe.finetune_steps, recipe.finetune_rate, recipe, on_step, should_stop)
        if regression:
            _unscale(model, shift, scale)
        logits = predict(model, task.dev, task.pair, device)
    if not np.isfinite(logits).all():
        raise TrainingFailed(f"task {task.name}: a prediction is not a finite number")
    predicted = logits[:, 0] if regression else logits.argmax(1).astype(np.float64)
    value = evaluate(task.metric, task.dev.labels, predicted)
    if folder.exists():
        # Left by a run that ended before its score was written down.
        shutil.rmtree(folder)
    with new_folder(folder) as temporary:
        save_model(model, prepared, temporary)
    return value, time.monotonic() - started


def _unscale(model: FlexiBertForSequenceClassification, shift: float, scale: float) -> None:
    """Let a model trained on standardised targets give its outputs in the task's own units."""
    with torch.no_grad():
        model.classifier.weight.mul_(scale)
        model.classifier.bias.mul_(scale).add_(shift)


def predict(model: torch.nn.Module, examples: EncodedExamples, pair: bool, device: torch.device) -> NDArray[np.float64]:
    """Outputs of a model for examples, ``[N, labels]``, in their order; the model is left in evaluation mode."""
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
    weights = load_file(pretrained / "model.safetensors")
    own = {name.removeprefix(ENCODER): tensor for name, tensor in weights.items() if name.startswith(ENCODER)}
    result = model.flexibert.load_state_dict(own, strict=False)
    left = [name for name in result.missing_keys if not name.startswith("pooler.")]
    if left or result.unexpected_keys:
        raise TrainingFailed(f"{pretrained} holds another architecture: {json.dumps(left + result.unexpected_keys)}")
