"""``transformers.Trainer`` for pre-training with this package's batches, optimiser and schedule, and a step watcher.

The Trainer provides mixed precision, gradient accumulation, checkpoints and distributed training by accelerate. The
loss of a batch is the mean over all its labelled tokens, independent of the number of processes and pieces: each piece
is weighted by its share of them.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Sampler
from transformers import PreTrainedModel, PrinterCallback, Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_callback import TrainerControl, TrainerState

from explorer.training.checkpoints import PREFIX, REMOVE, Checkpoint, seal
from explorer.training.files import intact, writable
from explorer.training.loop import TrainingStopped, build_optimizer, learning_rate, not_finite
from explorer.training.masking import IGNORED, MaskedBatches
from explorer.training.recipe import Precision, Recipe

REPORTS = 100
"""Fewest progress reports per training."""
LONGEST = 10
"""Most steps between two reads of the losses."""


class Pieces(Dataset[dict[str, Any]]):
    """The work of one process: its rows of every batch, split into ``pieces``.

    Args:
        batches: the batches.
        size: rows of a batch.
        pieces: pieces of a batch on each process.
        process: number of this process.
        processes: number of processes.
    """

    def __init__(self, batches: MaskedBatches, size: int, pieces: int, process: int, processes: int) -> None:
        self._batches, self._size, self._pieces = batches, size, pieces
        self._process, self._all = process, pieces * processes

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return piece ``index`` over all batches: ``input_ids`` and ``labels`` ``[b, S]``, and its ``weight``."""
        number, piece = divmod(index, self._pieces)
        batch = self._batches.batch(number)
        place = self._process * self._pieces + piece
        rows = slice(place * self._size // self._all, (place + 1) * self._size // self._all)
        inputs, labels = batch.inputs[rows], batch.labels[rows]
        share = float((labels != IGNORED).sum() / (batch.labels != IGNORED).sum())
        # With this weight the mean over pieces and processes equals the mean over tokens.
        weight = share * self._all
        return {"input_ids": torch.from_numpy(inputs), "labels": torch.from_numpy(labels), "weight": weight}


class Remaining(Sampler[int]):
    """A sampler of the indices from ``first`` to ``total``; its length is ``total``, so that there is one epoch."""

    def __init__(self, first: int, total: int) -> None:
        self._first, self._total = first, total

    def __iter__(self) -> Iterator[int]:
        return iter(range(self._first, self._total))

    def __len__(self) -> int:
        return self._total


class Watcher(TrainerCallback):
    """A watcher that collects and reports losses and decides, for all processes together, when to save and to stop.

    Args:
        recipe: the settings.
        run: digest of everything that the training depends on.
        resumed: checkpoint that the training resumes from, if any.
        on_step: called with the number of finished steps and the latest loss, in the first process.
        should_stop: polled between steps; one process suffices to stop all.
        clock: monotonic clock in seconds.
    """

    def __init__(
        self,
        recipe: Recipe,
        run: str,
        resumed: Checkpoint | None,
        on_step: Callable[[int, float], None],
        should_stop: Callable[[], bool],
        clock: Callable[[], float],
    ) -> None:
        self._recipe, self._run, self._on_step, self._should_stop = recipe, run, on_step, should_stop
        self._clock, self._saved, self._started = clock, clock(), clock()
        self._before = resumed.seconds if resumed else 0.0
        self.losses: list[float] = resumed.losses.tolist() if resumed else []
        self._saved_steps = self._told = len(self.losses)
        self._pieces: list[Tensor] = []
        self._unread: list[Tensor] = []
        self._every = max(1, min(recipe.pretrain_steps // REPORTS, LONGEST))
        self.stopped = False

    @property
    def seconds(self) -> float:
        """Duration of the training in seconds, including earlier parts."""
        return self._before + self._clock() - self._started

    def add(self, loss: Tensor) -> None:
        """Record a piece's share of the batch's loss."""
        self._pieces.append(loss)

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Stop before the first step if requested."""
        if self._agreed(args, [], [self._should_stop()])[0]:
            raise TrainingStopped(f"stopped on request before step {len(self.losses) + 1}")

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Read the losses since the last read; on a GPU not at every step, because each read synchronises."""
        self._unread.append(torch.stack(self._pieces).sum())
        self._pieces.clear()
        step, steps = state.global_step, self._recipe.pretrain_steps
        prompt = args.world_size == 1 and args.device.type == "cpu"
        if not prompt and step % self._every and step < steps:
            return
        due = state.is_world_process_zero and self._due(step)
        stop, due = self._agreed(args, self._unread, [self._should_stop(), due])
        self._unread.clear()
        if state.is_world_process_zero and (step - self._told >= self._every or step == steps):
            self._told = step
            self._on_step(step, self.losses[-1])
        if step < steps:
            self.stopped = control.should_training_stop = stop
            control.should_save = stop or due

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Seal the checkpoint that the processes have written."""
        wait_for_all(args)
        if state.is_world_process_zero:
            seal(Path(str(args.output_dir)) / f"{PREFIX}{state.global_step}", self._run, self.losses, self.seconds)
        self._saved, self._saved_steps = self._clock(), state.global_step

    def _due(self, step: int) -> bool:
        steps, minutes = self._recipe.checkpoint_steps, self._recipe.checkpoint_minutes
        by_steps = 0 < steps <= step - self._saved_steps
        return by_steps or 0 < 60 * minutes <= self._clock() - self._saved

    def _agreed(self, args: TrainingArguments, losses: list[Tensor], wishes: list[bool]) -> list[bool]:
        """Gather the losses of all processes and combine their requests to stop. Raises TrainingFailed."""
        shared = torch.tensor([float(wish) for wish in wishes], dtype=torch.float64, device=args.device)
        if losses:
            shared = torch.cat([torch.stack(losses).double() / args.world_size, shared])
        if args.world_size > 1:
            torch.distributed.all_reduce(shared)
        values = shared.tolist()
        steps = self._recipe.pretrain_steps
        for value in values[: len(losses)]:
            if not math.isfinite(value):
                done = len(self.losses)
                rate = learning_rate(done, steps, self._recipe.pretrain_rate, self._recipe.warmup_share)
                raise not_finite(value, done + 1, steps, rate)
            self.losses.append(value)
        return [value > 0 for value in values[len(losses) :]]


class PretrainingTrainer(Trainer):
    """A ``transformers.Trainer`` with the optimiser and the schedule of ``loop``.

    Args:
        model: the model.
        args: result of ``training_arguments``.
        batches: the batches.
        recipe: the settings.
        watcher: the watcher of every step.
        first: number of finished steps of the training that is resumed.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        args: TrainingArguments,
        batches: MaskedBatches,
        recipe: Recipe,
        watcher: Watcher,
        first: int,
    ) -> None:
        self._recipe, self._watcher, self._first = recipe, watcher, first
        pieces = recipe.pretrain_pieces
        self._data = Pieces(batches, recipe.pretrain_batch, pieces, args.process_index, args.world_size)
        super().__init__(model=model, args=args, callbacks=[watcher])
        self.remove_callback(PrinterCallback)

    def get_train_dataloader(self) -> DataLoader[dict[str, Any]]:
        """Return a loader of the remaining pieces; for a GPU a worker process prepares them."""
        pieces, cuda = self._recipe.pretrain_pieces, self.args.device.type == "cuda"
        indices = Remaining(self._first * pieces, self._recipe.pretrain_steps * pieces)
        # A DataLoader draws a number at its start; its own generator keeps dropout independent of the resume position.
        own = torch.Generator()
        workers = 1 if cuda else 0
        return DataLoader(
            self._data, batch_size=None, sampler=indices, num_workers=workers, pin_memory=cuda, generator=own
        )

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """Create AdamW as in ``loop``."""
        optimizer = build_optimizer(cast(nn.Module, model or self.model), self._recipe.pretrain_rate, self._recipe)
        self.optimizer = optimizer
        return optimizer

    def create_scheduler(
        self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None
    ) -> torch.optim.lr_scheduler.LRScheduler:
        """Create the schedule of ``loop``: linear warm-up, then linear decay."""
        self._created_lr_scheduler = True
        share = self._recipe.warmup_share
        scheduler = torch.optim.lr_scheduler.LambdaLR(
            cast(torch.optim.Optimizer, optimizer or self.optimizer),
            lambda step: learning_rate(step, num_training_steps, 1.0, share),
        )
        self.lr_scheduler = scheduler
        return scheduler

    def training_step(
        self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: Tensor | int | None = None
    ) -> Tensor:
        """Run forward and backward passes of one piece and pass its share of the batch's loss to the watcher."""
        if not model.training:  # setting the mode again takes noticeable time for small models
            model.train()
        piece = self._prepare_inputs(inputs)
        with self.compute_loss_context_manager():
            loss = model(input_ids=piece["input_ids"], labels=piece["labels"]).loss
        loss = loss * (piece["weight"] / self._recipe.pretrain_pieces)
        if self.args.fp16:
            self.accelerator.backward(loss)  # scales it
        else:
            loss.backward()
        share = loss.detach()
        self._watcher.add(share)
        return share

    def _load_from_checkpoint(self, resume_from_checkpoint: str, *more: Any) -> None:
        with intact(Path(resume_from_checkpoint), REMOVE):
            super()._load_from_checkpoint(resume_from_checkpoint, *more)

    def _save_checkpoint(self, *how: Any) -> None:
        with writable(Path(str(self.args.output_dir))):
            super()._save_checkpoint(*how)

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """Return 0: ``explorer.measure`` counts FLOPs once instead of at every step."""
        return 0


class TrainerFactory(Protocol):
    """A factory of a ``PretrainingTrainer`` or a subclass with other steps."""

    def __call__(
        self,
        model: PreTrainedModel,
        args: TrainingArguments,
        batches: MaskedBatches,
        recipe: Recipe,
        watcher: Watcher,
        first: int,
    ) -> Trainer:
        """Create the trainer; see ``PretrainingTrainer``."""


def training_arguments(recipe: Recipe, folder: Path, device: torch.device) -> TrainingArguments:
    """Return the Trainer's arguments; under torchrun this also initialises the process group.

    Args:
        recipe: the settings.
        folder: folder of the checkpoints.
        device: ``cpu``, or ``cuda`` for the first GPU that is visible, or for one per process.
    """
    cpu = device.type == "cpu"
    args = TrainingArguments(
        output_dir=str(folder),
        max_steps=recipe.pretrain_steps,
        gradient_accumulation_steps=recipe.pretrain_pieces,
        max_grad_norm=recipe.clip,
        bf16=recipe.precision == Precision.BFLOAT16,
        fp16=recipe.precision == Precision.FLOAT16,
        use_cpu=cpu,
        ddp_backend="gloo" if cpu and "LOCAL_RANK" in os.environ else None,  # set by torchrun
        ddp_find_unused_parameters=False,
        save_strategy="no",  # Watcher.on_step_end decides when to save
        logging_strategy="no",
        logging_nan_inf_filter=False,
        ignore_data_skip=True,  # the sampler already starts at the resume position
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=False,
        remove_unused_columns=False,
    )
    if not cpu:
        args._n_gpu = 1  # several GPUs use several processes, never threads of one
    return args


def wait_for_all(args: TrainingArguments) -> None:
    """Wait until all processes reach this point."""
    if args.distributed_state is not None:
        args.distributed_state.wait_for_everyone()
