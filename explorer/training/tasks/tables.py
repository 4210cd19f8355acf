"""Readers of a user's table of examples, row by row: CSV, TSV or JSONL in UTF-8.

CSV has commas and spreadsheet quoting; TSV has tabs and no quoting, like GLUE's files; JSONL has one object
per line. The first line of CSV and TSV names the columns.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from explorer.errors import DataError
from explorer.space.documents import parse_json
from explorer.training.files import read_text

ENDINGS = (".csv", ".tsv", ".jsonl")


def read_table(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Read a table.

    Args:
        path: a file with a suffix in ``ENDINGS``.

    Yields:
        The location of each row, for errors, and its cells by column.

    Raises:
        DataError: the file does not exist, is not UTF-8, or has a malformed row.
    """
    readers = {".csv": _csv, ".tsv": _tsv, ".jsonl": _jsonl}
    if path.suffix.lower() not in readers:
        raise DataError("data file", f"end with {', '.join(ENDINGS)}", path.name, "Rename or convert it.")
    return readers[path.suffix.lower()](path, read_text(path, "data file"))


def _csv(path: Path, text: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header: list[str] = []
    try:
        for cells in reader:
            place = f"{path}, line {reader.line_num}"
            if not header:
                header = _header(place, cells)
            elif cells:  # csv.reader returns blank lines as rows without cells.
                yield place, _row(place, header, cells)
    except csv.Error as error:
        line = f"{path}, line {reader.line_num}"
        raise DataError(line, f"be valid CSV ({error})", "", "Correct the line, or its quotes.") from None
    if not header:
        raise DataError(str(path), "begin with a line that names the columns", "", "The file is empty.")


def _tsv(path: Path, text: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    # Split at line feeds only: str.splitlines would split at other characters inside sentences.
    header, *lines = (line.rstrip("\r") for line in text.removesuffix("\n").split("\n"))
    columns = _header(f"{path}, line 1", header.split("\t"))
    for number, line in enumerate(lines, start=2):
        place = f"{path}, line {number}"
        yield place, _row(place, columns, line.split("\t"))


def _jsonl(path: Path, text: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for number, line in enumerate(text.split("\n"), start=1):
        place = f"{path}, line {number}"
        if not line.strip():
            continue
        try:
            row = parse_json(line)
            json.dumps(row, ensure_ascii=False).encode()  # A lone surrogate such as "\\ud800" cannot be encoded.
        except ValueError as error:
            raise DataError(place, f"be a JSON object ({error})", line, "Correct the line.") from None
        if not isinstance(row, dict):
            raise DataError(place, "be a JSON object", line, "Correct the line.")
        yield place, row


def _header(place: str, cells: list[str]) -> list[str]:
    columns = [cell.strip() for cell in cells]
    if len(set(columns)) < len(columns) or not any(columns):
        raise DataError(place, "have distinct column names", ", ".join(columns), "Correct the header.")
    return columns


def _row(place: str, columns: list[str], cells: list[str]) -> Mapping[str, Any]:
    if len(cells) != len(columns):
        rule = f"hold {len(columns)} cells, one for each column"
        raise DataError(place, rule, cells, "Correct or remove the row.")
    return dict(zip(columns, cells, strict=True))
