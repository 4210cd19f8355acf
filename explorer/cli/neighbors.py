"""``archex neighbors``: the architectures most similar to one, with their scores."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.markup import escape
from rich.table import Table

from explorer.analysis.score_kinds import kind_titles, mean_values
from explorer.cli.console import DEFAULT_STORE, JsonOption, StoreOption, opened, output, print_json
from explorer.cli.resolve import resolve_spec
from explorer.documents.json_text import parse_json, read_json
from explorer.documents.text import read_standard_input
from explorer.errors import InputError
from explorer.library.library import Library, vector_of
from explorer.library.settings import kernel_text
from explorer.library.spaces import choose_space
from explorer.similarity.graph import architecture_id
from graphstore import GraphStore

STANDARD_INPUT = "-"


class By(StrEnum):
    """Measure of similarity."""

    KERNEL = "kernel"
    VECTOR = "vector"
    OVERLAP = "overlap"


MEASURES = {By.KERNEL: "dissimilarity", By.VECTOR: "distance", By.OVERLAP: "overlap"}
"""Column of the value that each measure ranks by."""


def known_scores(store: GraphStore, architecture: str) -> dict[str, float]:
    """Return the mean score by score kind; a kind is called by its task where the task has one kind only."""
    scores = store.scores(architecture=architecture)
    titles = kind_titles(score.kind for score in scores)
    return {title: mean_values(s for s in scores if s.kind == kind)[architecture] for kind, title in titles.items()}


def read_vector(source: str) -> Any:
    """Read a JSON document from a file, or from standard input for ``-``. Raises DataError if it is invalid."""
    if source != STANDARD_INPUT:
        return read_json(Path(source))
    return parse_json(read_standard_input(), "standard input")


def neighbors(
    model: Annotated[str, typer.Argument(help="A named model, an id, or a JSON file with a model_dict.")] = "",
    vector: Annotated[
        str,
        typer.Option("--vector", help="Instead of a model: a JSON file with a list of numbers, or - for input."),
    ] = "",
    k: Annotated[int, typer.Option("--k", help="Number of neighbours.", min=1, max=100)] = 10,
    space: Annotated[
        str, typer.Option("--space", help="Space to search; by default one with the architecture, else the largest.")
    ] = "",
    by: Annotated[
        By | None,
        typer.Option(
            "--by",
            help="Exact dissimilarity by the kernel of the space (default), distance of vectors, or number of equal "
            "leading layers (ties by vector).",
        ),
    ] = None,
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
) -> None:
    """List the architectures most similar by exact kernel dissimilarity, by vector or by overlap, with their scores."""
    if bool(model) == bool(vector):
        raise InputError("neighbors", "get either a model or --vector", model or None, "Give one of them.")
    if vector and by in (By.KERNEL, By.OVERLAP):
        raise InputError("--by", "be vector if --vector is given", by.value, "Leave it out.")
    asked: dict[str, Any]
    if vector:
        asked = {"vector": vector_of(read_vector(vector)).tolist()}
    else:
        spec = resolve_spec(model, store)
        asked = {"id": architecture_id(spec)}
    with opened(store, create=False) as opened_store:
        library = Library.open(opened_store, choose_space(opened_store, asked.get("id"), space))
        if vector:
            found = library.nearest_by_vector(np.array(asked["vector"]), k)
        elif by is By.VECTOR:
            found = library.nearest_by_vector(spec, k)
        elif by is By.OVERLAP:
            found = library.nearest_by_overlap(spec, k)
        else:
            found = [(near.target, near.dissimilarity) for near in library.nearest(spec, k)]
        summaries = {s.id: s for s in opened_store.summaries(ids=[target for target, _ in found])}
        scores = {target: known_scores(opened_store, target) for target, _ in found}
    measure = "distance" if vector else MEASURES[by or By.KERNEL]
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
        print_json({**asked, "space": library.name, "kernel": kernel_text(library.info), "neighbors": rows})
        return
    table = Table("rank", "id", measure, "operations", "hidden", "encoder parameters", "scores")
    for row in rows:
        shown = ", ".join(f"{task} {value:.3f}" for task, value in row["scores"].items()) or "-"
        operations, hidden = " ".join(row["operations"]), " ".join(str(h) for h in row["hidden"])
        cells = (str(row["rank"]), row["id"], f"{row[measure]:.4f}", operations, hidden)
        table.add_row(*cells, f"{row['parameters']:,}", escape(shown))
    output.print(table)
