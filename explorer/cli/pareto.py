"""``archex pareto``: the architectures that no other beats in everything that counts."""

from __future__ import annotations

from typing import Annotated

import typer

from explorer.cli.console import DEFAULT_STORE, JsonOption, StoreOption, opened, output, print_json
from explorer.cli.filters import (
    DatasetOption,
    DepthOption,
    FidelityOption,
    FlopsOption,
    HeterogeneityOption,
    LayerOption,
    MeasurementOption,
    MetricOption,
    OpOption,
    ParametersOption,
    RecipeOption,
    ScoreOption,
    SpaceOption,
    found_document,
    print_found,
)
from explorer.runner.questions import (
    QuestionTexts,
    ScoreKind,
    build_query,
    check_known,
    pareto_quantities,
    parse_sort,
    quantity_title,
)


def pareto(
    objective: Annotated[
        list[str],
        typer.Option("--objective", help="What counts: 'parameters' (less is better), '-SST-2' (more is). Repeatable."),
    ],
    space: SpaceOption = "",
    layer: LayerOption = None,
    op: OpOption = None,
    parameters: ParametersOption = "",
    flops: FlopsOption = "",
    depth: DepthOption = "",
    heterogeneity: HeterogeneityOption = "",
    score: ScoreOption = None,
    measurement: MeasurementOption = None,
    metric: MetricOption = None,
    dataset: DatasetOption = None,
    fidelity: FidelityOption = None,
    recipe: RecipeOption = None,
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
) -> None:
    """List the Pareto set: architectures that no other beats in one objective without losing in another."""
    kind = ScoreKind(metric, dataset, fidelity, recipe)
    texts = QuestionTexts(
        layer or (), op or (), parameters, flops, depth, heterogeneity, score or (), measurement or (), kind
    )
    query = build_query(texts, space or None)
    objectives = [parse_sort(text, kind) for text in objective]
    with opened(store, create=False) as opened_store:
        check_known(opened_store, query, objectives)
        front = opened_store.pareto(query, objectives)
    quantities = pareto_quantities(query, objectives)
    rows = [found_document(found, quantities) for found in front]
    if json:
        named = [{"quantity": quantity_title(o.quantity), "more_is_better": o.descending} for o in objectives]
        print_json({"objectives": named, "rows": rows})
        return
    print_found(rows, quantities)
    wanted = ", ".join(f"{'larger' if o.descending else 'smaller'} {quantity_title(o.quantity)}" for o in objectives)
    output.print(f"{len(rows)} on the front; better is {wanted}", markup=False)
