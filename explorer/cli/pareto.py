"""``archex pareto``: the architectures that no other beats in everything that counts."""

from __future__ import annotations

from typing import Annotated

import typer

from explorer.analysis.questions import (
    build_query,
    pareto_quantities,
    parse_sort,
    quantity_title,
    settle,
)
from explorer.cli.console import DEFAULT_STORE, JsonOption, StoreOption, opened, output, print_json
from explorer.cli.filters import FilterOptions, found_document, print_found
from explorer.cli.options import with_options


@with_options
def pareto(
    objective: Annotated[
        list[str],
        typer.Option("--objective", help="What counts: 'parameters' (less is better), '-SST-2' (more is). Repeatable."),
    ],
    filters: FilterOptions,
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
) -> None:
    """List the Pareto set: architectures that no other beats in one objective without losing in another."""
    query = build_query(filters.texts, filters.space or None)
    asked = [parse_sort(text, filters.texts.kind) for text in objective]
    with opened(store, create=False) as opened_store:
        query, objectives = settle(opened_store, query, asked)
        front = opened_store.pareto(query, objectives)
    quantities = pareto_quantities(query, objectives)
    rows = [found_document(found, quantities) for found in front]
    if json:
        named = [{"quantity": quantity_title(o.quantity), "more_is_better": o.descending} for o in objectives]
        print_json({"objectives": named, "rows": rows})
        return
    print_found(rows, quantities)
    wanted = ", ".join(f"{'larger' if o.descending else 'smaller'} {quantity_title(o.quantity)}" for o in objectives)
    output.print(f"{len(rows)} on the front; better is {wanted}", markup=False)
