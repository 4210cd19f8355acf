"""GLUE tasks from the Hugging Face hub, or from a local folder in the hub's layout, by the library ``datasets``.

``datasets`` caches what it has fetched, so a second run needs no network. Without a network (``HF_HUB_OFFLINE=1`` makes
this explicit) a data set that was never fetched raises an error with a remedy. A local folder is a copy of the hub's:
parquet, JSON or CSV files, and a ``README.md`` whose header assigns them to configurations.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from explorer.errors import Advice, DataError, Remedy
from explorer.training.tasks.base import Example, Task
from explorer.training.tasks.forms import GLUE_TASKS, HIGHEST_SIMILARITY, GlueForm
from explorer.training.tasks.glue import glue_task
from explorer.training.tasks.labels import class_label, value_label

DEFAULT_HUB = "nyu-mll/glue"
DECIMALS = 4


def load_hub(source: str, name: str) -> Task:
    """Load one task.

    Args:
        source: name of the data set on the hub, or a local folder in its layout.
        name: one of ``GLUE_TASKS``.

    Raises:
        DataError: the hub cannot be reached, the data set is unknown, or a split, column or label is not as expected.
        KeyError: the task is unknown.
    """
    form = GLUE_TASKS[name]
    with ExitStack() as stack:
        # The library would not notice changed files of a local folder and return its cached copy.
        cache = stack.enter_context(TemporaryDirectory()) if Path(source).is_dir() else None
        splits = _fetch(source, form.hub, cache)
        parts = []
        for split in ("train", *form.hub_devs):
            if split not in splits:
                rule = f"have a split {split}"
                raise DataError(f"{source}, {form.hub}", rule, sorted(map(str, splits)), "Use a complete copy of it.")
            parts.append(_examples(f"{source}, {form.hub}, {split}", splits[split], form))
        return glue_task(name, form, *parts)


def _fetch(source: str, configuration: str, cache: str | None) -> Mapping[str, Any]:
    import datasets

    place = f"data set {source}, {configuration}"
    try:
        with _quiet(datasets):
            return datasets.load_dataset(source, configuration, cache_dir=cache)
    except FileNotFoundError as error:  # the error for an unknown data set is a subclass
        remedy = Advice(Remedy.GLUE_NAME)
        raise DataError(place, f"exist ({_first_line(error)})", source, remedy) from None
    except OSError as error:  # no network, offline mode, a server that does not answer
        remedy = Advice(Remedy.GLUE_OFFLINE)
        raise DataError(place, f"be cached or reachable ({_first_line(error)})", source, remedy) from None
    except Exception as error:  # errors of several libraries: datasets, pyarrow, huggingface_hub
        raise DataError(place, f"be loadable ({_first_line(error)})", source, "Check the data set.") from None


@contextmanager
def _quiet(datasets: Any) -> Iterator[None]:
    """Disable the library's progress bars, which would interfere with this package's."""
    shown = not datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if shown:
            datasets.enable_progress_bars()


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0][:200] or type(error).__name__


def _examples(place: str, table: Any, form: GlueForm) -> tuple[Example, ...]:
    columns = ("label", *form.hub_columns)
    missing = [column for column in columns if column not in table.column_names]
    if missing:
        raise DataError(place, f"have the columns {', '.join(columns)}", table.column_names, "Check the data set.")
    names: Sequence[str] | None = getattr(table.features["label"], "names", None)
    order = form.hub_classes or form.classes
    if names is not None and tuple(names) != order:
        raise DataError(f"{place}: label", f"have the classes {', '.join(order)}", names, "Check the data set.")
    rows = zip(*(table[column] for column in columns), strict=True)
    return tuple(_example(f"{place}, row {number}", form, *row) for number, row in enumerate(rows, start=1))


def _example(place: str, form: GlueForm, label: Any, *sentences: Any) -> Example:
    for column, sentence in zip(form.hub_columns, sentences, strict=True):
        if not isinstance(sentence, str):
            raise DataError(f"{place}: {column}", "be text", sentence, "Check the data set.")
    if form.classes:
        return Example(class_label(place, label, form.classes, form.hub_classes or form.classes), *sentences)
    # The hub stores float32, where 3.8 is 3.79999995; GLUE's files have three decimals.
    label = round(label, DECIMALS) if isinstance(label, float) else label
    return Example(value_label(place, label, 0.0, HIGHEST_SIMILARITY), *sentences)


def files_in(folder: Path) -> list[Path]:
    """Return the files of a local copy, sorted."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and ".cache" not in path.parts)
