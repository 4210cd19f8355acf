"""Build a library: every architecture of a space as a graph, with its vector and its exact nearest neighbours."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explorer.errors import SpecError
from explorer.library.placing import DIMENSIONS, Placer, library_vectors
from explorer.library.records import architecture_records
from explorer.progress import Reporter
from explorer.similarity.graph import ArchitectureGraph
from explorer.similarity.weisfeiler_lehman import WeisfeilerLehman
from explorer.space.formats import from_json
from explorer.space.grammar import DesignSpace
from explorer.space.spec import ArchitectureSpec
from graphstore import GraphStore
from graphstore.errors import NotFoundError
from graphstore.records import Embeddings, NeighborRecord, SpaceRecord

MAX_LIBRARY = 20_000
"""Most architectures a library holds, as all pairs of them are compared."""
NEIGHBORS = 10
ITERATIONS = 5
LAYOUT = 2
"""Raised whenever what a library holds changes, so that older ones are rebuilt."""


def _settings() -> dict[str, Any]:
    kernel = {"name": WeisfeilerLehman.name, "iterations": ITERATIONS, "direction": "out"}
    embedding = {"method": "principal_axes", "kernel": "multi_view", "dimensions": DIMENSIONS}
    return {"kernel": kernel, "embedding": embedding, "neighbors": NEIGHBORS, "layout": LAYOUT}


def library_digest(ids: Sequence[str]) -> str:
    """What a library of these architectures, in this order, is known by; another one with other settings."""
    text = json.dumps([_settings(), list(ids)], sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


def is_ready(store: GraphStore, name: str, source: Mapping[str, Any] | None = None) -> bool:
    """Whether the space's library is complete and was built with the settings in force, from this source."""
    try:
        info = store.space(name).info
    except NotFoundError:
        return False
    same_source = source is None or info.get("source") == json.loads(json.dumps(source))
    return bool(info.get("ready")) and info.get("settings") == _settings() and same_source


def check_size(space: DesignSpace) -> None:
    """Raise SpecError if a space is too large to be enumerated into a library."""
    total = space.count()
    if total > MAX_LIBRARY:
        remedy = "Use a coarser level (a larger --layers-per-stack), or `archex space sample`."
        raise SpecError(f"size of space {space.name}", f"be at most {MAX_LIBRARY:,} for a library", total, remedy)


def build_space(store: GraphStore, space: DesignSpace, reporter: Reporter) -> SpaceRecord:
    """Build the library of a whole design space; returns at once if it is there already.

    Raises:
        SpecError: the space is too large to be enumerated.
    """
    source = space.source()
    if is_ready(store, space.name, source):
        return store.space(space.name)
    _refuse_other_grammar(store, space.name, source)
    check_size(space)
    return build_library(store, space.name, list(space), reporter, source=source, title=space.title)


def has_space(store: GraphStore, name: str) -> bool:
    """Whether the store holds a space of this name, finished or not."""
    return any(space.name == name for space in store.spaces())


def _refuse_other_grammar(store: GraphStore, name: str, source: Mapping[str, Any]) -> None:
    stored = store.space(name).info.get("source") if has_space(store, name) else None
    if stored is not None and stored != json.loads(json.dumps(source)):
        rule = "be new, because the store holds a space of this name with another grammar"
        raise SpecError("name of the design space", rule, name, "Rename the space in its YAML file.")


def build_library(
    store: GraphStore,
    name: str,
    specs: Sequence[ArchitectureSpec],
    reporter: Reporter,
    source: Mapping[str, Any],
    title: str = "",
    placer: Placer | None = None,
) -> SpaceRecord:
    """Bring architectures into a space with graphs, vectors and neighbours. Safe to interrupt and run again.

    Args:
        store: where to.
        name: name of the space.
        specs: the architectures; repeats are dropped. Those the space holds already stay in it, before the new ones.
        reporter: told of the phases ``graphs``, ``store``, ``similarity``, ``embedding`` and ``neighbours``.
        source: where the architectures come from, kept with the space.
        title: one line for people.
        placer: of the library whose vectors theirs shall compare with; they span their own by default.

    Returns:
        The finished space.
    """
    reporter.update("graphs", 0, len(specs))
    held = [from_json(summary.spec) for summary in store.summaries(name)] if has_space(store, name) else []
    pairs = architecture_records([*held, *specs])
    records = [record for record, _ in pairs]
    reporter.update("graphs", len(specs), len(specs))
    info: dict[str, Any] = {"title": title, "source": source, "architectures": len(records), "ready": False}
    store.put_space(SpaceRecord(name, info))
    store.add_architectures(name, records, lambda done, total: reporter.update("store", done, total))
    reporter.update("store", len(records), len(records))
    ids = tuple(record.id for record in records)
    graphs = [graph for _, graph in pairs]
    found = _neighbors(graphs, reporter)
    vectors, agreement = library_vectors(graphs, placer)
    store.put_embeddings(name, Embeddings(ids, vectors))
    reporter.update("embedding", 1, 1)
    store.put_neighbors(
        name,
        WeisfeilerLehman.name,
        _neighbor_records(ids, *found),
        lambda done, total: reporter.update("neighbours", done, total),
    )
    reporter.update("neighbours", 1, 1)
    info |= {"ready": True, "settings": _settings(), "digest": library_digest(ids), "embedding_spearman": agreement}
    store.put_space(SpaceRecord(name, info))
    return store.space(name)


def _neighbors(
    graphs: Sequence[ArchitectureGraph], reporter: Reporter
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Indices ``[N, k]`` of each graph's exact nearest neighbours and their dissimilarities."""
    kernel = WeisfeilerLehman(ITERATIONS).fit(graphs)
    return kernel.neighbors(NEIGHBORS, lambda done, total: reporter.update("similarity", done, total))


def _neighbor_records(
    ids: Sequence[str], indices: NDArray[np.int64], values: NDArray[np.float64]
) -> Iterator[NeighborRecord]:
    for row, source in enumerate(ids):
        for rank, (target, value) in enumerate(zip(indices[row], values[row], strict=True), start=1):
            yield NeighborRecord(source, ids[target], WeisfeilerLehman.name, rank, float(value))
