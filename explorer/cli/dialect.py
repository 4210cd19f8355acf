"""The options that state a table's dialect where it cannot be detected."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from explorer.documents.separated import TableOptions


@dataclass(frozen=True, kw_only=True)
class DialectOptions:
    """The dialect of a table; every field is an option."""

    delimiter: Annotated[
        str | None, typer.Option("--delimiter", help="Delimiter of a CSV or TSV file: comma, semicolon, tab or bar.")
    ] = None
    decimal: Annotated[
        str | None, typer.Option("--decimal", help="Decimal sign of the table's numbers: point or comma.")
    ] = None
    encoding: Annotated[
        str | None, typer.Option("--encoding", help="Encoding of the table, for example cp1252; detected by default.")
    ] = None

    @property
    def table(self) -> TableOptions:
        """The options for the reader. Raises InputError if one has an unknown value."""
        return TableOptions(self.delimiter, self.decimal, self.encoding)
