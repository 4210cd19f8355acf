"""Policies by name. A policy's module is imported only when the policy is used."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from explorer.errors import InputError
from explorer.search.candidates import Candidates
from explorer.search.policy import Capability, Policy

_CLASSES = {
    "boshnas": "explorer.search.boshnas:Boshnas",
    "boshnas_paper": "explorer.search.boshnas:PaperBoshnas",
    "random": "explorer.search.random:RandomSearch",
    "evolution": "explorer.search.evolution:Evolution",
    "local_search": "explorer.search.local_search:LocalSearch",
    "bananas": "explorer.search.bananas:Bananas",
    "gp": "explorer.search.gaussian_process:GaussianProcess",
    "tpe": "explorer.search.tpe:Tpe",
    "extra_trees": "explorer.search.extra_trees:ExtraTrees",
    "nsga2": "explorer.search.nsga2:Nsga2",
}
POLICIES: tuple[str, ...] = tuple(_CLASSES)
"""Names of all policies."""


def policy_class(name: str) -> type[Policy]:
    """Return the class of the policy called ``name``: its ``settings_type``, ``capabilities`` and ``read_settings``.

    The import is quick: torch, BoTorch, Optuna and scikit-learn are imported only when a policy is built or asked.

    Raises:
        InputError: the name is unknown.
    """
    if name not in _CLASSES:
        raise InputError("policy", f"be one of {', '.join(POLICIES)}", name, "Use one of these names.")
    module, _, attribute = _CLASSES[name].partition(":")
    found: type[Policy] = getattr(importlib.import_module(module), attribute)
    return found


def policies_with(capability: Capability) -> tuple[str, ...]:
    """Return the names of the policies that have a capability, in the order of ``POLICIES``."""
    return tuple(name for name in POLICIES if capability in policy_class(name).capabilities)


def make_policy(name: str, candidates: Candidates, seed: int, settings: Mapping[str, Any] | None = None) -> Policy:
    """Build the policy called ``name``.

    Args:
        name: one of ``POLICIES``.
        candidates: the architectures it may propose; ``boshnas`` and ``nsga2`` search for trade-offs if they have
            costs.
        seed: seed of all its random choices.
        settings: the policy's own settings; absent ones keep their defaults.

    Raises:
        InputError: the name or a setting is unknown, or a setting is out of range.
    """
    return policy_class(name).variant(candidates)(candidates, seed, settings)
