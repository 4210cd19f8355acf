"""``archex export``: take an architecture out of the store, with its graph and its trained models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from explorer.cli.console import DEFAULT_STORE, JsonOption, StoreOption, opened, output, print_json
from explorer.cli.resolve import resolve_spec
from explorer.graphs import architecture_id
from explorer.runner.exporting import export_architecture


def export(
    model: Annotated[str, typer.Argument(help="A named model, an id, or a JSON file with a model_dict.")],
    folder: Annotated[Path, typer.Argument(help="A new or empty folder to write into.")],
    run: Annotated[
        str, typer.Option("--run", help="Source of the training whose models are taken; by default the best one.")
    ] = "",
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
) -> None:
    """Write an architecture's model_dict, graph, trained models and a card into a folder, whole or not at all."""
    spec = resolve_spec(model, store)
    with opened(store, create=False) as opened_store:
        done = export_architecture(opened_store, spec, folder, run)
    if json:
        print_json(
            {
                "id": architecture_id(spec),
                "folder": str(done.folder),
                "contents": list(done.contents),
                "run": done.run or None,
            }
        )
        return
    output.print(f"{', '.join(done.contents)} written to {done.folder}", soft_wrap=True, markup=False)
    if not done.run:
        output.print("there are no trained models of it here; `archex train` makes them", markup=False)
