"""``archex best``: the best architecture of each task."""

from __future__ import annotations

from typing import Any

from rich.markup import escape
from rich.table import Table

from explorer.analysis.score_kinds import known_levels
from explorer.cli.console import DEFAULT_STORE, JsonOption, StoreOption, opened, output, print_json
from explorer.cli.filters import SpaceOption
from explorer.training.metrics import levels_text
from graphstore.queries import Best
from graphstore.records import ScoreRecord


def best(space: SpaceOption = "", store: StoreOption = DEFAULT_STORE, json: JsonOption = False) -> None:
    """Show the best architecture of every task, for each score kind."""
    with opened(store, create=False) as opened_store:
        found = opened_store.best_per_task(space or None)
        ids = sorted({one.architecture for one in found})
        summaries = {s.id: s for s in opened_store.summaries(ids=ids)}
        levels = known_levels(score for id in ids for score in opened_store.scores(architecture=id))
    if json:
        print_json({"best": [_document(one, levels.get(one.kind)) for one in found]})
        return
    if not found:
        output.print("nothing is scored yet: run `archex demo`, or import scores", markup=False)
        return
    names = ("task", "metric", "value", *(["levels"] if levels else []), "architecture", "operations")
    table = Table(*names, "encoder parameters", "scored", "kind")
    for one in found:
        summary = summaries[one.architecture]
        kind = escape(" / ".join(map(str, (one.kind.fidelity, one.kind.recipe, one.kind.dataset, one.kind.origin))))
        cells = [escape(one.kind.task), escape(one.kind.metric or ""), f"{one.value:.4f}"]
        if levels:
            known = levels.get(one.kind)
            text = known and levels_text(one.value, known.majority, known.chance, one.kind.lower_is_better)
            cells.append(text or "-")
        table.add_row(
            *cells, one.architecture, " ".join(summary.operations), f"{summary.parameters:,}", f"{one.scored:,}", kind
        )
    output.print(table)


def _document(best: Best, known: ScoreRecord | None) -> dict[str, Any]:
    found = {"architecture": best.architecture, "value": best.value, "scored": best.scored}
    levels = {"majority": known and known.majority, "chance": known and known.chance}
    return {**best.kind.fields, **found, **levels}
