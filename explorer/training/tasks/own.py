"""A user's own tasks: one YAML file each, which names tables and their columns.

    name: reviews
    kind: classification            # or regression
    files: {train: train.csv, dev: dev.csv}
    columns: {label: stars, sentence: text}
    metric: macro_f1
    classes: [bad, fair, good]

Only ``name``, ``kind`` and ``files.train`` must be given. Files are CSV, TSV or JSONL, their names relative to the YAML
file. Without ``files.dev`` a fifth of the train file's texts, selected by a digest of their words, is held out for
scoring. Columns are ``label`` and ``sentence`` by default, and pairs have a column ``sentence2``. The default metric is
accuracy, or ``pearson_spearman`` for regression. Classes are those of the train file, in numeric or alphabetical order.
Where the dialect of the tables cannot be detected, ``delimiter``, ``decimal`` and ``encoding`` state it.

A folder means its ``task.yaml``; a folder without one is a classification task named like the folder, with ``train``
and optionally ``dev`` in one of the three formats and the default columns.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from explorer.documents.separated import TableOptions
from explorer.documents.yaml_text import read_yaml
from explorer.errors import DataError, InputError, validation_error
from explorer.training.files import digest
from explorer.training.metrics import CLASS_METRICS, VALUE_METRICS, Metric
from explorer.training.tasks.base import Example, Task, TaskKind
from explorer.training.tasks.forms import GLUE_TASKS
from explorer.training.tasks.labels import class_label, class_text, value_label
from explorer.training.tasks.made import MADE_TASKS
from explorer.training.tasks.tables import ENDINGS, ExampleTable

DOCUMENT = "task.yaml"
RESERVED = (*MADE_TASKS, *GLUE_TASKS, "mean", "pretrained")
MOST_CLASSES = 1000
VALUE_RANGE = (-1e9, 1e9)
"""Least and largest target of a regression."""
LONGEST_NUMBER = 18
UNLABELLED = "-1"
"""Label of the rows of published test splits, whose labels are kept secret."""
DEV_SHARE = 5
TWO_CLASS_METRICS = (Metric.F1, Metric.F1_ACCURACY)
Text = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]


log = logging.getLogger(__name__)


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Files(_Part):
    """Names of the tables, relative to the task file; a missing ``dev`` is split off ``train``."""

    train: Text
    dev: Text | None = None


class Columns(_Part):
    """Names of the columns; ``sentence2`` makes it a task of sentence pairs."""

    label: Text = "label"
    sentence: Text = "sentence"
    sentence2: Text | None = None

    @model_validator(mode="after")
    def _differ(self) -> Columns:
        if len({self.label, self.sentence, self.sentence2}) < 3:
            raise ValueError("columns must be distinct")
        return self


class TaskDocument(_Part):
    """A task file; the module docstring describes its keys."""

    name: Name
    kind: Literal["classification", "regression"]
    files: Files
    columns: Columns = Columns()
    metric: Metric | None = Field(default=None, strict=False)
    classes: Annotated[list[Any], Field(min_length=2, max_length=MOST_CLASSES)] | None = None
    delimiter: Annotated[str, StringConstraints(min_length=1, max_length=20)] | None = None
    decimal: Annotated[str, StringConstraints(min_length=1, max_length=20)] | None = None
    encoding: Text | None = None

    @property
    def dialect(self) -> TableOptions:
        """Return the task's statements about its tables' dialect. Raises InputError."""
        return TableOptions(self.delimiter, self.decimal, self.encoding, place="the task file")

    @model_validator(mode="after")
    def _fits_together(self) -> TaskDocument:
        if self.name in RESERVED:
            raise ValueError(f"name must not be one of the reserved names {', '.join(RESERVED)}")
        fitting = CLASS_METRICS if self.kind == "classification" else VALUE_METRICS
        if self.metric is not None and self.metric not in fitting:
            raise ValueError(f"metric of a {self.kind} must be one of {', '.join(fitting)}")
        if self.kind == "regression" and self.classes is not None:
            raise ValueError("classes must be left out of a regression")
        given = [class_text(one) for one in self.classes or ()]
        if len(set(given)) < len(given) or not all(given):
            raise ValueError("classes must be distinct and not empty")
        return self


@dataclass(frozen=True)
class OwnTask:
    """A valid task file whose tables have not been read yet.

    Attributes:
        document: its content.
        folder: folder of its tables.
    """

    document: TaskDocument
    folder: Path

    @property
    def name(self) -> str:
        """Name of the task."""
        return self.document.name

    @property
    def files(self) -> list[Path]:
        """Its tables."""
        names = (self.document.files.train, self.document.files.dev)
        return [self.folder / name for name in names if name is not None]


def read_own(path: Path) -> OwnTask:
    """Read a task file, given directly or by its folder.

    Raises:
        DataError: it is missing or breaks a rule, or one of its tables is missing.
    """
    if path.is_dir() and not (path / DOCUMENT).is_file():
        return OwnTask(_document_of(path), path)
    file = path / DOCUMENT if path.is_dir() else path
    return OwnTask(_checked(read_yaml(file, "task file"), str(file)), file.parent)


def _document_of(folder: Path) -> TaskDocument:
    """Return the task of a folder of tables without a task file."""
    found: dict[str, str] = {}
    for part in ("train", "dev"):
        names = [f"{part}{ending}" for ending in ENDINGS if (folder / f"{part}{ending}").is_file()]
        if len(names) > 1 or (part == "train" and not names):
            rule = f"hold {DOCUMENT}, or one {part} with one of {', '.join(ENDINGS)}"
            raise DataError("task folder", rule, str(folder), f"Add {DOCUMENT}.")
        if names:
            found[part] = names[0]
    columns: dict[str, str] = {}
    for _, row in ExampleTable(folder / found["train"], TableOptions(place=f"a {DOCUMENT}")).rows():
        columns = {"sentence2": "sentence2"} if "sentence2" in row else {}
        break
    name = folder.resolve().name
    return _checked({"name": name, "kind": "classification", "files": found, "columns": columns}, str(folder))


def _checked(document: Any, place: str) -> TaskDocument:
    if not isinstance(document, dict):
        raise DataError(place, "be a mapping of keys to values", document, "docs/training.md has an example.")
    try:
        task = TaskDocument.model_validate(document)
        _ = task.dialect
        return task
    except InputError as error:
        raise DataError.of(error, place) from None
    except ValidationError as error:
        remedy = "Correct it; docs/training.md describes all keys"
        raise validation_error(error, DataError, place, remedy, "the task") from None


def load_own(own: OwnTask) -> Task:
    """Read the tables of a task.

    Raises:
        DataError: a table is missing or malformed, or has fewer than two distinct labels.
    """
    document = own.document
    read = [ExampleTable(path, document.dialect) for path in own.files]
    tables = [list(_rows(table, document.columns)) for table in read]
    classes: tuple[str, ...] = ()
    if document.kind == "classification":
        given = document.classes or sorted({class_text(label) for _, label, *_ in tables[0]}, key=_class_order)
        classes = tuple(class_text(one) for one in given)
        plain = {name.removesuffix(".0"): name for name in classes}
        if not document.classes and {UNLABELLED, "0"} <= plain.keys():
            rule = f"not be {UNLABELLED} beside a class 0, because it usually marks rows without a label"
            remedy = f"Remove these rows, or list {UNLABELLED} under classes if it is a class."
            raise DataError(f"task {own.name}: label", rule, UNLABELLED, remedy)
        if len(classes) > MOST_CLASSES:
            rule = f"have at most {MOST_CLASSES} classes"
            raise DataError(f"task {own.name}", rule, len(classes), "Write kind: regression if labels are numbers.")
        if document.metric in TWO_CLASS_METRICS and len(classes) != 2:
            rule = f"have two classes for the metric {document.metric}"
            raise DataError(f"task {own.name}", rule, list(classes), f"Use {Metric.MACRO_F1}.")
    decimals = [None if classes else table.decimal for table in read]
    parts = [
        tuple(_example(classes, decimal, *row) for row in rows) for decimal, rows in zip(decimals, tables, strict=True)
    ]
    train, dev = parts if len(parts) == 2 else _split(parts[0])
    known = {_text(example) for example in train}
    if repeated := sum(_text(example) in known for example in dev):
        log.warning("task %s: %d of %d dev examples are train examples too", own.name, repeated, len(dev))
    metric = document.metric or (Metric.ACCURACY if classes else Metric.PEARSON_SPEARMAN)
    pair = document.columns.sentence2 is not None
    return Task(own.name, metric, TaskKind(document.kind), pair, classes, train, dev)


def _class_order(name: str) -> tuple[bool, int, str]:
    """Sort numbers by value, then names alphabetically."""
    is_number = name.isascii() and name.isdigit() and len(name) <= LONGEST_NUMBER
    return not is_number, int(name) if is_number else 0, name


def _rows(table: ExampleTable, columns: Columns) -> Iterator[tuple[str, Any, list[str]]]:
    """Yield location, label and sentences of each row."""
    names = [columns.sentence, *((columns.sentence2,) if columns.sentence2 else ())]
    for place, row in table.rows():
        for column in (columns.label, *names):
            if column not in row:
                rule = f"have a column {column}"
                alike = [name for name in row if name.casefold() == column.casefold()]
                remedy = "Add it, or name another under columns."
                if alike:
                    remedy = f"Name {alike[0]} under columns, or rename it."
                raise DataError(place, rule, ", ".join(map(str, row)), remedy)
        for column in names:
            if not isinstance(row[column], str) or not row[column].strip():
                raise DataError(f"{place}: {column}", "be text, not empty", row[column], "Correct or remove the row.")
        yield place, row[columns.label], [row[column] for column in names]


def _example(classes: Sequence[str], decimal: str | None, place: str, label: Any, sentences: list[str]) -> Example:
    if not classes:
        return Example(value_label(place, label, *VALUE_RANGE, decimal, dialect=True), *sentences)
    whole = isinstance(label, str | int) or (isinstance(label, float) and label.is_integer())
    if not whole or not class_text(label):
        raise DataError(f"{place}: label", "be the name or the number of a class", label, "Correct or remove the row.")
    return Example(class_label(place, label, classes), *sentences)


def _split(examples: tuple[Example, ...]) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    """Split into train and dev by the digest of the text, so that equal texts are on the same side."""
    parts: tuple[list[Example], list[Example]] = ([], [])
    for example in examples:
        parts[int(digest(*_text(example)), 16) % DEV_SHARE == 0].append(example)
    return tuple(parts[0]), tuple(parts[1])


def _text(example: Example) -> tuple[str, str]:
    """Return the words of a text, ignoring case and whitespace."""
    return " ".join(example.first.split()).lower(), " ".join((example.second or "").split()).lower()
