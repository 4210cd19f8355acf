"""Tasks from GLUE-format folders: ``DIR/NAME/train.tsv`` and ``dev.tsv``.

Files are UTF-8 and tab-separated without quoting, with a header row: ``label``, ``sentence`` and, for pairs,
``sentence2``. Metrics are GLUE's (https://gluebenchmark.com/tasks): accuracy, Matthews for CoLA, and the mean of
Pearson and Spearman for STS-B, whose labels run from 0 to 5.
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
    """What a GLUE task's files hold: its metric, whether it has pairs, and its classes (0 for values from 0 to 5)."""

    metric: Metric
    pair: bool
    classes: int


GLUE_TASKS: dict[str, GlueForm] = {
    "CoLA": GlueForm(Metric.MATTHEWS, False, 2),
    "SST-2": GlueForm(Metric.ACCURACY, False, 2),
    "RTE": GlueForm(Metric.ACCURACY, True, 2),
    "STS-B": GlueForm(Metric.PEARSON_SPEARMAN, True, 0),
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
    return Task(name, form.metric, kind, form.pair, form.classes or 1, train, dev)


def read_rows(path: Path, form: GlueForm) -> tuple[Example, ...]:
    """Read one file of examples. Raises DataError as ``load_glue`` does."""
    columns = ["label", "sentence", "sentence2"] if form.pair else ["label", "sentence"]
    # Only line feeds end a row: sentences may hold other characters that str.splitlines would split at.
    lines = read_text(path, "data file").split("\n")
    header = lines[0].rstrip("\r").split("\t")
    if header != columns:
        rule = f"be the header {' '.join(columns)}, separated by tabs"
        raise DataError(f"{path}, line 1", rule, lines[0], "Add the header row.")
    if lines[-1] == "":
        lines.pop()
    return tuple(_example(path, number, line.rstrip("\r"), form) for number, line in enumerate(lines[1:], start=2))


def _example(path: Path, number: int, line: str, form: GlueForm) -> Example:
    place = f"{path}, line {number}"
    cells = line.split("\t")
    wanted = 3 if form.pair else 2
    if len(cells) != wanted:
        rule = f"hold {wanted} columns separated by tabs"
        raise DataError(place, rule, line, "Correct or remove the row.")
    for column, cell in zip(("sentence", "sentence2"), cells[1:], strict=False):
        if not cell.strip():
            raise DataError(f"{place}: {column}", "not be empty", cell, "Correct or remove the row.")
    return Example(_label(place, cells[0], form), *cells[1:])


def _label(place: str, text: str, form: GlueForm) -> float:
    if form.classes:
        if not (text.isascii() and text.isdigit() and int(text) < form.classes):
            rule = f"be a class from 0 to {form.classes - 1}"
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
