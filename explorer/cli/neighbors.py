"""``archex neighbors``: what is like this one, and how did it score?"""

from __future__ import annotations

from collections import defaultdict
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from explorer.cli.console import DEFAULT_STORE, JsonOption, StoreOption, opened, output, print_json
from explorer.cli.resolve import resolve_spec
from explorer.graphs import architecture_id
from explorer.runner.candidates import score_kind
from explorer.runner.similar import choose_space, nearest_by_vector, nearest_in_space
from graphstore import GraphStore


class By(StrEnum):
    """What "near" means."""

    KERNEL = "kernel"
    VECTOR = "vector"


def known_scores(store: GraphStore, architecture: str) -> dict[str, float]:
    """Mean score by task; where a task has scores that are not comparable, each kind by itself."""
    kinds: dict[str, dict[tuple[str, ...], list[float]]] = defaultdict(lambda: defaultdict(list))
    for score in store.scores(architecture=architecture):
        kinds[score.task][score_kind(score)].append(score.value)
    found = {}
    for task, groups in kinds.items():
        for (_, dataset, fidelity, _), values in groups.items():
            name = task if len(groups) == 1 else f"{task} ({fidelity}, data {dataset[:6]})"
            found[name] = sum(values) / len(values)
    return found


def neighbors(
    model: Annotated[str, typer.Argument(help="A named model, an id, or a JSON file with a model_dict.")],
    k: Annotated[int, typer.Option("--k", help="How many.", min=1, max=100)] = 10,
    space: Annotated[
        str, typer.Option("--space", help="Where to look; by default where it is, else the largest.")
    ] = "",
    by: Annotated[By, typer.Option("--by", help="Exact kernel dissimilarity, or distance of the vectors.")] = By.KERNEL,
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
) -> None:
    """List the architectures most similar by exact kernel dissimilarity, or by vector, with their scores."""
    spec = resolve_spec(model, store)
    id = architecture_id(spec)
    with opened(store, create=False) as opened_store:
        place = choose_space(opened_store, id, space)
        if by is By.KERNEL:
            found = [(n.target, n.dissimilarity) for n in nearest_in_space(opened_store, place, spec, k)]
        else:
            found = nearest_by_vector(opened_store, place, spec, k)
        summaries = {s.id: s for s in opened_store.summaries(ids=[target for target, _ in found])}
        scores = {target: known_scores(opened_store, target) for target, _ in found}
    measure = "dissimilarity" if by is By.KERNEL else "distance"
    rows: list[dict[str, Any]] = [
        {
            "rank": rank,
            "id": target,
            measure: value,
            "operations": list(summaries[target].operations),
            "hidden": list(summaries[target].hiddens),
            "parameters": summaries[target].parameters,
            "scores": scores[target],
        }
        for rank, (target, value) in enumerate(found, start=1)
    ]
    if json:
        print_json({"id": id, "space": place, "neighbors": rows})
        return
    table = Table("rank", "id", measure, "operations", "hidden", "encoder parameters", "scores")
    for row in rows:
        shown = ", ".join(f"{task} {value:.3f}" for task, value in row["scores"].items()) or "-"
        operations, hidden = " ".join(row["operations"]), " ".join(str(h) for h in row["hidden"])
        cells = (str(row["rank"]), row["id"], f"{row[measure]:.4f}", operations, hidden)
        table.add_row(*cells, f"{row['parameters']:,}", escape(shown))
    output.print(table)
