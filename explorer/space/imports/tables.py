"""Read a user's table (CSV, TSV, JSON or JSON lines) row by row, according to a mapping."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from collections.abc import Mapping as Row
from pathlib import Path
from typing import Any

from explorer.errors import DataError, SpecError
from explorer.space.documents import parse_json, read_text
from explorer.space.formats import from_json, from_model_dict, read_json_file
from explorer.space.imports.mapping import (
    LAYER_KEYS,
    MAX_COLUMNS,
    MAX_SEED,
    Column,
    Given,
    LayerColumns,
    Layout,
    Mapping,
    Scale,
    ScoreColumn,
)
from explorer.space.imports.rows import (
    MAX_VALUE,
    FoundMeasurement,
    FoundRow,
    FoundScore,
    ReadRows,
    StoredId,
    is_missing,
    number,
    read_rows,
    short_text,
)
from explorer.space.named import named_model
from explorer.space.spec import ArchitectureSpec

RANGES = {
    Scale.FRACTION: (-1.0, 1.0, 1.0),
    Scale.PERCENT: (-100.0, 100.0, 0.01),
    Scale.RAW: (-MAX_VALUE, MAX_VALUE, 1.0),
    Scale.LOSS: (-MAX_VALUE, MAX_VALUE, -1.0),
}
"""Minimum, maximum and factor of each scale."""
RawRow = Row[str, Any] | DataError


def _separated(text: str, delimiter: str, name: str) -> Iterator[RawRow]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        header = next((row for row in reader if row), [])
    except csv.Error as error:
        raise DataError(f"{name} header", f"be a row of column names ({error})", text[:80], "Correct it.") from None
    columns = [short_text(f"{name} header, column {place}", cell) for place, cell in enumerate(header, start=1)]
    repeated = sorted({column for column in columns if columns.count(column) > 1}) if len(columns) < MAX_COLUMNS else []
    if repeated or len(columns) > MAX_COLUMNS:
        rule = f"name at most {MAX_COLUMNS} columns, each once"
        raise DataError(f"{name} header", rule, repeated or len(columns), "Rename or remove columns.")
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield DataError("row", f"be valid CSV ({error})", f"line {reader.line_num}", "Check its quotes.")
            continue
        if not cells:
            continue  # A blank line.
        if len(cells) == len(columns):
            yield dict(zip(columns, cells, strict=True))
        else:
            yield DataError("row", f"have {len(columns)} cells", len(cells), "Check its separators and quotes.")


def _json_lines(text: str) -> Iterator[RawRow]:
    for line in text.split("\n"):
        if not line.strip():
            continue
        try:
            yield _object(parse_json(line))
        except ValueError as error:
            yield DataError("row", f"be valid JSON ({error})", line[:80], "Correct the line.")


def _object(row: Any) -> RawRow:
    return row if isinstance(row, dict) else DataError("row", "be a JSON object", row, "Give keys and values.")


def raw_rows(path: Path, layout: Layout) -> Iterator[RawRow]:
    """Iterate over the raw rows of a table; a malformed row is an error object.

    Raises:
        DataError: the file as a whole cannot be read.
    """
    if layout is Layout.JSON:
        document = read_json_file(path)
        if not isinstance(document, list):
            raise DataError(path.name, "be a list of objects", document, "Write one object per row, or JSON lines.")
        return iter([_object(row) for row in document])
    text = read_text(path)
    if layout is Layout.JSONL:
        return _json_lines(text)
    return _separated(text, "\t" if layout is Layout.TSV else ",", path.name)


def _cell(row: Row[str, Any], column: str) -> Any:
    if column not in row:
        raise DataError(column, "be a column of the row", sorted(row)[:20], "Check the mapping's column names.")
    return row[column]


def _text(row: Row[str, Any], given: Given) -> str:
    return short_text(given.column, _cell(row, given.column)) if isinstance(given, Column) else given


def _seed(row: Row[str, Any], given: int | Column) -> int:
    if not isinstance(given, Column):
        return given
    value = number(given.column, _cell(row, given.column), 0, MAX_SEED)
    if value != int(value):
        raise DataError(given.column, "be a whole number", value, "Correct the seed.")
    return int(value)


def _layer_columns(row: Row[str, Any], columns: LayerColumns) -> ArchitectureSpec:
    document = {}
    for key in LAYER_KEYS:
        column = getattr(columns, key)
        if column is None:
            continue
        value = _cell(row, column)
        if is_missing(value) and key in ("n", "p"):
            continue  # The row has the per-head form.
        if isinstance(value, str):
            try:
                value = parse_json(value)
            except ValueError as error:
                raise DataError(column, f"hold valid JSON ({error})", value, "Write for example [128, 256].") from None
        document[key] = value
    if columns.l is None:
        document["l"] = len(document["o"]) if isinstance(document["o"], list) else None
    return from_model_dict(document)


def _architecture(row: Row[str, Any], mapping: Mapping) -> ArchitectureSpec | StoredId:
    given = mapping.architecture
    if given.id is not None:
        return StoredId(short_text(given.id, _cell(row, given.id)))
    try:
        if given.columns is not None:
            return _layer_columns(row, given.columns)
        if given.name is not None:
            return named_model(short_text(given.name, _cell(row, given.name)))
        value = _cell(row, str(given.model_dict))
        return from_json(value) if isinstance(value, str) else from_model_dict(value)
    except SpecError as error:
        raise DataError.of(error) from None


def _row_score(row: Row[str, Any], column: ScoreColumn, source: str) -> FoundScore:
    lowest, highest, factor = RANGES[column.scale]
    value = factor * number(column.column, _cell(row, column.column), lowest, highest)
    task, metric, dataset, fidelity, recipe = (
        _text(row, given) for given in (column.task, column.metric, column.dataset, column.fidelity, column.recipe)
    )
    return FoundScore(task, metric, value, dataset, fidelity, recipe, _seed(row, column.seed), source)


def _found(turn: int, row: Row[str, Any], mapping: Mapping) -> FoundRow:
    architecture = _architecture(row, mapping)
    key = str(turn) if mapping.key is None else short_text(mapping.key, _as_key(_cell(row, mapping.key)))
    scores, measurements, left_out = [], [], []
    for score in mapping.scores:
        if score.missing == "skip" and is_missing(row.get(score.column)):
            left_out.append(f"row {turn}: {score.column} is empty and left out")
        else:
            scores.append(_row_score(row, score, f"{mapping.source}:{key}"))
    for column in mapping.measurements:
        if column.missing == "skip" and is_missing(row.get(column.column)):
            left_out.append(f"row {turn}: {column.column} is empty and left out")
            continue
        value = number(column.column, _cell(row, column.column), -MAX_VALUE, MAX_VALUE)
        device, quantity, unit = (_text(row, given) for given in (column.device, column.quantity, column.unit))
        measurements.append(FoundMeasurement(device, quantity, value, unit))
    return FoundRow(architecture, tuple(scores), tuple(measurements), tuple(left_out))


def _as_key(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def find_table(path: Path, mapping: Mapping) -> ReadRows[FoundRow]:
    """Read a table row by row, for an import.

    Args:
        path: the table.
        mapping: how to read it.

    Raises:
        DataError: the file as a whole cannot be read, or holds no row.
    """
    found = read_rows(raw_rows(path, mapping.layout(path)), lambda turn, row: _found(turn, row, mapping))
    if not found.sound and not found.refused:
        raise DataError(path.name, "hold at least one row", "none", "Check the file.")
    return found
