"""The values of one row of a table, found as the cells of a mapping say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

from explorer.documents.json_text import parse_json
from explorer.documents.numbers import number_text
from explorer.errors import DataError
from explorer.space.imports.mapping import STAR, Cell, Located
from explorer.space.imports.rows import is_no_number, number, short_text

MAX_NAMED = 20
"""Maximum number of columns named in an error."""


def absent_column(name: str, columns: Sequence[str]) -> DataError:
    """Return the error of a column that a table or a row does not have; it names the one that was probably meant."""
    if len(columns) == 1:
        remedy = "The first line must name the columns, separated by commas, semicolons, tabs or bars."
        return DataError(name, "be a column of the table", list(columns), remedy)
    alike = get_close_matches(name, columns, n=1) or [one for one in columns if one.casefold() == name.casefold()]
    remedy = f"Write {alike[0]!r} into the mapping." if alike else "Check the mapping's column names."
    return DataError(name, "be a column of the table", list(columns[:MAX_NAMED]), remedy)


@dataclass(frozen=True)
class TableRow:
    """A row whose values are being read.

    Attributes:
        cells: its columns.
        name: its key in an object with a key for each row, else its number.
        decimal: decimal sign of numbers in texts; see ``plain_number``.
        keys: the keys that replace the stars of a path.
    """

    cells: Mapping[str, Any]
    name: str
    decimal: str | None
    keys: tuple[str, ...] = ()

    def matches(self, values: Located) -> list[TableRow]:
        """Return the row once for each way to fill the stars of a path; without stars, once."""
        if not values.stars:
            return [self]
        last = len(values.steps) - values.steps[::-1].index(STAR)
        return [replace(self, keys=keys) for keys in _keys(self.cells, values.steps[:last], str(values))]

    def lacks(self, values: Located) -> bool:
        """Whether the cell is absent, null or blank, or says that the number is missing."""
        return self._start(values) not in self.cells or is_no_number(self.value(values))

    def value(self, cell: Located) -> Any:
        """Return a value; ``None`` if the path leads nowhere.

        Raises:
            DataError: the row does not have the column, or the cell has fewer parts.
        """
        if isinstance(cell, Cell) and cell.key is not None:
            return self.name if cell.key == 0 else self.keys[cell.key - 1]
        if isinstance(cell, Cell) and cell.value is not None:
            return cell.value
        if (start := self._start(cell)) not in self.cells:
            raise absent_column(start, list(self.cells))
        keys = iter(self.keys)
        steps = [next(keys) if step == STAR else step for step in cell.steps] if cell.path else cell.steps
        found: Any = self.cells
        for step in steps:
            found = _child(found, step, str(cell))
        return _part(cell, found)

    def text(self, cell: Located) -> str:
        """Return a text without blanks at its ends, or a number as a text. Raises DataError if it is neither."""
        value = self.value(cell)
        if isinstance(value, int | float) and not isinstance(value, bool):
            value = number_text(value)
        return short_text(str(cell), value.strip() if isinstance(value, str) else value)

    def integer(self, cell: Located, highest: int) -> int:
        """Return a whole number from 0. Raises DataError if it is none."""
        value = number(str(cell), self.value(cell), 0, highest, decimal=self.decimal)
        if not value.is_integer():
            raise DataError(str(cell), "be a whole number", value, "Correct the number.")
        return int(value)

    def _start(self, cell: Located) -> str:
        return self.keys[0] if cell.path and cell.steps[0] == STAR else cell.steps[0]


def _opened(value: Any, place: str) -> Any:
    """Return a value whose inside is wanted: JSON in a text is parsed."""
    return parse_json(value, place) if isinstance(value, str) and value.lstrip()[:1] in ("{", "[") else value


def _child(value: Any, step: str, place: str) -> Any:
    value = _opened(value, place)
    if isinstance(value, Mapping):
        return value.get(step)
    if isinstance(value, list) and step.isascii() and step.isdigit():
        return value[int(step)] if len(step) < 9 and int(step) < len(value) else None
    if value is None:
        return None
    rule = f"hold an object with the key {step!r}"
    raise DataError(place, rule, value, f"Check the mapping's path: up to {step!r} it leads to this value.")


def _keys(value: Any, steps: Sequence[str], place: str) -> Iterator[tuple[str, ...]]:
    """Yield the keys that replace the stars of the steps, for each way to follow the steps."""
    if not steps:
        yield ()
        return
    step, *rest = steps
    if step != STAR:
        yield from _keys(_child(value, step, place), rest, place)
        return
    value = _opened(value, place)
    if not isinstance(value, Mapping | list | None):
        raise DataError(place, f"hold an object or a list where it has {STAR}", value, "Check the mapping's path.")
    for key in value if isinstance(value, Mapping) else map(str, range(len(value or ()))):
        yield from ((key, *keys) for keys in _keys(_child(value, key, place), rest, place))


def _part(cell: Located, value: Any) -> Any:
    if cell.separator is None or not isinstance(value, str):
        return value
    parts = value.split() if cell.separator.isspace() else [part.strip() for part in value.split(cell.separator)]
    if cell.part is None:
        return parts
    if cell.part > len(parts):
        rule = f"have {cell.part} parts or more separated by {cell.separator!r}"
        raise DataError(str(cell), rule, value, "Correct the cell, or the mapping's separator and part.")
    return parts[cell.part - 1]
