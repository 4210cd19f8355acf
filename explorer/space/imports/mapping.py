"""A mapping says which columns of a user's table hold the architecture, the scores and the measurements.

It is a small YAML file. A value of a row is named by its column or by its path into nested objects; in place of a text,
a number or a column, a ``Cell`` says where it is, or gives it.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    ValidationError,
    model_validator,
)

from explorer.documents.numbers import number_text
from explorer.documents.separated import TableOptions
from explorer.documents.yaml_text import read_yaml
from explorer.errors import DataError, InputError, validation_error
from explorer.space.imports.rows import MAX_TEXT

MAX_COLUMNS = 1000
MAX_SEED = 2**32 - 1
MAX_STEPS = 16
STAR = "*"
LAYER_KEYS = ("l", "o", "h", "n", "f", "p")


def _printable(text: str) -> str:
    if not text.isprintable() or text != text.strip():
        raise ValueError("be one line of printable characters without blanks at its ends")
    return text


def _text(value: Any) -> Any:
    return number_text(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _steps(value: Any) -> Any:
    return value.split(".") if isinstance(value, str) else value


Title = Annotated[str, StringConstraints(max_length=MAX_TEXT), AfterValidator(_printable)]
Text = Annotated[
    str, StringConstraints(min_length=1, max_length=MAX_TEXT), AfterValidator(_printable), BeforeValidator(_text)
]
Sign = Annotated[str, StringConstraints(min_length=1, max_length=20)]
Steps = Annotated[list[Text], Field(min_length=1, max_length=MAX_STEPS), BeforeValidator(_steps)]


class Layout(StrEnum):
    """File format of the rows."""

    CSV = "csv"
    TSV = "tsv"
    JSON = "json"
    JSONL = "jsonl"


class Scale(StrEnum):
    """Scale of a score: 0 to 1, 0 to 100, any number, or any number to be minimised."""

    FRACTION = "fraction"
    PERCENT = "percent"
    RAW = "raw"
    LOSS = "loss"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Located(_Part):
    """A value of a row, named by its column or its path.

    Attributes:
        column: name of its column.
        path: its place in nested objects and lists: keys from the outside to the inside; ``*`` matches every key.
        separator: splits a text into several values.
        part: number of the value that is meant, from 1; without it, all of them.
    """

    _alternatives: ClassVar[tuple[str, ...]] = ("column", "path")
    column: Text | None = None
    path: Steps | None = None
    separator: Sign | None = None
    part: Annotated[int, Field(ge=1, le=MAX_COLUMNS)] | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        given = [name for name in self._alternatives if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"give exactly one of {', '.join(self._alternatives)}")
        if self.part is not None and self.separator is None:
            raise ValueError("give a separator with a part")
        return self

    @cached_property
    def steps(self) -> tuple[str, ...]:
        """Keys from the row to the value; empty if it is not in the row."""
        return (self.column,) if self.column is not None else tuple(self.path or ())

    @property
    def stars(self) -> int:
        """How many stars its path has."""
        return list(self.path or ()).count(STAR)

    def at(self, keys: Sequence[str]) -> str:
        """Return its name with keys in place of the stars."""
        left = iter(keys)
        return ".".join(next(left, STAR) if step == STAR and self.path else step for step in self.steps)

    @cached_property
    def _name(self) -> str:
        return self.at(())

    def __str__(self) -> str:
        return self._name


class Cell(Located):
    """A value of a row that may also be a key of it, or a constant.

    Attributes:
        key: number of a ``*`` in the path of the scores or measurements that it describes, from 1: the key that the
            star matches. 0 is the key of the row itself, in an object with a key for each row.
        value: the value itself, the same in every row.
    """

    _alternatives: ClassVar[tuple[str, ...]] = ("column", "path", "key", "value")
    key: Annotated[int, Field(ge=0, le=MAX_STEPS)] | None = None
    value: Any = None

    @property
    def stars(self) -> int:
        """How many stars the path that it belongs to needs."""
        return self.key or super().stars

    def __str__(self) -> str:
        return super().__str__() or ("value" if self.key is None else f"key {self.key}")


def _column(given: str | Cell) -> Cell:
    return given if isinstance(given, Cell) else Cell(column=given)


def _constant(given: str | int | Cell) -> Cell:
    return given if isinstance(given, Cell) else Cell(value=given)


TAGS = ("as a value", "as a cell")


def _tag(given: object) -> str:
    return TAGS[isinstance(given, dict | Cell)]


if TYPE_CHECKING:
    Source = Cell
    Given = Cell
    Seed = Cell
else:
    _Cell = Annotated[Cell, Tag(TAGS[1])]
    _Either = Annotated[Annotated[Text, Tag(TAGS[0])] | _Cell, Discriminator(_tag)]
    _Number = Annotated[int, Field(ge=0, le=MAX_SEED), Tag(TAGS[0])]
    Source = Annotated[_Either, AfterValidator(_column)]  # The name of a column, or a cell.
    Given = Annotated[_Either, AfterValidator(_constant)]  # A fixed text, or a cell.
    Seed = Annotated[Annotated[_Number | _Cell, Discriminator(_tag)], AfterValidator(_constant)]


class LayerColumns(_Part):
    """The values of the keys of a ``model_dict``, one per layer or one for all layers; ``l`` is optional."""

    l: Source | None = None  # noqa: E741 - the format's own name
    o: Source
    h: Source
    n: Source | None = None
    f: Source
    p: Source | None = None


class ArchitectureColumns(_Part):
    """Source of a row's architecture: exactly one of the four.

    Attributes:
        model_dict: a ``model_dict``, as JSON text or as an object.
        name: the name of a named model.
        id: an id of the store.
        columns: a value for each key of a ``model_dict``.
    """

    model_dict: Source | None = None
    name: Source | None = None
    id: Source | None = None
    columns: LayerColumns | None = None

    @model_validator(mode="after")
    def _one(self) -> ArchitectureColumns:
        given = [key for key in type(self).model_fields if getattr(self, key) is not None]
        if len(given) != 1:
            raise ValueError("give exactly one of model_dict, name, id, columns")
        return self

    @property
    def cells(self) -> list[Cell]:
        """Every cell that is given."""
        given = [self.model_dict, self.name, self.id]
        given += [getattr(self.columns, key) for key in LAYER_KEYS] if self.columns else []
        return [cell for cell in given if cell is not None]


class Values(Located):
    """Numbers of a row: one, or with a path with stars one for each match.

    Attributes:
        missing: whether an empty cell refuses the row.
    """

    missing: Literal["refuse", "skip"] = "refuse"

    @model_validator(mode="after")
    def _numbers(self) -> Self:
        if self.separator is not None and self.part is None:
            raise ValueError("give a part with a separator")
        for cell in self.texts:
            if cell.stars > self.stars:
                raise ValueError(f"have a path with {cell.stars} of {STAR}, because {cell} is taken from it")
        return self

    @property
    def texts(self) -> list[Cell]:
        """The cells that describe the numbers."""
        given = (getattr(self, name) for name in type(self).model_fields)
        return [cell for cell in given if isinstance(cell, Cell)]


class ScoreColumn(Values):
    """Scores. They are comparable where task, metric, dataset, fidelity and recipe agree."""

    task: Given
    metric: Given
    dataset: Given
    fidelity: Given = Cell(value="published")
    recipe: Given
    seed: Seed = Cell(value=0)
    scale: Scale = Field(default=Scale.FRACTION, strict=False)


class MeasurementColumn(Values):
    """Measurements, in the unit the mapping names."""

    device: Given
    quantity: Given
    unit: Given


class Mapping(_Part):
    """How to read a table.

    Attributes:
        source: name of the table; with a row's key it identifies the source of a score.
        title: one line of description, kept with a new space.
        format: file format; by default the suffix of the file's name.
        delimiter, decimal, encoding: dialect of a CSV or TSV file; see ``TableOptions``.
        rows: path to the rows in a JSON document that holds more than them.
        key: the name of a row; by default its key in an object of rows, or its number.
        architecture: the row's architecture.
        scores: the row's scores.
        measurements: the row's measurements.
    """

    source: Text
    title: Title = ""
    format: Layout | None = Field(default=None, strict=False)
    delimiter: Sign | None = None
    decimal: Sign | None = None
    encoding: Text | None = None
    rows: Steps | None = None
    key: Source | None = None
    architecture: ArchitectureColumns
    scores: list[ScoreColumn] = Field(default=[], max_length=MAX_COLUMNS)
    measurements: list[MeasurementColumn] = Field(default=[], max_length=MAX_COLUMNS)

    @model_validator(mode="after")
    def _no_stars(self) -> Mapping:
        for cell in (*self.architecture.cells, *([self.key] if self.key else [])):
            if cell.stars:
                raise ValueError(f"take {cell} from a path without {STAR}, because a row has one of it")
        return self

    @property
    def dialect(self) -> TableOptions:
        """Return the mapping's statements about the table's dialect. Raises InputError."""
        return TableOptions(self.delimiter, self.decimal, self.encoding, place="the mapping")

    def columns(self, optional: bool = True) -> list[str]:
        """Return the columns that the mapping names; ``optional``: also those whose cells may be missing."""
        values = [one for one in (*self.scores, *self.measurements) if optional or one.missing == "refuse"]
        cells = [*self.architecture.cells, *([self.key] if self.key else []), *values]
        cells += [cell for one in values for cell in one.texts]
        return list(dict.fromkeys(cell.steps[0] for cell in cells if cell.steps and cell.steps[0] != STAR))

    def layout(self, path: Path) -> Layout:
        """Return the file format of a table.

        Raises:
            DataError: neither the mapping nor the file's name says so.
        """
        if self.format is not None:
            return self.format
        suffix = path.suffix.lower().removeprefix(".")
        if suffix not in set(Layout):
            rule = f"end with one of {', '.join(f'.{known}' for known in Layout)}"
            remedy = "Rename it, or write for example format: csv into the mapping."
            raise DataError("file", rule, path.name, remedy)
        return Layout(suffix)


def parse_mapping(document: Any, place: str = "mapping") -> Mapping:
    """Validate a parsed mapping.

    Raises:
        DataError: the mapping breaks a rule.
    """
    try:
        mapping = Mapping.model_validate(document)
        _ = mapping.dialect
        return mapping
    except InputError as error:
        raise DataError.of(error, place) from None
    except ValidationError as error:
        remedy = "Correct this key; docs/formats.md describes all keys"
        raise validation_error(error, DataError, place, remedy, "the mapping", TAGS) from None


def read_mapping(path: Path) -> Mapping:
    """Read a mapping from its YAML file.

    Raises:
        DataError: the file is missing, not YAML, or breaks a rule.
    """
    return parse_mapping(read_yaml(path, "mapping"), str(path))
