"""What every table from elsewhere becomes: sound rows, refused rows with the reason, and what was left out.

A row is sound whole or refused whole. Rows are counted from 1, in the order of the file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from explorer.errors import DataError, InputError
from explorer.space.spec import ArchitectureSpec

MAX_TEXT = 200
MAX_VALUE = 1e15
"""No score and no measurement in any unit is larger; what is, is a slip."""
MAX_SHOWN = 200
DECIMAL = re.compile(r"[+-]?(\d{1,40}(\.\d{0,40})?|\.\d{1,40})([eE][+-]?\d{1,4})?", re.ASCII)

Sound = TypeVar("Sound")


@dataclass(frozen=True)
class RefusedRow:
    """Why a row was refused.

    Attributes:
        row: its number, from 1.
        field: what is wrong in it.
        rule: what must hold.
        value: what stands there, as text that can be shown.
        remedy: what to do about it.
    """

    row: int
    field: str
    rule: str
    value: str
    remedy: str

    @classmethod
    def of(cls, row: int, error: InputError) -> RefusedRow:
        """The reason an error gives."""
        shown = repr(error.value)
        shown = shown if len(shown) <= MAX_SHOWN else shown[: MAX_SHOWN - 3] + "..."
        return cls(row, error.field, error.rule, shown, error.remedy)

    def error(self, file: str) -> DataError:
        """The same as an error that names the file and the row."""
        return DataError(f"{file} row {self.row}: {self.field}", self.rule, Shown(self.value), self.remedy)


class Shown(str):
    """A text that stands for a value and is shown without quotes of its own."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


@dataclass(frozen=True)
class ReadRows(Generic[Sound]):
    """A file's rows: the sound ones, each with its number, and the refused ones, both in the file's order."""

    sound: tuple[tuple[int, Sound], ...]
    refused: tuple[RefusedRow, ...]


@dataclass(frozen=True)
class StoredId:
    """An architecture that a row names by its id in the store."""

    id: str


@dataclass(frozen=True)
class FoundScore:
    """A score of a row; the attributes are those of ``graphstore.records.ScoreRecord``."""

    task: str
    metric: str
    value: float
    dataset: str
    fidelity: str
    recipe: str
    seed: int
    source: str
    seconds: float = 0.0


@dataclass(frozen=True)
class FoundMeasurement:
    """A measurement of a row; the attributes are those of ``graphstore.records.MeasurementRecord``."""

    device: str
    quantity: str
    value: float
    unit: str


@dataclass(frozen=True)
class FoundRow:
    """One sound row.

    Attributes:
        architecture: what the row is about.
        scores: its scores.
        measurements: its measurements.
        left_out: one line per value that is left out on purpose, and why.
    """

    architecture: ArchitectureSpec | StoredId
    scores: tuple[FoundScore, ...] = ()
    measurements: tuple[FoundMeasurement, ...] = ()
    left_out: tuple[str, ...] = ()


def read_rows(rows: Iterable[Any], convert: Callable[[int, Any], Sound]) -> ReadRows[Sound]:
    """Convert rows one by one.

    Args:
        rows: the raw rows; one that is an InputError itself is refused for that reason.
        convert: makes a sound row of number and raw row, or raises InputError.
    """
    sound: list[tuple[int, Sound]] = []
    refused: list[RefusedRow] = []
    for number, row in enumerate(rows, start=1):
        try:
            if isinstance(row, InputError):
                raise row
            sound.append((number, convert(number, row)))
        except InputError as error:
            refused.append(RefusedRow.of(number, error))
    return ReadRows(tuple(sound), tuple(refused))


def number(field: str, value: object, lowest: float, highest: float, kind: str = "number") -> float:
    """A finite number in a range, given as a number or as decimal text; ``kind`` is what the error calls it.

    Raises:
        DataError: it is none.
    """
    rule = f"be a {kind} from {lowest:g} to {highest:g}"
    if isinstance(value, str) and DECIMAL.fullmatch(value.strip()):
        value = float(value)
    # Compared before float(), which has no room for long whole numbers. NaN fails every comparison.
    if isinstance(value, bool) or not isinstance(value, int | float) or not lowest <= value <= highest:
        raise DataError(field, rule, value, "Correct the value.")
    return float(value)


def short_text(field: str, value: object) -> str:
    """A text of 1 to 200 printable characters, without blanks at its ends.

    Raises:
        DataError: it is none.
    """
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_TEXT or not value.isprintable():
        raise DataError(field, f"be text of 1 to {MAX_TEXT} printable characters", value, "Correct the text.")
    if value != value.strip():
        raise DataError(field, "have no blanks at its ends", value, "Remove them.")
    return value


def is_missing(value: object) -> bool:
    """Whether a cell holds nothing: absent, null, or blank."""
    return value is None or (isinstance(value, str) and not value.strip())
