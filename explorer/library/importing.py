"""Import published or own results: valid rows of a file are stored, the others are reported.

Architectures are stored first, then scores, then measurements. Each step skips what the store has, so running the same
import again completes an interrupted one and otherwise changes nothing.
"""

from __future__ import annotations

import hashlib
import math
import shlex
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from explorer.documents.separated import TableOptions
from explorer.errors import DataError
from explorer.library.library import Library
from explorer.library.records import score_record
from explorer.library.spaces import check_collection, check_space_name, has_grammar, has_space, is_ready
from explorer.progress import Reporter
from explorer.similarity.graph import architecture_id
from explorer.space.formats import from_json
from explorer.space.imports.edgetran import find_edgetran
from explorer.space.imports.mapping import read_mapping
from explorer.space.imports.nas_bench_bert import find_nas_bench_bert
from explorer.space.imports.rows import FoundRow, ReadRows, RefusedRow, StoredId, listed
from explorer.space.imports.supershaper import find_shapes
from explorer.space.imports.suspicious import suspicious_values
from explorer.space.imports.tables import find_table
from explorer.space.spec import ArchitectureSpec
from graphstore import GraphStore
from graphstore.records import MeasurementRecord, ScoreRecord

NAS_BENCH_BERT = "nas-bench-bert"
EDGETRAN = "edgetran-measured"
SHAPES = "supershaper-measured"
SCORES, MEASUREMENTS = "scores", "measurements"
"""Phases reported after those of building the library."""


@dataclass(frozen=True)
class ImportFile:
    """A parsed file, before it is imported into a store.

    Attributes:
        space: name of the space that receives its architectures.
        title: one-line description of the space.
        file: name of the file.
        content: digest of the file.
        rows: its rows.
    """

    space: str
    title: str
    file: str
    content: str
    rows: ReadRows

    @property
    def names_stored(self) -> bool:
        """Whether rows refer to architectures by id, so that the store must exist."""
        return any(isinstance(row.architecture, StoredId) for _, row in self.rows.valid)


@dataclass(frozen=True)
class ImportReport:
    """Result of an import.

    Attributes:
        space: name of the space.
        rows: accepted rows, new or already stored.
        architectures: distinct architectures in these.
        scores, measurements: distinct scores and measurements in these, without missing values.
        new_architectures, new_scores, new_measurements: how many of them were new to the space or the store.
        left_out: one line per skipped value with the reason.
        refused: the refused rows with the reason; many of one kind are counted in ``RefusedRow.more``.
        read_as: how the file was read: its dialect, its arrangement, the form of what it holds.
        suspicious: one line per value that is at odds with the rest of the file; they are stored nevertheless.
    """

    space: str
    rows: int
    architectures: int
    scores: int
    measurements: int
    new_architectures: int
    new_scores: int
    new_measurements: int
    left_out: tuple[str, ...]
    refused: tuple[RefusedRow, ...]
    read_as: tuple[str, ...] = ()
    suspicious: tuple[str, ...] = ()

    @property
    def refused_rows(self) -> int:
        """Number of refused rows, listed or not."""
        return sum(1 + row.more for row in self.refused)


@dataclass(frozen=True)
class _Row:
    """A row whose architecture is resolved, as records of the store."""

    number: int
    spec: ArchitectureSpec
    id: str
    scores: tuple[ScoreRecord, ...]
    measurements: tuple[MeasurementRecord, ...]
    left_out: tuple[str, ...]


def _file(space: str, title: str, path: Path, rows: ReadRows, scale_remedy: str = "") -> ImportFile:
    content = hashlib.blake2b(path.read_bytes(), digest_size=12).hexdigest()
    rows = replace(rows, suspicious=(*rows.suspicious, *suspicious_values(rows.valid, scale_remedy)))
    return ImportFile(space, title, path.name, content, rows)


def nas_bench_bert_file(path: Path) -> ImportFile:
    """Read NAS-Bench-BERT's published table. Raises DataError if the file is not that table."""
    return _file(NAS_BENCH_BERT, "NAS-Bench-BERT: 500 trained encoders", path, find_nas_bench_bert(path))


def edgetran_file(path: Path, with_predicted: bool = False) -> ImportFile:
    """Read EdgeTran's published table of measurements. Raises DataError if the file is not that table."""
    return _file(EDGETRAN, "EdgeTran: encoders measured on devices", path, find_edgetran(path, with_predicted))


def shapes_file(path: Path, options: TableOptions | None = None) -> ImportFile:
    """Read a table of measured SuperShaper shapes. Raises DataError if the file is not such a table."""
    rows = find_shapes(path, options=options)
    return _file(SHAPES, "SuperShaper: shapes scored in one super-network", path, rows)


def table_file(path: Path, mapping: Path, space: str, options: TableOptions | None = None) -> ImportFile:
    """Read a user's table as described by a mapping file; ``options`` go before the mapping's.

    Raises:
        DataError: the table as a whole, the mapping or the name of the space is invalid.
    """
    check_space_name(space)
    described = read_mapping(mapping)
    remedy = "If so, write scale: fraction into the mapping"
    rows = find_table(path, described, options)
    return _file(space, described.title or described.source, path, rows, remedy)


def refusal(read: ImportFile, refused: Sequence[RefusedRow]) -> ImportReport:
    """Return the report of an import that stored nothing."""
    rows = read.rows
    return ImportReport(read.space, 0, 0, 0, 0, 0, 0, 0, rows.left_out, tuple(refused), rows.read_as, rows.suspicious)


def import_file(store: GraphStore, read: ImportFile, reporter: Reporter, strict: bool = False) -> ImportReport:
    """Store the valid rows of a file in its space; importing the file again adds nothing.

    A row is refused if it contradicts the store or an earlier row about the same score or measurement.

    Args:
        store: receives the rows.
        read: the file.
        reporter: gets the phases of building the library, then ``scores`` and ``measurements``.
        strict: whether one refused row or suspicious value refuses the whole file.

    Returns:
        The report. The store is untouched if no row is valid, or if ``strict`` refuses the file.

    Raises:
        DataError: the space is defined by a grammar, or would hold too many architectures.
    """
    rows, refused = _resolve(store, read.rows)
    tasks = sorted({score.task for row in rows for score in row.scores})
    stored = [score for task in tasks for score in store.scores(task=task)]
    rows, refused = _consistent(store, stored, rows, refused)
    suspicious = (*read.rows.suspicious, *_other_units(stored, rows))
    if not rows or (strict and (refused or suspicious)):
        return replace(refusal(read, refused), suspicious=suspicious)
    specs = {row.id: row.spec for row in rows}
    held = set(store.architecture_ids(read.space)) if has_space(store, read.space) else set()
    outside = specs.keys() - held
    # Only `archex space build` finishes the library of a grammar.
    if outside or not (is_ready(store, read.space) or has_grammar(store, read.space)):
        check_collection(store, read.space, len(held) + len(outside))
        source = {"file": read.file, "content": read.content}
        Library.build(store, read.space, list(specs.values()), reporter, source=source, title=read.title)
    scores = list({score.id: score for row in rows for score in row.scores}.values())
    measurements = list({_key(m): m for row in rows for m in row.measurements}.values())
    reporter.update(SCORES, 0, len(scores))
    new_scores = store.add_scores(scores) if scores else 0
    reporter.update(SCORES, len(scores), len(scores))
    reporter.update(MEASUREMENTS, 0, len(measurements))
    new_measurements = store.add_measurements(measurements) if measurements else 0
    reporter.update(MEASUREMENTS, len(measurements), len(measurements))
    return ImportReport(
        read.space,
        len(rows),
        len(specs),
        len(scores),
        len(measurements),
        len(outside),
        new_scores,
        new_measurements,
        tuple(line for row in rows for line in row.left_out),
        tuple(refused),
        read.rows.read_as,
        suspicious,
    )


def _resolve(store: GraphStore, rows: ReadRows) -> tuple[list[_Row], list[RefusedRow]]:
    """Look up the architectures that rows refer to by id, and convert the rows to records."""
    wanted = {row.architecture.id for _, row in rows.valid if isinstance(row.architecture, StoredId)}
    stored = {one.id: from_json(one.spec) for one in store.summaries(ids=sorted(wanted))} if wanted else {}
    found, refused = [], list(rows.refused)
    for number, row in rows.valid:
        named = row.architecture
        spec = stored.get(named.id) if isinstance(named, StoredId) else named
        if spec is None:
            assert isinstance(named, StoredId)
            error = DataError("id", "be the id of an architecture in the store", named.id, "Check id and store.")
            refused.append(RefusedRow.of(number, error))
            continue
        found.append(_records(number, spec, row))
    return found, refused


def _records(number: int, spec: ArchitectureSpec, row: FoundRow) -> _Row:
    id = architecture_id(spec)
    scores = (score_record(score, id, score.source) for score in row.scores)
    measurements = (MeasurementRecord(id, m.device, m.quantity, m.value, m.unit) for m in row.measurements)
    return _Row(number, spec, id, tuple(scores), tuple(measurements), row.left_out)


def _key(measurement: MeasurementRecord) -> tuple[str, ...]:
    return measurement.architecture, measurement.device, measurement.quantity


class _Value(NamedTuple):
    """A score or a measurement of a row: its name in messages, what identifies it, and how its import is undone."""

    field: str
    key: tuple[str, ...]
    value: float
    unit: str
    undoing: Sequence[str]

    @property
    def remedy(self) -> str:
        """The remedy if an earlier import gave another value."""
        command = shlex.join(["archex", "import", "remove", *self.undoing])
        return f"Remove the row; or, if the earlier import was wrong, undo it by `{command}` and import again."


def _values(row: _Row) -> Iterator[_Value]:
    """Yield the scores and measurements of a row."""
    for score in row.scores:
        yield _Value(f"{score.task} of {score.source}", (score.id,), score.value, "", [score.origin])
    for m in row.measurements:
        undoing = ["--device", m.device, "--quantity", m.quantity]
        yield _Value(f"{m.quantity} on {m.device}", _key(m), m.value, m.unit, undoing)


def _other_units(stored: Sequence[ScoreRecord], rows: Sequence[_Row]) -> Iterator[str]:
    """Yield a line for each score that a stored one of another kind or source repeats in another unit."""
    known: dict[tuple[str, str], list[ScoreRecord]] = defaultdict(list)
    for score in stored:
        known[score.architecture, score.task].append(score)
    for row in rows:
        for score in row.scores:
            for other in known[score.architecture, score.task]:
                small, large = sorted((abs(score.value), abs(other.value)))
                if score.id != other.id and large and math.isclose(100 * small, large, rel_tol=1e-6):
                    value = f"{score.task} is {score.value:g}, and {other.value:g} is stored from {other.source}"
                    yield f"row {row.number}: {value}: the same score in another unit?"


def _consistent(
    store: GraphStore, stored: Sequence[ScoreRecord], rows: Sequence[_Row], refused: Sequence[RefusedRow]
) -> tuple[list[_Row], list[RefusedRow]]:
    """Refuse rows that contradict the store, with these scores, or an earlier row."""
    known: dict[tuple[str, ...], tuple[float, str, str]] = {}
    before = "imported before"
    known |= {(score.id,): (score.value, "", before) for score in stored}
    if any(row.measurements for row in rows):
        known |= {_key(m): (m.value, m.unit, before) for m in store.measurements()}
    kept, dropped = [], list(refused)
    for row in rows:
        values = list(_values(row))
        for one in values:
            old = known.get(one.key)
            if old is not None and old[:2] != (one.value, one.unit):
                rule = f"equal the value {old[2]} ({f'{old[0]!r} {old[1]}'.rstrip()})"
                remedy = one.remedy if old[2] == before else "Remove one of the two rows."
                error = DataError(one.field, rule, one.value, remedy)
                dropped.append(RefusedRow.of(row.number, error))
                break
        else:
            kept.append(row)
            for one in values:
                known.setdefault(one.key, (one.value, one.unit, f"of row {row.number}"))
    return kept, list(listed(dropped))
