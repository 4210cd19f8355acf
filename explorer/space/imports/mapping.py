"""A mapping says which columns of a user's table hold the architecture, the scores and the measurements.

It is a small YAML file. In place of a text or a seed, ``{column: NAME}`` takes the value from the row.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from explorer.documents.separated import TableOptions
from explorer.documents.yaml_text import read_yaml
from explorer.errors import DataError, InputError, validation_error
from explorer.space.imports.rows import MAX_TEXT

MAX_COLUMNS = 1000
MAX_SEED = 2**31 - 1


def _printable(text: str) -> str:
    if not text.isprintable() or text != text.strip():
        raise ValueError("be one line of printable characters without blanks at its ends")
    return text


Title = Annotated[str, StringConstraints(max_length=MAX_TEXT), AfterValidator(_printable)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=MAX_TEXT), AfterValidator(_printable)]
Sign = Annotated[str, StringConstraints(min_length=1, max_length=20)]
LAYER_KEYS = ("l", "o", "h", "n", "f", "p")


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


class Column(_Part):
    """A value that is read from a column of the row."""

    column: Text


Given = Text | Column
"""A fixed text, or one from a column."""


class LayerColumns(_Part):
    """Columns with the keys of a ``model_dict``, each cell JSON; ``l`` is optional."""

    l: Text | None = None  # noqa: E741 - the format's own name
    o: Text
    h: Text
    n: Text | None = None
    f: Text
    p: Text | None = None


class ArchitectureColumns(_Part):
    """Source of a row's architecture: exactly one of the four.

    Attributes:
        model_dict: column with a ``model_dict``, as JSON text or as an object.
        name: column with the name of a named model.
        id: column with an id of the store.
        columns: a column for each key of a ``model_dict``.
    """

    model_dict: Text | None = None
    name: Text | None = None
    id: Text | None = None
    columns: LayerColumns | None = None

    @model_validator(mode="after")
    def _one(self) -> ArchitectureColumns:
        given = [key for key in type(self).model_fields if getattr(self, key) is not None]
        if len(given) != 1:
            raise ValueError("give exactly one of model_dict, name, id, columns")
        return self


class ScoreColumn(_Part):
    """A column of scores. Scores are comparable where task, metric, dataset, fidelity and recipe agree."""

    column: Text
    task: Given
    metric: Given
    dataset: Given
    fidelity: Given = "published"
    recipe: Given
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] | Column = 0
    scale: Scale = Field(default=Scale.FRACTION, strict=False)
    missing: Literal["refuse", "skip"] = "refuse"


class MeasurementColumn(_Part):
    """A column of measurements, in the unit the mapping names."""

    column: Text
    device: Given
    quantity: Given
    unit: Given
    missing: Literal["refuse", "skip"] = "refuse"


class Mapping(_Part):
    """How to read a table.

    Attributes:
        source: name of the table; with a row's key it identifies the source of a score.
        title: one line of description, kept with a new space.
        format: file format; by default the suffix of the file's name.
        delimiter, decimal, encoding: dialect of a CSV or TSV file; see ``TableOptions``.
        key: column with the name of a row; by default the row's number.
        architecture: the columns of the architecture.
        scores: the columns of scores.
        measurements: the columns of measurements.
    """

    source: Text
    title: Title = ""
    format: Layout | None = Field(default=None, strict=False)
    delimiter: Sign | None = None
    decimal: Sign | None = None
    encoding: Text | None = None
    key: Text | None = None
    architecture: ArchitectureColumns
    scores: list[ScoreColumn] = Field(default=[], max_length=MAX_COLUMNS)
    measurements: list[MeasurementColumn] = Field(default=[], max_length=MAX_COLUMNS)

    @property
    def dialect(self) -> TableOptions:
        """What the mapping says about the table's dialect. Raises InputError."""
        return TableOptions(self.delimiter, self.decimal, self.encoding, place="the mapping")

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
            raise DataError("file", rule, path.name, "Rename it, or write format: into the mapping.")
        return Layout(suffix)


UNION_MEMBERS = {"constrained-str", "str", "int", "Column", "constrained-int"}


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
        raise validation_error(error, DataError, place, remedy, "the mapping", UNION_MEMBERS) from None


def read_mapping(path: Path) -> Mapping:
    """Read a mapping from its YAML file.

    Raises:
        DataError: the file is missing, not YAML, or breaks a rule.
    """
    return parse_mapping(read_yaml(path, "mapping"), str(path))
