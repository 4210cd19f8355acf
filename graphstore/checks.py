"""Rules both engines check before they write, and the text form of JSON-able maps."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphstore.errors import LeaseLostError, NotFoundError, StoreInputError
from graphstore.records import (
    ArchitectureRecord,
    Embeddings,
    JobRecord,
    JobState,
    MeasurementRecord,
    NeighborRecord,
    TrialRecord,
    TrialStatus,
)

PREFIX_LENGTH = 6
"""Shortest prefix of an architecture's id that may stand for it."""

LEASE_RAN_OUT = "lease ran out"
"""Reason of a trial whose worker fell silent."""

TOPICS = ("library", "scores", "studies", "jobs")
"""What a revision counter is kept for."""


def check_topic(topic: str) -> None:
    """Raise StoreInputError unless ``topic`` is empty or one of TOPICS."""
    if topic and topic not in TOPICS:
        raise StoreInputError(f"topic must be one of {', '.join(TOPICS)} or empty, but got {topic!r}. Correct it.")


def check_name(field: str, value: str) -> None:
    """Raise StoreInputError unless ``value`` is a text with something in it."""
    if not isinstance(value, str) or not value:
        raise StoreInputError(f"{field} must be a non-empty text, but got {value!r}. Give it a name.")


def to_json(field: str, value: Mapping[str, Any]) -> str:
    """The map as JSON text. Raises StoreInputError if it holds what JSON cannot say, such as NaN or an array."""
    try:
        return json.dumps(dict(value), allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise StoreInputError(
            f"{field} must be JSON-able ({error}), but got {str(value)[:120]!r}. "
            "Use text, finite numbers, booleans, lists and maps."
        ) from None


def check_architecture(architecture: ArchitectureRecord) -> None:
    """Raise StoreInputError unless layers and operations are numbered from 0 and edges join operations once each."""
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
    for source, target in architecture.feeds:
        if not 0 <= source < target < size:
            raise StoreInputError(
                f"feeds of {where} must lead from an op to a later one below {size}, but got {(source, target)}. "
                "Number the ops in topological order."
            )
    if len(set(architecture.feeds)) != len(architecture.feeds):
        raise StoreInputError(f"feeds of {where} must name each edge once, but got one twice. Remove the second.")


def check_embeddings(embeddings: Embeddings) -> NDArray[np.float32]:
    """The vectors as float32 ``[N, d]``. Raises StoreInputError for a wrong shape, a repeated id or no finite value."""
    with np.errstate(over="ignore"):
        vectors = np.ascontiguousarray(embeddings.vectors, dtype=np.float32)
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
    """Raise StoreInputError for another kernel, a rank below 1 or taken twice, or a dissimilarity not finite."""
    check_name("kernel", kernel)
    places = set()
    for neighbor in neighbors:
        if neighbor.kernel != kernel:
            raise StoreInputError(
                f"kernel of a neighbour must be {kernel!r}, but got {neighbor.kernel!r}. Write each kernel by itself."
            )
        if neighbor.rank < 1 or not math.isfinite(neighbor.dissimilarity):
            raise StoreInputError(
                f"neighbour of {neighbor.source!r} must have a rank from 1 and a finite dissimilarity, but got "
                f"{neighbor.rank} and {neighbor.dissimilarity}. Correct them."
            )
        places.add((neighbor.source, neighbor.rank))
    if len(places) != len(neighbors):
        raise StoreInputError("ranks of an architecture's neighbours must be distinct, but got one twice. Rank again.")


def check_measurement(measurement: MeasurementRecord) -> None:
    """Raise StoreInputError unless the value is finite."""
    if not math.isfinite(measurement.value):
        raise StoreInputError(
            f"value of measurement {measurement.quantity!r} must be a finite number, but got {measurement.value!r}. "
            "Leave it out instead."
        )


def check_finish(state: TrialStatus, value: float | None) -> None:
    """Raise StoreInputError unless ``state`` ends a trial and a value comes with ``complete`` and only with it."""
    if state not in (TrialStatus.COMPLETE, TrialStatus.FAILED, TrialStatus.STALE, TrialStatus.WAITING):
        raise StoreInputError(
            f"state of a finished trial must be complete, failed, stale or waiting, but got {state!r}. Use one of them."
        )
    if state == TrialStatus.COMPLETE and (value is None or not math.isfinite(value)):
        raise StoreInputError(
            f"value of a complete trial must be a finite number, but got {value!r}. Finish it as failed instead."
        )
    if state != TrialStatus.COMPLETE and value is not None:
        raise StoreInputError(f"value of a {state} trial must be None, but got {value!r}. Leave the value out.")


def check_lease(lease_s: float, now: float) -> None:
    """Raise StoreInputError unless the lease is longer than nothing and both are finite."""
    if not (math.isfinite(now) and math.isfinite(lease_s) and lease_s > 0):
        raise StoreInputError(
            f"lease must be a finite number of seconds above 0 from a finite time, but got {lease_s!r} from {now!r}. "
            "Correct it."
        )


def operations_of(architecture: ArchitectureRecord) -> list[str]:
    """``family_parameter`` of each layer, as a summary shows it."""
    return [f"{layer.family}_{layer.parameter}" for layer in architecture.layers]


def one_id(prefix: str, found: Sequence[str]) -> str:
    """The one id a prefix stands for, among up to two candidates. Raises NotFoundError."""
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


def missing(kind: str, name: str, remedy: str) -> NotFoundError:
    """The error for an unknown name."""
    return NotFoundError(f"{kind} must be in the store, but got {name!r}, which is not. {remedy}")


def check_known_architectures(wanted: Iterable[str], known: Iterable[str]) -> None:
    """Raise NotFoundError unless every wanted architecture is known."""
    unknown = set(wanted) - set(known)
    if unknown:
        more = f" ({len(unknown)} in all)" if len(unknown) > 1 else ""
        raise missing("architecture", min(unknown), f"Add it to a space first{more}.")


def is_repeat(stored: TrialRecord, trial: TrialRecord, state: TrialStatus, value: float | None, reason: str) -> bool:
    """Whether a trial was already ended by this claim, in this way: the writer missed the acknowledgement."""
    return (stored.token, stored.state, stored.value, stored.reason) == (trial.token, state, value, reason)


def lease_lost(trial: TrialRecord, state: str, token: int) -> LeaseLostError:
    """The error for a writer whose claim is not the newest, or whose trial is not running."""
    return LeaseLostError(
        f"token of trial {trial.study}/{trial.number} must be the newest of a running trial, but got {trial.token} "
        f"where the trial is {state} with token {token}. Drop the result; somebody else has the trial."
    )


def changed_job(job: JobRecord, changes: Mapping[str, Any]) -> JobRecord:
    """The job with changed fields. Raises StoreInputError for a field it does not have, its id, or no state."""
    allowed = [field.name for field in dataclasses.fields(JobRecord) if field.name != "id"]
    unknown = sorted(set(changes) - set(allowed))
    if unknown:
        raise StoreInputError(f"changes of a job must be among {', '.join(allowed)}, but got {unknown}. Correct them.")
    if "state" in changes and changes["state"] not in set(JobState):
        states = ", ".join(JobState)
        raise StoreInputError(f"state of a job must be one of {states}, but got {changes['state']!r}. Use one of them.")
    return dataclasses.replace(job, **changes)
