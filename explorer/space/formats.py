"""Interchange formats of architectures: both ``model_dict`` forms, as JSON.

* per layer: ``{"l": 2, "o": ["sa", "l"], "h": [128, 128], "n": [2, 4], "f": [[512], [1024]], "p": ["sdp", "dct"]}``
* with bottlenecks around the layers: the backbone's width as ``b``, for example ``"b": 768``
* per head: no ``n`` and no ``p``; ``o[i]`` lists ``family_parameter_size``, for example ``["sa_wma_64", "c_5_64"]``.

FlexiBERT's first form is read too: ``{"l": 2, "a": [2, 4], "h": [128, 128], "s": ["sdp", "wma"], "f": [512, 1024]}``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from explorer.documents.json_text import parse_cell
from explorer.errors import DataError, SpecError
from explorer.space.operations import Family, family_of, usual_parameters
from explorer.space.spec import MAX_LAYERS, ArchitectureSpec, HeadOp, LayerSpec, require_size

FIRST_FORM = "FlexiBERT's first form: a is n, s is p, every operation is sa, and f has one feed-forward width per layer"
"""Note on architectures in the first form."""
_FIRST_KEYS = {"n": "a", "p": "s"}
"""Present keys → keys of the first form."""


def is_first_form(document: object) -> bool:
    """Return whether a ``model_dict`` has the first form: keys ``l``, ``a``, ``h``, ``s`` and ``f``."""
    return isinstance(document, Mapping) and set(document) == {"l", "a", "h", "s", "f"}


def _from_first_form(document: Mapping[str, Any]) -> ArchitectureSpec:
    widths, similarities = document["f"], document["s"]
    converted = {
        "l": document["l"],
        "o": ["sa"] * len(similarities) if isinstance(similarities, list | tuple) else similarities,
        "h": document["h"],
        "n": document["a"],
        "f": [[w] if isinstance(w, int) else w for w in widths] if isinstance(widths, list | tuple) else widths,
        "p": similarities,
    }
    try:
        return from_model_dict(converted)
    except SpecError as error:
        before, _, key = error.field.rpartition("model_dict.")
        if before or key not in (*_FIRST_KEYS, "o"):
            raise
        raise SpecError(f"model_dict.{_FIRST_KEYS.get(key, 's')}", error.rule, error.value, error.remedy) from None


def _rows(document: Mapping[str, Any], key: str, depth: int) -> Sequence[Any]:
    if key not in document:
        remedy = f"Add the list {key!r} with one entry per layer."
        if key == "o":
            remedy = f'Add it, for example "o": {json.dumps(_operations(document.get("p"), depth))}.'
        raise SpecError(f"model_dict.{key}", "be given", None, remedy)
    rows = document[key]
    if not isinstance(rows, list | tuple) or len(rows) != depth:
        got = len(rows) if isinstance(rows, list | tuple) else rows
        raise SpecError(f"model_dict.{key}", f"be a list of l = {depth} entries", got, "Give one entry per layer.")
    return rows


def _operations(parameters: object, depth: int) -> list[str]:
    """Return the operations with these parameters, one per layer; attention where a parameter is unknown."""
    listed = parameters if isinstance(parameters, list) and len(parameters) == depth else [""] * depth
    return [family_of(str(parameter)[:20]) or Family.SELF_ATTENTION for parameter in listed]


_HEAD = re.compile(r"([^_]*)_([^_]*)_(\d{1,6})", re.ASCII)


def _heads(texts: Sequence[object]) -> tuple[HeadOp, ...]:
    read = [_HEAD.fullmatch(text) if isinstance(text, str) else None for text in texts]
    size = next((match[3] for match in read if match), "64")
    for text, match in zip(texts, read, strict=True):
        if match is None:
            remedy = f"Write for example sa_sdp_{size} or c_5_{size}."
            raise SpecError("head", "read family_parameter_size", text, remedy)
    return tuple(HeadOp(match[1], match[2], int(match[3])) for match in read if match)  # type: ignore[arg-type]


def _layer(operation: object, hidden: int, stack: object, count: object = None, parameter: object = None) -> LayerSpec:
    """Return a layer, in the per-head form if ``operation`` is a list."""
    if not isinstance(stack, list | tuple):
        width = stack if isinstance(stack, int) and not isinstance(stack, bool) else 512
        raise SpecError("f", "be a list of widths", stack, f"Write [{width}] for a single layer.")
    if isinstance(operation, list | tuple):
        return LayerSpec(hidden, _heads(operation), tuple(stack))
    if not isinstance(operation, str) or operation not in set(Family):
        raise SpecError("o", f"be one of {', '.join(Family)}", operation, "Use one of them.")
    if isinstance(parameter, bool) or not isinstance(parameter, str | int):
        remedy = f"Write {' or '.join(usual_parameters(operation))}."
        raise SpecError("p", "be text or an odd number", parameter, remedy)
    # Only plain integers may share a cached layer, because 1, 1.0 and True are equal keys.
    plain = all(type(number) is int for number in (hidden, count, *stack))
    made = _checked_once if plain else LayerSpec.per_layer
    return made(hidden, operation, str(parameter), count, tuple(stack))  # type: ignore[arg-type]


@lru_cache(2**14)
def _checked_once(hidden: int, operation: str, parameter: str, count: int, stack: tuple[int, ...]) -> LayerSpec:
    """Return a layer of the per-layer form. A space has few different ones, and thousands of architectures."""
    return LayerSpec.per_layer(hidden, operation, parameter, count, stack)


def _require_keys(document: Mapping[str, Any]) -> None:
    unknown = sorted(str(key) for key in set(document) - {"l", "o", "h", "n", "f", "p", "b"})
    if not unknown:
        return
    old = {before: now for now, before in _FIRST_KEYS.items() if now not in document}
    lower = [key for key in unknown if key.lower() in {"l", "o", "h", "n", "f", "p", "b"} - set(document)]
    remedy = "Remove them."
    if not set(document) & {"l", "o", "h", "f"}:
        remedy = "Give keys l, o, h, f and, per layer, n and p."
    if lower == unknown:
        remedy = f"Rename them to small letters: {', '.join(key.lower() for key in lower)}."
    if set(unknown) <= set(old):
        remedy = f"Rename them: {' and '.join(f'{key} is {old[key]} here' for key in unknown)}."
    raise SpecError("model_dict", "have no keys but l, o, h, n, f, p, b", unknown, remedy)


def from_model_dict(document: object) -> ArchitectureSpec:
    """Read a ``model_dict`` of either form, or of FlexiBERT's first form.

    Raises:
        SpecError: a key is missing or unknown, a list has the wrong length, or a value breaks a rule.
    """
    if not isinstance(document, Mapping):
        raise SpecError("model_dict", "be a JSON object", document, "Give keys l, o, h, f and, per layer, n and p.")
    if is_first_form(document):
        return _from_first_form(document)
    _require_keys(document)
    depth = require_size("model_dict.l", document.get("l"), MAX_LAYERS)
    columns = [_rows(document, key, depth) for key in ("o", "h", "f")]
    per_head = [isinstance(operation, list | tuple) for operation in columns[0]]
    if any(per_head) and not all(per_head):
        raise SpecError("model_dict.o", "be per layer or per head throughout", list(columns[0]), "Use one form.")
    if any(per_head) and ("n" in document or "p" in document):
        raise SpecError("model_dict", "have no n and p when o lists heads", sorted(document), "Remove n and p.")
    if not any(per_head):
        columns += [_rows(document, key, depth) for key in ("n", "p")]
    layers = []
    for index, values in enumerate(zip(*columns, strict=True)):
        try:
            layers.append(_layer(*values))
        except SpecError as error:
            raise error.at(f"model_dict layer {index}") from None
    try:
        return ArchitectureSpec(tuple(layers), document.get("b"))
    except SpecError as error:
        raise error.at("model_dict.b") from None


def to_model_dict(spec: ArchitectureSpec, per_head: bool | None = None) -> dict[str, Any]:
    """Write a ``model_dict``.

    Args:
        spec: the architecture.
        per_head: whether to write the per-head form; by default only where the per-layer form is not possible.

    Raises:
        SpecError: the per-layer form was requested and is not possible.
    """
    if per_head is None:
        per_head = not spec.is_per_layer
    document: dict[str, Any] = {"l": spec.depth}
    if per_head:
        document["o"] = [[str(head) for head in layer.heads] for layer in spec.layers]
    else:
        if not spec.is_per_layer:
            mixed = [index for index, layer in enumerate(spec.layers) if layer.main is None]
            raise SpecError("layers", "have one operation each in the per-layer form", mixed, "Write it per head.")
        document["o"] = [layer.family for layer in spec.layers]
    document["h"] = [layer.hidden for layer in spec.layers]
    if not per_head:
        document["n"] = [len(layer.heads) for layer in spec.layers]
    document["f"] = [list(layer.feed_forward) for layer in spec.layers]
    if not per_head:
        document["p"] = [int(p) if p.isdigit() else p for p in (layer.parameter for layer in spec.layers)]
    if spec.backbone is not None:
        document["b"] = spec.backbone
    return document


def to_json(spec: ArchitectureSpec) -> str:
    """Return the canonical text of an architecture, as the store keeps it."""
    return json.dumps(to_model_dict(spec), separators=(",", ":"))


def from_json(text: str) -> ArchitectureSpec:
    """Read what ``to_json`` wrote, or any ``model_dict`` as JSON text.

    Raises:
        SpecError: the text is not JSON, or breaks a rule.
    """
    try:
        document = parse_cell(text, "model_dict")
    except DataError as error:
        raise SpecError.of(error) from None
    return from_model_dict(document)
