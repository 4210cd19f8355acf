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

from explorer.documents.json_text import json_lines, load_json
from explorer.documents.numbers import decimal_sign
from explorer.documents.separated import DECIMALS, SAMPLED_ROWS, TableOptions, read_separated
from explorer.documents.values import Flaw, checked
from explorer.errors import DataError, Shown
from explorer.space.imports.cells import TableRow, absent_column
from explorer.space.imports.mapping import Layout
from explorer.space.imports.rows import FoundRow, ReadRows, read_rows

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
        read_as: how it was read, if that is unusual.
    """

    path: Path
    rows: Iterable[RawRow]
    decimal: str | None
    columns: tuple[str, ...] | None = None
    read_as: tuple[str, ...] = ()

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
            cells = checked(cells, "")
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
    if layout is Layout.JSONL:
        return _json_table(path, [("", row) for _, row in json_lines(text, "")], options)
    document = load_json(text, str(path))
    for key in place:
        if not isinstance(document, Mapping) or key not in document:
            shown = list(document)[:20] if isinstance(document, Mapping) else document
            raise DataError(f"{path}: rows", f"be found under {key!r}", shown, "Check the mapping's rows.")
        document = document[key]
    if isinstance(document, list):
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
    values = document if isinstance(document, Mapping) else {}
    named = {name: values[name] for name in columns if name in values}
    if named and (keys := _parallel(named, place)) is not None:
        alike = {name: keyed for name, column in values.items() if (keyed := _keyed(column)).keys() == keys}
        rows = [(key, {name: column[key] for name, column in alike.items()}) for key in keys]
        return rows, "parallel columns", tuple(values)
    if named:
        return [("", values)], "a single row", None
    if values and all(isinstance(row, dict | Flaw) for row in values.values()):
        return list(values.items()), "an object with a key for each row", None
    inside = [key for key, value in values.items() if isinstance(value, list | dict) and value]
    remedy = f"If they are there, write rows: {inside[0]} into the mapping." if inside else "Check the file."
    rule = "be a list of objects, an object with a key for each row, or an object of parallel columns"
    raise DataError(place, rule, document, remedy)


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
