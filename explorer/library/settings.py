"""Kernel and layout of a library, as the record of its space keeps them from the first step on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from explorer.errors import InputError
from explorer.similarity.kernel import GraphKernel
from explorer.similarity.registry import DEFAULT, kernel_named
from explorer.space.grammar import preset_names
from graphstore import GraphStore
from graphstore.errors import NotFoundError
from graphstore.records import Embeddings, SpaceRecord

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
    return _text(settings["kernel"])


def _text(described: Mapping[str, Any]) -> str:
    parameters = ", ".join(f"{name}={json.dumps(value)}" for name, value in described["parameters"].items())
    return described["name"] + (f" with {parameters}" if parameters else "")


def check_kernel(space: SpaceRecord, kernel: GraphKernel) -> None:
    """Raise InputError if a kernel is not the one that the library of a space was begun with."""
    wanted = library_settings(kernel)["kernel"]
    if wanted != space.info["settings"]["kernel"] or space.info["settings"]["layout"] != LAYOUT:
        rule = f"be the one that space {space.name} was begun with ({kernel_text(space.info)})"
        remedy = "Leave --kernel out, or give the new library another name with --name."
        raise InputError("kernel", rule, _text(wanted), remedy)


def begin(
    store: GraphStore, space: str, source: Any, title: str = "", kernel: GraphKernel | None = None, parent: str = ""
) -> SpaceRecord:
    """Return the record of a space; if there is none, store one that says how its library is to be built.

    Args:
        store: receives the space.
        space: name of the space.
        source: origin of the architectures.
        title: one-line description.
        kernel: the kernel, not fitted yet; by default the one that the space was begun with, or else ``views``.
        parent: name of the library in whose coordinates the architectures will be placed, if any.

    Raises:
        InputError: the space was begun with another kernel.
    """
    if parent:
        settings = store.space(parent).info["settings"]
    else:
        settings = library_settings(kernel_named(DEFAULT) if kernel is None else kernel)
    new = SpaceRecord(space, {"title": title, "source": source, "ready": False, "settings": settings})
    try:
        stored = store.space(space)
    except NotFoundError:
        store.put_space(new)
        return new
    if is_finished(stored.info) or stored.info.get("settings", {}).get("layout") == settings["layout"]:
        if kernel is not None:
            check_kernel(stored, kernel)
        return stored
    # Layout 2 wrote its settings last, so this is an unfinished library of layout 2, or an older one: start again.
    if store.embeddings(space).ids:
        store.put_embeddings(space, Embeddings((), np.zeros((0, 0), dtype=np.float32)))
    for name in store.kernels(space):
        store.put_neighbors(space, name, [])
    store.put_space(new)
    return new
