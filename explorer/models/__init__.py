"""Encoders as ``transformers`` models. ``import explorer.models`` registers them with the Auto classes.

``flexibert`` is the model itself; next to it are conversion from architectures and from BERT checkpoints, weight
transfer, ONNX export, and checks of saved folders.
"""

from explorer.models.architecture import config_for, spec_of
from explorer.models.flexibert import AUTO
from explorer.models.flexibert.configuration_flexibert import FlexiBertConfig, Positions
from explorer.models.flexibert.modeling_flexibert import (
    FlexiBertForMaskedLM,
    FlexiBertForSequenceClassification,
    FlexiBertForTokenClassification,
    FlexiBertModel,
    FlexiBertPreTrainedModel,
)

__all__ = [
    "AUTO",
    "FlexiBertConfig",
    "FlexiBertForMaskedLM",
    "FlexiBertForSequenceClassification",
    "FlexiBertForTokenClassification",
    "FlexiBertModel",
    "FlexiBertPreTrainedModel",
    "Positions",
    "config_for",
    "spec_of",
]
