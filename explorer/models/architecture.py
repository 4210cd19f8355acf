"""Conversion between architectures (``explorer.space``) and model configurations, which do not import it."""

from __future__ import annotations

from typing import Any

from explorer.models.flexibert.configuration_flexibert import FlexiBertConfig
from explorer.space.formats import from_model_dict, to_model_dict
from explorer.space.spec import ArchitectureSpec


def config_for(spec: ArchitectureSpec, **settings: Any) -> FlexiBertConfig:
    """Return the configuration of an architecture.

    Args:
        spec: the architecture.
        **settings: other attributes of ``FlexiBertConfig``.

    Raises:
        ValueError: a setting breaks a rule.
    """
    return FlexiBertConfig(model_dict=to_model_dict(spec), **settings)


def spec_of(config: FlexiBertConfig) -> ArchitectureSpec:
    """Return the architecture of a configuration.

    Raises:
        SpecError: ``model_dict`` breaks a rule of ``explorer.space``.
    """
    return from_model_dict(config.model_dict)
