"""``archex params``: how large an architecture is."""

from __future__ import annotations

from typing import Annotated

import typer

from explorer.cli.console import DEFAULT_STORE, JsonOption, StoreOption, output, print_json
from explorer.cli.resolve import resolve_spec
from explorer.errors import InputError
from explorer.graphs import architecture_id
from explorer.measure.size import flops, parameters
from explorer.space.formats import to_model_dict

MAX_VOCABULARY = 1_000_000


def params(
    model: Annotated[str, typer.Argument(help="A named model, an id, or a JSON file with a model_dict.")],
    vocab: Annotated[int, typer.Option("--vocab", help="Size of the vocabulary.")] = 30_522,
    length: Annotated[int, typer.Option("--length", help="Sequence length, in tokens, for the FLOPs.")] = 128,
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
) -> None:
    """Print the number of parameters and the FLOPs of an architecture."""
    if not 1 <= vocab <= MAX_VOCABULARY:
        raise InputError("--vocab", f"be from 1 to {MAX_VOCABULARY}", vocab, "Give the size of your vocabulary.")
    if not 1 <= length <= 8192:
        raise InputError("--length", "be from 1 to 8192", length, "Give a sequence length in tokens.")
    spec = resolve_spec(model, store)
    document = {
        "id": architecture_id(spec),
        "model_dict": to_model_dict(spec),
        "vocabulary": vocab,
        "parameters": parameters(spec, vocab_size=vocab),
        "encoder_parameters": parameters(spec, embeddings=False),
        "flops": flops(spec, length=length),
    }
    if json:
        print_json(document)
    else:
        output.print(
            f"{model} ({document['id']}): {document['parameters']:,} parameters with a vocabulary of {vocab:,}, "
            f"{document['encoder_parameters']:,} of them in the encoder; "
            f"{document['flops']:,} FLOPs at length {length}",
            markup=False,
        )
