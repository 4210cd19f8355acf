"""Digests of the contents of a store; equal contents have equal digests on every engine.

Every record becomes canonical bytes (JSON with sorted keys, floats as their shortest exact text, vectors as
little-endian float32), framed by its length, in the order that the contract states. The digest of a section is
the BLAKE2b hash of this stream.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from graphstore.contract import GraphStore
from graphstore.errors import Code, StoreError
from graphstore.records import JobRecord, JobState

Item = TypeVar("Item")
SectionProgress = Callable[[str, int, int], None]
"""Called with (section, done, total) during a long pass over a store."""

BATCH = 500
"""Number of architectures read, or records written, at a time."""

ENDED = (JobState.DONE, JobState.STOPPED, JobState.FAILED, JobState.LOST)
"""States of jobs that belong to a catalogue; jobs in other states are processes of one machine."""

TOPIC_SECTIONS = {
    "library": ("spaces", "members", "architectures", "vectors", "neighbors", "kernels"),
    "scores": ("scores", "measurements", "lineage"),
    "studies": ("studies", "trials"),
    "jobs": ("jobs",),
}
"""Sections of a catalogue by the revision topic that counts their changes."""


@dataclasses.dataclass(frozen=True)
class Digest:
    """Number of records in a section, and their hexadecimal digest."""

    count: int
    hexadecimal: str


def digests(store: GraphStore, progress: SectionProgress | None = None) -> dict[str, Digest]:
    """Return the digests of all sections of a store, in the order of TOPIC_SECTIONS.

    Running jobs are left out. The sections are read one after the other, so if others write in between, the digests
    together may describe a state that never existed.
    """
    sections = [section for topic in TOPIC_SECTIONS.values() for section in topic]
    return {section: section_digest(store, section, progress) for section in sections}


def section_digest(store: GraphStore, section: str, progress: SectionProgress | None = None) -> Digest:
    """Return the digest of one section of a store."""
    state, count = hashlib.blake2b(digest_size=16), 0
    if progress is not None:
        progress(section, 0, 1)
    for item in _ITEMS[section](store, progress):
        state.update(len(item).to_bytes(8, "little"))
        state.update(item)
        count += 1
    if progress is not None:
        progress(section, max(count, 1), max(count, 1))
    return Digest(count, state.hexdigest())


def batches(items: Sequence[Item], size: int = BATCH) -> Iterator[Sequence[Item]]:
    """Yield the items in batches of at most ``size``."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def ended_jobs(store: GraphStore) -> list[JobRecord]:
    """Return the jobs that belong to a catalogue."""
    return [job for job in store.jobs() if job.state in ENDED]


def canonical(record: Any) -> bytes:
    """Return a record as bytes that are equal for equal records of all engines.

    A field that may be missing and is counts for nothing, so a record has the bytes that it had before its class got
    the field.
    """
    facts = dict(vars(record))
    for field in dataclasses.fields(record):
        value = facts[field.name]
        if value is None and field.default is None:
            del facts[field.name]
        elif "float" in str(field.type) and value is not None:
            # One engine returns whole floats as integers, another returns -0.0 as 0.0.
            facts[field.name] = float(value) + 0.0
    return _bytes(facts)


def _bytes(value: Any) -> bytes:
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, default=vars).encode()
    except ValueError as error:
        raise StoreError(
            f"numbers in a store must be finite, but got {str(value)[:200]} ({error}): it is damaged.",
            Code.INCONSISTENT,
        ) from None


def _spaces(store: GraphStore, progress: SectionProgress | None) -> Iterator[bytes]:
    return map(canonical, store.spaces())


def _members(store: GraphStore, progress: SectionProgress | None) -> Iterator[bytes]:
    for space in store.spaces():
        for id in store.architecture_ids(space.name):
            yield _bytes([space.name, id])


def _architectures(store: GraphStore, progress: SectionProgress | None) -> Iterator[bytes]:
    ids, done = store.architecture_ids(), 0
    for batch in batches(ids):
        # Include the summary, because an engine may store it in addition to the layers.
        for record, summary in zip(store.architectures(batch), store.summaries(ids=batch), strict=True):
            yield canonical(record) + canonical(summary)
        done += len(batch)
        if progress is not None:
            progress("architectures", done, len(ids))


def _vectors(store: GraphStore, progress: SectionProgress | None) -> Iterator[bytes]:
    for space in store.spaces():
        embeddings = store.embeddings(space.name)
        for id, vector in zip(embeddings.ids, embeddings.vectors.astype("<f4"), strict=True):
            yield _bytes([space.name, id]) + vector.tobytes()


def _neighbors(store: GraphStore, progress: SectionProgress | None) -> Iterator[bytes]:
    for space in store.spaces():
        for kernel in store.kernels(space.name):
            for neighbor in store.neighbor_table(space.name, kernel):
                yield _bytes(space.name) + canonical(neighbor)


def _kernels(store: GraphStore, progress: SectionProgress | None) -> Iterator[bytes]:
    for space in store.spaces():
        for name, digest in store.fitted_kernels(space.name).items():
            yield _bytes([space.name, name, digest])


def _trials(store: GraphStore, progress: SectionProgress | None) -> Iterator[bytes]:
    for study in store.studies():
        yield from map(canonical, store.trials(study.name))


def _listed(read: Callable[[GraphStore], Iterable[Any]]) -> Callable[[GraphStore, Any], Iterator[bytes]]:
    return lambda store, progress: map(canonical, read(store))


_ITEMS: dict[str, Callable[[GraphStore, SectionProgress | None], Iterator[bytes]]] = {
    "spaces": _spaces,
    "members": _members,
    "architectures": _architectures,
    "vectors": _vectors,
    "neighbors": _neighbors,
    "kernels": _kernels,
    "scores": _listed(lambda store: store.scores()),
    "measurements": _listed(lambda store: store.measurements()),
    "lineage": _listed(lambda store: store.lineage()),
    "studies": _listed(lambda store: store.studies()),
    "trials": _trials,
    "jobs": _listed(ended_jobs),
}
