"""Tables before their rows are converted: CSV and TSV in any dialect, JSON lines, and JSON in several arrangements.

A JSON document is a list of objects, an object with a key for each row, or an object of parallel columns, each a list
or an object keyed by row, as pandas' ``to_json`` writes them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, KeysView, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from explorer.documents.json_text import json_lines, load_json, parse_json
from explorer.documents.numbers import decimal_sign
from explorer.documents.separated import DECIMALS, SAMPLED_ROWS, TableOptions, read_separated
from explorer.documents.values import Flaw, checked
from explorer.errors import DataError, Shown
from explorer.space.imports.cells import TableRow, absent_column
from explorer.space.imports.mapping import Layout
from explorer.space.imports.rows import FoundRow, ReadRows, read_rows

LEVELS = 3
"""Levels of a document at which rows are looked for, to name their place."""
RawRow = tuple[str, Any]
"""A row's key or an empty text, and an object, or the error that refuses the row."""


@dataclass(frozen=True)
class RawTable:
    """A table before its rows are converted.

    Attributes:
        path: the file.
        rows: its rows.
        decimal: decimal sign of numbers in texts; see ``plain_number``.
        columns: its columns, if they are the same for all rows.
        gaps: whether NaN, as programs write it into JSON, is read as a missing number.
        read_as: how it was read, if that is unusual.
    """

    path: Path
    rows: Iterable[RawRow]
    decimal: str | None
    columns: tuple[str, ...] | None = None
    read_as: tuple[str, ...] = ()
    gaps: bool = False

    def require(self, columns: Collection[str]) -> None:
        """Raise DataError if a column is missing in the whole table."""
        for name in columns:
            if self.columns is not None and name not in self.columns:
                raise absent_column(name, self.columns).at(str(self.path))

    def read(self, convert: Callable[[int, TableRow], FoundRow]) -> ReadRows:
        """Convert the rows one by one. Raises DataError if there is none."""

        def converted(turn: int, row: RawRow) -> FoundRow:
            name, cells = row
            if isinstance(cells, DataError):
                raise cells
            cells = checked(_without_nan(cells) if self.gaps else cells, "")
            if not isinstance(cells, Mapping):
                raise DataError("row", "be a JSON object", cells, "Give keys and values.")
            return convert(turn, TableRow(cells, name or str(turn), self.decimal))

        found = read_rows(self.rows, converted)
        if not found.valid and not found.refused:
            raise DataError(str(self.path), "hold at least one row", "none", "Check the file.")
        return replace(found, read_as=(*self.read_as, *found.read_as))


def raw_table(
    path: Path,
    layout: Layout,
    columns: Collection[str],
    options: TableOptions | None = None,
    place: Sequence[str] = (),
) -> RawTable:
    """Open a table.

    Args:
        path: the file.
        layout: its format.
        columns: names of columns, of which an object of parallel columns has one or more.
        options: what the user says about its dialect.
        place: keys that lead to the rows of a JSON document.

    Raises:
        DataError: the file as a whole cannot be read.
    """
    options = options or TableOptions()
    if layout in (Layout.CSV, Layout.TSV):
        separated = read_separated(path, options, usual="\t" if layout is Layout.TSV else ",")
        dialect = separated.dialect
        cells = (("", row) for _, row in separated.rows())
        return RawTable(path, cells, dialect.decimal, separated.columns, (str(dialect),))
    text = options.read(path).text
    if (_has_lines(text) or (layout is Layout.JSONL and not text.lstrip().startswith("["))) and not place:
        found = _json_table(path, [("", row) for _, row in json_lines(text, "")], options)
        return found if layout is Layout.JSONL else replace(found, read_as=("JSON lines", *found.read_as))
    document = load_json(text, str(path))
    for key in place:
        index = int(key) if isinstance(document, list) and key.isdigit() and len(key) < 9 else key
        try:
            document = document[index]
        except (LookupError, TypeError):
            shown = list(document)[:20] if isinstance(document, Mapping) else document
            raise DataError(f"{path}: rows", f"be found under {key!r}", shown, "Check the mapping's rows.") from None
    if isinstance(document, list) and not (document and _is_header(document[0], columns)):
        return _json_table(path, [("", row) for row in document], options)
    rows, arrangement, names = _arranged(document, columns, str(path))
    table = _json_table(path, rows, options)
    return replace(table, columns=names, read_as=(arrangement, *table.read_as))


def _json_table(path: Path, rows: list[RawRow], options: TableOptions) -> RawTable:
    decimal, read_as = options.decimal, tuple[str, ...]()
    if decimal is None:
        sample = (row for _, row in islice(rows, SAMPLED_ROWS))
        decimal = decimal_sign((text for row in sample for text in _texts(row)), ".")
        read_as = (f"decimal {DECIMALS[decimal]}",) if decimal == "," else ()
    return RawTable(path, rows, decimal, None, read_as)


def _texts(value: Any, levels: int = 4) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif levels and isinstance(value, list | dict):
        for child in value.values() if isinstance(value, dict) else value:
            yield from _texts(child, levels - 1)


def _arranged(document: Any, columns: Collection[str], place: str) -> tuple[list[RawRow], str, tuple[str, ...] | None]:
    """Return the rows of an object, how they are arranged in it, and its columns if it has parallel ones."""
    if isinstance(document, list):
        return _below(document[0], document[1:]), "a list of rows below the names of their columns", None
    values = document if isinstance(document, Mapping) else {}
    names, data = values.get("columns"), values.get("data")
    if isinstance(data, list) and isinstance(names, list) and _is_header(names, columns):
        return _below(names, data), "columns and data, as pandas splits them", None
    named = {name: values[name] for name in columns if name in values}
    if named and (keys := _parallel(named, place)) is not None:
        alike = {name: keyed for name, column in values.items() if (keyed := _keyed(column)).keys() == keys}
        rows = [(key, {name: column[key] for name, column in alike.items()}) for key in keys]
        return rows, "parallel columns", tuple(values)
    if named:
        return [("", values)], "a single row", None
    if values and all(isinstance(row, dict | Flaw) for row in values.values()):
        return list(values.items()), "an object with a key for each row", None
    inside = _inside(values, columns)
    remedy = f"If they are there, write rows: {inside} into the mapping." if inside else "Check the file."
    rule = "be a list of objects, an object with a key for each row, or an object of parallel columns"
    raise DataError(place, rule, document, remedy)


def _has_lines(text: str) -> bool:
    """Return whether a text is JSON lines and not one document: its first line is an object of its own."""
    first, _, rest = text.strip().partition("\n")
    if not (first.startswith("{") and rest.lstrip().startswith("{")):
        return False
    try:
        return isinstance(parse_json(first, ""), dict)
    except DataError as error:
        return not error.rule.startswith("be valid JSON")


def _is_header(row: Any, columns: Collection[str]) -> bool:
    return isinstance(row, list) and all(isinstance(name, str) for name in row) and not {*row}.isdisjoint(columns)


def _below(header: Sequence[str], rows: Iterable[Any]) -> list[RawRow]:
    """Return rows of values with the names of their columns."""
    found: list[RawRow] = []
    for row in rows:
        if isinstance(row, list) and len(row) == len(header):
            found.append(("", dict(zip(header, row, strict=True))))
        else:
            rule = f"be a list of {len(header)} values, one for each column"
            found.append(("", DataError("row", rule, row, "Complete it.")))
    return found


def _inside(document: Mapping[str, Any], columns: Collection[str]) -> str:
    """Return the path to what may be the rows inside of a document, as a mapping writes it; empty if there is none."""
    level: list[tuple[list[str], Any]] = [([], document)]
    for _ in range(LEVELS):
        level = [
            ([*path, key], value)
            for path, outer in level
            if isinstance(outer, Mapping)
            for key, value in outer.items()
            if isinstance(value, list | dict) and value
        ]
        for path, value in level:
            first = value[0] if isinstance(value, list) else value
            if isinstance(first, dict) and (isinstance(value, list) or not {*first}.isdisjoint(columns)):
                return ".".join(path) if all("." not in key for key in path) else str(path)
    return ""


def _without_nan(value: Any) -> Any:
    """Return a value with null in place of NaN."""
    if isinstance(value, Flaw):
        return None if repr(value.value) == "NaN" else value
    if isinstance(value, dict):
        return {key: _without_nan(child) for key, child in value.items()}
    return [_without_nan(child) for child in value] if isinstance(value, list) else value


def _keyed(column: Any) -> dict[str, Any]:
    """Return a column's values by the key of the row; rows without keys are numbered from 1."""
    if isinstance(column, list):
        return {str(turn): value for turn, value in enumerate(column, start=1)}
    return column if isinstance(column, dict) else {}


def _parallel(named: Mapping[str, Any], place: str) -> KeysView[str] | None:
    """Return the keys of the rows if these columns are parallel, else ``None``."""
    (first, column), *others = named.items()
    if any(type(other) is not type(column) for _, other in others) or not isinstance(column, list | dict):
        return None
    keys = _keyed(column).keys()
    for name, other in others:
        if _keyed(other).keys() != keys:
            if isinstance(other, dict):
                return None  # A single row with several objects.
            rule = f"have as many values as {first!r}, {len(column):,}"
            raise DataError(f"{place}: {name}", rule, Shown(f"{len(other):,}"), "Complete it.")
    return keys
