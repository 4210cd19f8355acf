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
from explorer.training.trainer import PretrainingTrainer, TrainerFactory, Watcher, training_arguments, wait_for_all

SUMMARY = "pretraining.json"
MOST_PROCESSES = 2**16


def model_config(
    spec: ArchitectureSpec, prepared: Prepared, recipe: Recipe, classes: Sequence[str] = ()
) -> FlexiBertConfig:
    """Configuration of the model of an architecture for this vocabulary and length; one output without classes."""
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

    Checkpoints go to ``FOLDER.checkpoints`` until the model is complete, as often as the recipe says and on a wish to
    stop; a second call goes on from the newest and ends, on the same device, with the same losses and weights.

    Under torchrun the processes share the work: each calls this function with the same arguments, and the first one
    writes. The folder must be one that all of them see.

    Args:
        spec: the architecture.
        prepared: text and vocabulary.
        recipe: the settings.
        seed: fixes initial weights, batches, masks and dropout.
        folder: where to save; appears only when complete.
        device: where to compute: ``cpu``, or ``cuda`` for the first visible GPU (under torchrun one per process).
        on_step: told the number of finished steps and the newest loss, at least a hundred times and every ten steps.
        should_stop: asked as often; on a CPU at every step.
        initialise: changes the new model's weights, on the CPU, before the first step; not called on resuming.
        clock: seconds since some moment; times checkpoints and the summary.
        trainer: makes what takes the steps.
        mark: what the training depends on besides all that, so that checkpoints of another one are refused.

    Returns:
        The loss of every step.

    Raises:
        TrainingStopped: ``should_stop`` said so.
        TrainingFailed: the loss is not a finite number.
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
        # Every process drops other values.
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
    """Where the checkpoints of the model that is to appear in ``folder`` are."""
    return folder.with_name(f"{folder.name}.checkpoints")


def check_device(recipe: Recipe, device: torch.device) -> None:
    """Raise InputError if a recipe cannot be computed on a device, or the device is no first one."""
    if device.type == "cuda" and device.index not in (None, 0):
        remedy = f"Set CUDA_VISIBLE_DEVICES={device.index} and use cuda."
        raise InputError("device", "be cpu, or cuda for the first GPU that is visible", str(device), remedy)
    if device.type != "cuda" and recipe.precision == Precision.FLOAT16:
        rule = "be float32 or bfloat16 where there is no GPU"
        raise InputError("recipe.precision", rule, str(recipe.precision), "Use bfloat16.")


@contextmanager
def _old_objects_kept(device: torch.device) -> Iterator[None]:
    """Spare the Trainer's search of the whole process for garbage: 0.3 s, while nano models train for seconds.

    On a GPU it is worth its time, as it gives memory of earlier trainings back.
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
    with quiet_transformers():
        model.cpu().save_pretrained(folder)  # type: ignore[operator]
