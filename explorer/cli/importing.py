"""``archex import``: results from elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from explorer.cli.console import (
    DEFAULT_STORE,
    JsonOption,
    StoreOption,
    errors,
    opened,
    output,
    print_json,
    progress_reporter,
)
from explorer.runner.importing import import_nas_bench_bert
from explorer.space.nas_bench_bert import read_nas_bench_bert

group = typer.Typer(no_args_is_help=True)


@group.callback()
def formats() -> None:
    """Bring results from elsewhere into the store."""


@group.command("nas-bench-bert")
def nas_bench_bert(
    file: Annotated[Path, typer.Argument(help="The published BERT_benchmark.json.")],
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
) -> None:
    """Import NAS-Bench-BERT: 500 trained encoders with eight GLUE scores each."""
    read_nas_bench_bert(file)  # A malformed file is refused before there is a store.
    with opened(store) as opened_store, progress_reporter() as reporter:
        report = import_nas_bench_bert(opened_store, file, reporter)
    for line in report.left_out:
        errors.print(f"left out: {line}", markup=False)
    if json:
        print_json(
            {
                "space": report.space,
                "architectures": report.architectures,
                "scores": report.scores,
                "new_architectures": report.new_architectures,
                "new_scores": report.new_scores,
                "left_out": list(report.left_out),
            }
        )
    else:
        output.print(
            f"{report.architectures} architectures and {report.scores} scores in the file; "
            f"{report.new_architectures} and {report.new_scores} of them are new in space {report.space}"
        )
