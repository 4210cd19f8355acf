"""Readers of a user's table of examples: CSV, TSV or JSONL, in any dialect that ``explorer.documents`` knows.

CSV has spreadsheet quoting; TSV has none, like GLUE's files; JSONL has one object per line. The first line of CSV and
TSV names the columns. One malformed row refuses the table.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from explorer.documents.json_text import json_lines
from explorer.documents.separated import SeparatedTable, TableOptions, read_separated
from explorer.errors import DataError

ENDINGS = (".csv", ".tsv", ".jsonl")
WHAT = "data file"


class ExampleTable:
    """A table of examples.

    Args:
        path: a file with a suffix in ``ENDINGS``.
        options: what the user says about its dialect.

    Raises:
        DataError: the file cannot be read.
    """

    def __init__(self, path: Path, options: TableOptions) -> None:
        suffix = path.suffix.lower()
        if suffix not in ENDINGS:
            raise DataError(WHAT, f"end with {', '.join(ENDINGS)}", path.name, "Rename or convert it.")
        self._path, self._options = path, options
        self._table: SeparatedTable | None = None
        if suffix == ".jsonl":
            self._text = options.read(path, WHAT).text
        else:
            unquoted = suffix == ".tsv"
            self._table = read_separated(path, options, "\t" if unquoted else ",", not unquoted, WHAT)

    @property
    def decimal(self) -> str | None:
        """Decimal sign of numbers in texts; see ``plain_number``."""
        return self._table.dialect.decimal if self._table else self._options.decimal

    def rows(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Yield the location of each row, for errors, and its cells by column. Raises DataError for a malformed row."""
        if self._table is not None:
            for line, row in self._table.rows():
                place = f"{self._path}, line {line}"
                if isinstance(row, DataError):
                    raise DataError(place, row.rule, row.value, row.remedy)
                yield place, row
            return
        for line, found in json_lines(self._text, str(self._path)):
            if isinstance(found, DataError):
                raise found
            place = f"{self._path}, line {line}"
            if not isinstance(found, dict):
                raise DataError(place, "be a JSON object", found, "Correct the line.")
            yield place, found
