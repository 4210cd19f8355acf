"""``archex pareto``: the non-dominated architectures."""

from __future__ import annotations

from typing import Annotated

import typer

from explorer.analysis.pareto import pareto_front
from explorer.analysis.questions import build_query, parse_sort, quantity_title, resolve_query
from explorer.cli.console import DEFAULT_STORE, JsonOption, StoreOption, opened, output, print_json
from explorer.cli.filters import FilterOptions, found_document, print_found
from explorer.cli.options import with_options


@with_options
def pareto(
    objective: Annotated[
        list[str],
        typer.Option("--objective", help="'parameters' is minimised, '-SST-2' maximised. Repeatable."),
    ],
    filters: FilterOptions,
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
) -> None:
    """List the Pareto set: the architectures that no other one dominates."""
    query = build_query(filters.texts, filters.space or None)
    asked = [parse_sort(text, filters.texts.kind) for text in objective]
    with opened(store, create=False) as opened_store:
        query, objectives = resolve_query(opened_store, query, asked)
        front = pareto_front(opened_store, query, objectives)
    rows = [found_document(found, front.quantities) for found in front.members]
    if json:
        named = [{"quantity": quantity_title(o.quantity), "more_is_better": o.descending} for o in objectives]
        print_json({"objectives": named, "rows": rows})
        return
    print_found(rows, front.quantities)
    wanted = ", ".join(f"{'larger' if o.descending else 'smaller'} {quantity_title(o.quantity)}" for o in objectives)
    output.print(f"{len(rows)} in the Pareto set; better is {wanted}", markup=False)
