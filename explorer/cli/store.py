"""``archex store``: check, migrate, copy and back up stores."""

from __future__ import annotations

import dataclasses
import datetime
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from explorer.cli.console import (
    DEFAULT_STORE,
    JsonOption,
    StoreOption,
    errors,
    opened,
    output,
    print_json,
    progress_reporter,
    say,
)
from explorer.library.spaces import rebuild_outdated
from explorer.library.workplace import copy_files, models_folder, models_size
from graphstore import maintenance, open_store
from graphstore.backup import backup as save
from graphstore.copying import copy_store, unfinished
from graphstore.url import SQLITE_PREFIX, locate, sqlite_path

group = typer.Typer(no_args_is_help=True)

UrlArgument = Annotated[str, typer.Argument(help="sqlite:///FILE, neo4j://HOST:7687, or neo4j.")]


@group.command()
def check(store: StoreOption = DEFAULT_STORE, json: JsonOption = False) -> None:
    """Check that a store is consistent: its version, its layout and the references between its records."""
    report = maintenance.check(store, say)
    if json:
        print_json(dataclasses.asdict(report) | {"ok": report.ok})
    else:
        counts = {name: f"{count:,}" for name, count in report.counts.items()}
        _table(report.url, {"engine": report.engine, "version": f"{report.version} (newest: {report.newest})"} | counts)
        output.print("no problems" if report.ok else f"{len(report.problems)} problems")
    for risk in report.risks:
        errors.print(f"warning: {risk}", markup=False, soft_wrap=True)
    for problem in report.problems:
        errors.print(f"problem: {problem}", markup=False, soft_wrap=True)
    if not report.ok:
        raise typer.Exit(1)


@group.command()
def migrate(store: StoreOption = DEFAULT_STORE, json: JsonOption = False) -> None:
    """Migrate a store of an older version of this software to the newest layout, its libraries included."""
    report = maintenance.migrate(store, say)
    with opened(store, create=False) as migrated, progress_reporter() as reporter:
        rebuilt = rebuild_outdated(migrated, reporter)
    if json:
        print_json(dataclasses.asdict(report) | {"rebuilt": rebuilt})
    else:
        kept = f"; a copy of the old store is {report.backup}" if report.backup else ""
        text = f"{report.url}: version {report.before} -> {report.after}{kept}"
        if rebuilt:
            text += f"; the libraries of {', '.join(rebuilt)}, of an early version, were built again"
        output.print(text, markup=False, soft_wrap=True)


@group.command()
def copy(
    source: UrlArgument,
    target: UrlArgument,
    with_files: Annotated[
        bool, typer.Option("--with-files", help="Also copy prepared data, trained models and logs.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Copy a whole catalogue to another store and verify it by digests; an interrupted copy resumes."""
    start = time.perf_counter()
    # Not ``opened``: the password of one server must not be offered to the other.
    with (
        open_store(source, create=False, say=say) as theirs,
        open_store(target, say=say) as ours,
        progress_reporter() as reporter,
    ):
        report = copy_store(theirs, ours, reporter.update)
        files = None
        if with_files:
            with unfinished(ours):
                files = copy_files(theirs.url, ours.url, reporter)
    seconds = time.perf_counter() - start
    if json:
        document: dict[str, Any] = {**vars(report), "moving": list(report.moving), "seconds": seconds}
        document["sections"] = {
            name: {"count": one.count, "digest": one.hexadecimal} for name, one in report.sections.items()
        }
        print_json(document | {"files": None if files is None else dataclasses.asdict(files)})
    else:
        counts = {name: f"{one.count:,}" for name, one in report.sections.items()}
        _table(f"{report.source} -> {report.target}", counts)
        if files is not None:
            output.print(
                f"files: {files.copied} copied ({files.size_bytes / 2**20:.1f} MiB), {files.kept} existed already"
            )
        if not report.moving:
            output.print(f"all digests are equal ({seconds:.1f} s)")
    _say_what_moved(report.moving, "run the same command again when nobody writes")


@group.command()
def backup(
    path: Annotated[Path | None, typer.Argument(help="New file; by default a name with date and time.")] = None,
    store: StoreOption = DEFAULT_STORE,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing file.")] = False,
    json: JsonOption = False,
) -> None:
    """Save a store as one new, checked file, also while searches write to it. `archex store copy` restores it.

    The backup does not contain trained models.
    """
    start = time.perf_counter()
    with progress_reporter() as reporter:
        place = path if path is not None else default_path(store, datetime.datetime.now())
        report = save(store, place, reporter.update, overwrite, say)
    seconds = time.perf_counter() - start
    located = locate(store)
    # A server can have several URLs, but has one folder.
    name = report.url if isinstance(located, Path) else located.name
    models, models_bytes = models_folder(name), models_size(name)
    if json:
        document = {"store": report.url, "path": str(report.path), "bytes": report.size_bytes}
        left_out = {"path": str(models), "bytes": models_bytes}
        print_json(document | {"not_saved": left_out, "moving": list(report.moving), "seconds": seconds})
    else:
        text = f"{report.path}: {report.size_bytes / 2**20:.1f} MiB, checked, in {seconds:.1f} s"
        if models_bytes:
            text += (
                f"\nnot in it: trained models, {models_bytes / 2**20:.1f} MiB in {models}; "
                "`archex store copy --with-files` copies them"
            )
        output.print(text, markup=False, soft_wrap=True)
    _say_what_moved(report.moving, "make another backup when nobody writes")


def default_path(store: str, now: datetime.datetime) -> Path:
    """Return the default path of a backup: next to an embedded store, or in the current folder for a server."""
    moment = now.strftime("%Y%m%d-%H%M%S")
    if store.startswith(SQLITE_PREFIX):
        file = sqlite_path(store)
        return file.with_name(f"{file.stem}-{moment}{file.suffix}")
    return Path(f"archex-{moment}.db")


def _say_what_moved(moving: tuple[str, ...], remedy: str) -> None:
    if moving:
        say(f"error: the source kept changing in {', '.join(moving)}, whose copies lack the newest changes: {remedy}")
        raise typer.Exit(1)


def _table(title: str, rows: dict[str, str]) -> None:
    table = Table(title=title, title_justify="left", show_header=False)
    for name, value in rows.items():
        table.add_row(name, value)
    output.print(table)
