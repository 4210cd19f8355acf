"""Kernel and layout of a library, as the record of its space keeps them: written, read and described."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from explorer.similarity.kernel import GraphKernel
from explorer.similarity.registry import DEFAULT, kernel_named
from explorer.space.grammar import preset_names
from graphstore.records import SpaceRecord

LAYOUT = 3
"""Version of what a library consists of. Layout 2 had vectors by ``views`` and neighbours by Weisfeiler–Lehman."""
LAYOUTS = (2, LAYOUT)
"""Layouts that can be read."""
NEIGHBORS = 10
"""Stored neighbours of each architecture."""


@dataclass(frozen=True)
class LibrarySettings:
    """How a library is built, as its space's record keeps it from the beginning on. ``str`` describes the kernel.

    Attributes:
        kernel: name of the kernel that ranks neighbours, and that the vectors come from, except in layout 2.
        parameters: parameters of the kernel.
        layout: version of what the library consists of; 0 if the record does not say.
    """

    kernel: str = DEFAULT
    parameters: Mapping[str, Any] = field(default_factory=dict)
    layout: int = 0

    @classmethod
    def new(cls, kernel: GraphKernel) -> LibrarySettings:
        """Return the settings of a library that is begun now."""
        return cls(kernel.name, kernel.parameters, LAYOUT)

    @classmethod
    def of(cls, info: Mapping[str, Any]) -> LibrarySettings:
        """Read the settings in a space's record."""
        settings = info.get("settings", {})
        layout, described = settings.get("layout", 0), dict(settings.get("kernel", {}))
        name = described.pop("name", DEFAULT)
        if layout == 2:
            return cls(name, {one: described[one] for one in ("iterations", "direction")}, layout)
        return cls(name, described.get("parameters", {}), layout)

    def to_json(self) -> dict[str, Any]:
        """Return the settings as the record keeps them."""
        described = {"name": self.kernel, "parameters": self.parameters}
        return {"kernel": described, "neighbors": NEIGHBORS, "layout": self.layout}

    def unfitted(self) -> tuple[GraphKernel, GraphKernel]:
        """Make the kernel behind the vectors and the one that ranks neighbours; one object unless the layout is 2."""
        ranking = kernel_named(self.kernel, **self.parameters)
        return (kernel_named("views") if self.layout < LAYOUT else ranking), ranking

    def __str__(self) -> str:
        if self.layout == 2:
            return "views for vectors, weisfeiler_lehman for neighbours"
        parameters = ", ".join(f"{name}={json.dumps(value)}" for name, value in self.parameters.items())
        return self.kernel + (f" with {parameters}" if parameters else "")


def is_finished(info: Mapping[str, Any]) -> bool:
    """Whether a space's record says that its library is complete, in a layout that can be read."""
    return bool(info.get("ready")) and LibrarySettings.of(info).layout in LAYOUTS


def is_outdated(info: Mapping[str, Any]) -> bool:
    """Whether a space's record says that its library was complete, in a layout that cannot be read any longer."""
    return bool(info.get("ready")) and not is_finished(info)


def build_remedy(space: str) -> str:
    """Return the remedy for a space that is not built: the command, if the space is a preset."""
    if space in preset_names():
        return f"Run `archex space build {space}`."
    return "Run `archex space build FILE` with its YAML file, or repeat its import."


def finishing(space: SpaceRecord) -> str:
    """Return the remedy for a space whose library is not finished."""
    if is_outdated(space.info):
        return "Run `archex store migrate`, which builds libraries of early versions again from what is stored."
    return build_remedy(space.name)


def neighbors_kernel(info: Mapping[str, Any]) -> str:
    """Return the name under which the store keeps the neighbours of a space, given the space's record."""
    return LibrarySettings.of(info).kernel


def kernel_text(info: Mapping[str, Any]) -> str:
    """Describe the kernel of a space, given the space's record."""
    return str(LibrarySettings.of(info))
