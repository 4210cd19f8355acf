"""What is done to bottlenecks: start them as identities, take a BERT in between them, merge those that meet.

Between two layers an output bottleneck E and the next layer's input bottleneck P follow each other with nothing in
between, so P (E x + e) + p = (P E) x + (P e + p): one Linear does what the two did.
"""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar, cast

import torch
from torch import Tensor, nn

from explorer.errors import InputError
from explorer.models import FlexiBertConfig, FlexiBertForMaskedLM, FlexiBertModel, FlexiBertPreTrainedModel, spec_of
from explorer.models.bert import read_bert
from explorer.models.flexibert.modeling_flexibert import FlexiBertLayer
from explorer.supershaper.network import shape_config

ModelT = TypeVar("ModelT", bound=FlexiBertPreTrainedModel)
BOTTLENECKS = ("projection", "expansion")


def start_as_identity(model: FlexiBertForMaskedLM) -> None:
    """Let every bottleneck of a shape pass on what comes in, as far as its widths allow.

    A layer of width d then starts with the first d numbers of the stream; one of the backbone's width, as if it had no
    bottlenecks. Random ones would weaken the stream from layer to layer, as there is no residual around them.
    """
    with torch.no_grad():
        for layer in cast(list[FlexiBertLayer], list(model.flexibert.layers)):
            for name in BOTTLENECKS:
                linear = cast(nn.Linear, getattr(layer, name))
                linear.weight.copy_(torch.eye(*linear.weight.shape))
                linear.bias.zero_()


def start_from_bert(model: FlexiBertForMaskedLM, folder: Path) -> None:
    """Fill the largest shape with a BERT's weights, its bottlenecks with identities: it then computes what BERT does.

    Args:
        model: the largest shape of a backbone of BERT's sizes, with BERT's vocabulary; not merged.
        folder: a BERT checkpoint; its masked-LM head is taken where it has one.

    Raises:
        InputError: the model is not of BERT's sizes, or a setting of it would make the same weights compute otherwise.
        DataError, SpecError: the checkpoint cannot be read (``explorer.models.bert.read_bert``).
    """
    found = read_bert(folder)
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


def merge_bottlenecks(model: ModelT) -> ModelT:
    """A copy of a shape's stand-alone model in which the bottlenecks between layers are one Linear each.

    Args:
        model: of any head, its bottlenecks not merged; not changed.

    Returns:
        A model of the same class with ``merged_bottlenecks``, in evaluation mode; its outputs differ by rounding only.

    Raises:
        InputError: it has no bottlenecks, or they are merged already.
    """
    config = cast(FlexiBertConfig, model.config)
    if config.merged_bottlenecks or config.backbone is None:
        given = "none" if config.backbone is None else "merged already"
        raise InputError("bottlenecks", "be there and not merged", given, "Merge a shape's model, once.")
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
    """Weight and bias of the Linear that does what two do, computed in float64."""
    after, shift, before, offset = (one.double() for one in (after, shift, before, offset))
    return after @ before, after @ offset + shift
