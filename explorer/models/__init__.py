"""The encoders as transformers models: one file per operation. Importing it makes the Auto classes know them."""

from __future__ import annotations

from transformers import AutoConfig, AutoModel, AutoModelForMaskedLM, AutoModelForSequenceClassification

from explorer.models.config import FlexiBertConfig, Positions
from explorer.models.encoder import FlexiBertModel, FlexiBertPreTrainedModel
from explorer.models.tasks import FlexiBertForMaskedLM, FlexiBertForSequenceClassification

__all__ = [
    "FlexiBertConfig",
    "FlexiBertForMaskedLM",
    "FlexiBertForSequenceClassification",
    "FlexiBertModel",
    "FlexiBertPreTrainedModel",
    "Positions",
]

AutoConfig.register(FlexiBertConfig.model_type, FlexiBertConfig, exist_ok=True)
AutoModel.register(FlexiBertConfig, FlexiBertModel, exist_ok=True)
AutoModelForMaskedLM.register(FlexiBertConfig, FlexiBertForMaskedLM, exist_ok=True)
AutoModelForSequenceClassification.register(FlexiBertConfig, FlexiBertForSequenceClassification, exist_ok=True)
