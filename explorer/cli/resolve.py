"""Which architecture a user means: a named model, an id in the store, the widths of a shape, or a JSON file."""

from __future__ import annotations

from pathlib import Path

from explorer.cli.console import opened
from explorer.errors import InputError
from explorer.space.backbones import parse_widths, shape_spec
from explorer.space.formats import from_json, from_model_dict, read_json_file
from explorer.space.named import find_named, named_models
from explorer.space.spec import ArchitectureSpec
from graphstore.errors import StoreInputError


def resolve_spec(text: str, store_url: str) -> ArchitectureSpec:
    """The architecture a user names; the store is opened only if it is needed.

    Raises:
        InputError: the text is neither a named model, nor a shape of BERT-Base (``480,240,…``, 12 widths), nor a JSON
            file, nor an id in the store.
    """
    named = find_named(text)
    if named is not None:
        return named
    widths = parse_widths(text)
    if widths is not None:
        return shape_spec(widths)
    if text.endswith(".json"):
        return from_model_dict(read_json_file(Path(text)))
    try:
        with opened(store_url, create=False) as store:
            return from_json(store.architecture(text).spec)
    except StoreInputError as error:
        rule = f"be one of {', '.join(named_models())}, 12 widths as 480,240,…, a .json file, or an id in the store"
        raise InputError("architecture", rule, text, f"Check the name. ({error})") from None
