"""The nearest architectures of a space to any architecture, in the store or not, and why they are near."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from explorer.errors import DataError, InputError
from explorer.library.build import ITERATIONS, is_ready
from explorer.library.placing import Placer
from explorer.similarity.explanation import Explanation
from explorer.similarity.graph import architecture_id, build_graph
from explorer.similarity.overlap import layer_codes, overlap_neighbors_of
from explorer.similarity.weisfeiler_lehman import WeisfeilerLehman
from explorer.space.difference import Difference, difference
from explorer.space.formats import from_json
from explorer.space.spec import ArchitectureSpec
from graphstore import GraphStore
from graphstore.records import Embeddings, NeighborRecord

LARGEST = 1e15
"""No number of a vector may be further from zero; the engines' single precision holds its square."""


def choose_space(store: GraphStore, id: str | None, wanted: str = "") -> str:
    """The space to look in: the wanted one, else the first built one with the architecture, else the largest.

    Args:
        store: where to look.
        id: of the architecture; ``None`` where it is about none.
        wanted: name of a space, or empty.

    Raises:
        InputError: the wanted space is not built, or none is.
    """
    built = [space.name for space in store.spaces() if is_ready(store, space.name)]
    if wanted and wanted not in built:
        rule = f"be a built space ({', '.join(built) or 'none yet'})"
        raise InputError("--space", rule, wanted, "Build it with `archex space build`, or choose another.")
    if not built:
        raise InputError("store", "hold a built space", store.url, "Build one: `archex space build nano`.")
    homes = [name for name in built if id is not None and store.neighbors(name, id, WeisfeilerLehman.name, 1)]
    return wanted or next(iter(homes), max(built, key=store.count))


def nearest_in_space(store: GraphStore, space: str, spec: ArchitectureSpec, k: int) -> list[NeighborRecord]:
    """The k nearest of a space by exact kernel dissimilarity, itself left out, ties by the space's order.

    Stored neighbours are used where they are enough; otherwise the kernel is computed against the whole space.
    """
    id = architecture_id(spec)
    stored = store.neighbors(space, id, WeisfeilerLehman.name, k)
    if len(stored) == k:
        return stored
    others = [summary for summary in store.summaries(space) if summary.id != id]
    if not others:
        return []
    kernel = WeisfeilerLehman(ITERATIONS).fit([build_graph(from_json(summary.spec)) for summary in others])
    indices, values = kernel.nearest([build_graph(spec)], k)
    found = zip(indices[0], values[0], strict=True)
    return [
        NeighborRecord(id, others[index].id, WeisfeilerLehman.name, rank, float(value))
        for rank, (index, value) in enumerate(found, start=1)
    ]


def _vector_in(store: GraphStore, space: str, spec: ArchitectureSpec, embedded: Embeddings) -> NDArray[np.float32]:
    """The vector ``[d]`` of an architecture in a space, placed there if it is not in it. Raises InputError."""
    id = architecture_id(spec)
    if not embedded.ids:
        raise InputError("space", "have vectors", space, "Build or import it again to finish it.")
    if id in embedded.ids:
        return embedded.vectors[embedded.ids.index(id)]
    return Placer.of_space(store, space).place([build_graph(spec)])[0]


def nearest_by_vector(store: GraphStore, space: str, spec: ArchitectureSpec, k: int) -> list[tuple[str, float]]:
    """The k nearest of a space by the Euclidean distance of its vectors, itself left out: (id, distance).

    An architecture that is not in the space is placed among its vectors first.

    Raises:
        InputError: the space has no vectors.
    """
    id = architecture_id(spec)
    vector = _vector_in(store, space, spec, store.embeddings(space))
    found = nearest_to_vector(store, space, vector.astype(np.float64), k + 1)
    return [(other, distance) for other, distance in found if other != id][:k]


def nearest_by_overlap(store: GraphStore, space: str, spec: ArchitectureSpec, k: int) -> list[tuple[str, float]]:
    """The k of a space that share most leading layers, ties by vector, itself left out: (id, how many layers).

    Whose weights an architecture can start from (FlexiBERT's biased overlap).

    Raises:
        InputError: the space has no vectors.
    """
    id = architecture_id(spec)
    embedded = store.embeddings(space)
    vector = _vector_in(store, space, spec, embedded)
    specs = [from_json(summary.spec) for summary in store.summaries(space, embedded.ids)]
    codes = layer_codes([spec, *specs])
    found = overlap_neighbors_of(codes[:1], vector[None], codes[1:], embedded.vectors, k + 1)
    pairs = [(embedded.ids[row], float(same)) for row, same in zip(found[0][0], found[1][0], strict=True)]
    return [(other, same) for other, same in pairs if other != id][:k]


def vector_of(document: object) -> NDArray[np.float64]:
    """The vector ``[d]`` that a JSON document of a user stands for.

    Raises:
        DataError: it is no list of numbers, or one of them is not finite or beyond ``LARGEST``.
    """
    remedy = "Write for example [0.25, -1, 3e-2]."
    if not isinstance(document, list) or not document:
        raise DataError("vector", "be a JSON list of numbers", document, remedy)
    for position, value in enumerate(document):
        # Compared before it becomes a float, which a whole number may be too large for; what is no number compares not.
        if isinstance(value, bool) or not isinstance(value, int | float) or not -LARGEST <= value <= LARGEST:
            rule = f"be a finite number, at most {LARGEST:g} from zero"
            raise DataError(f"vector[{position}]", rule, value, remedy)
    return np.array(document, dtype=np.float64)


def nearest_to_vector(store: GraphStore, space: str, vector: NDArray[np.float64], k: int) -> list[tuple[str, float]]:
    """The k nearest of a space to a vector ``[d]`` by Euclidean distance, ties by id: (id, distance).

    Raises:
        InputError: the space has no vectors.
        StoreInputError: the vector has another length than the space's.
    """
    found = store.nearest(space, vector, k)
    if not found:
        raise InputError("space", "have vectors", space, "Build or import it again to finish it.")
    return found


def why_similar(first: ArchitectureSpec, second: ArchitectureSpec) -> tuple[Explanation, Difference]:
    """The patterns behind the dissimilarity that neighbours are ranked by, and the difference layer by layer."""
    return WeisfeilerLehman(ITERATIONS).explain(build_graph(first), build_graph(second)), difference(first, second)
