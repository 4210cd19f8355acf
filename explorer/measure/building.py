"""An architecture as a model with random weights, ready to be measured; what it costs does not depend on them."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor
from transformers import PreTrainedModel

from explorer.measure.settings import Load, Precision
from explorer.models import FlexiBertConfig, config_for
from explorer.space.spec import ArchitectureSpec

Model = TypeVar("Model", bound=PreTrainedModel)
POSITIONS = 512
"""Longest sequence of a model, unless the load is longer."""


def configuration(spec: ArchitectureSpec, load: Load, positions: str | None = None) -> FlexiBertConfig:
    """The configuration of the model that a load is put on.

    Raises:
        InputError: no such ``positions``.
    """
    return config_for(
        spec,
        vocab_size=load.vocabulary,
        max_position_embeddings=max(POSITIONS, load.length),
        position_embedding_type=positions,
    )


def build(kind: type[Model], config: FlexiBertConfig, device: torch.device | str, **options: bool) -> Model:
    """A model with random weights on a device; the global random generator is left as it was."""
    with torch.random.fork_rng(devices=[]), torch.device(device):
        return kind(config, **options)


def for_inference(model: Model, precision: Precision) -> Model:
    """The model in evaluation mode, without gradients, with weights in the load's precision."""
    model = model.eval().requires_grad_(False)
    return model.bfloat16() if precision is Precision.BF16 else model


def tokens(load: Load, device: torch.device | str, seed: int = 0) -> Tensor:
    """Random token ids ``[batch, length]``."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(load.vocabulary, (load.batch, load.length), generator=generator).to(device)
