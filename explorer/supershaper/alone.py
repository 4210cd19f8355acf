"""Shapes outside their super-network: trained from scratch, or extracted and fine-tuned."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from explorer.models import FlexiBertForMaskedLM, FlexiBertForSequenceClassification, FlexiBertPreTrainedModel
from explorer.models.checking import quiet_transformers
from explorer.supershaper.bottlenecks import merge_bottlenecks, start_as_identity
from explorer.supershaper.evaluation import HeldOut, perplexities, perplexity
from explorer.supershaper.folder import OpenSuperNetwork
from explorer.supershaper.scores import ShapeScore
from explorer.training.files import check_new, digest, named_folder, writable
from explorer.training.finetune import TaskResult, finetune
from explorer.training.prepared import prepare_tasks
from explorer.training.pretrain import pretrain, save_model
from explorer.training.recipe import Recipe
from explorer.training.samples import chosen_part
from explorer.training.text import Progress

ALONE, TUNED = "alone", "tuned"
"""Subfolders for models trained outside the super-network; those of fine-tunings are removed when they end."""


def _name(widths: Sequence[int], *more: str) -> str:
    return "-".join([*map(str, widths), *more])


def train_alone(
    opened: OpenSuperNetwork,
    widths: Sequence[int],
    steps: int,
    seed: int,
    held_out: HeldOut,
    on_step: Callable[[int, float], None],
    should_stop: Callable[[], bool],
) -> float:
    """Pre-train a shape from scratch with its super-network's settings, and return its masked-LM perplexity.

    The model stays in the super-network's folder: a second call reuses it, and an interrupted training is resumed.

    Args:
        opened: the super-network: text, batches, rates.
        widths: the shape.
        steps: optimiser steps.
        seed: seed of weights and batches.
        held_out: rows to score it on.
        on_step: called with the number of finished steps and the latest loss.
        should_stop: polled between steps.

    Raises:
        TrainingStopped, TrainingFailed: see ``explorer.training.pretrain.pretrain``. SpecError: no such shape.
    """
    plan = opened.settings.plan
    recipe = replace(plan.recipe, pretrain_steps=steps)
    folder = opened.folder / ALONE / _name(widths, f"seed{seed}", digest(recipe.fidelity, recipe.digest)[:8])
    device = opened.network.model.device
    if not folder.is_dir():
        settings = (opened.text.prepared, recipe, seed, folder, torch.device(device.type), on_step, should_stop)
        pretrain(plan.backbone.spec(widths), *settings, initialise=start_as_identity)
    with quiet_transformers():
        model = FlexiBertForMaskedLM.from_pretrained(folder)
    return perplexity(model.to(device), held_out)  # type: ignore[arg-type]


def evaluate_shapes(
    opened: OpenSuperNetwork,
    shapes: Sequence[tuple[int, ...]],
    rows: int,
    alone_steps: int,
    seed: int,
    on_shape: Callable[[int], None],
    on_step: Callable[[int, int, float], None],
    should_stop: Callable[[], bool],
) -> list[ShapeScore]:
    """Evaluate shapes inside a super-network and, if asked for, as stand-alone trainings.

    Args:
        opened: the super-network.
        shapes: the shapes.
        rows: held-out rows to evaluate on.
        alone_steps: steps of each stand-alone training; 0 trains none.
        seed: seed of the stand-alone trainings.
        on_shape: called with the number of shapes evaluated inside.
        on_step: called with the number of stand-alone models finished, the step of the current one, and its loss.
        should_stop: polled between steps.

    Returns:
        The scores inside in the order of ``shapes``, then the stand-alone ones in the same order.

    Raises:
        TrainingStopped: ``should_stop`` returned true during a training. TrainingFailed: see ``train_alone``.
    """
    held_out = HeldOut.of(opened.text, opened.settings.plan.recipe.pretrain_length, rows)
    inside = perplexities(opened.network, shapes, held_out, on_shape)
    found = [ShapeScore(*pair, held_out.rows) for pair in zip(shapes, inside, strict=True)]
    for done, widths in enumerate(shapes if alone_steps else ()):
        value = train_alone(opened, widths, alone_steps, seed, held_out, partial(on_step, done), should_stop)
        found.append(ShapeScore(widths, value, held_out.rows, (alone_steps, seed)))
    return found


def extract_to(opened: OpenSuperNetwork, widths: Sequence[int], target: Path, merged: bool) -> FlexiBertForMaskedLM:
    """Write a shape as a folder that ``transformers`` loads, with its tokenizer.

    Args:
        opened: the super-network.
        widths: the shape.
        target: a new or empty folder; written completely or not at all.
        merged: whether to merge the bottlenecks between layers.

    Returns:
        The model.

    Raises:
        InputError: the folder is not empty, or the shape was never trained. DataError: it cannot be written.
        SpecError: no such shape.
    """
    opened.settings.plan.check(widths)
    model = opened.network.extract(widths)
    model = merge_bottlenecks(model) if merged else model
    _write(opened, model, target)
    return model


def finetune_to(
    opened: OpenSuperNetwork,
    widths: Sequence[int],
    target: Path,
    merged: bool,
    task: str,
    data: Path | None,
    recipe: Recipe,
    seed: int,
    on_progress: Progress,
    on_step: Callable[[int, float], None],
    should_stop: Callable[[], bool],
) -> tuple[FlexiBertForSequenceClassification, TaskResult]:
    """Extract a shape, fine-tune it on a task, and write it as a folder that ``transformers`` loads.

    Args:
        opened: the super-network; the shape starts with its weights.
        widths: the shape.
        target: a new or empty folder; written completely or not at all.
        merged: whether to merge the bottlenecks between layers after fine-tuning.
        task: name of the task.
        data: location of the task; see ``explorer.training.sources.resolve_source``.
        recipe: recipe of the fine-tuning.
        seed: seed of the fine-tuning.
        on_progress: called with the progress of the task's preparation.
        on_step: called with the number of finished steps and the latest loss.
        should_stop: polled between steps.

    Returns:
        The model and the result of the fine-tuning.

    Raises:
        InputError: the folder is not empty, the shape was never trained, or the task does not exist.
        DataError: the task's data are invalid. SpecError: no such shape.
        TrainingStopped, TrainingFailed: see ``explorer.training.finetune.finetune``.
    """
    check_new(target)
    plan = opened.settings.plan
    plan.check(widths)
    recipe = replace(recipe, length=plan.recipe.length, pretrain_length=min(recipe.pretrain_length, plan.recipe.length))
    prepared = prepare_tasks(opened.text.prepared, opened.folder / "data", recipe, [task], data, on_progress)
    # A folder of its own, because another process may be fine-tuning the same shape.
    with TemporaryDirectory(prefix=f"{TUNED}-", dir=opened.folder) as name:
        folder = Path(name)
        with writable(opened.folder):
            save_model(opened.network.extract(widths), prepared, folder / "pretrained")
        chosen = chosen_part(prepared.tasks[0], recipe)
        device = torch.device(opened.network.model.device.type)
        settings = (prepared, recipe, seed, folder / task, device, on_step, should_stop)
        result = finetune(plan.backbone.spec(widths), folder / "pretrained", chosen, *settings)
        with quiet_transformers():
            model = FlexiBertForSequenceClassification.from_pretrained(folder / task).eval()
    model = merge_bottlenecks(model) if merged else model
    _write(opened, model, target)
    return model, result


def _write(opened: OpenSuperNetwork, model: FlexiBertPreTrainedModel, target: Path) -> None:
    with named_folder(target) as temporary:
        save_model(model, opened.text.prepared, temporary)
