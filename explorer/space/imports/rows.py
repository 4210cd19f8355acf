"""The result of reading a foreign table: valid rows, rejected rows with their reasons, and omitted values.

A row is accepted or rejected as a whole. Rows are numbered from 1, in the order of the file.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from explorer.documents.numbers import looks_numeric, number_text, plain_number
from explorer.documents.values import checked
from explorer.errors import Advice, DataError, InputError, Remedy, Shown, shortened
from explorer.space.spec import ArchitectureSpec

MAX_TEXT = 200
MAX_ALIKE = 1000
"""Maximum number of listed rows of one kind."""
MAX_KINDS = 100
"""Maximum number of kinds of rejected rows that are told apart."""
MAX_HOPELESS = 10_000
"""Number of rows after which a file is given up if no row was valid."""
NO_NUMBER = frozenset(("nan", "na", "n/a", "#n/a", "null", "none", "-", "\N{EN DASH}", "\N{EM DASH}"))
NUMBER = re.compile(r"\d+([.,]\d+)*")
MAX_VALUE = 1e15
"""Maximum absolute value of scores and measurements, in any unit; larger values are errors."""


@dataclass(frozen=True)
class RefusedRow:
    """A rejected row and the reason.

    Attributes:
        row: its number, from 1.
        field: the invalid field.
        rule: the rule that it breaks.
        value: its value, as printable text.
        remedy: how to correct it.
        more: number of later rows of the same kind that are not listed.
    """

    row: int
    field: str
    rule: str
    value: str
    remedy: str
    more: int = 0

    @property
    def kind(self) -> str:
        """Field and rule without the numbers in them, which it shares with similar rejected rows."""
        return NUMBER.sub("#", f"{self.field} must {self.rule}")

    @classmethod
    def of(cls, row: int, error: InputError) -> RefusedRow:
        """Return the rejected row for an error."""
        return cls(row, error.field, error.rule, shortened(error.value), error.remedy)

    def error(self, file: str) -> DataError:
        """Return an error that names the file and the row."""
        field = f"{file} row {self.row}: {self.field}"
        return DataError(field, self.rule, Shown(self.value), self.remedy)


@dataclass(frozen=True)
class StoredId:
    """The id of a stored architecture, to which a row refers."""

    id: str


@dataclass(frozen=True)
class FoundScore:
    """A score of a row; the attributes are those of ``graphstore.records.ScoreRecord``.

    Attributes:
        factor: what the file's number was multiplied by: 0.01 for percentages.
    """

    task: str
    metric: str
    value: float
    dataset: str
    fidelity: str
    recipe: str
    seed: int
    source: str
    seconds: float = 0.0
    majority: float | None = None
    chance: float | None = None
    factor: float = 1.0


@dataclass(frozen=True)
class FoundMeasurement:
    """A measurement of a row; the attributes are those of ``graphstore.records.MeasurementRecord``."""

    device: str
    quantity: str
    value: float
    unit: str


@dataclass(frozen=True)
class FoundRow:
    """One valid row.

    Attributes:
        architecture: the row's architecture.
        scores: its scores.
        measurements: its measurements.
        left_out: one line per omitted value, with the reason.
        read_as: how it was read, if that is unusual.
        suspicious: one line per value that is at odds with others of the row.
    """

    architecture: ArchitectureSpec | StoredId
    scores: tuple[FoundScore, ...] = ()
    measurements: tuple[FoundMeasurement, ...] = ()
    left_out: tuple[str, ...] = ()
    read_as: tuple[str, ...] = ()
    suspicious: tuple[str, ...] = ()


@dataclass(frozen=True)
class ReadRows:
    """The rows of a file: valid ones with their numbers, and rejected ones, both in the file's order.

    Attributes:
        valid: number and content of each valid row.
        refused: the rejected rows; the first ``MAX_ALIKE`` of each kind.
        read_as: how the file was read: its dialect, its arrangement, the form of what it holds.
        suspicious: one line per value that is at odds with the rest of the file.
        left_out: one line about rows that were not read.
    """

    valid: tuple[tuple[int, FoundRow], ...]
    refused: tuple[RefusedRow, ...]
    read_as: tuple[str, ...] = ()
    suspicious: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


def read_rows(rows: Iterable[Any], convert: Callable[[int, Any], FoundRow]) -> ReadRows:
    """Convert rows one by one.

    Args:
        rows: the raw rows; a row that is an InputError is rejected with that reason.
        convert: converts number and raw row, or raises InputError.

    Returns:
        The rows. If none of the first ``MAX_HOPELESS`` is valid, the others are only counted.
    """
    valid: list[tuple[int, FoundRow]] = []
    refused = _Refusals()
    left_out: tuple[str, ...] = ()
    numbered = enumerate(rows, start=1)
    for number, row in numbered:
        try:
            if isinstance(row, InputError):
                raise row
            valid.append((number, convert(number, checked(row, ""))))
        except InputError as error:
            refused.add(RefusedRow.of(number, error))
        if number == MAX_HOPELESS and not valid and (unread := sum(1 for _ in numbered)):
            left_out = (f"the rows after row {number:,} were not read, because none before was valid",)
            refused.add_unread(unread)
    read_as = tuple(dict.fromkeys(line for _, row in valid for line in row.read_as))
    suspicious = tuple(line for _, row in valid for line in row.suspicious)
    return ReadRows(tuple(valid), refused.listed(), read_as, suspicious, left_out)


class _Refusals:
    """Rejected rows; of those alike only the first are kept, because there may be millions."""

    def __init__(self) -> None:
        self._kept: dict[str, list[RefusedRow]] = {}
        self._more: Counter[str] = Counter()

    def add(self, row: RefusedRow) -> None:
        """Keep or count a row."""
        kind = row.kind if row.kind in self._kept or len(self._kept) < MAX_KINDS else next(reversed(self._kept))
        alike = self._kept.setdefault(kind, [])
        if len(alike) < MAX_ALIKE:
            alike.append(row)
        else:
            self._more[kind] += 1 + row.more

    def add_unread(self, count: int) -> None:
        """Count rows that were not read with the kind of most rows."""
        most = max(self._kept, key=lambda kind: len(self._kept[kind]) + self._more[kind])
        self._more[most] += count

    def listed(self) -> tuple[RefusedRow, ...]:
        """Return the kept rows in their order; the last of each kind counts the others as ``more``."""
        found: list[RefusedRow] = []
        for kind, (*first, last) in self._kept.items():
            found += [*first, replace(last, more=last.more + self._more[kind])]
        return tuple(sorted(found, key=lambda row: row.row))


def listed(refused: Iterable[RefusedRow]) -> tuple[RefusedRow, ...]:
    """Return rejected rows in their order; of those alike only the first, which count the others as ``more``."""
    kept = _Refusals()
    for row in sorted(refused, key=lambda row: row.row):
        kept.add(row)
    return kept.listed()


def number(
    field: str,
    value: object,
    lowest: float,
    highest: float,
    kind: str = "number",
    decimal: str | None = None,
    *,
    dialect: bool = True,
) -> float:
    """Return a number or decimal text as a float within a range.

    Args:
        field: its name in the error.
        value: the number.
        lowest: minimum.
        highest: maximum.
        kind: what it is called in the error.
        decimal: decimal sign of numbers in texts; see ``plain_number``.
        dialect: whether the user can state the decimal sign.

    Raises:
        DataError: the value is not such a number.
    """
    given, remedy = value, "Correct the value."
    if isinstance(value, str):
        plain = plain_number(value, decimal)
        if plain is None and dialect and looks_numeric(value):
            remedy = Advice(Remedy.DECIMAL)
        value = None if plain is None else float(plain)
    # Compare before converting: float() overflows on huge ints, and NaN fails every comparison.
    if isinstance(value, bool) or not isinstance(value, int | float) or not lowest <= value <= highest:
        raise DataError(field, f"be a {kind} from {_bound(lowest)} to {_bound(highest)}", given, remedy)
    return float(value)


def _bound(value: float) -> str:
    short = f"{value:g}"
    return short if float(short) == value else number_text(value)


def short_text(field: str, value: object) -> str:
    """Return a text of 1 to 200 printable characters, without leading or trailing blanks.

    Raises:
        DataError: the value is not such a text.
    """
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_TEXT or not value.isprintable():
        raise DataError(field, f"be text of 1 to {MAX_TEXT} printable characters", value, "Correct the text.")
    if value != value.strip():
        raise DataError(field, "have no blanks at its ends", value, "Remove them.")
    return value


def is_missing(value: object) -> bool:
    """Return whether a cell is absent, null or blank."""
    return value is None or (isinstance(value, str) and not value.strip())


def is_no_number(value: object) -> bool:
    """Return whether a cell is missing, or says that a number is, as programs write it: ``nan``, ``n/a``, ``-``."""
    return is_missing(value) or (isinstance(value, str) and value.strip().casefold() in NO_NUMBER)
