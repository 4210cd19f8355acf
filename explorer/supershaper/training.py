"""Super-pre-training: every step trains the largest shape, the smallest, and some between them, then moves once.

That is the sandwich rule of universally slimmable networks (arXiv 1903.05134), by which SuperShaper (arXiv 2110.04711)
is trained. A step's sub-networks see the same batch; the step is taken by the mean of their gradients. With in-place
distillation all but the largest also learn what the largest predicts. Batches, optimiser, schedule, precision and
checkpoints are those of any pre-training here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedModel, TrainingArguments

from explorer.errors import InputError
from explorer.models import FlexiBertForMaskedLM
from explorer.space.backbones import Backbone
from explorer.space.spec import ArchitectureSpec
from explorer.supershaper.bottlenecks import start_as_identity, start_from_bert
from explorer.supershaper.network import SuperNetwork, Widths
from explorer.training.files import digest
from explorer.training.masking import MaskedBatches
from explorer.training.prepared import Prepared
from explorer.training.pretrain import pretrain
from explorer.training.recipe import Recipe
from explorer.training.trainer import PretrainingTrainer, Watcher

SHAPES = 2
"""Stream of chance that shapes are drawn from; ``masking`` has the others of a seed."""
MOST_SAMPLED = 64


@dataclass(frozen=True)
class SuperPlan:
    """What is trained, and how.

    Attributes:
        backbone: what all shapes share.
        widths: of a layer; kept sorted. The backbone's own is the largest.
        recipe: steps, rates, batches; ``finetune_…`` and the tasks' settings play no part.
        seed: of initial weights, batches, masks, dropout and shapes.
        sampled: random shapes of every step, besides the largest and the smallest.
        distil: share of the smaller shapes' loss that is what the largest predicts instead of the text, 0 to 1.

    Raises:
        InputError: a number is out of its range; SpecError: a width does not fit the backbone.
    """

    backbone: Backbone
    widths: Widths
    recipe: Recipe
    seed: int = 0
    sampled: int = 2
    distil: float = 0.0

    def __post_init__(self) -> None:
        widths = tuple(sorted(set(self.widths)))
        object.__setattr__(self, "widths", widths)
        if len(widths) < 2 or widths[-1] != self.backbone.hidden:
            rule = f"be at least two, the largest the backbone's {self.backbone.hidden}"
            raise InputError("widths", rule, list(widths), "Add the backbone's width.")
        for width in widths:
            self.backbone.spec([width] * self.backbone.layers)
        if not 0 <= self.sampled <= MOST_SAMPLED:
            raise InputError("random shapes per step", f"be from 0 to {MOST_SAMPLED}", self.sampled, "Two are usual.")
        if not 0 <= self.distil <= 1:
            raise InputError("distillation", "be a share from 0 to 1", self.distil, "Use for example 0.5.")
        if not 0 <= self.seed < 2**31:
            raise InputError("seed", "be from 0 to 2147483647", self.seed, "Choose another seed.")

    @property
    def mark(self) -> str:
        """Digest of what shapes a step trains and how they learn from each other."""
        return digest(json.dumps([asdict(self.backbone), self.widths, self.sampled, self.distil], sort_keys=True))

    @property
    def fidelity(self) -> str:
        """How much training stands behind the super-network, for example ``super-pretrain 3000x16x32 of 4 shapes``."""
        recipe = self.recipe
        rows = f"{recipe.pretrain_steps}x{recipe.pretrain_batch}x{recipe.pretrain_length}"
        return f"super-pretrain {rows} of {self.sampled + 2} shapes"

    def check(self, widths: Sequence[int]) -> ArchitectureSpec:
        """The shape of these widths, if it was trained; between the widths there are others that never were.

        Raises:
            SpecError: it does not fit the backbone; InputError: it has a width that was never trained.
        """
        spec = self.backbone.spec(widths)
        strange = sorted(set(widths) - set(self.widths))
        if strange:
            rule = f"have the widths that the super-network was trained with: {', '.join(map(str, self.widths))}"
            raise InputError("shape", rule, ", ".join(map(str, strange)), "Choose among them.")
        return spec

    def shapes(self, step: int) -> list[Widths]:
        """What step ``step`` (from 0) trains, the largest first; it depends on the seed and the step alone."""
        layers = self.backbone.layers
        drawn = np.random.default_rng([self.seed, SHAPES, step]).choice(self.widths, (self.sampled, layers))
        return [(self.widths[-1],) * layers, (self.widths[0],) * layers, *(tuple(map(int, row)) for row in drawn)]


class SandwichTrainer(PretrainingTrainer):
    """Takes the steps of a super-network; all else is as in any pre-training.

    Args:
        plan: what each step trains.
        model: of the largest shape.
        args, batches, recipe, watcher, first: as ``PretrainingTrainer``'s.

    Raises:
        InputError: several processes share the work.
    """

    def __init__(
        self,
        plan: SuperPlan,
        model: PreTrainedModel,
        args: TrainingArguments,
        batches: MaskedBatches,
        recipe: Recipe,
        watcher: Watcher,
        first: int,
    ) -> None:
        if args.world_size > 1:
            rule = "be one: sub-networks are not shared out"
            raise InputError("processes of a super-pre-training", rule, args.world_size, "Use one process.")
        self._plan, self._network = plan, SuperNetwork(cast(FlexiBertForMaskedLM, model))
        super().__init__(model, args, batches, recipe, watcher, first)

    def training_step(
        self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: Tensor | int | None = None
    ) -> Tensor:
        """One piece of a batch, forward and backward through every shape of the step."""
        if not model.training:
            model.train()
        network, plan = self._network, self._plan
        if next(model.parameters()).grad is None:  # The Trainer has dropped the gradients of the last step.
            network.zero_grad()
        piece = self._prepare_inputs(inputs)
        shapes = plan.shapes(self.state.global_step)
        scale = piece["weight"] / self._recipe.pretrain_pieces / len(shapes)
        soft: Tensor | None = None
        total = torch.zeros((), device=self.args.device)
        for widths in shapes:
            with self.compute_loss_context_manager():
                output = network.sub_network(widths)(input_ids=piece["input_ids"], labels=piece["labels"])
                loss = output.loss
                if soft is not None:
                    loss = (1 - plan.distil) * loss + plan.distil * F.cross_entropy(output.logits, soft)
                elif plan.distil > 0:
                    soft = output.logits.detach().float().softmax(-1)
            share = loss * scale
            network.backward(self.accelerator.scaler.scale(share) if self.args.fp16 else share)
            total += share.detach()
        self._watcher.add(total)
        return total


def train_super_network(
    plan: SuperPlan,
    prepared: Prepared,
    folder: Path,
    device: torch.device,
    on_step: Callable[[int, float], None],
    should_stop: Callable[[], bool],
    bert: Path | None = None,
) -> list[float]:
    """Train a super-network and save it as the ``transformers`` folder of its largest shape.

    Interrupted, it goes on from its newest checkpoint and ends with the same weights (``explorer.training.pretrain``).

    Args:
        plan: what and how.
        prepared: text and vocabulary.
        folder: where to save; appears only when complete.
        device: where to compute.
        on_step: told the number of finished steps and the newest loss.
        should_stop: asked between steps.
        bert: a checkpoint to start from; else weights are random. Bottlenecks start as identities in either case.

    Returns:
        The mean loss of the shapes of every step.

    Raises:
        TrainingStopped, TrainingFailed, InputError: as ``explorer.training.pretrain.pretrain``; and the BERT does not
            fit the backbone.
        DataError: the BERT cannot be read, or the disk is full.
    """
    widest = plan.backbone.spec((plan.widths[-1],) * plan.backbone.layers)
    return pretrain(
        widest,
        prepared,
        plan.recipe,
        plan.seed,
        folder,
        device,
        on_step,
        should_stop,
        initialise=start_as_identity if bert is None else lambda model: start_from_bert(model, bert),
        trainer=partial(SandwichTrainer, plan),
        mark=digest(plan.mark, str(bert.resolve()) if bert else ""),
    )
