"""The options of ``archex find`` and ``archex pareto`` that select architectures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from explorer.analysis.quantities import quantity_title
from explorer.analysis.questions import QuestionTexts
from explorer.cli.console import output
from graphstore.queries import Found, Quantity
from graphstore.records import ScoreKind

SpaceOption = Annotated[str, typer.Option("--space", help="Only architectures of this space; else the whole store.")]
ParametersOption = Annotated[str, typer.Option("--parameters", help="Weights of the encoder: '<=10M', '2M..4M'.")]
FlopsOption = Annotated[str, typer.Option("--flops", help="FLOPs of one forward pass over 128 tokens: '<1G'.")]
DepthOption = Annotated[str, typer.Option("--depth", help="Number of layers: '2..4', '=4'.")]


@dataclass(frozen=True, kw_only=True)
class FilterOptions:
    """The selection of architectures; every field is an option."""

    space: SpaceOption = ""
    layer: Annotated[
        list[str] | None,
        typer.Option("--layer", help="Required layers: 'last family=c', 'any hidden>=256 count>=2'. Repeatable."),
    ] = None
    op: Annotated[
        list[str] | None,
        typer.Option("--op", help="Number of operations of a kind or label: 'c_* >=3', 'add_norm_h128=4'. Repeatable."),
    ] = None
    parameters: ParametersOption = ""
    flops: FlopsOption = ""
    depth: DepthOption = ""
    heterogeneity: Annotated[
        str, typer.Option("--heterogeneity", help="0 if all layers are equal, 1 if all differ: '>0.5'.")
    ] = ""
    score: Annotated[
        list[str] | None,
        typer.Option("--score", help="A task and a range, 'SST-2>=0.8'; without a range: any known score. Repeatable."),
    ] = None
    measurement: Annotated[
        list[str] | None,
        typer.Option("--measurement", help="Quantity, device and a range: 'latency@raspberry<=0.5'. Repeatable."),
    ] = None
    metric: Annotated[str | None, typer.Option("--metric", help="Use only scores by this metric.")] = None
    dataset: Annotated[str | None, typer.Option("--dataset", help="Use only scores on this dataset.")] = None
    fidelity: Annotated[str | None, typer.Option("--fidelity", help="Use only scores of this fidelity.")] = None
    recipe: Annotated[
        str | None, typer.Option("--recipe", help="Use only scores of this recipe: nano, quick, paper, or its digest.")
    ] = None
    origin: Annotated[
        str | None,
        typer.Option("--origin", help="Use only scores of this origin: trained, or the source of an import."),
    ] = None

    @property
    def texts(self) -> QuestionTexts:
        """The texts of the options, to be read as a question."""
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
    """Return a found architecture for ``--json``, with its values of the question's ``quantities``."""
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
    """Print a table of found architectures, as ``found_document`` returns them."""
    titles = [escape(quantity_title(quantity)) for quantity in quantities]
    table = Table("id", "operations", "hidden", "encoder parameters", "heterogeneity", *titles)
    for row in rows:
        values = ["-" if value is None else f"{value:.4g}" for value in row["values"].values()]
        operations, hidden = " ".join(row["operations"]), " ".join(str(width) for width in row["hidden"])
        label = f"{escape(row['name'])} {row['id']}" if row["name"] else row["id"]
        table.add_row(label, operations, hidden, f"{row['parameters']:,}", f"{row['heterogeneity']:.2f}", *values)
    output.print(table)
