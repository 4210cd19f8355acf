"""``archex lineage``: donors of inherited weights."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from explorer.cli.console import DEFAULT_STORE, JsonOption, StoreOption, opened, output, print_json
from explorer.cli.resolve import resolve_spec
from explorer.similarity.graph import architecture_id


def lineage(
    model: Annotated[str, typer.Argument(help="A named model, an id, or a JSON file with a model_dict.")],
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
) -> None:
    """List the donors of the inherited weights of an architecture's runs, their donors, and so on."""
    id = architecture_id(resolve_spec(model, store))
    with opened(store, create=False) as opened_store:
        records = opened_store.lineage(id)
    if json:
        print_json({"id": id, "lineage": [dataclasses.asdict(record) for record in records]})
        return
    if not records:
        output.print(f"no run of {id} inherited weights from another run", markup=False)
        return
    table = Table("run", "architecture", "donor run", "donor architecture", "method", "share of parameters")
    for record in records:
        cells = (escape(record.run), record.architecture, escape(record.donor_run), record.donor)
        table.add_row(*cells, escape(record.method), f"{record.share:.0%}")
    output.print(table)
