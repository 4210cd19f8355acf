"""Kernels by name. A kernel's module is imported only when the kernel is made."""

from __future__ import annotations

import importlib
from typing import Any

from explorer.errors import InputError
from explorer.similarity.contract import GraphKernel

_CLASSES = {
    "weisfeiler_lehman": ("explorer.similarity.weisfeiler_lehman", "WeisfeilerLehman"),
    "neighborhood_hash": ("explorer.similarity.neighborhood_hash", "NeighborhoodHash"),
    "random_walk": ("explorer.similarity.random_walk", "RandomWalk"),
    "edit_distance_upper_bound": ("explorer.similarity.edit_distance", "EditDistanceUpperBound"),
}
KERNELS: tuple[str, ...] = tuple(_CLASSES)
"""Names that ``make_kernel`` knows."""


def make_kernel(name: str, **options: Any) -> GraphKernel:
    """Build the kernel called ``name``.

    Args:
        name: one of ``KERNELS``.
        options: the kernel's own arguments; what is absent keeps its default.

    Raises:
        InputError: the name is unknown, or an option is, or its value is outside.
    """
    if name not in _CLASSES:
        raise InputError("kernel", f"be one of {', '.join(KERNELS)}", name, "Use one of these names.")
    module, attribute = _CLASSES[name]
    kernel: type[GraphKernel] = getattr(importlib.import_module(module), attribute)
    try:
        return kernel(**options)
    except TypeError as error:
        rule = f"be options that {name} has ({error})"
        raise InputError("kernel options", rule, sorted(options), "Leave the others out.") from None
