"""``archex export``: write an architecture, its graph and its trained models to a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from explorer.cli.console import DEFAULT_STORE, JsonOption, StoreOption, opened, output, print_json
from explorer.cli.resolve import resolve_spec
from explorer.library.exporting import export_architecture
from explorer.similarity.graph import architecture_id


def export(
    model: Annotated[str, typer.Argument(help="A named model, an id, or a JSON file with a model_dict.")],
    folder: Annotated[Path, typer.Argument(help="A new or empty folder.")],
    run: Annotated[
        str, typer.Option("--run", help="Source of the training whose models are exported; by default the best one.")
    ] = "",
    task: Annotated[
        str,
        typer.Option("--task", help="Task of the model in the top folder, or `pretrained`; by default the first."),
    ] = "",
    onnx: Annotated[bool, typer.Option("--onnx", help="Also write model.onnx and check its outputs.")] = False,
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
) -> None:
    """Export an architecture with its trained model and model card to a folder that transformers loads."""
    spec = resolve_spec(model, store)
    with opened(store, create=False) as opened_store:
        done = export_architecture(opened_store, spec, folder, run, task, onnx)
    if json:
        print_json(
            {
                "id": architecture_id(spec),
                "folder": str(done.folder),
                "contents": list(done.contents),
                "run": done.run or None,
                "task": done.task or None,
                "auto_class": done.auto or None,
                "onnx_difference": done.onnx,
                "onnx_lengths": list(done.onnx_lengths) if done.onnx_lengths else None,
            }
        )
        return
    output.print(f"{', '.join(done.contents)} written to {done.folder}", soft_wrap=True, markup=False)
    if done.run:
        checked = "its outputs equal those of the stored model"
        if done.onnx is not None:
            checked += f", and those of model.onnx within {done.onnx:.0e}"
        output.print(
            f"the top folder is the model for {done.task} of {done.run}, to load with {done.auto}; {checked}",
            soft_wrap=True,
            markup=False,
        )
        if done.onnx_lengths:
            shortest, longest = done.onnx_lengths
            limits = f"sequences of {shortest} to {longest} tokens, padded on the right, and refuses others"
            output.print(f"model.onnx takes {limits}", soft_wrap=True, markup=False)
    else:
        output.print("the store has no trained models of it; train one with `archex train`", markup=False)
