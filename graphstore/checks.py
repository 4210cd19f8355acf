"""Rules that both engines check before they write, and JSON-able maps as text."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphstore.errors import Code, LeaseLostError, NotFoundError, StoreInputError
from graphstore.fields import (
    LONGEST_NAME,
    all_fit,
    check_field,
    check_fields,
    check_records,
    is_integer,
    is_number,
    is_text,
    shown,
)
from graphstore.records import (
    ArchitectureRecord,
    Embeddings,
    JobRecord,
    KernelRecord,
    LayerRecord,
    LineageRecord,
    MeasurementRecord,
    NeighborRecord,
    OpRecord,
    ScoreRecord,
    SpaceRecord,
    StudyRecord,
    StudyState,
    TrialRecord,
    TrialStatus,
)

PREFIX_LENGTH = 6
"""Length of the shortest prefix that identifies an architecture."""

LEASE_RAN_OUT = "lease ran out"
"""Reason of a trial whose worker did not renew its lease."""

LARGEST_STATE = 256 * 2**20
"""Largest state of a fitted kernel, in bytes."""

TOPICS = ("library", "scores", "studies", "jobs")
"""Topics that have a revision counter."""


def check_topic(topic: str) -> None:
    """Raise StoreInputError unless ``topic`` is empty or one of TOPICS."""
    if topic and topic not in TOPICS:
        raise StoreInputError(f"topic must be one of {', '.join(TOPICS)} or empty, but got {topic!r}. Correct it.")


def check_name(field: str, value: str) -> None:
    """Raise StoreInputError unless ``value`` is a non-empty plain text that is not too long."""
    if not value or not is_text(value):
        raise StoreInputError(
            f"{field} must be a non-empty plain text of at most {LONGEST_NAME:,} bytes in UTF-8, but got "
            f"{shown(value)}. Give it another name."
        )


def check_number(field: str, value: float) -> None:
    """Raise StoreInputError unless ``value`` is a plain finite number."""
    if not is_number(value):
        raise StoreInputError(f"{field} must be a plain finite number, but got {shown(value)}. Correct it.")


def to_json(field: str, value: Mapping[str, Any]) -> str:
    """Return the map as JSON text. Raises StoreInputError for values that JSON lacks, such as NaN or an array."""
    if not isinstance(value, Mapping):
        raise StoreInputError(f"{field} must be a JSON-able map, but got {shown(value)}. Give a dict.")
    try:
        return json.dumps(dict(value), allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise StoreInputError(
            f"{field} must be JSON-able ({error}), but got {str(value)[:120]!r}. "
            "Use text, finite numbers, booleans, lists and maps."
        ) from None


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
                f"kernel of a neighbour must be {kernel!r}, but got {neighbor.kernel!r}. Write each kernel by itself."
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


def check_scores(scores: Sequence[ScoreRecord]) -> None:
    """Raise StoreInputError unless all fields are right."""
    check_records(ScoreRecord, scores, lambda score: f"score {shown(score.task)}")


def check_measurements(measurements: Sequence[MeasurementRecord]) -> None:
    """Raise StoreInputError unless all fields are right."""
    check_records(MeasurementRecord, measurements, lambda measurement: f"measurement {shown(measurement.quantity)}")


def check_study(study: StudyRecord) -> str:
    """Return the study's settings as JSON text. Raises StoreInputError for a wrong field."""
    check_name("study name", study.name)
    check_fields(study, f"study {study.name!r}")
    return to_json("study settings", study.settings)


def check_study_changes(
    name: str, state: StudyState | None, budget: int | None, settings: Mapping[str, Any] | None
) -> str | None:
    """Return the settings as JSON text, if there are any. Raises StoreInputError for a value that breaks a rule."""
    for field, value in (("state", state), ("budget", budget)):
        if value is not None:
            check_field(StudyRecord, field, value, f"study {shown(name)}")
    return None if settings is None else to_json("study settings", settings)


def changed_study(
    study: StudyRecord, state: StudyState | None, budget: int | None, settings: str | None
) -> tuple[str, int, str] | None:
    """Return the state, budget and settings (as text) to store, or ``None`` if nothing changes."""
    held = (study.state.value, study.budget, to_json("study settings", study.settings))
    after = (
        StudyState(state or study.state).value,
        study.budget if budget is None else budget,
        held[2] if settings is None else settings,
    )
    return None if after == held else after


def check_proposals(proposals: Sequence[tuple[str, Mapping[str, Any]]]) -> dict[str, str]:
    """Return the infos of proposed trials as JSON text, by architecture. Raises StoreInputError for a wrong one."""
    for id, _ in proposals:
        check_name("architecture of a trial", id)
    return {id: to_json("trial info", info) for id, info in reversed(proposals)}


def check_finish(
    state: TrialStatus, now: float, value: float | None, reason: str, scores: Sequence[ScoreRecord]
) -> None:
    """Raise StoreInputError unless ``state`` ends a trial, and has a value exactly if it is ``complete``."""
    check_number("now", now)
    check_field(TrialRecord, "reason", reason, "a trial")
    check_scores(scores)
    if state not in (TrialStatus.COMPLETE, TrialStatus.FAILED, TrialStatus.STALE, TrialStatus.WAITING):
        raise StoreInputError(
            f"state of a finished trial must be complete, failed, stale or waiting, but got {state!r}. Use one of them."
        )
    if state == TrialStatus.COMPLETE and (value is None or not is_number(value)):
        raise StoreInputError(
            f"value of a complete trial must be a finite number, but got {value!r}. Finish it as failed instead."
        )
    if state != TrialStatus.COMPLETE and value is not None:
        raise StoreInputError(f"value of a {state} trial must be None, but got {value!r}. Leave the value out.")


def check_lease(lease_s: float, now: float, info: Mapping[str, Any] | None = None) -> None:
    """Raise StoreInputError unless the lease is above 0, both numbers are finite, and ``info`` is JSON-able."""
    if info is not None:
        to_json("trial info", info)
    if not (is_number(now) and is_number(lease_s) and lease_s > 0):
        raise StoreInputError(
            f"lease must be a finite number of seconds above 0 from a finite time, but got {lease_s!r} from {now!r}. "
            "Correct it."
        )


def check_expiry(now: float, max_attempts: int) -> None:
    """Raise StoreInputError unless the time is finite and the limit a plain integer."""
    check_number("now", now)
    if not is_integer(max_attempts):
        raise StoreInputError(f"max_attempts must be a plain integer, but got {shown(max_attempts)}. Correct it.")


def check_job(job: JobRecord) -> str:
    """Return the job's info as JSON text. Raises StoreInputError for a wrong field."""
    check_name("job id", job.id)
    check_fields(job, f"job {job.id!r}")
    return to_json("job info", job.info)


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


def missing(kind: str, name: str, remedy: str = "", code: Code | None = None) -> NotFoundError:
    """Return the error for an unknown name."""
    return NotFoundError(f"{kind} must be in the store, but got {name!r}, which is not. {remedy}".rstrip(), code)


def check_known_architectures(wanted: Iterable[str], known: Iterable[str]) -> None:
    """Raise NotFoundError unless every wanted architecture is known."""
    unknown = set(wanted) - set(known)
    if unknown:
        more = f" ({len(unknown)} in all)" if len(unknown) > 1 else ""
        raise missing("architecture", min(unknown), f"Add it to a space first{more}.")


def is_repeat(stored: TrialRecord, trial: TrialRecord, state: TrialStatus, value: float | None, reason: str) -> bool:
    """Return whether this claim already ended the trial in this way: the writer missed the acknowledgement."""
    return (stored.token, stored.state, stored.value, stored.reason) == (trial.token, state, value, reason)


def check_held(stored: TrialRecord, trial: TrialRecord) -> None:
    """Raise LeaseLostError unless the trial is running and this claim is the newest."""
    if stored.state is not TrialStatus.RUNNING or stored.token != trial.token:
        raise LeaseLostError(
            f"token of trial {trial.study}/{trial.number} must be the newest of a running trial, but got {trial.token} "
            f"where the trial is {stored.state.value} with token {stored.token}. Drop the result; somebody else has "
            "the trial."
        )


def changed_job(job: JobRecord, changes: Mapping[str, Any]) -> JobRecord:
    """Return the job with changed fields. Raises StoreInputError for an unknown field or the id."""
    allowed = [field.name for field in dataclasses.fields(JobRecord) if field.name != "id"]
    unknown = sorted(set(changes) - set(allowed))
    if unknown:
        raise StoreInputError(f"changes of a job must be among {', '.join(allowed)}, but got {unknown}. Correct them.")
    return dataclasses.replace(job, **changes)


def check_lineage(records: Sequence[LineageRecord]) -> None:
    """Raise StoreInputError for a nameless run, a run that is its own donor, or a share outside of 0 to 1."""
    check_records(LineageRecord, records, lambda record: f"lineage of run {shown(record.run)}")
    for record in records:
        for name, run in (("run", record.run), ("donor_run", record.donor_run)):
            if not run:
                raise StoreInputError(f"{name} of a lineage record must be named, but got {run!r}. Name it.")
        if record.run == record.donor_run:
            raise StoreInputError(
                f"donor_run of run {record.run!r} must be another run, but got the run itself. Correct it."
            )
        if not 0 <= record.share <= 1:
            raise StoreInputError(
                f"share of run {record.run!r} must lie within 0 and 1, but got {record.share!r}. Correct it."
            )
