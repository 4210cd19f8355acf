"""``archex best``: the best architecture of each task."""

from __future__ import annotations

from typing import Any

from rich.markup import escape
from rich.table import Table

from explorer.cli.console import DEFAULT_STORE, JsonOption, StoreOption, opened, output, print_json
from explorer.cli.filters import SpaceOption
from graphstore.queries import Best


def best(space: SpaceOption = "", store: StoreOption = DEFAULT_STORE, json: JsonOption = False) -> None:
    """Show the best architecture of every task, for each score kind."""
    with opened(store, create=False) as opened_store:
        found = opened_store.best_per_task(space or None)
        summaries = {s.id: s for s in opened_store.summaries(ids=sorted({one.architecture for one in found}))}
    if json:
        print_json({"best": [_document(one) for one in found]})
        return
    if not found:
        output.print("nothing is scored yet: run `archex demo`, or import scores", markup=False)
        return
    table = Table("task", "metric", "value", "architecture", "operations", "encoder parameters", "scored", "kind")
    for one in found:
        summary = summaries[one.architecture]
        kind = escape(" / ".join(map(str, (one.kind.fidelity, one.kind.recipe, one.kind.dataset, one.kind.origin))))
        cells = (escape(one.kind.task), escape(one.kind.metric or ""), f"{one.value:.4f}", one.architecture)
        table.add_row(*cells, " ".join(summary.operations), f"{summary.parameters:,}", f"{one.scored:,}", kind)
    output.print(table)


def _document(best: Best) -> dict[str, Any]:
    return {**best.kind.fields, "architecture": best.architecture, "value": best.value, "scored": best.scored}
