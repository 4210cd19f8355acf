"""Read a user's table (CSV, TSV, JSON or JSON lines) row by row, according to a mapping."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from explorer.documents.json_text import parse_cell, parse_value
from explorer.documents.numbers import percentage, plain_number
from explorer.documents.separated import TableOptions
from explorer.errors import DataError, SpecError
from explorer.space.formats import FIRST_FORM, from_model_dict, is_first_form
from explorer.space.imports.cells import MAX_NAMED, TableRow
from explorer.space.imports.mapping import (
    LAYER_KEYS,
    MAX_SEED,
    ArchitectureColumns,
    Cell,
    LayerColumns,
    Mapping,
    MeasurementColumn,
    Scale,
    ScoreColumn,
    Values,
)
from explorer.space.imports.raw_tables import raw_table
from explorer.space.imports.rows import (
    MAX_VALUE,
    FoundMeasurement,
    FoundRow,
    FoundScore,
    ReadRows,
    StoredId,
    is_missing,
    is_no_number,
    number,
)
from explorer.space.named import named_model
from explorer.space.spec import MAX_LAYERS, ArchitectureSpec

RANGES = {
    Scale.FRACTION: (-1.0, 1.0, 1.0),
    Scale.PERCENT: (-100.0, 100.0, 0.01),
    Scale.RAW: (-MAX_VALUE, MAX_VALUE, 1.0),
    Scale.LOSS: (-MAX_VALUE, MAX_VALUE, -1.0),
}
"""Minimum, maximum and factor of each scale."""
SEVERAL = re.compile(r"([+-]?\d[\d.,]*)\s*(±|\+/-|/|\||;|\()\s*[\d.,]+\)?")
"""A cell with two numbers, as 81.1/71.1 or 83.1 ± 0.2."""
PERCENT_SIGNS = "numbers with a percent sign are percentages"


def _layer_values(row: TableRow, cell: Cell) -> Any:
    """Return what a cell says of the layers: a list with one entry for each, or a value for all of them."""
    value = row.value(cell)
    if cell.separator is not None and isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, str):
        text = value.strip()
        value = parse_cell(text, str(cell)) if text[:1] in ("[", "{") else parse_value(text, str(cell))
    return _whole(value)


def _whole(value: Any) -> Any:
    """Return a value with whole numbers as integers: ``128.0``, as a column with gaps has them, and ``"128"``."""
    if isinstance(value, list):
        return [_whole(one) for one in value]
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = parse_value(value, "number")
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _layer_columns(row: TableRow, columns: LayerColumns) -> ArchitectureSpec:
    document: dict[str, Any] = {}
    for key in LAYER_KEYS:
        cell = getattr(columns, key)
        if cell is None:
            continue
        value = _layer_values(row, cell)
        if is_missing(value) and key in ("n", "p"):
            continue  # The row has the per-head form.
        document[key] = value
    depth = document.get("l") or next((len(value) for value in document.values() if isinstance(value, list)), None)
    if depth is None:
        remedy = "Add it to the mapping's columns, for example l: {value: 2}."
        raise DataError("l", "be given if nothing has a value for each layer", None, remedy)
    document["l"] = depth
    for key, value in document.items():
        if key != "l" and not isinstance(value, list) and isinstance(depth, int):
            document[key] = [value] * min(depth, MAX_LAYERS + 1)
    document["f"] = [[width] if isinstance(width, int) else width for width in document["f"]]
    return from_model_dict(document)


def _architecture(row: TableRow, given: ArchitectureColumns) -> tuple[ArchitectureSpec | StoredId, tuple[str, ...]]:
    """Return a row's architecture, and how it was read if that is unusual."""
    if given.id is not None:
        return StoredId(row.text(given.id)), ()
    try:
        if given.columns is not None:
            return _layer_columns(row, given.columns), ()
        if given.name is not None:
            return named_model(row.text(given.name)), ()
        assert given.model_dict is not None
        document = row.value(given.model_dict)
        document = parse_cell(document, "model_dict") if isinstance(document, str) else document
        return from_model_dict(document), (FIRST_FORM,) if is_first_form(document) else ()
    except SpecError as error:
        raise DataError.of(error) from None


def _score(row: TableRow, given: ScoreColumn, source: str) -> tuple[FoundScore, tuple[str, ...]]:
    """Return a score, and how it was read if that is unusual."""
    value, scale, notes = row.value(given), given.scale, tuple[str, ...]()
    if isinstance(value, str) and (number_before := percentage(value)) is not None:
        if scale not in (Scale.FRACTION, Scale.PERCENT):
            raise DataError(
                str(given),
                f"have no percent sign, because its scale is {scale}",
                value,
                "Write scale: percent into the mapping.",
            )
        value, scale, notes = number_before, Scale.PERCENT, (f"{given}: {PERCENT_SIGNS}",)
    factor = RANGES[scale][2]
    stored = factor * _number(row, given, value, scale)
    texts = (row.text(cell) for cell in (given.task, given.metric, given.dataset, given.fidelity, given.recipe))
    task, metric, dataset, fidelity, recipe = texts
    seed = row.integer(given.seed, MAX_SEED)
    return FoundScore(task, metric, stored, dataset, fidelity, recipe, seed, source, factor=factor), notes


def _number(row: TableRow, given: Values, value: object, scale: Scale) -> float:
    """Return a number of a row; the remedy of its error names the key of the mapping that mends it, if one does."""
    lowest, highest, _ = RANGES[scale]
    try:
        return number(str(given), value, lowest, highest, decimal=row.decimal)
    except DataError as error:
        if remedy := _remedy(row, value, scale):
            raise DataError(error.field, error.rule, error.value, remedy) from None
        raise


def _remedy(row: TableRow, value: object, scale: Scale) -> str:
    if is_no_number(value):
        return "Fill the cell, or write missing: skip into the mapping."
    if isinstance(value, str) and (parts := SEVERAL.fullmatch(value.strip())):
        return f"Correct the value; for its first number write separator: {parts[2]!r}, part: 1 into the mapping."
    plain = plain_number(value, row.decimal) if isinstance(value, str) else value
    if scale is Scale.FRACTION and isinstance(plain, str | int | float) and 1 < abs(float(plain)) <= 100:
        return "Correct the value, or write scale: percent into the mapping."
    return ""


def _measurement(row: TableRow, given: MeasurementColumn) -> FoundMeasurement:
    value = _number(row, given, row.value(given), Scale.RAW)
    return FoundMeasurement(row.text(given.device), row.text(given.quantity), value, row.text(given.unit))


def _matches(row: TableRow, given: Values, left_out: list[str]) -> Iterator[TableRow]:
    """Yield the row for each number that it has there; for one that may be missing, add a line to ``left_out``."""
    matches = row.matches(given)
    if not matches and given.missing == "refuse":
        raise DataError(str(given), "be found in the row", list(row.cells)[:MAX_NAMED], "Check the mapping's path.")
    if not matches:
        left_out.append(f"{given} is empty and left out")
    for match in matches:
        if given.missing == "skip" and match.lacks(given):
            left_out.append(f"{given.at(match.keys)} is empty and left out")
        else:
            yield match


def _found(turn: int, row: TableRow, mapping: Mapping) -> FoundRow:
    architecture, form = _architecture(row, mapping.architecture)
    source = f"{mapping.source}:{row.name if mapping.key is None else row.text(mapping.key)}"
    left_out: list[str] = []
    scores = [_score(match, one, source) for one in mapping.scores for match in _matches(row, one, left_out)]
    measured = [_measurement(match, one) for one in mapping.measurements for match in _matches(row, one, left_out)]
    _distinct([(f"score of {score.task}", replace(score, value=0.0)) for score, _ in scores])
    _distinct([(f"{one.quantity} on {one.device}", (one.device, one.quantity)) for one in measured])
    notes = (*form, *(note for _, notes in scores for note in notes))
    lines = tuple(f"row {turn}: {line}" for line in left_out)
    return FoundRow(architecture, tuple(score for score, _ in scores), tuple(measured), lines, notes)


def _distinct(values: Sequence[tuple[str, object]]) -> None:
    """Raise DataError if a row gives two values that nothing tells apart."""
    seen = set()
    for name, value in values:
        if value in seen:
            remedy = "Tell them apart in the mapping, for example by fidelity: {key: 1} with a path of one star."
            raise DataError(name, "be given once in a row", "two", remedy)
        seen.add(value)


def find_table(path: Path, mapping: Mapping, options: TableOptions | None = None) -> ReadRows:
    """Read a table row by row, for an import.

    Args:
        path: the table.
        mapping: how to read it.
        options: what the user says about the table's dialect, before the mapping.

    Raises:
        DataError: the file as a whole cannot be read, or holds no row.
    """
    options = (options or TableOptions()).over(mapping.dialect)
    table = raw_table(path, mapping.layout(path), mapping.columns(), options, mapping.rows or ())
    table.require(mapping.columns(optional=False))
    if any(one.missing == "skip" for one in (*mapping.scores, *mapping.measurements)):
        table = replace(table, gaps=True)
    return table.read(lambda turn, row: _found(turn, row, mapping))
