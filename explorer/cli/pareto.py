"""``archex pareto``: the non-dominated architectures."""

from __future__ import annotations

from typing import Annotated

import typer

from explorer.analysis.pareto import pareto_front, pareto_objectives
from explorer.analysis.quantities import Direction, quantity_title
from explorer.analysis.questions import build_query, resolve_query
from explorer.cli.console import DEFAULT_STORE, JsonOption, StoreOption, opened, output, print_json, say
from explorer.cli.filters import FilterOptions, found_document, print_found
from explorer.cli.options import note_minus, with_options
from graphstore.records import ScoreKind


@with_options
def pareto(
    objective: Annotated[
        list[str],
        typer.Option(
            "--objective",
            help="A fact, task or QUANTITY@DEVICE: 'minimise:parameters', 'maximise:SST-2'. Without a direction scores "
            "are maximised and costs minimised. Repeatable.",
        ),
    ],
    filters: FilterOptions,
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
) -> None:
    """List the Pareto set: the architectures that no other one dominates."""
    query = build_query(filters.texts, filters.space or None)
    note_minus(objective, Direction.MAXIMISE)
    with opened(store, create=False) as opened_store:
        query = resolve_query(opened_store, query)
        objectives = pareto_objectives(opened_store, query.space, objective, filters.texts.kind)
        front = pareto_front(opened_store, query, objectives)
    for text, one in zip(objective, objectives, strict=True):
        if isinstance(one.quantity, ScoreKind) and one.descending and text.strip() == one.quantity.task:
            remedy = f"Write maximise:{text} or minimise:{text}."
            say(f"--objective {text} is maximised; earlier versions minimised it. {remedy}")
    rows = [found_document(found, front.quantities) for found in front.members]
    if json:
        named = [{"quantity": quantity_title(o.quantity), "more_is_better": o.descending} for o in objectives]
        print_json({"objectives": named, "rows": rows})
        return
    print_found(rows, front.quantities)
    wanted = ", ".join(f"{'larger' if o.descending else 'smaller'} {quantity_title(o.quantity)}" for o in objectives)
    output.print(f"{len(rows)} in the Pareto set; better is {wanted}", markup=False)
