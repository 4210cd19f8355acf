"""Kernel and layout of a library, as the record of its space keeps them: written, read and described."""

from __future__ import annotations

import json
from collections.abc import Mapping
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


def library_settings(kernel: GraphKernel) -> dict[str, Any]:
    """Return the settings of a library as its space's record keeps them."""
    described = {"name": kernel.name, "parameters": kernel.parameters}
    return {"kernel": described, "neighbors": NEIGHBORS, "layout": LAYOUT}


def unfitted(settings: Mapping[str, Any]) -> tuple[GraphKernel, GraphKernel]:
    """Make the kernel behind the vectors and the one that ranks neighbours; one object unless the layout is 2."""
    if settings["layout"] < LAYOUT:
        options = {name: settings["kernel"][name] for name in ("iterations", "direction")}
        return kernel_named("views"), kernel_named(settings["kernel"]["name"], **options)
    kernel = kernel_named(settings["kernel"]["name"], **settings["kernel"]["parameters"])
    return kernel, kernel


def is_finished(info: Mapping[str, Any]) -> bool:
    """Whether a space's record says that its library is complete, in a layout that can be read."""
    return bool(info.get("ready")) and info.get("settings", {}).get("layout") in LAYOUTS


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
    name: str = info.get("settings", {}).get("kernel", {}).get("name", DEFAULT)
    return name


def kernel_text(info: Mapping[str, Any]) -> str:
    """Describe the kernel of a space, given the space's record."""
    settings = info.get("settings")
    if settings is None:
        return neighbors_kernel(info)
    if settings["layout"] < LAYOUT:
        return "views for vectors, weisfeiler_lehman for neighbours"
    return parameters_text(settings["kernel"])


def parameters_text(described: Mapping[str, Any]) -> str:
    """Describe a kernel, given its name and parameters as ``library_settings`` has them."""
    parameters = ", ".join(f"{name}={json.dumps(value)}" for name, value in described["parameters"].items())
    return described["name"] + (f" with {parameters}" if parameters else "")
