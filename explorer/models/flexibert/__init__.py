"""FlexiBERT as a ``transformers`` model: one configuration file and one modeling file, which saved folders carry.

Importing this package registers the model type with the Auto classes of ``transformers``.
"""

from __future__ import annotations

from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
)

from explorer.models.flexibert.configuration_flexibert import FlexiBertConfig
from explorer.models.flexibert.modeling_flexibert import (
    FlexiBertForMaskedLM,
    FlexiBertForSequenceClassification,
    FlexiBertForTokenClassification,
    FlexiBertModel,
    FlexiBertPreTrainedModel,
)

AUTO: dict[type[FlexiBertPreTrainedModel], type] = {
    FlexiBertModel: AutoModel,
    FlexiBertForMaskedLM: AutoModelForMaskedLM,
    FlexiBertForSequenceClassification: AutoModelForSequenceClassification,
    FlexiBertForTokenClassification: AutoModelForTokenClassification,
}
"""The Auto class that loads each class."""

AutoConfig.register(FlexiBertConfig.model_type, FlexiBertConfig, exist_ok=True)
FlexiBertConfig.register_for_auto_class()
for _model, _auto in AUTO.items():
    _auto.register(FlexiBertConfig, _model, exist_ok=True)  # type: ignore[attr-defined]
    _model.register_for_auto_class(_auto.__name__)
