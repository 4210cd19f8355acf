"""Policies by name. A policy's module, with torch or an optional library, is imported only when the policy is made."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from explorer.errors import InputError
from explorer.search.costs import CostedCandidates
from explorer.search.policy import Candidates, Policy

_CLASSES = {
    "boshnas": ("explorer.search.boshnas", "Boshnas"),
    "boshnas_paper": ("explorer.search.boshnas", "PaperBoshnas"),
    "random": ("explorer.search.random", "RandomSearch"),
    "evolution": ("explorer.search.evolution", "Evolution"),
    "local_search": ("explorer.search.local_search", "LocalSearch"),
    "bananas": ("explorer.search.bananas", "Bananas"),
    "gp": ("explorer.search.gaussian_process", "GaussianProcess"),
    "tpe": ("explorer.search.tpe", "Tpe"),
    "extra_trees": ("explorer.search.extra_trees", "ExtraTrees"),
    "nsga2": ("explorer.search.nsga2", "Nsga2"),
}
_FOR_COSTS = _CLASSES | {"boshnas": ("explorer.search.multi_objective", "ParetoBoshnas")}
POLICIES: tuple[str, ...] = tuple(_CLASSES)
"""Names that ``make_policy`` knows."""
WITH_INITIAL_DESIGN = tuple(name for name in POLICIES if name != "random")
"""Policies with a setting ``initial``: how many trials come before they learn from any."""
WITH_COSTS = ("boshnas", "nsga2", "random")
"""Policies for candidates with costs: those that look for trade-offs, and the baseline. The others know no costs."""

WITH_CONVERGENCE = ("boshnas", "boshnas_paper")
"""Policies that say when they have converged, and how much of a score they take for chance."""


def make_policy(name: str, candidates: Candidates, seed: int, settings: Mapping[str, Any] | None = None) -> Policy:
    """Build the policy called ``name``.

    Args:
        name: one of ``POLICIES``.
        candidates: the architectures it may propose; ``boshnas`` and ``nsga2`` look for trade-offs if these have costs.
        seed: of all its random choices.
        settings: the policy's own settings; what is absent keeps its default.

    Raises:
        InputError: the name is unknown, or a setting is.
    """
    if name not in _CLASSES:
        raise InputError("policy", f"be one of {', '.join(POLICIES)}", name, "Use one of these names.")
    module, attribute = (_FOR_COSTS if isinstance(candidates, CostedCandidates) else _CLASSES)[name]
    policy: type[Policy] = getattr(importlib.import_module(module), attribute)
    return policy(candidates, seed, settings or {})
