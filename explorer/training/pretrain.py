"""Pre-training: masked language modelling on the study's text."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers.utils import logging as transformers_logging

from explorer.models import FlexiBertConfig, FlexiBertForMaskedLM
from explorer.space.spec import ArchitectureSpec
from explorer.training.files import new_folder, write_json
from explorer.training.loop import optimise, reproducible
from explorer.training.masking import mask_tokens, packed_rows
from explorer.training.prepared import Prepared
from explorer.training.recipe import Recipe
from explorer.training.tokenizer import PAD

SUMMARY = "pretraining.json"


def model_config(
    spec: ArchitectureSpec, prepared: Prepared, recipe: Recipe, classes: Sequence[str] = ()
) -> FlexiBertConfig:
    """Configuration of the model of an architecture for this vocabulary and length; one output without classes."""
    return FlexiBertConfig.from_spec(
        spec,
        vocab_size=prepared.vocab_size,
        max_position_embeddings=prepared.length,
        id2label=dict(enumerate(classes)) or {0: "value"},
        label2id={name: label for label, name in enumerate(classes)} or {"value": 0},
        pad_token_id=PAD,
        initializer_range=recipe.initial_range,
        hidden_dropout_prob=recipe.dropout,
        attention_probs_dropout_prob=recipe.dropout,
    )


def pretrain(
    spec: ArchitectureSpec,
    prepared: Prepared,
    recipe: Recipe,
    seed: int,
    folder: Path,
    device: torch.device,
    on_step: Callable[[int, float], None],
    should_stop: Callable[[], bool],
) -> list[float]:
    """Pre-train a new model and save it, with the tokenizer and a summary, as a ``transformers`` folder.

    Args:
        spec: the architecture.
        prepared: text and vocabulary.
        recipe: the settings.
        seed: fixes initial weights, batches, masks and dropout.
        folder: where to save; appears only when complete.
        device: where to compute.
        on_step: told the number of finished steps and the newest loss.
        should_stop: asked between steps.

    Returns:
        The loss of every step.

    Raises:
        TrainingStopped: ``should_stop`` said so.
        TrainingFailed: the loss is not a finite number.
    """
    started = time.monotonic()
    with reproducible(seed, device):
        model = FlexiBertForMaskedLM(model_config(spec, prepared, recipe)).to(device)  # type: ignore[arg-type]
        losses = _losses(model, prepared, recipe, np.random.default_rng([seed, 0]), device)
        history = optimise(model, losses, recipe.pretrain_steps, recipe.pretrain_rate, recipe, on_step, should_stop)
    tail = history[-max(1, len(history) // 10) :]
    with new_folder(folder) as temporary:
        save_model(model, prepared, temporary)
        seconds = time.monotonic() - started
        summary = {"first_loss": history[0], "last_loss": sum(tail) / len(tail), "seconds": seconds}
        write_json(temporary / SUMMARY, summary)
    return history


def save_model(model: torch.nn.Module, prepared: Prepared, folder: Path) -> None:
    """Save a model together with its tokenizer, so that the folder is complete for ``transformers``."""
    shutil.copytree(prepared.tokenizer, folder, dirs_exist_ok=True)
    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        model.cpu().save_pretrained(folder)  # type: ignore[operator]
    finally:
        if shown:
            transformers_logging.enable_progress_bar()


def _losses(
    model: FlexiBertForMaskedLM, prepared: Prepared, recipe: Recipe, rng: np.random.Generator, device: torch.device
) -> Iterator[Callable[[], Tensor]]:
    for rows in packed_rows(prepared.tokens, recipe.pretrain_length, recipe.pretrain_batch, rng):
        batch = mask_tokens(rows, prepared.vocab_size, recipe.masked_share, rng)
        inputs, labels = (torch.from_numpy(array).to(device) for array in (batch.inputs, batch.labels))
        yield lambda inputs=inputs, labels=labels: model(input_ids=inputs, labels=labels).loss  # type: ignore[misc]
