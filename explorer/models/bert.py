"""Conversion of BERT checkpoints of ``transformers`` to models of this package with the same weights.

A BERT is the homogeneous architecture of ``sdp`` heads, one feed-forward width and equal hidden sizes. Positions are
absolute, or ``relative_key`` (Shaw et al., arXiv 1803.02155) in checkpoints of ``transformers`` before version 5, which
dropped them. BERT's distance is query minus key and this package's is key minus query, so that embedding is reversed.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
import transformers
from torch import Tensor

from explorer.errors import DataError, ExplorerError, InputError
from explorer.models.architecture import config_for, spec_of
from explorer.models.checking import TOLERANCE, quiet_transformers, random_batches
from explorer.models.checkpoint import AGAIN, BertFiles, Checkpoint, read_checkpoint
from explorer.models.flexibert.configuration_flexibert import FlexiBertConfig, Positions
from explorer.models.flexibert.modeling_flexibert import (
    FlexiBertForMaskedLM,
    FlexiBertForSequenceClassification,
    FlexiBertForTokenClassification,
    FlexiBertModel,
    FlexiBertPreTrainedModel,
)
from explorer.space.spec import ArchitectureSpec, LayerSpec

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
_NUMBERS = (
    *("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "vocab_size", "layer_norm_eps"),
    *("max_position_embeddings", "type_vocab_size", "hidden_dropout_prob", "attention_probs_dropout_prob"),
    "initializer_range",
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
        kind: name of BERT's class.
        files: the checkpoint that it was read from.
    """

    spec: ArchitectureSpec
    model: FlexiBertPreTrainedModel
    left_out: tuple[str, ...]
    kind: str
    files: BertFiles


def read_bert(checkpoint: Checkpoint) -> ImportedBert:
    """Read a BERT checkpoint, as ``BertModel`` and related classes save it.

    Args:
        checkpoint: with ``config.json`` and the weights, in safetensors or torch's format, whole or sharded.

    Raises:
        DataError: a file is missing or damaged, or the weights do not fit the configuration.
        InputError: the model is not a BERT, or has a setting that this package does not support.
        SpecError: a size is out of the bounds of an architecture.
    """
    files = read_checkpoint(checkpoint)
    weights = _renamed(files.weights)
    if "classifier.bias" in weights and not files.settings.keys() & {"id2label", "num_labels"}:  # as in 2018
        files = replace(files, settings={**files.settings, "num_labels": len(weights["classifier.bias"])})
    config = _config(files.settings)
    named = files.settings.get("architectures") or _class_of(weights)
    name = named if isinstance(named, str) else named[0] if isinstance(named, list) else None
    if not isinstance(name, str) or name not in HEADS:
        remedy = "Save its encoder alone: model.bert.save_pretrained(FOLDER)."
        raise InputError("architectures", f"be one of {', '.join(HEADS)}", name, remedy)
    kind = HEADS[name]
    if kind is FlexiBertModel:
        model: FlexiBertPreTrainedModel = FlexiBertModel(config, add_pooling_layer="pooler.weight" in weights)
    else:
        model = kind(config)
    left_out = _fill(model, weights, str(checkpoint.folder))
    return ImportedBert(spec_of(config), model.eval(), left_out, name, files)


def _class_of(weights: Mapping[str, Tensor]) -> str:
    """Return the class of BERT that has these weights, for configurations that do not name it."""
    if "head.decoder.bias" in weights:
        return "BertForMaskedLM"
    if "classifier.weight" in weights:
        return "BertForSequenceClassification" if "pooler.weight" in weights else "BertForTokenClassification"
    return "BertModel"


def compare_with_bert(found: ImportedBert) -> float | None:
    """Return the maximum difference between a model's outputs and those of its BERT, at real tokens, in float32.

    Args:
        found: the result of ``read_bert``.

    Returns:
        The difference; ``None`` with relative positions, which BERT in current ``transformers`` lacks.

    Raises:
        ExplorerError: the difference is larger than rounding error.
    """
    config = cast(FlexiBertConfig, found.model.config)
    if config.relative:
        return None
    bert = transformers.BertConfig.from_dict(dict(found.files.settings))
    with quiet_transformers():
        weights = dict(found.files.weights)
        kind = getattr(transformers, found.kind)
        theirs = kind.from_pretrained(None, config=bert, state_dict=weights, dtype=torch.float32).eval()
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


def _config(settings: Mapping[str, Any]) -> FlexiBertConfig:
    """Return the configuration, with BERT's defaults for missing settings. Raises InputError, DataError."""
    for name, rule, allowed in (
        ("hidden_act", "be gelu, the activation of all architectures", ("gelu",)),
        ("is_decoder", "be false, because all architectures are encoders", (False,)),
        ("add_cross_attention", "be false, because all architectures are encoders", (False,)),
        ("pruned_heads", "be empty, because the heads of a layer are equal", ({},)),
        ("position_embedding_type", f"be {' or '.join(Positions)}", tuple(Positions)),
        ("quantization_config", "be absent, because quantised weights are those of another model", ()),
    ):
        if settings.get(name) is not None and settings[name] not in allowed:
            raise InputError(name, rule, settings[name], "This checkpoint cannot be imported.")
    for name in _NUMBERS:
        value = settings.get(name, 1)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise DataError(f"config.json: {name}", "be a number", value, "Correct it.")
    try:
        bert = transformers.BertConfig.from_dict(dict(settings))
    except Exception as error:  # huggingface_hub's validation errors and torch's errors on dtypes are of many classes.
        reason = " ".join(str(error).split())
        raise DataError("config.json", "be a valid configuration of BERT", reason, "Correct it.") from None
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
