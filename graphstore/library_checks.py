"""Rules for the records of a library, which both engines check before they write."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphstore.checks import check_name, to_json
from graphstore.errors import NotFoundError, StoreInputError
from graphstore.fields import all_fit, check_records, shown
from graphstore.records import (
    ArchitectureRecord,
    Embeddings,
    KernelRecord,
    LayerRecord,
    NeighborRecord,
    OpRecord,
    SpaceRecord,
)

PREFIX_LENGTH = 6
"""Length of the shortest prefix that identifies an architecture."""

LARGEST_STATE = 256 * 2**20
"""Largest state of a fitted kernel, in bytes."""


def check_space(space: SpaceRecord) -> str:
    """Return the space's info as JSON text. Raises StoreInputError for a wrong field."""
    check_name("space name", space.name)
    return to_json("space info", space.info)


def check_architectures(architectures: Sequence[ArchitectureRecord]) -> None:
    """Raise StoreInputError unless all fields are valid and every graph connects operations numbered from 0."""
    check_records(ArchitectureRecord, architectures, lambda record: f"architecture {shown(record.id)}")
    for kind, field in ((LayerRecord, "layers"), (OpRecord, "ops")):
        # Check the whole column first: checking hundreds of thousands of parts one by one takes several times longer.
        if not all_fit(kind, list(chain.from_iterable(getattr(record, field) for record in architectures))):
            for record in architectures:
                _check_parts(kind, getattr(record, field), field, f"architecture {shown(record.id)}")
    for architecture in architectures:
        _check_graph(architecture)


def _check_parts(kind: type, parts: Sequence[Any], field: str, where: str) -> None:
    check_records(kind, parts, lambda part: f"{field}[{shown(part.index)}] of {where}", f"{field} of {where}")


def _check_graph(architecture: ArchitectureRecord) -> None:
    where = f"architecture {architecture.id!r}"
    check_name("architecture id", architecture.id)
    if [layer.index for layer in architecture.layers] != list(range(len(architecture.layers))):
        got = [layer.index for layer in architecture.layers]
        raise StoreInputError(f"layers of {where} must be numbered from 0 in order, but got {got}. Renumber them.")
    if [op.index for op in architecture.ops] != list(range(len(architecture.ops))):
        got = [op.index for op in architecture.ops]
        raise StoreInputError(f"ops of {where} must be numbered from 0 in order, but got {got}. Renumber them.")
    depth, size = len(architecture.layers), len(architecture.ops)
    for op in architecture.ops:
        if not -1 <= op.layer < depth:
            raise StoreInputError(
                f"ops[{op.index}].layer of {where} must be -1 or below {depth}, but got {op.layer}. Correct it."
            )
    edges = architecture.feeds
    if (
        set(map(type, edges)) - {tuple}
        or set(map(len, edges)) - {2}
        or set(map(type, chain.from_iterable(edges))) - {int}
    ):
        raise StoreInputError(
            f"feeds of {where} must be pairs of plain integers, but got {shown(edges)}. Convert them with int()."
        )
    for source, target in edges:
        if not 0 <= source < target < size:
            raise StoreInputError(
                f"feeds of {where} must lead from an op to a later one below {size}, but got {(source, target)}. "
                "Number the ops in topological order."
            )
    if len(set(edges)) != len(edges):
        raise StoreInputError(f"feeds of {where} must name each edge once, but got one twice. Remove the second.")


def check_embeddings(embeddings: Embeddings) -> NDArray[np.float32]:
    """Return the vectors as float32 ``[N, d]``. Raises StoreInputError for a wrong shape, a repeated id, NaN or inf."""
    for id in embeddings.ids:
        check_name("embedding id", id)
    try:
        with np.errstate(over="ignore"):
            vectors = np.ascontiguousarray(embeddings.vectors, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise StoreInputError(
            f"embedding vectors must be numbers, but got {shown(embeddings.vectors)} ({error}). Embed again."
        ) from None
    if vectors.ndim != 2 or vectors.shape[0] != len(embeddings.ids) or (len(vectors) and not vectors.shape[1]):
        raise StoreInputError(
            f"embedding vectors must have shape [{len(embeddings.ids)}, d], but got {list(vectors.shape)}. "
            "Give one vector per id."
        )
    if len(set(embeddings.ids)) != len(embeddings.ids):
        raise StoreInputError("embedding ids must be distinct, but got one twice. Give one vector per architecture.")
    finite = np.isfinite(vectors).all(axis=1)
    if not finite.all():
        row = int(np.argmin(finite))
        raise StoreInputError(
            f"embedding of {embeddings.ids[row]!r} must be finite, but got {vectors[row].tolist()}. "
            "Embed again without the values that overflow."
        )
    return vectors


def check_members(field: str, space: str, wanted: Iterable[str], members: Iterable[str]) -> None:
    """Raise StoreInputError unless every wanted id is one of the space's members."""
    missing = set(wanted) - set(members)
    if missing:
        raise StoreInputError(
            f"{field} must name architectures of space {space!r}, but got {min(missing)!r} "
            f"({len(missing)} in all). Add the architectures first."
        )


def check_neighbors(kernel: str, neighbors: Sequence[NeighborRecord]) -> None:
    """Raise StoreInputError for another kernel, a rank below 1 or used twice, or a dissimilarity that is not finite."""
    check_name("kernel", kernel)
    check_records(NeighborRecord, neighbors, lambda neighbor: f"neighbour of {shown(neighbor.source)}")
    places = set()
    for neighbor in neighbors:
        if neighbor.kernel != kernel:
            raise StoreInputError(
                f"kernel of a neighbour must be {kernel!r}, but got {neighbor.kernel!r}. Write each kernel separately."
            )
        if neighbor.rank < 1:
            raise StoreInputError(
                f"rank of a neighbour of {neighbor.source!r} must be from 1, but got {neighbor.rank}. Rank again."
            )
        places.add((neighbor.source, neighbor.rank))
    if len(places) != len(neighbors):
        raise StoreInputError("ranks of an architecture's neighbours must be distinct, but got one twice. Rank again.")


def check_append(
    architectures: Sequence[ArchitectureRecord], embeddings: Embeddings, neighbors: Sequence[NeighborRecord]
) -> NDArray[np.float32]:
    """Return the vectors as float32 ``[N, d]``.

    Raises:
        StoreInputError: a record breaks a rule, or a vector or the source of a neighbour belongs to no given
            architecture.
    """
    check_architectures(architectures)
    vectors = check_embeddings(embeddings)
    for kernel in sorted({neighbor.kernel for neighbor in neighbors}):
        check_neighbors(kernel, [neighbor for neighbor in neighbors if neighbor.kernel == kernel])
    given = {architecture.id for architecture in architectures}
    for field, ids in (("embedding ids", embeddings.ids), ("neighbours", [n.source for n in neighbors])):
        unknown = set(ids) - given
        if unknown:
            raise StoreInputError(
                f"{field} must belong to the appended architectures, but got {min(unknown)!r} ({len(unknown)} in all). "
                "Append that architecture too, or leave it out."
            )
    return vectors


def check_length(space: str, vectors: NDArray[np.float32], stored: int | None) -> None:
    """Raise StoreInputError unless vectors ``[N, d]`` are as long as the stored ones of the space, if there are any."""
    if stored is not None and len(vectors) and vectors.shape[1] != stored:
        raise StoreInputError(
            f"vectors must have the length {stored} of the vectors of space {space!r}, but got {vectors.shape[1]}. "
            "Embed the architectures with the kernel that the space was embedded with."
        )


def check_kernel(kernel: KernelRecord) -> str:
    """Return the kernel's parameters as JSON text. Raises StoreInputError for a wrong field."""
    check_name("kernel", kernel.name)
    if not isinstance(kernel.state, bytes) or len(kernel.state) > LARGEST_STATE:
        got = f"{len(kernel.state):,} bytes" if isinstance(kernel.state, bytes) else shown(kernel.state)
        raise StoreInputError(
            f"state of kernel {kernel.name!r} must be bytes, at most {LARGEST_STATE:,}, but got {got}. "
            "Serialise it, or fit the kernel to fewer architectures."
        )
    return to_json("kernel parameters", kernel.parameters)


def operations_of(architecture: ArchitectureRecord) -> list[str]:
    """Return ``family_parameter`` of each layer, as in a summary."""
    return [f"{layer.family}_{layer.parameter}" for layer in architecture.layers]


def one_id(prefix: str, found: Sequence[str]) -> str:
    """Return the id that a prefix identifies, among up to two candidates. Raises NotFoundError."""
    if prefix in found:
        return prefix
    if len(prefix) < PREFIX_LENGTH or not found:
        raise NotFoundError(
            f"architecture must be known by its id or by {PREFIX_LENGTH} or more characters of it, but got {prefix!r}. "
            "Look the id up in the table of its space."
        )
    if len(found) > 1:
        raise NotFoundError(
            f"architecture must be named by a prefix that fits one id, but got {prefix!r}, which fits "
            f"{', '.join(found)}. Write more characters of it."
        )
    return found[0]
