"""``archex explain``: which patterns two architectures share, and where they differ."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from explorer.cli.console import DEFAULT_STORE, JsonOption, StoreOption, opened, output, print_json
from explorer.cli.resolve import resolve_spec
from explorer.library.spaces import explain_similarity
from explorer.library.workplace import store_is_missing
from explorer.similarity.explanation import PatternWeight
from explorer.similarity.graph import architecture_id
from explorer.space.difference import difference


def explain(
    first: Annotated[str, typer.Argument(help="A named model, an id, or a JSON file with a model_dict.")],
    second: Annotated[str, typer.Argument(help="The architecture to compare it with, in the same forms.")],
    limit: Annotated[int, typer.Option("--limit", help="Patterns to show per table; 0 for all.", min=0)] = 12,
    space: Annotated[
        str, typer.Option("--space", help="Space whose kernel is explained; by default as in `archex neighbors`.")
    ] = "",
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
) -> None:
    """Explain a similarity: the patterns of the kernel with their weights, and the differences layer by layer.

    Without a built space the kernel is Weisfeiler–Lehman, which needs none.
    """
    specs = [resolve_spec(text, store) for text in (first, second)]
    ids = [architecture_id(spec) for spec in specs]
    if not space and store_is_missing(store):
        kernel, explanation = explain_similarity(None, specs[0], specs[1])
    else:
        with opened(store, create=False) as opened_store:
            kernel, explanation = explain_similarity(opened_store, specs[0], specs[1], space)
    layers = difference(*specs)
    shared, different = explanation.shared, explanation.different
    end = limit or None
    if json:
        print_json(
            {
                "first": ids[0],
                "second": ids[1],
                "kernel": kernel,
                "similarity": explanation.similarity,
                "dissimilarity": explanation.dissimilarity,
                "shared_patterns": len(shared),
                "different_patterns": len(different),
                "shared": [dataclasses.asdict(pattern) for pattern in shared[:end]],
                "different": [dataclasses.asdict(pattern) for pattern in different[:end]],
                "layers": [dataclasses.asdict(step) for step in layers.steps],
            }
        )
        return
    output.print(f"{ids[0]} and {ids[1]}: similarity {explanation.similarity:.4f} by kernel {kernel}", markup=False)
    for step in layers.steps:
        output.print(f"  {step.words}", markup=False)
    _print(f"shared patterns: {explanation.similarity:.4f}", shared, end, [pattern.shared for pattern in shared])
    weights = [pattern.different for pattern in different]
    _print(f"different patterns: {explanation.dissimilarity:.4f}", different, end, weights)


def _print(title: str, patterns: Sequence[PatternWeight], end: int | None, weights: Sequence[float]) -> None:
    table = Table("weight", "first", "second", "pattern", title=title, title_justify="left")
    for pattern, weight in list(zip(patterns, weights, strict=True))[:end]:
        table.add_row(f"{weight:.4f}", str(pattern.first), str(pattern.second), escape(pattern.pattern))
    rest = weights[end:] if end else []
    if rest:
        table.add_row(f"{sum(rest):.4f}", "", "", f"{len(rest)} more patterns together")
    output.print(table)
