"""``archex neighbors``: what is like this one, and how did it score?"""

from __future__ import annotations

from collections import defaultdict
from typing import Annotated, Any

import typer
from rich.table import Table

from explorer.cli.console import DEFAULT_STORE, JsonOption, StoreOption, opened, output, print_json
from explorer.cli.resolve import resolve_spec
from explorer.errors import InputError
from explorer.graphs import architecture_id
from explorer.kernels.weisfeiler_lehman import WeisfeilerLehman
from graphstore import GraphStore


def _space_of(store: GraphStore, id: str) -> str:
    for space in store.spaces():
        if store.neighbors(space.name, id, WeisfeilerLehman.name, 1):
            return space.name
    known = ", ".join(space.name for space in store.spaces()) or "none yet"
    raise InputError("architecture", f"be in a built space ({known})", id, "Build its space with `archex space build`.")


def neighbors(
    model: Annotated[str, typer.Argument(help="A named model, an id, or a JSON file with a model_dict.")],
    k: Annotated[int, typer.Option("--k", help="How many.", min=1, max=100)] = 10,
    space: Annotated[str, typer.Option("--space", help="Where to look; by default the first space that has it.")] = "",
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
) -> None:
    """List the architectures most similar by exact kernel dissimilarity, with their scores."""
    id = architecture_id(resolve_spec(model, store))
    with opened(store, create=False) as opened_store:
        place = space or _space_of(opened_store, id)
        found = opened_store.neighbors(place, id, WeisfeilerLehman.name, k)
        summaries = {s.id: s for s in opened_store.summaries(ids=[n.target for n in found])}
        scores: dict[str, dict[str, list[float]]] = {}
        for neighbor in found:
            tasks: dict[str, list[float]] = defaultdict(list)
            for score in opened_store.scores(architecture=neighbor.target):
                tasks[score.task].append(score.value)
            scores[neighbor.target] = tasks
    rows: list[dict[str, Any]] = [
        {
            "rank": n.rank,
            "id": n.target,
            "dissimilarity": n.dissimilarity,
            "operations": list(summaries[n.target].operations),
            "hidden": list(summaries[n.target].hiddens),
            "parameters": summaries[n.target].parameters,
            "scores": {task: sum(values) / len(values) for task, values in scores[n.target].items()},
        }
        for n in found
    ]
    if json:
        print_json({"id": id, "space": place, "neighbors": rows})
        return
    table = Table("rank", "id", "dissimilarity", "operations", "hidden", "encoder parameters", "scores")
    for row in rows:
        shown = ", ".join(f"{task} {value:.3f}" for task, value in row["scores"].items()) or "-"
        operations, hidden = " ".join(row["operations"]), " ".join(str(h) for h in row["hidden"])
        cells = (str(row["rank"]), row["id"], f"{row['dissimilarity']:.4f}", operations, hidden)
        table.add_row(*cells, f"{row['parameters']:,}", shown)
    output.print(table)
