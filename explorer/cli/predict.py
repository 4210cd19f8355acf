"""``archex predict``: predicted cost of an architecture on a device."""

from __future__ import annotations

import dataclasses
import math
from typing import Annotated

import typer

from explorer.analysis.devices import predict_on_device
from explorer.cli.console import DEFAULT_STORE, JsonOption, SeedOption, StoreOption, opened, output, print_json
from explorer.cli.resolve import resolve_spec
from explorer.similarity.graph import architecture_id


def predict(
    model: Annotated[str, typer.Argument(help="A named model, an id, or a JSON file with a model_dict.")],
    device: Annotated[
        str, typer.Option("--device", help="A device of `archex devices`, or a unique part of its name.")
    ],
    quantity: Annotated[
        str, typer.Option("--quantity", help="Quantity to predict, with or without its load.")
    ] = "latency",
    seed: SeedOption = 0,
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
) -> None:
    """Predict a measurement from measurements of other architectures, with an error bar."""
    spec = resolve_spec(model, store)
    with opened(store, create=False) as opened_store:
        answer = predict_on_device(opened_store, architecture_id(spec), spec, device, quantity, seed)
    found, learned = answer.estimate, answer.predictor
    rank = None if math.isnan(learned.rank_correlation) else learned.rank_correlation
    if json:
        print_json(
            {
                "model": model,
                "id": architecture_id(spec),
                "device": answer.device,
                "quantity": answer.quantity,
                "unit": answer.unit,
                "measured": answer.measured,
                **dataclasses.asdict(found),
                "method": learned.method,
                "learned_from": learned.count,
                "rank_correlation": rank,
                "relative_error": learned.spread,
            }
        )
        return
    beyond = (
        "; the architecture is outside the range of measured sizes, so the error bar is less reliable"
        if found.beyond
        else ""
    )
    lines = [
        f"{model} on {answer.device}: {answer.quantity} {found.value:.4g} {answer.unit}, "
        f"2/3 interval {found.low:.4g} to {found.high:.4g}{beyond}",
        f"fitted to {learned.count} architectures by {learned.method}; in cross-validation rank correlation "
        f"{'unknown' if rank is None else f'{rank:.3f}'}, relative error {math.expm1(learned.spread):.0%}",
    ]
    if answer.measured is not None:
        lines.append(f"measured: {answer.measured:.4g} {answer.unit}")
    for line in lines:
        output.print(line, markup=False, soft_wrap=True)
