"""Super-pre-training: every step trains the largest, the smallest and some random shapes with one optimiser step.

This is the sandwich rule of universally slimmable networks (arXiv 1903.05134), as used by SuperShaper (arXiv
2110.04711). The sub-networks of a step see the same batch, and the optimiser uses the mean of their gradients. With
in-place distillation all shapes but the largest also learn from the largest one's predictions. Batches, optimiser,
schedule, precision and checkpoints are those of every pre-training in this package.
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
"""Random stream of the shapes; ``masking`` defines the other streams of a seed."""
MOST_SAMPLED = 64


@dataclass(frozen=True)
class SuperPlan:
    """The plan of a super-pre-training.

    Attributes:
        backbone: sizes that all shapes share.
        widths: widths of a layer, sorted; the largest is the backbone's width.
        recipe: steps, rates and batches; ``finetune_…`` and the settings of tasks are ignored.
        seed: seed of initial weights, batches, masks, dropout and shapes.
        sampled: random shapes per step, in addition to the largest and the smallest.
        distil: share of the smaller shapes' loss that comes from the largest one's predictions, 0 to 1.

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
            raise InputError("random shapes per step", f"be from 0 to {MOST_SAMPLED}", self.sampled, "Use 2.")
        if not 0 <= self.distil <= 1:
            raise InputError("distillation", "be a share from 0 to 1", self.distil, "Use for example 0.5.")
        if not 0 <= self.seed < 2**31:
            raise InputError("seed", "be from 0 to 2147483647", self.seed, "Choose another seed.")

    @property
    def mark(self) -> str:
        """Digest of the shapes of a step and of the distillation."""
        return digest(json.dumps([asdict(self.backbone), self.widths, self.sampled, self.distil], sort_keys=True))

    @property
    def fidelity(self) -> str:
        """The amount of training, for example ``super-pretrain 3000x16x32 of 4 shapes``."""
        recipe = self.recipe
        rows = f"{recipe.pretrain_steps}x{recipe.pretrain_batch}x{recipe.pretrain_length}"
        return f"super-pretrain {rows} of {self.sampled + 2} shapes"

    def check(self, widths: Sequence[int]) -> ArchitectureSpec:
        """Return the shape with these widths if it was trained; intermediate widths never are.

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
        """Return the shapes of step ``step`` (from 0), largest first; they depend only on seed and step."""
        layers = self.backbone.layers
        drawn = np.random.default_rng([self.seed, SHAPES, step]).choice(self.widths, (self.sampled, layers))
        return [(self.widths[-1],) * layers, (self.widths[0],) * layers, *(tuple(map(int, row)) for row in drawn)]


class SandwichTrainer(PretrainingTrainer):
    """A ``PretrainingTrainer`` whose steps train several shapes of a super-network.

    Args:
        plan: shapes of each step.
        model: model of the largest shape.
        args, batches, recipe, watcher, first: see ``PretrainingTrainer``.

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
            rule = "be one, because sub-networks are not distributed"
            raise InputError("processes of a super-pre-training", rule, args.world_size, "Use one process.")
        self._plan, self._network = plan, SuperNetwork(cast(FlexiBertForMaskedLM, model))
        super().__init__(model, args, batches, recipe, watcher, first)

    def training_step(
        self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: Tensor | int | None = None
    ) -> Tensor:
        """Run forward and backward passes of one piece of a batch through every shape of the step."""
        if not model.training:
            model.train()
        network, plan = self._network, self._plan
        if next(model.parameters()).grad is None:  # The Trainer has dropped the gradients of the previous step.
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

    An interrupted training resumes from its newest checkpoint with the same result (``explorer.training.pretrain``).

    Args:
        plan: plan of the training.
        prepared: text and vocabulary.
        folder: target folder; it appears only when complete.
        device: device to compute on.
        on_step: called with the number of finished steps and the latest loss.
        should_stop: polled between steps.
        bert: checkpoint for weight initialisation; random otherwise. Bottlenecks start as identities in both cases.

    Returns:
        The mean loss of the shapes of every step.

    Raises:
        TrainingStopped, TrainingFailed: see ``explorer.training.pretrain.pretrain``.
        InputError: the same, or the BERT does not fit the backbone.
        DataError: the BERT cannot be read, or the disk is full.
    """
    widest = plan.backbone.spec((plan.widths[-1],) * plan.backbone.layers)

    def start(model: FlexiBertForMaskedLM) -> None:
        if bert is None:
            start_as_identity(model)
        else:
            start_from_bert(model, bert)

    return pretrain(
        widest,
        prepared,
        plan.recipe,
        plan.seed,
        folder,
        device,
        on_step,
        should_stop,
        initialise=start,
        trainer=partial(SandwichTrainer, plan),
        mark=digest(plan.mark, str(bert.resolve()) if bert else ""),
    )
