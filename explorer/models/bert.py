"""Conversion of BERT checkpoints of ``transformers`` to models of this package with the same weights.

A BERT is the homogeneous architecture of ``sdp`` heads, one feed-forward width and equal hidden sizes. Positions are
absolute, or ``relative_key`` (Shaw et al., arXiv 1803.02155) in checkpoints of ``transformers`` before version 5, which
dropped them. BERT's distance is query minus key and this package's is key minus query, so that embedding is reversed.
"""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
import transformers
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from explorer.errors import DataError, ExplorerError, InputError
from explorer.models.architecture import config_for, spec_of
from explorer.models.checking import TOLERANCE, quiet_transformers, random_batches
from explorer.models.flexibert.configuration_flexibert import FlexiBertConfig, Positions
from explorer.models.flexibert.modeling_flexibert import (
    FlexiBertForMaskedLM,
    FlexiBertForSequenceClassification,
    FlexiBertForTokenClassification,
    FlexiBertModel,
    FlexiBertPreTrainedModel,
)
from explorer.space.spec import ArchitectureSpec, LayerSpec

AGAIN = "Download the checkpoint again."
HEADS: Mapping[str, type[FlexiBertPreTrainedModel]] = {
    "BertModel": FlexiBertModel,
    "BertForMaskedLM": FlexiBertForMaskedLM,
    "BertForPreTraining": FlexiBertForMaskedLM,
    "BertForSequenceClassification": FlexiBertForSequenceClassification,
    "BertForTokenClassification": FlexiBertForTokenClassification,
}
"""The class of this package for each of BERT's classes."""

_NAMES = (  # The order matters: some names contain others.
    ("LayerNorm.gamma", "LayerNorm.weight"),  # in the oldest checkpoints
    ("LayerNorm.beta", "LayerNorm.bias"),
    ("embeddings.LayerNorm", "embeddings.norm"),
    ("encoder.layer.", "layers."),
    ("attention.self.distance_embedding", "distances"),
    ("attention.self.", "heads.sa_sdp."),
    ("attention.output.dense", "output"),
    ("attention.output.LayerNorm", "output_norm"),
    ("intermediate.dense", "feed_forward.0"),
    ("output.dense", "feed_forward_output"),
    ("output.LayerNorm", "feed_forward_norm"),
    ("pooler.dense", "pooler"),
    ("cls.predictions.transform.dense", "head.dense"),
    ("cls.predictions.transform.LayerNorm", "head.norm"),
    ("cls.predictions.decoder", "head.decoder"),
    ("cls.predictions.bias", "head.decoder.bias"),
)
_COPIED = (
    *("vocab_size", "max_position_embeddings", "type_vocab_size", "hidden_dropout_prob", "layer_norm_eps"),
    *("attention_probs_dropout_prob", "initializer_range", "pad_token_id", "tie_word_embeddings", "problem_type"),
)
_RECOMPUTED = ("embeddings.position_ids",)
"""Buffers of older checkpoints that BERT recomputes."""


@dataclass(frozen=True)
class ImportedBert:
    """A BERT checkpoint as a model of this package.

    Attributes:
        spec: its architecture.
        model: the model, in evaluation mode and with the checkpoint's dtype.
        left_out: names of weights without a counterpart in the model, such as next-sentence prediction.
    """

    spec: ArchitectureSpec
    model: FlexiBertPreTrainedModel
    left_out: tuple[str, ...]


def read_bert(folder: Path) -> ImportedBert:
    """Read the folder of a BERT checkpoint, as ``BertModel`` and related classes save it.

    Args:
        folder: with ``config.json`` and the weights, in safetensors or torch's format, whole or sharded.

    Raises:
        DataError: a file is missing or damaged, or the weights do not fit the configuration.
        InputError: the model is not a BERT, or has a setting that this package does not support.
        SpecError: a size is out of the bounds of an architecture.
    """
    settings = _settings(folder)
    config = _config(settings)
    name = next(iter(settings.get("architectures") or ["BertModel"]))
    if name not in HEADS:
        remedy = "Save its encoder alone: model.bert.save_pretrained(FOLDER)."
        raise InputError("architectures", f"be one of {', '.join(HEADS)}", name, remedy)
    weights = _renamed(_weights(folder))
    kind = HEADS[name]
    if kind is FlexiBertModel:
        model: FlexiBertPreTrainedModel = FlexiBertModel(config, add_pooling_layer="pooler.weight" in weights)
    else:
        model = kind(config)
    return ImportedBert(spec_of(config), model.eval(), _fill(model, weights, str(folder)))


def compare_with_bert(found: ImportedBert, folder: Path) -> float | None:
    """Return the maximum difference between a model's outputs and those of its BERT, at real tokens, in float32.

    Args:
        found: the result of ``read_bert`` for the folder.
        folder: the checkpoint.

    Returns:
        The difference; ``None`` with relative positions, which BERT in current ``transformers`` lacks.

    Raises:
        ExplorerError: the difference is larger than rounding error.
    """
    config = cast(FlexiBertConfig, found.model.config)
    if config.relative:
        return None
    kind = next(name for name, ours in HEADS.items() if isinstance(found.model, ours))
    with quiet_transformers():
        theirs = getattr(transformers, kind).from_pretrained(folder, dtype=torch.float32).eval()
    ours = found.model if found.model.dtype == torch.float32 else copy.deepcopy(found.model).float()
    largest = 0.0
    for ids, mask in random_batches(config):
        with torch.inference_mode():
            wanted, got = theirs(ids, attention_mask=mask)[0], ours(ids, mask)[0]
        if wanted.ndim == mask.ndim + 1:
            wanted, got = wanted[mask.bool()], got[mask.bool()]
        apart = float((wanted - got).abs().max())
        if not apart <= TOLERANCE * max(1.0, float(wanted.abs().max())):  # NaN fails the comparison too.
            raise ExplorerError(f"the model's outputs differ from BERT's by {apart:.1e}; nothing was written")
        largest = max(largest, apart)
    return largest


def _settings(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(str(path), "be the configuration of a model", str(error), "Name the model's folder.") from None
    if not isinstance(settings, dict) or settings.get("model_type") != "bert":
        kind = settings.get("model_type") if isinstance(settings, dict) else settings
        raise InputError("model_type", "be bert", kind, "Only checkpoints of BERT can be imported.")
    return settings


def _config(settings: Mapping[str, Any]) -> FlexiBertConfig:
    """Return the configuration, with BERT's defaults for missing settings. Raises InputError, DataError."""
    for name, rule, allowed in (
        ("hidden_act", "be gelu, the activation of all architectures", ("gelu",)),
        ("is_decoder", "be false, because all architectures are encoders", (False,)),
        ("add_cross_attention", "be false, because all architectures are encoders", (False,)),
        ("pruned_heads", "be empty, because the heads of a layer are equal", ({},)),
        ("position_embedding_type", f"be {' or '.join(Positions)}", tuple(Positions)),
    ):
        if settings.get(name) is not None and settings[name] not in allowed:
            raise InputError(name, rule, settings[name], "This checkpoint cannot be imported.")
    try:
        bert = transformers.BertConfig.from_dict(dict(settings))
    except (TypeError, ValueError) as error:  # huggingface_hub's validation errors are of these
        raise DataError("config.json", "be a valid configuration of BERT", str(error), "Correct it.") from None
    layer = LayerSpec.per_layer(bert.hidden_size, "sa", "sdp", bert.num_attention_heads, (bert.intermediate_size,))
    try:
        return config_for(
            ArchitectureSpec((layer,) * bert.num_hidden_layers),
            position_embedding_type=settings.get("position_embedding_type") or str(Positions.ABSOLUTE),
            id2label=bert.id2label,
            label2id=bert.label2id,
            **{name: getattr(bert, name) for name in _COPIED},
        )
    except ValueError as error:
        raise DataError("config.json", "be a valid configuration of BERT", str(error), "Correct it.") from None


def _weights(folder: Path) -> dict[str, Tensor]:
    """Load all weights by BERT's names. Raises DataError."""
    for whole in ("model.safetensors", "pytorch_model.bin"):
        index = folder / f"{whole}.index.json"
        try:
            if (folder / whole).is_file():
                return _load(folder / whole)
            if index.is_file():
                shards = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
                return {name: value for shard in shards for name, value in _load(folder / shard).items()}
        except (OSError, ValueError, KeyError, RuntimeError, SafetensorError, pickle.UnpicklingError) as error:
            raise DataError(f"weights in {folder}", "be readable", str(error), AGAIN) from None
    rule = "hold model.safetensors or pytorch_model.bin"
    raise DataError("folder", rule, str(folder), "Name the folder that save_pretrained wrote.")


def _load(path: Path) -> dict[str, Tensor]:
    if path.suffix == ".safetensors":
        return load_file(path)
    # weights_only: unpickling other objects could execute code from the file.
    return torch.load(path, map_location="cpu", weights_only=True)


def _renamed(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename weights to the names of this package, without the base model's prefix."""
    renamed = {}
    for name, value in weights.items():
        for theirs, ours in _NAMES:
            name = name.replace(theirs, ours)
        name = name.removeprefix("bert.")
        if name not in _RECOMPUTED:
            renamed[name] = value.flip(0) if name.endswith("distances.weight") else value
    return renamed


def _fill(model: FlexiBertPreTrainedModel, weights: dict[str, Tensor], source: str) -> tuple[str, ...]:
    """Load the weights into the model; return the names without a counterpart. Raises DataError."""
    prefix = "" if isinstance(model, FlexiBertModel) else f"{model.base_model_prefix}."
    wanted = {name.removeprefix(prefix): name for name in model.state_dict()}
    words = weights.get("embeddings.word_embeddings.weight")
    if "head.decoder.weight" in wanted and model.config.tie_word_embeddings and words is not None:
        weights.setdefault("head.decoder.weight", words)
    missing = sorted(wanted.keys() - weights.keys())
    if missing or words is None:
        raise DataError(f"weights in {source}", "be complete", f"{', '.join(missing)} missing", AGAIN)
    left = sorted(weights.keys() - wanted.keys())
    unknown = [name for name in left if not name.startswith(("pooler.", "cls.", "head.", "embeddings.position_"))]
    if unknown:
        rule = "be those of a BERT"
        raise DataError(f"weights in {source}", rule, ", ".join(unknown), "This checkpoint cannot be imported.")
    try:
        model.to(words.dtype)  # type: ignore[arg-type]
        model.load_state_dict({full: weights[name] for name, full in wanted.items()})
    except RuntimeError as error:
        raise DataError(f"weights in {source}", "fit its config.json", str(error), AGAIN) from None
    return tuple(left)
