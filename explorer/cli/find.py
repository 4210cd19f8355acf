"""``archex find``: architectures by their properties and scores."""

from __future__ import annotations

from typing import Annotated

import typer

from explorer.analysis.questions import build_query, resolve_query
from explorer.cli.console import DEFAULT_STORE, JsonOption, StoreOption, opened, output, print_json
from explorer.cli.filters import FilterOptions, found_document, print_found
from explorer.cli.options import with_options


@with_options
def find(
    filters: FilterOptions,
    sort: Annotated[
        list[str] | None,
        typer.Option("--sort", help="Sort by a fact, score or measurement; '-SST-2': largest first. Repeatable."),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", help="Number of architectures at most.", min=0, max=100_000)] = 20,
    offset: Annotated[int, typer.Option("--offset", help="Number of architectures to skip.", min=0)] = 0,
    count: Annotated[bool, typer.Option("--count", help="Print only how many there are.")] = False,
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
) -> None:
    """Find architectures by their layers, operations, size and scores."""
    query = build_query(filters.texts, filters.space or None, sort or (), 0 if count else limit, offset)
    with opened(store, create=False) as opened_store:
        query = resolve_query(opened_store, query)
        page = opened_store.find(query)
    rows = [found_document(found, query.quantities) for found in page.rows]
    if json:
        print_json({"total": page.total, "rows": rows})
        return
    if rows:
        print_found(rows, query.quantities)
    fit = "architecture fits" if page.total == 1 else "architectures fit"
    shown = f"; {len(rows)} shown, from number {offset + 1}" if rows and len(rows) < page.total else ""
    output.print(f"{page.total:,} {fit}{shown}", markup=False)
