"""Shapes outside their super-network: trained alone from scratch, or taken out of it and fine-tuned."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from explorer.models import FlexiBertForMaskedLM, FlexiBertForSequenceClassification, FlexiBertPreTrainedModel
from explorer.models.checking import quiet_transformers
from explorer.supershaper.bottlenecks import merge_bottlenecks, start_as_identity
from explorer.supershaper.evaluation import HeldOut, perplexity
from explorer.supershaper.folder import OpenSuperNetwork
from explorer.training.files import check_new, digest, named_folder, writable
from explorer.training.finetune import TaskResult, finetune
from explorer.training.prepared import prepare_tasks
from explorer.training.pretrain import pretrain, save_model
from explorer.training.recipe import Recipe
from explorer.training.samples import chosen_part
from explorer.training.text import Progress

ALONE, TUNED = "alone", "tuned"
"""Folders of what is trained outside, in the super-network's own; those of fine-tunings go when they end."""


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
    """Pre-train a shape from scratch as its super-network was, and return its masked-LM perplexity.

    The model stays in the super-network's folder; a second call trains nothing. An interrupted one is resumed.

    Args:
        opened: the super-network: text, batches, rates.
        widths: the shape.
        steps: optimiser steps.
        seed: of weights and batches.
        held_out: what to score it on.
        on_step: told the number of finished steps and the newest loss.
        should_stop: asked between steps.

    Raises:
        TrainingStopped, TrainingFailed: as ``explorer.training.pretrain.pretrain``; SpecError: no such shape.
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


def extract_to(opened: OpenSuperNetwork, widths: Sequence[int], target: Path, merged: bool) -> FlexiBertForMaskedLM:
    """Write a shape as a folder that ``transformers`` loads, with its tokenizer.

    Args:
        opened: the super-network.
        widths: the shape.
        target: a new or empty folder; there whole or not at all.
        merged: whether to merge the bottlenecks between layers.

    Returns:
        The model.

    Raises:
        InputError: the folder holds something, or such a shape was never trained; DataError: it cannot be written;
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
    """Take a shape out, fine-tune it on a task, and write it as a folder that ``transformers`` loads.

    Args:
        opened: the super-network; the shape starts with its weights.
        widths: the shape.
        target: a new or empty folder; there whole or not at all.
        merged: whether to merge the bottlenecks between layers after fine-tuning.
        task: name of the task.
        data: where it is; see ``explorer.training.sources.resolve_source``.
        recipe: of the fine-tuning.
        seed: of the fine-tuning.
        on_progress: told of the task's preparation.
        on_step: told the number of finished steps and the newest loss.
        should_stop: asked between steps.

    Returns:
        The model, and what fine-tuning came to.

    Raises:
        InputError: the folder holds something, such a shape was never trained, or there is no such task; DataError: the
            task's data are no good.
        TrainingStopped, TrainingFailed: as ``explorer.training.finetune.finetune``; SpecError: no such shape.
    """
    check_new(target)
    plan = opened.settings.plan
    plan.check(widths)
    recipe = replace(recipe, length=plan.recipe.length, pretrain_length=min(recipe.pretrain_length, plan.recipe.length))
    prepared = prepare_tasks(opened.text.prepared, opened.folder / "data", recipe, [task], data, on_progress)
    # A folder of its own, as somebody else may be fine-tuning the same shape.
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
