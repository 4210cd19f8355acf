"""The nearest architectures of a space to any architecture, in the store or not, and why they are near."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from explorer.embedding.neighbors import nearest_in_rows
from explorer.errors import DataError, InputError
from explorer.graphs import architecture_id, build_graph
from explorer.kernels.explanation import Explanation, explain
from explorer.kernels.weisfeiler_lehman import WeisfeilerLehman, dissimilarity_blocks
from explorer.runner.library import ITERATIONS, is_ready
from explorer.space.difference import Difference, difference
from explorer.space.formats import from_json
from explorer.space.spec import ArchitectureSpec
from graphstore import GraphStore
from graphstore.records import NeighborRecord

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
    graphs = [build_graph(spec), *(build_graph(from_json(summary.spec)) for summary in others)]
    features = WeisfeilerLehman(ITERATIONS).features(graphs)
    _, first = next(dissimilarity_blocks(features, block_rows=1))
    indices, values = nearest_in_rows(first, 0, k)
    found = zip(indices[0], values[0], strict=True)
    return [
        NeighborRecord(id, others[index - 1].id, WeisfeilerLehman.name, rank, float(value))
        for rank, (index, value) in enumerate(found, start=1)
    ]


def nearest_by_vector(store: GraphStore, space: str, spec: ArchitectureSpec, k: int) -> list[tuple[str, float]]:
    """The k nearest of a space by the Euclidean distance of its vectors, itself left out: (id, distance).

    Raises:
        InputError: the architecture has no vector in the space.
    """
    id = architecture_id(spec)
    embedded = store.embeddings(space)
    if id not in embedded.ids:
        rule = f"have a vector in space {space}, to compare by vector"
        raise InputError("architecture", rule, id, "Compare by kernel instead, or choose its space by --space.")
    found = store.nearest(space, embedded.vectors[embedded.ids.index(id)], k + 1)
    return [(other, distance) for other, distance in found if other != id][:k]


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
    return explain(build_graph(first), build_graph(second), ITERATIONS), difference(first, second)
