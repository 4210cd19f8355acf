"""The options by which ``archex find`` and ``archex pareto`` say which architectures are wanted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from explorer.analysis.questions import QuestionTexts, quantity_title
from explorer.cli.console import output
from graphstore.queries import Found, Quantity
from graphstore.records import ScoreKind

SpaceOption = Annotated[str, typer.Option("--space", help="Only architectures of this space; else the whole store.")]
ParametersOption = Annotated[str, typer.Option("--parameters", help="Weights of the encoder: '<=10M', '2M..4M'.")]
FlopsOption = Annotated[str, typer.Option("--flops", help="FLOPs of one forward pass over 128 tokens: '<1G'.")]
DepthOption = Annotated[str, typer.Option("--depth", help="Number of layers: '2..4', '=4'.")]


@dataclass(frozen=True, kw_only=True)
class FilterOptions:
    """Which architectures a user wants; every field is an option."""

    space: SpaceOption = ""
    layer: Annotated[
        list[str] | None,
        typer.Option(
            "--layer", help="What layers must be like: 'last family=c', 'any hidden>=256 count>=2'. Repeatable."
        ),
    ] = None
    op: Annotated[
        list[str] | None,
        typer.Option("--op", help="How many operations of a kind or label: 'c_* >=3', 'add_norm_h128=4'. Repeatable."),
    ] = None
    parameters: ParametersOption = ""
    flops: FlopsOption = ""
    depth: DepthOption = ""
    heterogeneity: Annotated[
        str, typer.Option("--heterogeneity", help="0 where all layers are alike, 1 where all differ: '>0.5'.")
    ] = ""
    score: Annotated[
        list[str] | None,
        typer.Option("--score", help="A task and a range, 'SST-2>=0.8'; alone: it is known. Repeatable."),
    ] = None
    measurement: Annotated[
        list[str] | None,
        typer.Option("--measurement", help="Device, quantity and a range: 'raspberry latency<=0.5'. Repeatable."),
    ] = None
    metric: Annotated[str | None, typer.Option("--metric", help="Take only scores by this metric.")] = None
    dataset: Annotated[str | None, typer.Option("--dataset", help="Take only scores on this data.")] = None
    fidelity: Annotated[str | None, typer.Option("--fidelity", help="Take only scores of this fidelity.")] = None
    recipe: Annotated[
        str | None, typer.Option("--recipe", help="Take only scores of this recipe: nano, quick, paper, or its digest.")
    ] = None

    @property
    def texts(self) -> QuestionTexts:
        """What they say, to be read as a question."""
        return QuestionTexts(
            self.layer or (),
            self.op or (),
            self.parameters,
            self.flops,
            self.depth,
            self.heterogeneity,
            self.score or (),
            self.measurement or (),
            {name: value for name in ScoreKind.OPEN if (value := getattr(self, name)) is not None},
        )


def found_document(found: Found, quantities: Sequence[Quantity]) -> dict[str, Any]:
    """A found architecture for ``--json``, with its values of the question's ``quantities``."""
    summary = found.summary
    return {
        "id": summary.id,
        "name": summary.name,
        "depth": summary.depth,
        "operations": list(summary.operations),
        "hidden": list(summary.hiddens),
        "parameters": summary.parameters,
        "flops": summary.flops,
        "heterogeneity": summary.heterogeneity,
        "values": {quantity_title(q): value for q, value in zip(quantities, found.values, strict=True)},
    }


def print_found(rows: Sequence[Mapping[str, Any]], quantities: Sequence[Quantity]) -> None:
    """Show found architectures, as ``found_document`` gives them, as a table."""
    titles = [escape(quantity_title(quantity)) for quantity in quantities]
    table = Table("id", "operations", "hidden", "encoder parameters", "heterogeneity", *titles)
    for row in rows:
        values = ["-" if value is None else f"{value:.4g}" for value in row["values"].values()]
        operations, hidden = " ".join(row["operations"]), " ".join(str(width) for width in row["hidden"])
        label = f"{escape(row['name'])} {row['id']}" if row["name"] else row["id"]
        table.add_row(label, operations, hidden, f"{row['parameters']:,}", f"{row['heterogeneity']:.2f}", *values)
    output.print(table)
