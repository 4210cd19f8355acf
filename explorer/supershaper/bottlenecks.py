"""Operations on bottlenecks: initialise them as identities, load a BERT between them, merge adjacent ones.

A layer's output bottleneck E is directly followed by the next layer's input bottleneck P, so
P (E x + e) + p = (P E) x + (P e + p): one Linear replaces the two.
"""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar, cast

import torch
from torch import Tensor, nn

from explorer.errors import InputError
from explorer.models import FlexiBertConfig, FlexiBertForMaskedLM, FlexiBertModel, FlexiBertPreTrainedModel, spec_of
from explorer.models.bert import read_bert
from explorer.models.checkpoint import find_checkpoint
from explorer.models.flexibert.modeling_flexibert import FlexiBertLayer
from explorer.supershaper.network import shape_config

ModelT = TypeVar("ModelT", bound=FlexiBertPreTrainedModel)
BOTTLENECKS = ("projection", "expansion")


def start_as_identity(model: FlexiBertForMaskedLM) -> None:
    """Initialise every bottleneck of a shape as a (truncated) identity.

    A layer of width d then sees the first d features of the backbone, and a layer of the backbone's width behaves as if
    it had no bottlenecks. Random initialisation would shrink activations from layer to layer, because there is no
    residual connection around the bottlenecks.
    """
    with torch.no_grad():
        for layer in cast(list[FlexiBertLayer], list(model.flexibert.layers)):
            for name in BOTTLENECKS:
                linear = cast(nn.Linear, getattr(layer, name))
                linear.weight.copy_(torch.eye(*linear.weight.shape))
                linear.bias.zero_()


def start_from_bert(model: FlexiBertForMaskedLM, folder: Path) -> tuple[str, ...]:
    """Load a BERT's weights into the largest shape and identities into its bottlenecks, so that it computes the same.

    Args:
        model: the largest shape of a backbone of BERT's sizes, with BERT's vocabulary and unmerged bottlenecks.
        folder: a BERT checkpoint; its masked-LM head is loaded if it has one.

    Returns:
        Notes on what was done to read the checkpoint, one sentence each.

    Raises:
        InputError: the model differs from BERT in a size, or in a setting that changes the function of the weights.
        DataError, SpecError: the checkpoint cannot be read (``explorer.models.bert.read_bert``).
    """
    found = read_bert(find_checkpoint(str(folder)))
    theirs, ours = cast(FlexiBertConfig, found.model.config), cast(FlexiBertConfig, model.config)
    for name in ("layer_norm_eps", "position_embedding_type", "pad_token_id", "tie_word_embeddings"):
        if getattr(ours, name) != getattr(theirs, name):
            rule = f"be BERT's {getattr(theirs, name)!r}"
            raise InputError(name, rule, getattr(ours, name), "Give the super-network BERT's own settings.")
    if found.spec.depth != ours.num_hidden_layers:
        rule = f"be the super-network's {ours.num_hidden_layers}"
        raise InputError("BERT's layers", rule, found.spec.depth, "Choose the backbone of BERT's own sizes.")
    weights = dict(found.model.named_parameters())
    if isinstance(found.model, FlexiBertModel):
        weights = {f"{model.base_model_prefix}.{name}": value for name, value in weights.items()}
    start_as_identity(model)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.split(".")[-2] in BOTTLENECKS or (name.startswith("head.") and name not in weights):
                continue
            if name not in weights or weights[name].shape != parameter.shape:
                had = tuple(weights[name].shape) if name in weights else None
                rule = f"be of the super-network's shape {tuple(parameter.shape)}"
                raise InputError(f"BERT's {name}", rule, had, "Choose the backbone of BERT's own sizes.")
            parameter.copy_(weights[name])
    return found.files.notes


def merge_bottlenecks(model: ModelT) -> ModelT:
    """Return a copy of a shape's stand-alone model with merged bottlenecks between layers.

    Args:
        model: model with any head and unmerged bottlenecks; it is not modified.

    Returns:
        A model of the same class with ``merged_bottlenecks``, in evaluation mode; its outputs differ by rounding only.

    Raises:
        InputError: it has no bottlenecks, or they are already merged.
    """
    config = cast(FlexiBertConfig, model.config)
    if config.merged_bottlenecks or config.backbone is None:
        given = "none" if config.backbone is None else "merged already"
        raise InputError("bottlenecks", "exist and be unmerged", given, "Merge a shape's model, once.")
    pooled = {"add_pooling_layer": model.pooler is not None} if isinstance(model, FlexiBertModel) else {}
    merged = type(model)(shape_config(config, spec_of(config), merged=True), **pooled)
    merged.to(model.device, model.dtype)  # type: ignore[arg-type]
    old, layers = dict(model.named_parameters()), "layers."
    if not isinstance(model, FlexiBertModel):
        layers = f"{model.base_model_prefix}.{layers}"
    with torch.no_grad():
        for name, parameter in merged.named_parameters():
            place, _, own = name.removeprefix(layers).partition(".")
            if name.startswith(layers) and own.startswith("projection.") and int(place) > 0:
                linears = f"{layers}{place}.projection", f"{layers}{int(place) - 1}.expansion"
                weight, bias = _product(*(old[f"{one}.{kind}"] for one in linears for kind in ("weight", "bias")))
                parameter.copy_(weight if own == "projection.weight" else bias)
            else:
                parameter.copy_(old[name])
    return merged.eval()


def _product(after: Tensor, shift: Tensor, before: Tensor, offset: Tensor) -> tuple[Tensor, Tensor]:
    """Return weight and bias of the composition of two Linears, computed in float64."""
    after, shift, before, offset = (one.double() for one in (after, shift, before, offset))
    return after @ before, after @ offset + shift
