"""Copy a whole catalogue from one store to another, of any engines, and verify it by counts and digests.

A copy may be killed at any point and run again: it writes only missing or changed records. Until it has ended, a check
of the target says that it is unfinished. Records that can
change in a store (a space's info, vectors, neighbours, kernels, measurements, the state and budget of a study, the
progress of trials, jobs) get the source's state. A target that holds anything else is refused before the first write. A
space's info is written last, so that nobody mistakes half a library for a complete one.

Memory holds at most one batch of architectures, the vectors of one space, its neighbours by one kernel, one kernel, the
scores, or the trials of one study.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphstore.contract import GraphStore
from graphstore.digests import (
    BATCH,
    ENDED,
    TOPIC_SECTIONS,
    Digest,
    SectionProgress,
    batches,
    canonical,
    digests,
    section_digest,
)
from graphstore.errors import Code, StoreError, StoreInputError
from graphstore.records import Embeddings, MeasurementRecord, SpaceRecord
from graphstore.restoring import to_restore

__all__ = ["BATCH", "CopyReport", "Digest", "SectionProgress", "copy_store", "digests", "unfinished"]

PASSES = 8
"""Maximum number of passes over a source that others write to."""


@dataclass(frozen=True)
class CopyReport:
    """Result of a copy.

    Attributes:
        source, target: URLs of the stores, without passwords.
        sections: count and digest of every section that is equal on both sides.
        passes: number of passes over the source.
        moving: sections that the source changed until the end; their copies lack the newest changes and were not
            verified. Empty for a source that did not change.
    """

    source: str
    target: str
    sections: Mapping[str, Digest]
    passes: int
    moving: tuple[str, ...]


def copy_store(source: GraphStore, target: GraphStore, progress: SectionProgress | None = None) -> CopyReport:
    """Copy everything from the source into the target, except running jobs.

    Nobody else may write to the target during the copy. If others write to the source, the changed parts are copied
    again, in up to PASSES passes.

    Args:
        source: only read.
        target: empty, or an earlier copy of the source, whole or interrupted.
        progress: called with (section, done, total).

    Raises:
        StoreInputError: both are the same store, or the target holds a record that the source lacks; nothing was
            written.
        StoreError: the source is inconsistent (nothing was written), a store failed, or a section of the copy differs;
            the error names it.
    """
    return _Copy(source, target, progress or (lambda section, done, total: None)).run()


@contextmanager
def unfinished(target: GraphStore) -> Iterator[None]:
    """Mark a store as the target of a copy until the block has succeeded; a check reports a mark that stays."""
    target.mark_copy(unfinished=True)
    yield
    target.mark_copy(unfinished=False)


class _Copy:
    def __init__(self, source: GraphStore, target: GraphStore, progress: SectionProgress) -> None:
        self.source, self.target, self.tell = source, target, progress
        self.sections: dict[str, Digest] = {}

    def run(self) -> CopyReport:
        if self.source.identity() == self.target.identity():
            raise StoreInputError(
                f"target must be another store than the source, but got {self.target.url!r}, which is the same as "
                f"{self.source.url!r}. Name another; nothing was written."
            )
        check_source(self.source)
        check_target(self.source, self.target)
        with unfinished(self.target):
            return self._passes()

    def _passes(self) -> CopyReport:
        settled: dict[str, int] = {}
        for turn in range(1, PASSES + 1):
            at = {topic: self.source.revision(topic) for topic in TOPIC_SECTIONS}
            moved = [topic for topic in TOPIC_SECTIONS if settled.get(topic) != at[topic]]
            if not moved:
                return self._report(turn - 1, ())
            for topic in moved:
                if self._try_topic(topic, at):
                    settled[topic] = at[topic]
        moved = [topic for topic in TOPIC_SECTIONS if settled.get(topic) != self.source.revision(topic)]
        return self._report(PASSES, tuple(section for topic in moved for section in TOPIC_SECTIONS[topic]))

    def _report(self, passes: int, moving: tuple[str, ...]) -> CopyReport:
        names = [name for part in TOPIC_SECTIONS.values() for name in part]
        ordered = {name: self.sections[name] for name in names if name in self.sections and name not in moving}
        return CopyReport(self.source.url, self.target.url, ordered, passes, moving)

    def _try_topic(self, topic: str, at: Mapping[str, int]) -> bool:
        """Copy and compare a topic's sections; return whether they are equal. Raises if the source did not change."""
        try:
            getattr(self, f"_copy_{topic}")()
        except StoreInputError:
            # The section read second may name records that were missing when the first one was read.
            if all(self.source.revision(name) == at[name] for name in at):
                raise
            return False
        equal = True
        for section in TOPIC_SECTIONS[topic]:
            theirs = section_digest(self.source, section, self.tell)
            ours = self.sections[section] = section_digest(self.target, section, self.tell)
            if ours != theirs:
                if self.source.revision(topic) == at[topic]:
                    raise StoreError(
                        f"{section} of the copy must equal the source's, but got {ours.count} with digest "
                        f"{ours.hexadecimal} instead of {theirs.count} with {theirs.hexadecimal}. "
                        "See that nobody else writes to the target, or copy into an empty store."
                    )
                equal = False
        return equal

    def _copy_library(self) -> None:
        spaces, held = self.source.spaces(), {space.name for space in self.target.spaces()}
        self.tell("spaces", 0, len(spaces))
        for turn, space in enumerate(spaces):
            if space.name not in held:
                self.target.put_space(SpaceRecord(space.name, {}))
            self._copy_members(space.name)
            self._copy_vectors(space.name)
            for kernel in sorted({*self.source.kernels(space.name), *self.target.kernels(space.name)}):
                self._copy_neighbors(space.name, kernel)
            self._copy_kernels(space.name)
            self.target.put_space(space)
            self.tell("spaces", turn + 1, len(spaces))

    def _copy_members(self, space: str) -> None:
        ids, done = self.source.architecture_ids(space), len(self.target.architecture_ids(space))
        for batch in batches(ids[done:]):
            self.target.add_architectures(space, self.source.architectures(batch))
            done += len(batch)
            self.tell(f"members of {space}", done, len(ids))

    def _copy_vectors(self, space: str) -> None:
        theirs, ours = self.source.embeddings(space), self.target.embeddings(space)
        if theirs.ids != ours.ids or not np.array_equal(_bits(theirs), _bits(ours)):
            self.target.put_embeddings(space, theirs)

    def _copy_neighbors(self, space: str, kernel: str) -> None:
        theirs = self.source.neighbor_table(space, kernel)
        if list(map(canonical, theirs)) != list(map(canonical, self.target.neighbor_table(space, kernel))):
            name = f"neighbors in {space} by {kernel}"
            self.target.put_neighbors(space, kernel, theirs, lambda done, total: self.tell(name, done, total))

    def _copy_kernels(self, space: str) -> None:
        theirs, ours = self.source.fitted_kernels(space), self.target.fitted_kernels(space)
        for name in theirs:
            if ours.get(name) != theirs[name]:
                self.target.put_kernel(space, self.source.kernel(space, name), replacing=ours.get(name))

    def _copy_scores(self) -> None:
        known = {score.id for score in self.target.scores()}
        self._add("scores", [score for score in self.source.scores() if score.id not in known], self.target.add_scores)
        stored = {_place(record): canonical(record) for record in self.target.measurements()}
        changed = [record for record in self.source.measurements() if stored.get(_place(record)) != canonical(record)]
        self._add("measurements", changed, self.target.add_measurements)
        lines = {(line.run, line.donor_run) for line in self.target.lineage()}
        new = [line for line in self.source.lineage() if (line.run, line.donor_run) not in lines]
        self._add("lineage", new, self.target.add_lineage)

    def _copy_studies(self) -> None:
        for study in self.source.studies():
            self.target.create_study(study)
            trials = self.source.trials(study.name)
            stored = {trial.number: trial for trial in self.target.trials(study.name)}
            changed = [trial for trial in trials if stored.get(trial.number) != trial]
            self._add(f"trials of {study.name}", changed, lambda part, name=study.name: self._restore(name, part))
            self.target.update_study(study.name, state=study.state, spec=study.spec)

    def _restore(self, study: str, trials: Any) -> None:
        self.target.restore_trials(study, trials)

    def _copy_jobs(self) -> None:
        held = {job.id for job in self.target.jobs()}
        for job in self.source.jobs():
            if job.state in ENDED or job.id in held:
                self.target.put_job(job)

    def _add(self, section: str, records: list[Any], write: Any) -> None:
        done = 0
        for batch in batches(records):
            write(batch)
            done += len(batch)
            self.tell(section, done, len(records))


def check_source(source: GraphStore) -> None:
    """Raise StoreError if the source is inconsistent: records that its methods do not return would be lost silently."""
    for _ in range(PASSES):
        at = source.revision()
        problems = source.problems()
        if not problems:
            return
        if source.revision() == at:  # otherwise somebody wrote in between, and a server shows a commit piece by piece
            break
    raise StoreError(
        f"source of a copy must be consistent, but got {source.url!r} with {'; '.join(problems)}. Repair it first; "
        "nothing was written.",
        Code.INCONSISTENT,
        source.url,
    )


def check_target(source: GraphStore, target: GraphStore) -> None:
    """Raise StoreInputError if the target holds a record that the source lacks. Writes nothing."""
    spaces = {space.name for space in source.spaces()}
    for space in target.spaces():
        _only(target, "space", [space.name], spaces)
        ids, held = source.architecture_ids(space.name), target.architecture_ids(space.name)
        _only(target, f"architecture in space {space.name!r}", held, set(ids))
        if held != ids[: len(held)]:
            raise _refused(target, f"space {space.name!r} with its architectures in another order")
        _only(target, f"kernel in space {space.name!r}", target.kernels(space.name), set(source.kernels(space.name)))
        fitted = set(source.fitted_kernels(space.name))
        _only(target, f"fitted kernel in space {space.name!r}", target.fitted_kernels(space.name), fitted)
        if len(target.embeddings(space.name).ids) and not len(source.embeddings(space.name).ids):
            raise _refused(target, f"vectors in space {space.name!r}")
    for batch in batches(target.architecture_ids()):
        theirs = {summary.id: summary for summary in source.summaries(ids=batch)}
        for summary in target.summaries(ids=batch):
            if canonical(theirs[summary.id]) != canonical(summary):
                raise _refused(target, f"architecture {summary.id!r} with other properties")
    _same(target, "score", {s.id: s for s in target.scores()}, {s.id: s for s in source.scores()})
    lines = [{(line.run, line.donor_run): line for line in store.lineage()} for store in (target, source)]
    _same(target, "lineage of run", *lines)
    measured = {_place(record) for record in source.measurements()}
    _only(target, "measurement", (_place(record) for record in target.measurements()), measured)
    _only(target, "job", (job.id for job in target.jobs()), {job.id for job in source.jobs()})
    _check_studies(source, target)


def _check_studies(source: GraphStore, target: GraphStore) -> None:
    studies = {study.name: study for study in source.studies()}
    for study in target.studies():
        _only(target, "study", [study.name], set(studies))
        changing = {"state": study.state, "spec": study.spec}
        theirs = vars(studies[study.name]) | changing
        if theirs != vars(study):
            raise _refused(target, f"study {study.name!r} of another space or age")
        trials = source.trials(study.name)
        held = target.trials(study.name)
        _only(target, f"trial of study {study.name!r}", (t.number for t in held), {t.number for t in trials})
        to_restore(study.name, trials, held)


def _only(target: GraphStore, kind: str, held: Iterable[Any], allowed: set[Any]) -> None:
    for one in held:
        if one not in allowed:
            raise _refused(target, f"{kind} {one!r}")


def _same(target: GraphStore, kind: str, held: Mapping[Any, Any], theirs: Mapping[Any, Any]) -> None:
    _only(target, kind, held, set(theirs))
    for key, record in held.items():
        if canonical(record) != canonical(theirs[key]):
            raise _refused(target, f"{kind} {key!r} with another value")


def _refused(target: GraphStore, what: str) -> StoreInputError:
    return StoreInputError(
        f"target of a copy must hold nothing that the source lacks, but got {what} in {target.url!r}. "
        "Name an empty store, or an earlier copy of this source; nothing was written."
    )


def _place(record: MeasurementRecord) -> tuple[str, str, str]:
    return record.architecture, record.device, record.quantity


def _bits(embeddings: Embeddings) -> Any:
    return np.ascontiguousarray(embeddings.vectors, dtype="<f4").view("<u4")
