"""Read a user's table (CSV, TSV, JSON or JSON lines) row by row, according to a mapping."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from collections.abc import Mapping as Row
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from explorer.documents.json_text import json_lines, load_json, parse_json
from explorer.documents.separated import TableOptions, read_separated
from explorer.documents.text import read_decoded
from explorer.errors import DataError, SpecError
from explorer.space.formats import from_json, from_model_dict
from explorer.space.imports.mapping import (
    LAYER_KEYS,
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


@dataclass(frozen=True)
class RawTable:
    """A table before its rows are converted.

    Attributes:
        path: the file.
        rows: its rows; a malformed one is the error that refuses it.
        decimal: decimal sign of numbers in texts; see ``plain_number``.
        read_as: the dialect that was detected, if it is an unusual one.
    """

    path: Path
    rows: Iterable[RawRow]
    decimal: str | None
    read_as: str = ""

    def read(self, convert: Callable[[int, Row[str, Any]], FoundRow]) -> ReadRows[FoundRow]:
        """Convert the rows one by one. Raises DataError if there is none."""
        found = read_rows(self.rows, convert)
        if not found.valid and not found.refused:
            raise DataError(str(self.path), "hold at least one row", "none", "Check the file.")
        return replace(found, read_as=self.read_as)


def _object(row: Any) -> RawRow:
    fits = isinstance(row, dict | DataError)
    return row if fits else DataError("row", "be a JSON object", row, "Give keys and values.")


def raw_table(path: Path, layout: Layout, options: TableOptions | None = None) -> RawTable:
    """Open a table.

    Args:
        path: the file.
        layout: its format.
        options: what the user says about its dialect.

    Raises:
        DataError: the file as a whole cannot be read.
    """
    options = options or TableOptions()
    if layout in (Layout.CSV, Layout.TSV):
        table = read_separated(path, options, usual="\t" if layout is Layout.TSV else ",")
        read_as = "" if table.dialect.is_usual else str(table.dialect)
        return RawTable(path, (row for _, row in table.rows()), table.dialect.decimal, read_as)
    text = read_decoded(path, encoding=options.encoding).text
    if layout is Layout.JSONL:
        return RawTable(path, (_object(row) for _, row in json_lines(text, "")), options.decimal)
    document = load_json(text, str(path))
    if not isinstance(document, list):
        raise DataError(str(path), "be a list of objects", document, "Write one object per row, or JSON lines.")
    return RawTable(path, map(_object, document), options.decimal)


def _cell(row: Row[str, Any], column: str) -> Any:
    if column not in row:
        raise DataError(column, "be a column of the row", sorted(row)[:20], "Check the mapping's column names.")
    return row[column]


def _text(row: Row[str, Any], given: Given) -> str:
    return short_text(given.column, _cell(row, given.column)) if isinstance(given, Column) else given


def _seed(row: Row[str, Any], given: int | Column, decimal: str | None) -> int:
    if not isinstance(given, Column):
        return given
    value = number(given.column, _cell(row, given.column), 0, MAX_SEED, decimal=decimal)
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
            value = parse_json(value, column)
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


def _row_score(row: Row[str, Any], column: ScoreColumn, source: str, decimal: str | None) -> FoundScore:
    lowest, highest, factor = RANGES[column.scale]
    value = factor * number(column.column, _cell(row, column.column), lowest, highest, decimal=decimal)
    task, metric, dataset, fidelity, recipe = (
        _text(row, given) for given in (column.task, column.metric, column.dataset, column.fidelity, column.recipe)
    )
    return FoundScore(task, metric, value, dataset, fidelity, recipe, _seed(row, column.seed, decimal), source)


def _found(turn: int, row: Row[str, Any], mapping: Mapping, decimal: str | None) -> FoundRow:
    architecture = _architecture(row, mapping)
    key = str(turn) if mapping.key is None else short_text(mapping.key, _as_key(_cell(row, mapping.key)))
    scores, measurements, left_out = [], [], []
    for score in mapping.scores:
        if score.missing == "skip" and is_missing(row.get(score.column)):
            left_out.append(f"row {turn}: {score.column} is empty and left out")
        else:
            scores.append(_row_score(row, score, f"{mapping.source}:{key}", decimal))
    for column in mapping.measurements:
        if column.missing == "skip" and is_missing(row.get(column.column)):
            left_out.append(f"row {turn}: {column.column} is empty and left out")
            continue
        value = number(column.column, _cell(row, column.column), -MAX_VALUE, MAX_VALUE, decimal=decimal)
        device, quantity, unit = (_text(row, given) for given in (column.device, column.quantity, column.unit))
        measurements.append(FoundMeasurement(device, quantity, value, unit))
    return FoundRow(architecture, tuple(scores), tuple(measurements), tuple(left_out))


def _as_key(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def find_table(path: Path, mapping: Mapping, options: TableOptions | None = None) -> ReadRows[FoundRow]:
    """Read a table row by row, for an import.

    Args:
        path: the table.
        mapping: how to read it.
        options: what the user says about the table's dialect, before the mapping.

    Raises:
        DataError: the file as a whole cannot be read, or holds no row.
    """
    table = raw_table(path, mapping.layout(path), (options or TableOptions()).over(mapping.dialect))
    return table.read(lambda turn, row: _found(turn, row, mapping, table.decimal))
