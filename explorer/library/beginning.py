"""The beginning of a library: whether its kernel is affordable, and the space's record that says how it is built."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from explorer.errors import Advice, InputError, Remedy
from explorer.library.settings import LibrarySettings, is_finished
from explorer.progress import Reporter
from explorer.similarity.graph import build_graph
from explorer.similarity.kernel import CostEstimate, GraphKernel
from explorer.similarity.registry import DEFAULT, kernel_named
from explorer.space.spec import ArchitectureSpec
from graphstore import GraphStore
from graphstore.errors import NotFoundError
from graphstore.records import Embeddings, SpaceRecord

COST_SAMPLE = 64
"""Architectures from which the cost of a kernel is estimated."""
FEWEST_SAMPLED = 4
"""Libraries of fewer architectures are built without an estimate."""


def kernel_cost(kernel: GraphKernel, specs: Sequence[ArchitectureSpec], total: int) -> CostEstimate:
    """Estimate the cost of building a library with a kernel.

    Args:
        kernel: the kernel; it is not fitted.
        specs: some of the library's architectures, at least ``FEWEST_SAMPLED``; up to ``COST_SAMPLE`` are drawn.
        total: number of the library's architectures.
    """
    rows = np.random.default_rng(0).permutation(len(specs))[:COST_SAMPLE]
    return kernel.cost([build_graph(specs[row]) for row in rows], total)


def cost_text(cost: CostEstimate) -> str:
    """Describe an estimate."""
    scale, unit = next(
        (scale, unit) for scale, unit in ((3600, "h"), (60, "min"), (1, "s")) if cost.seconds >= 2 * scale or scale == 1
    )
    return f"estimated to take {cost.seconds / scale:.1f} {unit} and {cost.bytes / 2**20:,.0f} MiB of memory"


def check_cost(kernel: GraphKernel, specs: Sequence[ArchitectureSpec], max_hours: float, reporter: Reporter) -> None:
    """Estimate the cost of a library that is to be begun with a kernel, report it, and refuse it above a limit.

    Args:
        kernel: the kernel.
        specs: the library's architectures.
        max_hours: the limit.
        reporter: gets the phase ``cost``, with the estimate as its note.

    Raises:
        InputError: the estimate is above the limit, or needs too much memory.
    """
    if len(specs) < FEWEST_SAMPLED:
        return
    cost = kernel_cost(kernel, specs, len(specs))
    reporter.update("cost", 1, 1, f"kernel {kernel.name}: {cost_text(cost)}")
    cost.check(kernel.name, max_hours)


def check_kernel(space: SpaceRecord, kernel: GraphKernel) -> None:
    """Raise InputError if a kernel is not the one that the library of a space was begun with."""
    wanted, begun = LibrarySettings.new(kernel), LibrarySettings.of(space.info)
    if wanted != begun:
        rule = f"be the one that space {space.name} was begun with ({begun})"
        raise InputError("kernel", rule, str(wanted), Advice(Remedy.OTHER_KERNEL))


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
        settings = LibrarySettings.new(kernel_named(DEFAULT) if kernel is None else kernel).to_json()
    new = SpaceRecord(space, {"title": title, "source": source, "ready": False, "settings": settings})
    try:
        stored = store.space(space)
    except NotFoundError:
        store.put_space(new)
        return new
    if is_finished(stored.info) or LibrarySettings.of(stored.info).layout == LibrarySettings.of(new.info).layout:
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
