"""Spaces of a store: which are built, which to look in, and bringing architectures into one."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from explorer.documents.json_text import parse_settings
from explorer.errors import Advice, DataError, InputError, Remedy, SpecError
from explorer.library.beginning import COST_SAMPLE, check_kernel, kernel_cost
from explorer.library.library import MAX_LIBRARY, Library
from explorer.library.settings import build_remedy, finishing, is_finished, is_outdated, kernel_text
from explorer.progress import Reporter, SilentReporter
from explorer.similarity.explanation import Explanation
from explorer.similarity.graph import architecture_id, build_graph
from explorer.similarity.kernel import MAX_HOURS, CostEstimate, GraphKernel
from explorer.similarity.registry import DEFAULT, kernel_named
from explorer.space.grammar import DesignSpace
from explorer.space.spec import ArchitectureSpec
from graphstore import GraphStore
from graphstore.errors import NotFoundError

OWN_SPACE = "own"
"""Default space for architectures that belong to no space."""
OWN_SOURCE = {"from": "you"}
SPACE_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


def space_info(store: GraphStore, name: str) -> Mapping[str, Any] | None:
    """Return the ``info`` of a space, finished or not; ``None`` if the store does not have it."""
    try:
        return store.space(name).info
    except NotFoundError:
        return None


def has_space(store: GraphStore, name: str) -> bool:
    """Whether the store has a space of this name, finished or not."""
    return space_info(store, name) is not None


def is_ready(store: GraphStore, name: str, source: Mapping[str, Any] | None = None) -> bool:
    """Whether the library of a space is complete and, if a source is given, was built from it."""
    info = space_info(store, name)
    if info is None or not is_finished(info):
        return False
    return source is None or info.get("source") == json.loads(json.dumps(source))


def choose_space(store: GraphStore, id: str | None, wanted: str = "") -> str:
    """Choose the space to look in: the wanted one, else one with the architecture, else the largest one.

    Args:
        store: holds the spaces.
        id: id of the architecture; ``None`` if the question is not about one.
        wanted: name of a space, or empty.

    Raises:
        InputError: the wanted space is not built, or no space is.
    """
    spaces = store.spaces()
    built = [space.name for space in spaces if is_finished(space.info)]
    outdated = {space.name: finishing(space) for space in spaces if is_outdated(space.info)}
    if wanted and wanted not in built:
        rule = f"be a built space ({', '.join(built) or 'none yet'})"
        remedy = outdated.get(wanted, build_remedy(wanted))
        raise InputError("space", rule, wanted, remedy)
    if not built:
        remedy = next(iter(outdated.values()), "Build one: `archex space build nano`.")
        raise InputError("store", "have a built space", store.url, remedy)
    if wanted:
        return wanted
    homes = (name for name in built if id is not None and id in store.architecture_ids(name))
    return next(homes, max(built, key=store.count))


def explain_similarity(
    store: GraphStore | None, first: ArchitectureSpec, second: ArchitectureSpec, space: str = ""
) -> tuple[str, Explanation]:
    """Explain the similarity of two architectures by the kernel of a space.

    Args:
        store: holds the space; ``None`` without a store.
        first: an architecture.
        second: another one.
        space: name of the space; by default as ``choose_space`` chooses. Without a built space the kernel is
            Weisfeiler–Lehman, which does not depend on one.

    Returns:
        (description of the kernel, explanation).

    Raises:
        InputError: the wanted space is not built, or its kernel does not count patterns.
    """
    if store is None or not (space or any(is_finished(one.info) for one in store.spaces())):
        kernel = kernel_named("weisfeiler_lehman")
        return kernel.name, kernel.explain(build_graph(first), build_graph(second))
    library = Library.open(store, choose_space(store, architecture_id(first), space))
    return kernel_text(library.info), library.explain(first, second)


def check_size(space: DesignSpace) -> None:
    """Raise SpecError if a design space is too large to enumerate."""
    total = space.count()
    if total > MAX_LIBRARY:
        levels = [level for level in range(1, min(space.layers) + 1) if not any(n % level for n in space.layers)]
        fitting = next((level for level in levels if space.at_level(level).count() <= MAX_LIBRARY), None)
        remedy = Advice(Remedy.COARSER_LEVEL, level=fitting) if fitting else "Remove some of its options."
        raise SpecError(f"size of space {space.name}", f"be at most {MAX_LIBRARY:,} for a library", total, remedy)


def chosen_kernel(space: DesignSpace, name: str = "", parameters: Sequence[str] = ()) -> GraphKernel | None:
    """Return the kernel, not fitted yet, that a user chose for a design space.

    Args:
        space: the design space, whose YAML file may name a kernel.
        name: the kernel, which takes precedence over the file's; may be empty.
        parameters: parameters as ``NAME=VALUE``, which replace the file's.

    Returns:
        ``None`` if neither chooses a kernel.

    Raises:
        InputError: the kernel or a parameter does not exist, or a value is not allowed.
    """
    if not name and not parameters and not space.kernel:
        return None
    own = {} if name and name != space.kernel else dict(space.kernel_parameters)
    own |= parse_settings(parameters, "kernel parameter", "iterations=3")
    return kernel_named(name or space.kernel or DEFAULT, **own)


def space_cost(kernel: GraphKernel, space: DesignSpace) -> CostEstimate:
    """Estimate the cost of building a space's library with a kernel, without enumerating the space."""
    return kernel_cost(kernel, space.sample(COST_SAMPLE, np.random.default_rng(0)), space.count())


def build_space(
    store: GraphStore,
    space: DesignSpace,
    reporter: Reporter,
    kernel: GraphKernel | None = None,
    max_hours: float = MAX_HOURS,
) -> Library:
    """Build the library of a whole design space, or open it if it is complete. Resumes an interrupted build.

    Args:
        store: receives the library.
        space: the design space.
        reporter: gets the phases of ``Library.build``.
        kernel: the kernel, not fitted yet; by default the one that the space's file names, else that it was begun with,
            else ``views``.
        max_hours: largest estimated processor time of the kernel of a new library.

    Raises:
        SpecError: the space is too large, or the store has a space of this name with another grammar.
        InputError: the space was begun with another kernel, or is new and its kernel too costly.
    """
    if kernel is None:
        kernel = chosen_kernel(space)
    source = space.source()
    info = space_info(store, space.name)
    stored = None if info is None else info.get("source")
    if stored is not None and stored != json.loads(json.dumps(source)):
        rule = "be new, because the store has a space of this name with another grammar"
        raise SpecError("name of the design space", rule, space.name, "Rename the space in its YAML file.")
    if is_ready(store, space.name, source):
        library = Library.open(store, space.name)
        if kernel is not None:
            check_kernel(store.space(space.name), kernel)
        return library
    check_size(space)
    specs, title = list(space), space.title
    return Library.build(
        store, space.name, specs, reporter, source=source, title=title, kernel=kernel, max_hours=max_hours
    )


def rebuild_outdated(store: GraphStore, reporter: Reporter) -> list[str]:
    """Build the libraries of early versions again, in the present layout, from the architectures that they have.

    Args:
        store: has just been migrated.
        reporter: gets the phases of ``Library.build``.

    Returns:
        The names of their spaces.
    """
    outdated = [space for space in store.spaces() if is_outdated(space.info)]
    for space in outdated:
        info = space.info
        Library.build(store, space.name, [], reporter, source=info.get("source"), title=str(info.get("title", "")))
    return [space.name for space in outdated]


def check_space_name(space: str) -> None:
    """Raise DataError if the name of a space is invalid."""
    if not SPACE_NAME.fullmatch(space):
        rule = "be 1 to 64 lowercase letters, digits, - or _, starting with a letter or digit"
        raise DataError("name of the space", rule, space, "Choose another name.")


def has_grammar(store: GraphStore, space: str) -> bool:
    """Whether a grammar defines the architectures of the space, so that imports may not add any."""
    source = (space_info(store, space) or {}).get("source")
    return isinstance(source, Mapping) and not source.keys() & {"file", "from"}


def check_collection(store: GraphStore, space: str, total: int) -> None:
    """Raise DataError if the space is defined by a grammar, or if ``total`` exceeds the size of a library."""
    if has_grammar(store, space):
        rule = "be new, or a space of imported architectures, or already hold all architectures of the file"
        raise DataError("name of the space", rule, space, "Choose another name.")
    if total > MAX_LIBRARY:
        rule = f"hold at most {MAX_LIBRARY:,} architectures including those of the file"
        raise DataError(f"space {space}", rule, total, "Split the file over several spaces.")


def add_architecture(store: GraphStore, spec: ArchitectureSpec, space: str = OWN_SPACE) -> bool:
    """Add an architecture to a space if no space of the store has it; returns whether it was new.

    Raises:
        DataError: the name of the space is invalid, or a grammar defines the space.
    """
    check_space_name(space)
    try:
        store.architecture(architecture_id(spec))
    except NotFoundError:
        check_collection(store, space, store.count(space) + 1 if has_space(store, space) else 1)
        title = "Architectures you brought in"
        Library.build(store, space, [spec], SilentReporter(), source=OWN_SOURCE, title=title)
        return True
    return False
