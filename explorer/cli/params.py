"""``archex params``: size of an architecture, by the convention of a paper if asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Annotated, Any

import typer

from explorer.cli.console import DEFAULT_STORE, JsonOption, StoreOption, output, print_json
from explorer.cli.resolve import resolve_spec
from explorer.errors import InputError
from explorer.measure.conventions import CONVENTIONS, OWN, Counting, Head, count_parameters, find_convention
from explorer.measure.size import flops, is_relative
from explorer.similarity.graph import architecture_id
from explorer.space.formats import to_model_dict
from explorer.space.spec import ArchitectureSpec

MAX_NUMBER = 1_000_000
"""Largest vocabulary, number of positions and number of token types."""
POSITIONS = {"absolute": "absolute", "relative": "relative_key", "relative_key": "relative_key"}
"""Kinds of positions by the names that people give."""


def params(
    model: Annotated[str, typer.Argument(help="A named model, an id, a shape as 480,240,…, or a JSON file.")],
    convention: Annotated[
        str, typer.Option("--convention", help=f"Whose way of counting: {', '.join(CONVENTIONS)}.")
    ] = OWN,
    vocab: Annotated[
        int | None, typer.Option("--vocab", help="Size of the vocabulary; by default the convention's.")
    ] = None,
    positions: Annotated[
        str, typer.Option("--positions", help="absolute or relative; by default the convention's.")
    ] = "",
    max_positions: Annotated[
        int | None, typer.Option("--max-positions", help="Longest sequence, in tokens; by default the convention's.")
    ] = None,
    token_types: Annotated[
        int | None, typer.Option("--token-types", help="Number of token types; by default the convention's.")
    ] = None,
    pooler: Annotated[
        bool | None, typer.Option("--pooler/--no-pooler", help="Whether the pooler counts; else the convention says.")
    ] = None,
    head: Annotated[str, typer.Option("--head", help="The head that counts: mlm, or none (the default).")] = "",
    tied: Annotated[
        bool | None, typer.Option("--tied/--untied", help="Whether the mlm head shares the embeddings (the default).")
    ] = None,
    against: Annotated[str, typer.Option("--against", help="Another model to compare the sizes with.")] = "",
    length: Annotated[int, typer.Option("--length", help="Sequence length, in tokens, for the FLOPs.")] = 128,
    merged: Annotated[bool, typer.Option("--merged", help="Merge the bottlenecks between a shape's layers.")] = False,
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
) -> None:
    """Print the parameters and FLOPs of an architecture, or of two and the ratio of their parameters."""
    counting = find_convention(convention).counting
    for name, option, value in (
        ("vocab_size", "--vocab", vocab),
        ("max_positions", "--max-positions", max_positions),
        ("token_types", "--token-types", token_types),
    ):
        if value is not None and not 1 <= value <= MAX_NUMBER:
            raise InputError(option, f"be from 1 to {MAX_NUMBER}", value, "Correct the number.")
        changed: dict[str, Any] = {} if value is None else {name: value}
        counting = replace(counting, **changed)
    counting = _parts(counting, positions, pooler, head, tied)
    if not 1 <= length <= 8192:
        raise InputError("--length", "be from 1 to 8192", length, "Give a sequence length in tokens.")
    document = _sizes(resolve_spec(model, store), convention, counting, length, merged)
    other = _sizes(resolve_spec(against, store), convention, counting, length, merged) if against else None
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


def _parts(usual: Counting, positions: str, pooler: bool | None, head: str, tied: bool | None) -> Counting:
    """Return what is counted: as usual, where an option does not say otherwise. Raises InputError."""
    if positions and positions not in POSITIONS:
        raise InputError("--positions", "be absolute or relative", positions, "Use one of the two.")
    if head and head not in set(Head):
        raise InputError("--head", f"be {' or '.join(Head)}", head, "Use one of the two.")
    if tied is not None and head != Head.MLM:
        raise InputError("--tied or --untied", "be used with a head", head or "none", "Add --head mlm.")
    return replace(
        usual,
        positions=POSITIONS[positions] if positions else usual.positions,
        pooler=usual.pooler if pooler is None else pooler,
        head=Head(head) if head else usual.head,
        tied=usual.tied if tied is None else tied,
    )


def _sizes(spec: ArchitectureSpec, convention: str, counting: Counting, length: int, merged: bool) -> dict[str, Any]:
    if merged and spec.backbone is None:
        rule = "be used with shapes, which have bottlenecks between their layers"
        raise InputError("--merged", rule, spec.depth, "Omit the option, or name a shape.")
    count = count_parameters(spec, find_convention(convention), counting, merged)
    relative = is_relative(counting.positions, spec.backbone)
    positions = "relative" if relative else "absolute"
    return {
        "id": architecture_id(spec),
        "model_dict": to_model_dict(spec),
        "vocabulary": counting.vocab_size,
        "length": length,
        "parameters": count.total,
        "encoder_parameters": count.encoder,
        "parts": asdict(count),
        "convention": {"name": convention, **asdict(counting), "positions": positions},
        "flops": flops(spec, length, POSITIONS[positions], merged),
    }


def _print_sizes(model: str, sizes: Mapping[str, Any]) -> None:
    by = sizes["convention"]
    settings = [
        f"a vocabulary of {by['vocab_size']:,}",
        f"{by['max_positions']} {by['positions']} positions",
        f"{by['token_types']} token type{'s' if by['token_types'] > 1 else ''}",
        "the pooler" if by["pooler"] else "no pooler",
        f"{'a tied' if by['tied'] else 'an untied'} mlm head" if by["head"] == Head.MLM else "no head",
    ]
    parts = ", ".join(f"{number:,} {name}" for name, number in sizes["parts"].items() if number)
    title = CONVENTIONS[by["name"]].title
    output.print(
        f"{model} ({sizes['id']}): {sizes['parameters']:,} parameters ({parts}) by the convention {by['name']}, "
        f"{title}, with {', '.join(settings)}; {sizes['flops']:,} FLOPs at length {sizes['length']}",
        markup=False,
        soft_wrap=True,
    )
