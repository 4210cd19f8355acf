"""The encoders as transformers models: one file per operation. ``import explorer`` lets the Auto classes know them.

Names are loaded when they are first used, so that the configuration alone needs no model.
"""

from __future__ import annotations

import importlib
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from explorer.models.config import FlexiBertConfig, Positions
    from explorer.models.encoder import FlexiBertModel, FlexiBertPreTrainedModel
    from explorer.models.tasks import (
        FlexiBertForMaskedLM,
        FlexiBertForSequenceClassification,
        FlexiBertForTokenClassification,
    )

__all__ = [
    "FlexiBertConfig",
    "FlexiBertForMaskedLM",
    "FlexiBertForSequenceClassification",
    "FlexiBertForTokenClassification",
    "FlexiBertModel",
    "FlexiBertPreTrainedModel",
    "Positions",
]

_MODULES = MappingProxyType(
    {
        "FlexiBertConfig": "config",
        "FlexiBertForMaskedLM": "tasks",
        "FlexiBertForSequenceClassification": "tasks",
        "FlexiBertForTokenClassification": "tasks",
        "FlexiBertModel": "encoder",
        "FlexiBertPreTrainedModel": "encoder",
        "Positions": "config",
    }
)


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
