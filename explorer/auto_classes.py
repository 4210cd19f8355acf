"""Lets the Auto classes of ``transformers`` know the encoders after ``import explorer``, without loading torch for it.

``AutoConfig.register`` and its like want the classes themselves, and those need torch. The Auto classes also know
models by name, though: tables that are read when a model is asked for say which class in ``transformers.models.NAME``
a model type has. So our names are added to these tables once ``transformers`` has made them, and our module stands
under the name they lead to. Where the tables were in use already, the classes are registered at once, as usual.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import MappingProxyType, ModuleType

TYPE = "flexibert"
"""``model_type`` of our configuration."""
CONFIGS = "transformers.models.auto.configuration_auto"
MODELS = "transformers.models.auto.modeling_auto"
_NAMES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        CONFIGS: {"CONFIG_MAPPING_NAMES": "FlexiBertConfig"},
        MODELS: {
            "MODEL_MAPPING_NAMES": "FlexiBertModel",
            "MODEL_FOR_MASKED_LM_MAPPING_NAMES": "FlexiBertForMaskedLM",
            "MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES": "FlexiBertForSequenceClassification",
            "MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES": "FlexiBertForTokenClassification",
        },
    }
)
"""By module of ``transformers``: its tables, and what our model type is in each."""
_AUTO = MappingProxyType(
    {
        "AutoModel": "FlexiBertModel",
        "AutoModelForMaskedLM": "FlexiBertForMaskedLM",
        "AutoModelForSequenceClassification": "FlexiBertForSequenceClassification",
        "AutoModelForTokenClassification": "FlexiBertForTokenClassification",
    }
)


def _add_names(module: ModuleType) -> None:
    """Add our names to the tables of a module. Nothing is imported, as other modules may be half loaded by now."""
    for table, name in _NAMES[module.__name__].items():
        getattr(module, table)[TYPE] = name


class _NamingLoader(SourceFileLoader):
    """Runs the module from its source file as ever, then adds our names to its tables."""

    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        _add_names(module)


class _AutoFinder(MetaPathFinder):
    """Finds the modules of the Auto classes where they always are, and has them loaded by ``_NamingLoader``."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """As ``importlib.abc.MetaPathFinder`` has it; ``None`` for every other module."""
        if fullname not in _NAMES:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _NamingLoader(fullname, spec.loader.path)
        return spec


def register_when_needed() -> None:
    """Let the Auto classes know our models, as soon as there are Auto classes. A second call changes nothing."""
    ours = sys.modules.setdefault(f"transformers.models.{TYPE}", importlib.import_module("explorer.models"))
    if CONFIGS in sys.modules:
        sys.modules[CONFIGS].AutoConfig.register(TYPE, ours.FlexiBertConfig, exist_ok=True)
    if MODELS in sys.modules:
        for auto, name in _AUTO.items():
            getattr(sys.modules[MODELS], auto).register(ours.FlexiBertConfig, getattr(ours, name), exist_ok=True)
    if not any(isinstance(finder, _AutoFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _AutoFinder())
