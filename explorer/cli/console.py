"""Shared by all commands: options, progress on standard error, one JSON document on standard output."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from explorer.errors import InputError
from explorer.library.workplace import DEFAULT_STORE as DEFAULT_STORE
from explorer.library.workplace import STORE_VARIABLE
from explorer.progress import Reporter
from graphstore import GraphStore, open_store
from graphstore.records import JobRecord

StoreOption = Annotated[
    str,
    typer.Option(
        "--store",
        envvar=STORE_VARIABLE,
        help="URL of the graph store: sqlite:///FILE or neo4j://HOST:7687, or neo4j for the local managed server.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output.")]
JobOption = Annotated[str, typer.Option("--job", hidden=True, help="Id of the job that this process runs.")]
SeedOption = Annotated[int, typer.Option("--seed", help="Seed of all random numbers.")]

errors = Console(stderr=True, highlight=False)
output = Console(highlight=False, width=None if sys.stdout.isatty() else 160)


def say(line: str) -> None:
    """Print a line for the user on standard error."""
    errors.print(line, markup=False, soft_wrap=True)


def say_note(note: str) -> None:
    """Print on standard error what the user should know about the input."""
    say(f"note: {note}")


def print_json(document: Any) -> None:
    """Print the JSON document of the command on standard output."""
    sys.stdout.write(json.dumps(document, allow_nan=False) + "\n")
    sys.stdout.flush()


class BarReporter:
    """Shows one progress bar per phase, on a terminal."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._bars: dict[str, TaskID] = {}

    def update(self, phase: str, done: float, total: float, note: str = "") -> None:
        """Update the bar of a phase."""
        if phase not in self._bars:
            self._bars[phase] = self._progress.add_task(phase, total=total, note="")
        self._progress.update(self._bars[phase], completed=done, total=total, note=note)


class LineReporter:
    """Prints a line for each quarter of a phase, if standard error is not a terminal."""

    def __init__(self) -> None:
        self._shown: dict[str, int] = {}

    def update(self, phase: str, done: float, total: float, note: str = "") -> None:
        """Print a line if the phase has reached another quarter."""
        quarter = int(4 * done / total) if total else 4
        if self._shown.get(phase, -1) < quarter:
            self._shown[phase] = quarter
            errors.print(f"{phase}: {done:g} of {total:g}{f' ({note})' if note else ''}", markup=False)


@contextmanager
def progress_reporter() -> Iterator[Reporter]:
    """Report progress by bars on a terminal, else by lines."""
    if not errors.is_terminal:
        yield LineReporter()
        return
    columns = (
        TextColumn("{task.description:>14}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=errors) as progress:
        yield BarReporter(progress)


@contextmanager
def opened(url: str, create: bool = True) -> Iterator[GraphStore]:
    """Open a store for one command, and say how a managed server starts."""
    with open_store(url, create=create, say=say) as store:
        yield store


def find_job(store: GraphStore, id: str) -> JobRecord:
    """Return the record of the job that this process runs."""
    for job in store.jobs():
        if job.id == id:
            return job
    raise InputError("job", "be in the store", id, "Leave --job out; only the app uses it.")
