"""``archex import``: import results. Valid rows are stored; refused rows are listed, and the exit code is then 2."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
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
    say_note,
)
from explorer.cli.dialect import DialectOptions
from explorer.cli.options import with_options
from explorer.errors import DataError, InputError
from explorer.library.bert import import_bert, read_bert_checkpoint
from explorer.library.importing import (
    ImportFile,
    ImportReport,
    edgetran_file,
    import_file,
    nas_bench_bert_file,
    refusal,
    shapes_file,
    table_file,
)
from explorer.library.removal import remove_measurements, remove_scores
from explorer.library.spaces import OWN_SPACE, check_space_name
from explorer.remedies import in_options
from explorer.space.imports.rows import MAX_ALIKE
from explorer.training.files import check_new, write_json

SHOWN_ROWS = 20
REFUSED = 2
"""Exit code if rows were refused, even if other rows were stored, or if ``--strict`` refused suspicious values."""

group = typer.Typer(no_args_is_help=True)
StrictOption = Annotated[
    bool, typer.Option("--strict", help="Import nothing if a single row is refused or a value is suspicious.")
]
ReportOption = Annotated[
    Path | None,
    typer.Option("--report", help=f"Write the report as JSON, with up to {MAX_ALIKE:,} refused rows of each kind."),
]


@group.callback()
def formats() -> None:
    """Import published or own results into the store."""


@group.command("nas-bench-bert")
def nas_bench_bert(
    file: Annotated[Path, typer.Argument(help="The published BERT_benchmark.json.")],
    strict: StrictOption = False,
    report: ReportOption = None,
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
) -> None:
    """Import NAS-Bench-BERT: 500 trained encoders with eight GLUE scores each."""
    _import(nas_bench_bert_file(file), strict, report, store, json)


@group.command("edgetran")
def edgetran(
    file: Annotated[Path, typer.Argument(help="The published codesign_dataset.json.")],
    with_predicted: Annotated[
        bool,
        typer.Option(
            "--with-predicted",
            help="Also import the fitted values glue and pretrain_loss, as scores marked as predicted.",
        ),
    ] = False,
    strict: StrictOption = False,
    report: ReportOption = None,
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
) -> None:
    """Import EdgeTran: latency, energy and peak power of encoders on seven devices."""
    _import(edgetran_file(file, with_predicted), strict, report, store, json)


@group.command("shapes")
@with_options
def shapes(
    file: Annotated[Path, typer.Argument(help="Table with columns h1, h2, …, perplexity and, for latencies, NAME_s.")],
    dialect: DialectOptions,
    strict: StrictOption = False,
    report: ReportOption = None,
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
) -> None:
    """Import measured SuperShaper shapes: perplexity in one super-network, latency on devices."""
    _import(shapes_file(file, dialect.table), strict, report, store, json)


@group.command("table")
@with_options
def table(
    file: Annotated[Path, typer.Argument(help="A .csv, .tsv, .json or .jsonl file with one row per result.")],
    mapping: Annotated[Path, typer.Option("--mapping", help="YAML file that describes the columns.")],
    space: Annotated[str, typer.Option("--space", help="Space for the architectures; created if new.")],
    dialect: DialectOptions,
    strict: StrictOption = False,
    report: ReportOption = None,
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
) -> None:
    """Import your own table, described by a mapping file."""
    _import(table_file(file, mapping, space, dialect.table), strict, report, store, json)


@group.command("bert")
def bert(
    checkpoint: Annotated[
        str,
        typer.Argument(help="A BERT checkpoint as saved by transformers: its folder, a file in it, or its hub name."),
    ],
    folder: Annotated[Path, typer.Argument(help="A new or empty folder for the converted model and its tokenizer.")],
    space: Annotated[str, typer.Option("--space", help="Space for an architecture new to the store.")] = OWN_SPACE,
    cased: Annotated[
        bool | None,
        typer.Option(
            "--cased/--uncased", help="Whether the tokenizer keeps capitals; by default decided from the checkpoint."
        ),
    ] = None,
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
) -> None:
    """Import a BERT checkpoint: convert it to a model with equal outputs and store its architecture."""
    check_space_name(space)
    check_new(folder)
    read = read_bert_checkpoint(checkpoint, cased)  # Where it fails, no store is made.
    with opened(store) as opened_store:
        done = import_bert(opened_store, read, folder, space)
    for note in done.notes:
        say_note(note)
    if json:
        print_json({**dataclasses.asdict(done), "folder": str(done.folder)})
        return
    state = f"added to space {done.space}" if done.new else "already in the store"
    output.print(f"the architecture is {done.id}, {state}", markup=False)
    checked = "" if done.difference is None else f"; its outputs equal BERT's within {done.difference:.0e}"
    words = "with its tokenizer" if done.tokenizer else "without a tokenizer, because the checkpoint has none"
    output.print(f"{done.kind} written to {done.folder}, {words}{checked}", soft_wrap=True, markup=False)
    output.print(
        f"load it with {done.auto}.from_pretrained({str(done.folder)!r}, trust_remote_code=True)", markup=False
    )
    if done.left_out:
        errors.print(f"skipped: {', '.join(done.left_out)}", markup=False, soft_wrap=True)


@group.command("remove")
def remove(
    origin: Annotated[
        str, typer.Argument(help="Remove the scores of this origin: the source of the mapping; `archex best` shows it.")
    ] = "",
    device: Annotated[str, typer.Option("--device", help="Remove the measurements of this device instead.")] = "",
    quantity: Annotated[
        str | None, typer.Option("--quantity", help="Of the device, only this quantity, such as latency.")
    ] = None,
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
) -> None:
    """Undo an import: remove its scores by their origin, or measurements by their device. Architectures stay."""
    if bool(origin) == bool(device):
        raise InputError("import remove", "get either an origin or --device", origin or None, "Give one of them.")
    if quantity is not None and not device:
        raise InputError("--quantity", "come with --device", quantity, "Leave it out, or name the device.")
    with opened(store, create=False) as opened_store:
        scores = remove_scores(opened_store, origin) if origin else 0
        measurements = remove_measurements(opened_store, device, quantity) if device else 0
    if json:
        print_json({"scores": scores, "measurements": measurements})
    else:
        what = f"{scores:,} scores of {origin}" if origin else f"{measurements:,} measurements of {device}"
        output.print(f"removed {what}; the architectures are kept", markup=False, soft_wrap=True)


def _in_words_of_the_command_line(report: ImportReport) -> ImportReport:
    refused = (dataclasses.replace(row, remedy=in_options(row.remedy)) for row in report.refused)
    return dataclasses.replace(report, refused=tuple(refused))


def _import(read: ImportFile, strict: bool, report: Path | None, store: str, json: bool) -> None:
    if not read.rows.valid or (strict and (read.rows.refused or read.rows.suspicious)):
        found = refusal(read, read.rows.refused)  # Nothing to store, so do not create a store.
    else:
        with opened(store, create=not read.names_stored) as opened_store, progress_reporter() as reporter:
            found = import_file(opened_store, read, reporter, strict)
    found = _in_words_of_the_command_line(found)
    document = {**dataclasses.asdict(found), "refused_rows": found.refused_rows}
    if report is not None:
        _write_report(report, document)
    for line in found.read_as:
        errors.print(f"read as {line}", markup=False, soft_wrap=True)
    _print_lines("skipped", found.left_out)
    _print_lines("suspicious", found.suspicious)
    if found.refused:
        _print_refused(found)
    if not found.rows:
        errors.print("nothing was imported")
    if json:
        print_json(document)
    else:
        output.print(
            f"{found.rows} rows with {found.architectures} architectures, {found.scores} scores and "
            f"{found.measurements} measurements in space {found.space}, of which {found.new_architectures}, "
            f"{found.new_scores} and {found.new_measurements} are new; {found.refused_rows} rows were refused",
            soft_wrap=True,
        )
    if found.refused or (strict and found.suspicious):
        raise typer.Exit(REFUSED)


def _print_lines(kind: str, lines: Sequence[str]) -> None:
    for line in lines[:SHOWN_ROWS]:
        errors.print(f"{kind}: {line}", markup=False, soft_wrap=True)
    if len(lines) > SHOWN_ROWS:
        errors.print(f"and {len(lines) - SHOWN_ROWS:,} more {kind}; --report FILE or --json lists them all")


def _write_report(path: Path, document: dict[str, Any]) -> None:
    try:
        write_json(path, document)
    except OSError as error:
        raise DataError("--report", f"be a writable file ({error.strerror})", str(path), "Check the path.") from None


def _print_refused(report: ImportReport) -> None:
    table = Table("row", "field", "must", "got", "remedy", title="refused rows", title_justify="left")
    for row in report.refused[:SHOWN_ROWS]:
        table.add_row(str(row.row), *(escape(text) for text in (row.field, row.rule, row.value, row.remedy)))
    errors.print(table)
    shown, hidden = report.refused[:SHOWN_ROWS], report.refused[SHOWN_ROWS:]
    if more := report.refused_rows - len(shown):
        alike = " like it" if len({row.kind for row in report.refused}) == 1 else ""
        lists = f"; --report FILE or --json lists the first {MAX_ALIKE:,} of each kind" if hidden else ""
        errors.print(f"and {more:,} more{alike}{lists}")
