"""Policies by name. A policy's module, and torch with it, is imported only when the policy is made."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from explorer.errors import InputError
from explorer.search.policy import Candidates, Policy

_CLASSES = {
    "boshnas": ("explorer.search.boshnas", "Boshnas"),
    "random": ("explorer.search.random", "RandomSearch"),
    "evolution": ("explorer.search.evolution", "Evolution"),
}
POLICIES: tuple[str, ...] = tuple(_CLASSES)
"""Names that ``make_policy`` knows."""
WITH_INITIAL_DESIGN = ("boshnas", "evolution")
"""Policies with a setting ``initial``: how many trials come before they learn from any."""


def make_policy(name: str, candidates: Candidates, seed: int, settings: Mapping[str, Any] | None = None) -> Policy:
    """Build the policy called ``name``.

    Args:
        name: one of ``POLICIES``.
        candidates: the architectures it may propose.
        seed: of all its random choices.
        settings: the policy's own settings; what is absent keeps its default.

    Raises:
        InputError: the name is unknown, or a setting is.
    """
    if name not in _CLASSES:
        raise InputError("policy", f"be one of {', '.join(POLICIES)}", name, "Use one of these names.")
    module, attribute = _CLASSES[name]
    policy: type[Policy] = getattr(importlib.import_module(module), attribute)
    return policy(candidates, seed, settings or {})
