"""Models with random weights for measurements, whose results do not depend on the weights."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor
from transformers import PreTrainedModel

from explorer.measure.settings import Load, Precision
from explorer.measure.size import is_relative
from explorer.models import FlexiBertConfig, config_for
from explorer.space.spec import ArchitectureSpec

Model = TypeVar("Model", bound=PreTrainedModel)
POSITIONS = 512
"""Maximum sequence length of a model, unless the load is longer."""


def configuration(spec: ArchitectureSpec, load: Load, positions: str | None = None) -> FlexiBertConfig:
    """Return the configuration of the model that a load is run on.

    Raises:
        InputError: ``positions`` is unknown.
    """
    is_relative(positions, spec.backbone)  # Validates positions.
    return config_for(
        spec,
        vocab_size=load.vocabulary,
        max_position_embeddings=max(POSITIONS, load.length),
        position_embedding_type=positions,
    )


def build(kind: type[Model], config: FlexiBertConfig, device: torch.device | str, **options: bool) -> Model:
    """Build a model with random weights on a device; torch's global RNG state is restored."""
    with torch.random.fork_rng(devices=[]), torch.device(device):
        return kind(config, **options)


def for_inference(model: Model, precision: Precision) -> Model:
    """Return the model in evaluation mode, without gradients, with weights in the load's precision."""
    model = model.eval().requires_grad_(False)
    return model.bfloat16() if precision is Precision.BF16 else model


def tokens(load: Load, device: torch.device | str, seed: int = 0) -> Tensor:
    """Draw random token ids ``[batch, length]``."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(load.vocabulary, (load.batch, load.length), generator=generator).to(device)
