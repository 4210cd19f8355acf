"""Tables with one row per line and a header, as CSV, TSV or a spreadsheet's export, of any dialect.

The delimiter and the encoding are detected, or given by the user; a first line ``sep=;`` gives the delimiter too. What
several dialects explain equally well is refused, and the message names the option that settles it.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TypeAlias

from explorer.documents.numbers import decimal_sign, is_grouped
from explorer.documents.text import ENCODINGS, UTF8, Decoded, encoding_named, likely_encoding, lines_of, read_decoded
from explorer.errors import Advice, Code, DataError, InputError, Remedy, Shown

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
"""Delimiters and their names."""
DECIMALS = {".": "point", ",": "comma"}
SAMPLED_ROWS = 1000
"""Number of rows that decide the dialect."""
MAX_COLUMNS = 1000
LONGEST_NAME = 200
LONGEST_LINE = 2**22
FITTING = 0.5
"""Smallest share of the sampled rows that must be as wide as the header under a delimiter."""
_SEPARATOR = "sep="

Cells: TypeAlias = "list[str] | DataError"


@dataclass(frozen=True)
class TableOptions:
    """A user's statements about a table's dialect; ``None`` is detected.

    Attributes:
        delimiter: a key of ``DELIMITERS``, or its name.
        decimal: a key of ``DECIMALS``, or its name.
        encoding: one of ``ENCODINGS``.
        place: where the user writes the options, for errors; empty: with the command or the call.

    Raises:
        InputError: a value is none of these.
    """

    delimiter: str | None = None
    decimal: str | None = None
    encoding: str | None = None
    place: str = ""

    def __post_init__(self) -> None:
        """Replace names by their characters, and check the values."""
        for field, known in (("delimiter", DELIMITERS), ("decimal", DECIMALS)):
            value = getattr(self, field)
            written = value.lower() if isinstance(value, str) else value
            value = next((sign for sign, name in known.items() if written in (name, repr(sign)[1:-1])), value)
            if value is not None and value not in known:
                names = ", ".join(f"{sign!r}" for sign in known)
                remedy = f"Write one of the signs, or its name: {', '.join(known.values())}."
                raise InputError(field, f"be one of {names}", value, remedy)
            object.__setattr__(self, field, value)
        if self.encoding is not None:
            named = encoding_named(self.encoding)
            if named is None:
                rule = f"be one of {', '.join(ENCODINGS)}"
                raise InputError("encoding", rule, self.encoding, "Use one of them.")
            object.__setattr__(self, "encoding", named)

    def delimiter_remedy(self, sign: str) -> str:
        """Return the remedy for a table whose delimiter must be stated."""
        if self.place:
            return f"State it with delimiter: {sign!r} in {self.place}."
        return Advice(Remedy.DELIMITER, sign=sign)

    def encoding_remedy(self, encoding: str) -> str:
        """Return the remedy for a table in another encoding than the one it was read in."""
        if self.place:
            return f"Save it as UTF-8, or state encoding: {encoding!r} in {self.place}."
        return Advice(Remedy.ENCODING, encoding=encoding)

    def read(self, path: Path, what: str = "file") -> Decoded:
        """Read the text of a table.

        Raises:
            DataError: see ``read_decoded``; if another encoding fits the file, the remedy names it.
        """
        try:
            return read_decoded(path, what, encoding=self.encoding)
        except DataError as error:
            likely = likely_encoding(path) if error.code is Code.ENCODING else None
            if likely is None or likely == (self.encoding or UTF8):
                raise
            raise DataError(error.field, error.rule, error.value, self.encoding_remedy(likely)) from None

    def over(self, other: TableOptions) -> TableOptions:
        """Return these options, with what they leave open taken from ``other``."""
        return replace(
            self,
            delimiter=self.delimiter or other.delimiter,
            decimal=self.decimal or other.decimal,
            encoding=self.encoding or other.encoding,
        )


@dataclass(frozen=True)
class Dialect:
    """How a table was read.

    Attributes:
        encoding: its encoding, as ``ENCODINGS`` writes it.
        marked: whether a byte order mark said so.
        delimiter: a key of ``DELIMITERS``.
        decimal: the decimal sign of its numbers, for ``plain_number``: a key of ``DECIMALS``, ``UNCLEAR``, or ``None``.
        grouped: whether its numbers have separators of thousands.
        unnamed: positions, from 1, of columns without a name, which are left out.
    """

    encoding: str
    marked: bool
    delimiter: str
    decimal: str | None
    grouped: bool = False
    unnamed: tuple[int, ...] = ()

    def __str__(self) -> str:
        mark = " with a byte order mark" if self.marked and self.encoding == UTF8 else ""
        parts = [f"{self.encoding.upper()}{mark}", f"separated by {DELIMITERS[self.delimiter]}s"]
        parts += [f"decimal {DECIMALS[self.decimal]}"] if self.decimal else []
        parts += ["separators of thousands"] if self.grouped else []
        parts += [f"column {place} has no name and is left out" for place in self.unnamed]
        return ", ".join(parts)


class SeparatedTable:
    """A table whose header has been read; see ``read_separated``.

    Attributes:
        columns: names of its columns, in order.
    """

    def __init__(self, decoded: Decoded, place: str, usual: str, quoted: bool, options: TableOptions) -> None:
        self._place, self._quoted, self._options = place, quoted, options
        self._encoding = decoded.encoding, decoded.marked
        self._text, self._first, stated = _without_separator(decoded.text)
        self._delimiter = options.delimiter or stated or self._detect(usual)
        self._header = self._read_header()
        self._unnamed = tuple(place for place, name in enumerate(self._header, start=1) if not name)
        self.columns = tuple(filter(None, self._header))

    @cached_property
    def dialect(self) -> Dialect:
        """How the table is read."""
        rows = islice((cells for _, cells in self._body() if isinstance(cells, list)), SAMPLED_ROWS)
        sample = [cell for cells in rows for cell in cells]
        # Spreadsheets write semicolons where the decimal sign is a comma, but programs write them with points too.
        decimal = self._options.decimal or decimal_sign(sample, None if self._delimiter == ";" else ".")
        grouped = any(is_grouped(cell, decimal) for cell in sample)
        return Dialect(*self._encoding, self._delimiter, decimal, grouped, self._unnamed)

    def rows(self) -> Iterator[tuple[int, dict[str, str] | DataError]]:
        """Yield the line in which each row ends, and its cells by column, or the error that refuses the row."""
        for line, cells in self._body():
            if isinstance(cells, DataError):
                yield line, cells
            elif len(cells := self._cut(cells)) == len(self._header):
                yield line, {name: cell for name, cell in zip(self._header, cells, strict=True) if name}
            else:
                rule = f"have {len(self._header)} cells, one for each column"
                remedy = f"Check its delimiters and quotes; the table is read as separated by {self._named()}s."
                yield line, DataError("row", rule, Shown(f"{len(cells)}: {str(cells)[:100]}"), remedy)

    def _cut(self, cells: list[str]) -> list[str]:
        """Leave out empty cells beyond the header, which spreadsheets write at the ends of rows."""
        end = len(self._header)
        return cells if any(map(str.strip, cells[end:])) else cells[:end]

    def _named(self) -> str:
        return DELIMITERS[self._delimiter]

    def _body(self) -> Iterator[tuple[int, Cells]]:
        rows = self._cells(self._delimiter)
        next(rows, None)
        return rows

    def _cells(self, delimiter: str) -> Iterator[tuple[int, Cells]]:
        """Yield line and cells of the header and of each row; lines without content are skipped."""
        if not self._quoted:
            for number, row in enumerate(self._lines(), start=self._first):
                if row.strip(f"\r\n {delimiter}"):
                    yield number, row.rstrip("\r\n").split(delimiter)
            return
        # Programs write blanks after delimiters, and a quote after a blank would not count.
        reader = csv.reader(self._lines(), delimiter=delimiter, strict=True, skipinitialspace=True)
        while True:
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                line = self._first + reader.line_num - 1
                yield line, DataError("row", f"be valid CSV ({error})", Shown(f"line {line}"), "Check its quotes.")
                continue
            if any(map(str.strip, cells)):
                yield self._first + reader.line_num - 1, cells

    def _lines(self) -> Iterator[str]:
        """Yield the lines. Raises DataError: one is so long that its cells could fill the memory."""
        for number, line in enumerate(lines_of(self._text), start=self._first):
            if len(line) > LONGEST_LINE:
                rule = f"have at most {LONGEST_LINE:,} characters"
                raise DataError(f"{self._place}, line {number}", rule, line[:40], "Check its line ends.")
            yield line

    def _detect(self, usual: str) -> str:
        """Return the delimiter under which the rows are as wide as the header, which has several columns then."""
        split, fitting = [], []
        for delimiter in DELIMITERS:
            widths = [
                len(cells) if isinstance(cells, list) else 0
                for _, cells in islice(self._cells(delimiter), SAMPLED_ROWS + 1)
            ]
            if not widths or widths[0] < 2:
                continue
            split.append(delimiter)
            if len(widths) == 1 or widths[1:].count(widths[0]) > FITTING * len(widths[1:]):
                fitting.append(delimiter)
        found = fitting or split
        if len(found) > 1 and not (usual in found and not fitting):
            names = " and ".join(DELIMITERS[one] for one in found)
            rule = f"have one possible delimiter ({names} fit equally)"
            remedy = self._options.delimiter_remedy(found[0])
            header = self._text.split("\n", 1)[0].strip()[:LONGEST_NAME]
            raise DataError(f"{self._place}, line {self._first}", rule, header, remedy)
        return usual if usual in found or not found else found[0]

    def _read_header(self) -> list[str]:
        line, cells = next(self._cells(self._delimiter), (self._first, list[str]()))
        place = f"{self._place}, line {line}"
        if isinstance(cells, DataError):
            raise DataError(place, f"be a row of column names, and {cells.rule}", cells.value, cells.remedy)
        names = [cell.strip() for cell in cells]
        if len(names) > MAX_COLUMNS or not any(names):
            raise DataError(place, f"name 1 to {MAX_COLUMNS} columns", len(names), "Correct the header.")
        for name in names:
            if name and (len(name) > LONGEST_NAME or not name.isprintable()):
                rule = f"have column names of at most {LONGEST_NAME} printable characters"
                raise DataError(place, rule, name, "Correct the header.")
            if name and names.count(name) > 1:
                raise DataError(place, "name each column once", name, "Rename or remove one of the two.")
        return names


def _without_separator(text: str) -> tuple[str, int, str | None]:
    """Return a text without spreadsheets' first line ``sep=;``, the number of its first line, and that delimiter."""
    first, _, rest = text.partition("\n")
    stated = first.strip("\r\" '")
    if stated.lower().startswith(_SEPARATOR) and stated[len(_SEPARATOR) :] in DELIMITERS:
        return rest, 2, stated[len(_SEPARATOR) :]
    return text, 1, None


def read_separated(
    path: Path, options: TableOptions | None = None, usual: str = ",", quoted: bool = True, what: str = "file"
) -> SeparatedTable:
    """Read a table that a user named.

    Args:
        path: the file.
        options: what the user says about its dialect.
        usual: the delimiter where nothing in the file shows one, for example in a table of one column.
        quoted: whether cells may be quoted; without quoting, a quote is a character like any other.
        what: name of the file's kind in errors about the file as a whole.

    Raises:
        DataError: the file is missing or not text, several dialects fit it, or its first row does not name columns.
    """
    options = options or TableOptions()
    return SeparatedTable(options.read(path, what), str(path), usual, quoted, options)
