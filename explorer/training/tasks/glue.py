"""Tasks from GLUE-format folders: ``DIR/NAME/train.tsv`` and ``dev.tsv``.

Files are UTF-8 and tab-separated without quoting, with a header row that names the columns ``label``, ``sentence`` and,
for pairs, ``sentence2``, in any order. Metrics are GLUE's (https://gluebenchmark.com/tasks): accuracy, Matthews for
CoLA, and the mean of Pearson and Spearman for STS-B, whose labels run from 0 to 5.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from explorer.errors import DataError
from explorer.training.files import read_text
from explorer.training.metrics import Metric
from explorer.training.tasks.base import Example, Kind, Task


@dataclass(frozen=True)
class GlueForm:
    """What a GLUE task's files hold.

    Attributes:
        metric: how the task is scored.
        pair: whether examples are pairs of sentences.
        classes: names of the classes, label 0 first; empty where labels are values from 0 to 5.
    """

    metric: Metric
    pair: bool
    classes: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns, the label first."""
        return ("label", "sentence", "sentence2") if self.pair else ("label", "sentence")


GLUE_TASKS: dict[str, GlueForm] = {
    "CoLA": GlueForm(Metric.MATTHEWS, False, ("unacceptable", "acceptable")),
    "SST-2": GlueForm(Metric.ACCURACY, False, ("negative", "positive")),
    "RTE": GlueForm(Metric.ACCURACY, True, ("not_entailment", "entailment")),
    "STS-B": GlueForm(Metric.PEARSON_SPEARMAN, True, ()),
}
"""The tasks that can be loaded."""

HIGHEST_SIMILARITY = 5.0


def load_glue(folder: Path, name: str) -> Task:
    """Load one task.

    Args:
        folder: the folder that holds one folder per task.
        name: one of ``GLUE_TASKS``.

    Raises:
        DataError: a folder or file is missing, or a row is malformed (file, line, rule and value are named).
        KeyError: no such task.
    """
    form = GLUE_TASKS[name]
    if not (folder / name).is_dir():
        remedy = f"Put {name}/train.tsv and {name}/dev.tsv into {folder}."
        raise DataError(f"data for task {name}", "be an existing folder", str(folder / name), remedy)
    train, dev = (read_rows(folder / name / f"{part}.tsv", form) for part in ("train", "dev"))
    kind = Kind.CLASSIFICATION if form.classes else Kind.REGRESSION
    return Task(name, form.metric, kind, form.pair, form.classes, train, dev)


def read_rows(path: Path, form: GlueForm) -> tuple[Example, ...]:
    """Read one file of examples. Raises DataError as ``load_glue`` does."""
    # Only line feeds end a row: sentences may hold other characters that str.splitlines would split at.
    lines = read_text(path, "data file").split("\n")
    header = lines[0].rstrip("\r").split("\t")
    if sorted(header) != sorted(form.columns):
        rule = f"be a header of the columns {', '.join(form.columns)}, in any order and separated by tabs"
        raise DataError(f"{path}, line 1", rule, lines[0], "Add the header, or bring the file into these columns.")
    if lines[-1] == "":
        lines.pop()
    places = [header.index(column) for column in form.columns]
    rows = enumerate(lines[1:], start=2)
    return tuple(_example(path, number, line.rstrip("\r"), places, form) for number, line in rows)


def _example(path: Path, number: int, line: str, places: list[int], form: GlueForm) -> Example:
    place = f"{path}, line {number}"
    cells = line.split("\t")
    if len(cells) != len(places):
        rule = f"hold {len(places)} columns separated by tabs"
        raise DataError(place, rule, line, "Correct or remove the row.")
    label, *sentences = (cells[index] for index in places)
    for column, cell in zip(form.columns[1:], sentences, strict=True):
        if not cell.strip():
            raise DataError(f"{place}: {column}", "not be empty", cell, "Correct or remove the row.")
    return Example(_label(place, label, form), *sentences)


def _label(place: str, text: str, form: GlueForm) -> float:
    if form.classes:
        # int() refuses very long texts with an error of its own.
        if not (text.isascii() and text.isdigit() and len(text) <= 3 and int(text) < len(form.classes)):
            rule = f"be a class from 0 to {len(form.classes) - 1}"
            raise DataError(f"{place}: label", rule, text, "Correct or remove the row.")
        return float(int(text))
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0.0 <= value <= HIGHEST_SIMILARITY:
        rule = f"be a number from 0 to {HIGHEST_SIMILARITY:g}"
        raise DataError(f"{place}: label", rule, text, "Correct or remove the row.")
    return value
