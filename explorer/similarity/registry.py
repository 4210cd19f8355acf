"""Kernels by name. A kernel's module is imported only when the kernel is made."""

from __future__ import annotations

import importlib
from typing import Any

from explorer.errors import InputError
from explorer.similarity.kernel import GraphKernel, State, entries

GRAKEL = "grakel:"
"""Prefix of the names of GraKeL's kernels."""
_CLASSES = {
    "views": ("explorer.similarity.multi_view", "MultiViewKernel"),
    "weisfeiler_lehman": ("explorer.similarity.weisfeiler_lehman", "WeisfeilerLehman"),
    "neighborhood_hash": ("explorer.similarity.neighborhood_hash", "NeighborhoodHash"),
    "random_walk": ("explorer.similarity.random_walk", "RandomWalk"),
    GRAKEL: ("explorer.similarity.grakel_kernels", "GrakelKernel"),
}
KERNELS: tuple[str, ...] = tuple(name for name in _CLASSES if name != GRAKEL)
"""Names that ``kernel_named`` knows, next to ``grakel:NAME`` for each of GraKeL's."""
DEFAULT = "views"
_ALIASES = {"wl": "weisfeiler_lehman"}
"""Short names → names."""


def kernel_named(name: str, **parameters: Any) -> GraphKernel:
    """Make the kernel called ``name``, not fitted yet.

    Args:
        name: one of ``KERNELS``, ``wl`` for ``weisfeiler_lehman``, or ``grakel:NAME`` with a name of GraKeL.
        parameters: the kernel's own arguments; others keep their defaults.

    Raises:
        InputError: the name or a parameter is unknown, or a value is not allowed.
    """
    if name.startswith(GRAKEL):
        parameters = {"kernel": name.removeprefix(GRAKEL), **parameters}
    try:
        return kernel_class(name)(**parameters)
    except TypeError as error:
        rule = f"be parameters of {name} ({error})"
        raise InputError("kernel parameters", rule, sorted(parameters), "Leave the others out.") from None


def kernel_class(name: str) -> type[GraphKernel]:
    """Return the class of the kernel called ``name``. Raises InputError."""
    known = GRAKEL if name.startswith(GRAKEL) else _ALIASES.get(name, name)
    if known not in _CLASSES:
        rule = f"be one of {', '.join(KERNELS)} or {GRAKEL}NAME with a name of GraKeL"
        raise InputError("kernel", rule, name, "Use one of these names.")
    module, attribute = _CLASSES[known]
    found: type[GraphKernel] = getattr(importlib.import_module(module), attribute)
    return found


def kernel_from_state(state: State) -> GraphKernel:
    """Restore the kernel that ``GraphKernel.state`` described.

    Raises:
        DataError: something is missing.
        InputError: the kernel is unknown.
    """
    return kernel_class(entries(state, "kernel")[0]).from_state(state)
