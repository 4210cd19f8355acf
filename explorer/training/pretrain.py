"""Pre-training: masked language modelling on the study's text, by ``transformers.Trainer``."""

from __future__ import annotations

import gc
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch

from explorer.errors import InputError
from explorer.models import FlexiBertConfig, FlexiBertForMaskedLM, config_for
from explorer.models.checking import quiet_transformers
from explorer.space.formats import to_json
from explorer.space.spec import ArchitectureSpec
from explorer.training.checkpoints import discard, latest
from explorer.training.files import digest, new_folder, writable, write_json
from explorer.training.loop import TrainingStopped, reproducible
from explorer.training.masking import MaskedBatches
from explorer.training.prepared import Prepared
from explorer.training.recipe import Precision, Recipe, check_pieces
from explorer.training.tokenizer import recognise_special_tokens
from explorer.training.trainer import PretrainingTrainer, TrainerFactory, Watcher, training_arguments, wait_for_all

SUMMARY = "pretraining.json"
MOST_PROCESSES = 2**16


def model_config(
    spec: ArchitectureSpec, prepared: Prepared, recipe: Recipe, classes: Sequence[str] = ()
) -> FlexiBertConfig:
    """Return an architecture's model configuration for this vocabulary and length; one output without classes."""
    return config_for(
        spec,
        vocab_size=prepared.vocab_size,
        max_position_embeddings=prepared.length,
        id2label=dict(enumerate(classes)) or {0: "value"},
        label2id={name: label for label, name in enumerate(classes)} or {"value": 0},
        pad_token_id=prepared.special.pad,
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
    initialise: Callable[[FlexiBertForMaskedLM], None] | None = None,
    clock: Callable[[], float] = time.monotonic,
    trainer: TrainerFactory = PretrainingTrainer,
    mark: str = "",
) -> list[float]:
    """Pre-train a new model and save it, with the tokenizer and a summary, as a ``transformers`` folder.

    Checkpoints are written to ``FOLDER.checkpoints`` until the model is complete, at the recipe's interval and before a
    requested stop. A second call resumes from the newest and ends, on the same device, with equal losses and weights.

    Under torchrun the processes share the work: each calls this function with the same arguments, and the first one
    writes. The folder must be visible to all of them.

    Args:
        spec: the architecture.
        prepared: text and vocabulary.
        recipe: the settings.
        seed: fixes initial weights, batches, masks and dropout.
        folder: target folder; it appears only when complete.
        device: ``cpu``, or ``cuda`` for the first visible GPU (under torchrun one per process).
        on_step: called with the number of finished steps and the latest loss, at least every ten steps and 100 times.
        should_stop: polled as often; on a CPU at every step.
        initialise: changes the new model's weights, on the CPU, before the first step; not called on resuming.
        clock: monotonic clock in seconds, for checkpoints and the summary.
        trainer: factory of the trainer.
        mark: digest of further inputs of the training; checkpoints with another mark are rejected.

    Returns:
        The loss of every step.

    Raises:
        TrainingStopped: ``should_stop`` returned true.
        TrainingFailed: the loss is not finite.
        InputError: the device is another GPU or cannot compute in the recipe's precision, there are more pieces than
            rows, or the checkpoints belong to another training.
        DataError: the disk is full, or the checkpoint is damaged.
    """
    check_device(recipe, device)
    checkpoints = checkpoint_folder(folder)
    run = digest(to_json(spec), prepared.text, recipe.fidelity, recipe.digest, str(seed), *([mark] if mark else []))
    with reproducible(seed, device), quiet_transformers(), _old_objects_kept(device):
        resumed = latest(checkpoints, run)
        model = FlexiBertForMaskedLM(model_config(spec, prepared, recipe))
        if resumed is None and initialise is not None:
            initialise(model)
        if recipe.gradient_checkpointing:
            model.activation_checkpointing_enable({"use_reentrant": False})
        args = training_arguments(recipe, checkpoints, device)
        check_pieces(recipe, args.world_size)
        rows = (recipe.pretrain_length, recipe.pretrain_batch)
        words = (prepared.vocab_size, recipe.masked_share)
        batches = MaskedBatches(prepared.tokens, *rows, *words, seed=seed, special=prepared.special)
        watcher = Watcher(recipe, run, resumed, on_step, should_stop, clock)
        taker = trainer(model, args, batches, recipe, watcher, len(watcher.losses))
        # Give each process its own dropout mask.
        torch.manual_seed(seed * MOST_PROCESSES + args.process_index)
        taker.train(resume_from_checkpoint=str(resumed.folder) if resumed else None)
        history = watcher.losses
        if watcher.stopped:
            place = f"before step {len(history) + 1} of {recipe.pretrain_steps}"
            raise TrainingStopped(f"stopped on request {place}")
    if args.process_index == 0:
        tail = history[-max(1, len(history) // 10) :]
        with writable(folder), new_folder(folder) as temporary:
            save_model(model, prepared, temporary)
            summary = {"first_loss": history[0], "last_loss": sum(tail) / len(tail), "seconds": watcher.seconds}
            write_json(temporary / SUMMARY, summary)
        discard(checkpoints)
    wait_for_all(args)
    return history


def checkpoint_folder(folder: Path) -> Path:
    """Return the folder of the checkpoints of the model in ``folder``."""
    return folder.with_name(f"{folder.name}.checkpoints")


def check_device(recipe: Recipe, device: torch.device) -> None:
    """Raise InputError if a device cannot run a recipe, or is not the first of its kind."""
    if device.type == "cuda" and device.index not in (None, 0):
        remedy = f"Set CUDA_VISIBLE_DEVICES={device.index} and use cuda."
        raise InputError("device", "be cpu, or cuda for the first GPU that is visible", str(device), remedy)
    if device.type != "cuda" and recipe.precision == Precision.FLOAT16:
        rule = "be float32 or bfloat16 on a CPU"
        raise InputError("recipe.precision", rule, str(recipe.precision), "Use bfloat16.")


@contextmanager
def _old_objects_kept(device: torch.device) -> Iterator[None]:
    """Skip the Trainer's full garbage collection, which takes 0.3 s while nano models train for seconds.

    On a GPU it is kept, because it frees memory of earlier trainings.
    """
    if device.type == "cuda":
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def save_model(model: torch.nn.Module, prepared: Prepared, folder: Path) -> None:
    """Save a model together with its tokenizer, so that the folder is complete for ``transformers``."""
    shutil.copytree(prepared.tokenizer, folder, dirs_exist_ok=True)
    recognise_special_tokens(folder)
    with quiet_transformers():
        model.cpu().save_pretrained(folder)  # type: ignore[operator]
