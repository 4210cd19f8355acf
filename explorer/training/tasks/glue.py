"""GLUE tasks from folders: ``DIR/NAME/train.tsv`` and ``dev.tsv``, as GLUE ships them or in one simple layout.

Files are UTF-8 and tab-separated without quoting. In the simple layout a header row names the columns ``label``,
``sentence`` and, for pairs, ``sentence2``, in any order. GLUE's own files (https://gluebenchmark.com/tasks) have other
columns for every task, and CoLA's lack a header; MNLI has two dev files, ``dev_matched.tsv`` and
``dev_mismatched.tsv``; MRPC may consist of its two source files, ``msr_paraphrase_train.txt`` and ``dev_ids.tsv``. The
first line of a file determines its layout.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from explorer.documents.text import read_text
from explorer.errors import DataError
from explorer.training.tasks.base import Example, Task, TaskKind
from explorer.training.tasks.forms import GLUE_TASKS, HIGHEST_SIMILARITY, GlueForm, glue_name, tasks_with_columns
from explorer.training.tasks.labels import class_label, value_label

MSR_FILE, MSR_DEV = "msr_paraphrase_train.txt", "dev_ids.tsv"
MSR_IDS = slice(1, 3)
ROWS_PER_BROKEN = 1000
"""GLUE's own files may have one malformed row per this number of rows (QQP has some); such rows are skipped."""
FEW_BROKEN, ROWS_PER_FEW = 3, 20
"""Extracts of them may have as many malformed rows as this, but at most one in twenty."""
COLA_COLUMNS = 4
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Layout:
    """The layout of a row.

    Attributes:
        label: index of the label.
        sentences: indices of the sentences.
        width: number of cells of a row.
        header: whether the first line is a header.
        official: whether it is GLUE's own file, in which empty sentences and a few malformed rows are accepted.
    """

    label: int
    sentences: tuple[int, ...]
    width: int
    header: bool
    official: bool


def load_glue(folder: Path, name: str) -> Task:
    """Load one task.

    Args:
        folder: the folder that holds one folder per task.
        name: one of ``GLUE_TASKS``.

    Raises:
        DataError: a folder or file is missing, or a row is malformed (file, line, rule and value are named).
        KeyError: the task is unknown.
    """
    form = GLUE_TASKS[name]
    own = task_folder(folder, name)
    if not own.is_dir():
        remedy = f"Put {' and '.join(form.files)} into a folder {name} of {folder}."
        raise DataError(f"data for task {name}", "be an existing folder", str(own), remedy)
    if is_msr(own, name):
        return glue_task(name, form, *_read_msr(own, form))
    return glue_task(name, form, *(read_rows(own / file, form) for file in form.files))


def glue_task(name: str, form: GlueForm, *parts: tuple[Example, ...]) -> Task:
    """Return a GLUE task from its sets of examples. Raises DataError if a set has only one label."""
    kind = TaskKind.CLASSIFICATION if form.classes else TaskKind.REGRESSION
    return Task(name, form.metric, kind, form.pair, form.classes, *parts)


def task_folder(folder: Path, name: str) -> Path:
    """Return the folder of a task, whose name may differ in case and punctuation; it need not exist.

    Raises:
        DataError: several folders have the task's name.
    """
    if (folder / name).is_dir():
        return folder / name
    found = sorted(path.name for path in _folders(folder) if glue_name(path.name) == name)
    if len(found) > 1:
        raise DataError(f"data for task {name}", "be one folder", found, f"Rename one of them to {name}.")
    return folder / (found or [name])[0]


def other_tasks(folder: Path) -> dict[str, list[str]]:
    """Return the folders that hold files of a task but do not have the name of one.

    Returns:
        For each name, the GLUE tasks that it may be, by its columns or the beginning of its name.
    """
    found: dict[str, list[str]] = {}
    for path in _folders(folder):
        if glue_name(path.name) is None and (path / "train.tsv").is_file() and any(path.glob("dev*.tsv")):
            with (path / "train.tsv").open(encoding="utf-8", errors="replace") as file:
                header = file.readline(10_000).rstrip("\r\n").split("\t")
            letters = "".join(filter(str.isalnum, path.name)).casefold()
            named = [name for name in GLUE_TASKS if letters.startswith("".join(filter(str.isalnum, name)).casefold())]
            found[path.name] = named or tasks_with_columns(header)
    return found


def _folders(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.is_dir())
    except OSError:
        return []


def files_of(folder: Path, name: str) -> list[Path]:
    """Return the paths of a task's files, existing or not."""
    own = task_folder(folder, name)
    return [own / file for file in ((MSR_FILE, MSR_DEV) if is_msr(own, name) else GLUE_TASKS[name].files)]


def is_msr(own: Path, name: str) -> bool:
    """Return whether a task's folder holds MRPC as its source files."""
    return name == "MRPC" and not (own / "train.tsv").exists() and (own / MSR_FILE).is_file()


def label_of(place: str, label: object, form: GlueForm) -> float:
    """Return a label as a class index. Raises DataError."""
    if form.classes:
        return class_label(place, label, form.classes, form.classes)
    return value_label(place, label, 0.0, HIGHEST_SIMILARITY)


def read_rows(path: Path, form: GlueForm) -> tuple[Example, ...]:
    """Read one file of examples. Raises DataError like ``load_glue``."""
    return tuple(example for _, example in _read(path, form))


def _read(path: Path, form: GlueForm) -> list[tuple[list[str], Example]]:
    """Yield the cells and the example of each row of a file."""
    # Split at line feeds only: str.splitlines would split at other characters inside sentences.
    lines = read_text(path, "data file").split("\n")
    layout = _layout(path, lines[0].rstrip("\r"), form)
    if lines[-1] == "":
        lines.pop()
    rows: list[tuple[list[str], Example]] = []
    broken: list[DataError] = []
    for number, line in enumerate(lines[layout.header :], start=1 + layout.header):
        cells = line.rstrip("\r").split("\t")
        try:
            rows.append((cells, _example(f"{path}, line {number}", line, cells, layout, form)))
        except DataError as error:
            broken.append(error)
            if not layout.official or len(broken) > tolerated(len(lines) - layout.header):
                raise broken[0] from None
    if broken:
        listed = "; ".join(map(str, broken[:FEW_BROKEN])) + ("; …" if len(broken) > FEW_BROKEN else "")
        log.warning("%s: skipped %d malformed rows of %d: %s", path, len(broken), len(lines) - layout.header, listed)
    return rows


def tolerated(rows: int) -> int:
    """Return how many malformed rows are skipped in one of GLUE's own files of this many rows, or in an extract."""
    return max(rows // ROWS_PER_BROKEN, min(FEW_BROKEN, rows // ROWS_PER_FEW))


def _layout(path: Path, first: str, form: GlueForm) -> Layout:
    header = first.split("\t")
    if sorted(header) == sorted(form.columns):
        label, *sentences = (header.index(column) for column in form.columns)
        return Layout(label, tuple(sentences), len(header), header=True, official=False)
    if form.official and set(form.official) <= set(header):
        label, *sentences = (header.index(column) for column in form.official)
        return Layout(label, tuple(sentences), len(header), header=True, official=True)
    if not form.official and len(header) == COLA_COLUMNS and header[1] in ("0", "1"):
        return Layout(1, (3,), COLA_COLUMNS, header=False, official=True)
    theirs = f"{', '.join(form.official)} and others" if form.official else "GLUE's four, without a header"
    rule = f"be a header of the columns {', '.join(form.columns)}, in any order, or of {theirs}, separated by tabs"
    remedy = "Add the header, or convert the file to these columns."
    if others := tasks_with_columns(header):
        remedy = f"These are the columns of {' or '.join(others)}: move the file to the folder of that task."
    raise DataError(f"{path}, line 1", rule, first, remedy)


def _example(place: str, line: str, cells: list[str], layout: Layout, form: GlueForm) -> Example:
    if len(cells) != layout.width:
        rule = f"hold {layout.width} columns separated by tabs"
        raise DataError(place, rule, line, "Correct or remove the row.")
    sentences = [cells[index] for index in layout.sentences]
    for column, cell in zip(form.columns[1:], sentences, strict=True):
        if not cell.strip() and not layout.official:
            raise DataError(f"{place}: {column}", "not be empty", cell, "Correct or remove the row.")
    return Example(label_of(place, cells[layout.label], form), *sentences)


def _read_msr(own: Path, form: GlueForm) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    """Return MRPC's train and dev examples; GLUE's list of pairs selects the dev examples."""
    if not (own / MSR_DEV).is_file():
        rule = f"hold train.tsv and dev.tsv, or {MSR_FILE} with GLUE's list of dev pairs, {MSR_DEV}"
        raise DataError("data for task MRPC", rule, str(own), f"Add {MSR_DEV}.")
    lines = read_text(own / MSR_DEV, "data file").splitlines()
    chosen = {tuple(line.split("\t")[:2]) for line in lines}
    parts: tuple[list[Example], list[Example]] = ([], [])
    for cells, example in _read(own / MSR_FILE, form):
        parts[tuple(cells[MSR_IDS]) in chosen].append(example)
    return tuple(parts[0]), tuple(parts[1])
