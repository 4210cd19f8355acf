"""``archex params``: size of an architecture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from explorer.cli.console import DEFAULT_STORE, JsonOption, StoreOption, output, print_json
from explorer.cli.resolve import resolve_spec
from explorer.errors import InputError
from explorer.measure.size import flops, parameters
from explorer.similarity.graph import architecture_id
from explorer.space.formats import to_model_dict
from explorer.space.spec import ArchitectureSpec

MAX_VOCABULARY = 1_000_000


def params(
    model: Annotated[str, typer.Argument(help="A named model, an id, a shape as 480,240,…, or a JSON file.")],
    vocab: Annotated[int, typer.Option("--vocab", help="Size of the vocabulary.")] = 30_522,
    against: Annotated[str, typer.Option("--against", help="Another model to compare the sizes with.")] = "",
    length: Annotated[int, typer.Option("--length", help="Sequence length, in tokens, for the FLOPs.")] = 128,
    merged: Annotated[bool, typer.Option("--merged", help="Merge the bottlenecks between a shape's layers.")] = False,
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
) -> None:
    """Print the parameters and FLOPs of an architecture, or of two and the ratio of their parameters."""
    if not 1 <= vocab <= MAX_VOCABULARY:
        raise InputError("--vocab", f"be from 1 to {MAX_VOCABULARY}", vocab, "Give the size of the vocabulary.")
    if not 1 <= length <= 8192:
        raise InputError("--length", "be from 1 to 8192", length, "Give a sequence length in tokens.")
    document = _sizes(resolve_spec(model, store), vocab, length, merged)
    other = _sizes(resolve_spec(against, store), vocab, length, merged) if against else None
    if json:
        compared = {"against": other, "ratio": document["parameters"] / other["parameters"]} if other else {}
        print_json({**document, **compared})
        return
    _print_sizes(model, document)
    if other:
        _print_sizes(against, other)
        ratio = document["parameters"] / other["parameters"]
        difference = f"{abs(1 - ratio):.2%} {'fewer' if ratio < 1 else 'more'}" if ratio != 1 else "as many"
        output.print(f"{model} / {against} = {ratio:.4f}: {difference} parameters", markup=False)


def _sizes(spec: ArchitectureSpec, vocab: int, length: int, merged: bool) -> dict[str, Any]:
    if merged and spec.backbone is None:
        rule = "be used with shapes, which have bottlenecks between their layers"
        raise InputError("--merged", rule, spec.depth, "Omit the option, or name a shape.")
    return {
        "id": architecture_id(spec),
        "model_dict": to_model_dict(spec),
        "vocabulary": vocab,
        "length": length,
        "parameters": parameters(spec, vocab_size=vocab, merged=merged),
        "encoder_parameters": parameters(spec, embeddings=False, merged=merged),
        "flops": flops(spec, length=length, merged=merged),
    }


def _print_sizes(model: str, sizes: Mapping[str, Any]) -> None:
    output.print(
        f"{model} ({sizes['id']}): {sizes['parameters']:,} parameters with a vocabulary of {sizes['vocabulary']:,}, "
        f"{sizes['encoder_parameters']:,} of them in the encoder; "
        f"{sizes['flops']:,} FLOPs at length {sizes['length']}",
        markup=False,
    )
