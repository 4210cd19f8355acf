"""Interchange formats of architectures: both ``model_dict`` forms, as JSON.

* per layer: ``{"l": 2, "o": ["sa", "l"], "h": [128, 128], "n": [2, 4], "f": [[512], [1024]], "p": ["sdp", "dct"]}``
* with bottlenecks around the layers: the backbone's width as ``b``, for example ``"b": 768``
* per head: no ``n`` and no ``p``; ``o[i]`` lists ``family_parameter_size``, for example ``["sa_wma_64", "c_5_64"]``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from explorer.documents.json_text import parse_json
from explorer.errors import DataError, SpecError
from explorer.space.operations import Family, parameter_titles
from explorer.space.spec import MAX_LAYERS, ArchitectureSpec, HeadOp, LayerSpec, require_size


def _rows(document: Mapping[str, Any], key: str, depth: int) -> Sequence[Any]:
    if key not in document:
        raise SpecError(f"model_dict.{key}", "be given", None, f"Add the list {key!r} with one entry per layer.")
    rows = document[key]
    if not isinstance(rows, list | tuple) or len(rows) != depth:
        got = len(rows) if isinstance(rows, list | tuple) else rows
        raise SpecError(f"model_dict.{key}", f"be a list of l = {depth} entries", got, "Give one entry per layer.")
    return rows


def _head(text: object) -> HeadOp:
    parts = text.split("_") if isinstance(text, str) else []
    if len(parts) != 3 or not (parts[2].isascii() and parts[2].isdigit()) or len(parts[2]) > 6:
        raise SpecError("head", "read family_parameter_size", text, "Write for example sa_sdp_64 or c_5_64.")
    return HeadOp(parts[0], parts[1], int(parts[2]))  # type: ignore[arg-type]


def from_model_dict(document: object) -> ArchitectureSpec:
    """Read either ``model_dict`` form.

    Raises:
        SpecError: a key is missing or unknown, a list has the wrong length, or a value breaks a rule.
    """
    if not isinstance(document, Mapping):
        raise SpecError("model_dict", "be a JSON object", document, "Give keys l, o, h, f and, per layer, n and p.")
    unknown = sorted(str(key) for key in set(document) - {"l", "o", "h", "n", "f", "p", "b"})
    if unknown:
        raise SpecError("model_dict", "have no keys but l, o, h, n, f, p, b", unknown, "Remove them.")
    depth = require_size("model_dict.l", document.get("l"), MAX_LAYERS)
    operations, hiddens, stacks = (_rows(document, key, depth) for key in ("o", "h", "f"))
    per_head = [isinstance(operation, list | tuple) for operation in operations]
    if any(per_head) and not all(per_head):
        raise SpecError("model_dict.o", "be per layer or per head throughout", list(operations), "Use one form.")
    if any(per_head) and ("n" in document or "p" in document):
        raise SpecError("model_dict", "have no n and p when o lists heads", sorted(document), "Remove n and p.")
    counts, parameters = ((), ()) if any(per_head) else (_rows(document, "n", depth), _rows(document, "p", depth))
    layers = []
    for index in range(depth):
        stack = stacks[index]
        if not isinstance(stack, list | tuple):
            raise SpecError(f"model_dict.f[{index}]", "be a list of widths", stack, "Write for example [512, 512].")
        try:
            if per_head[index]:
                heads = tuple(_head(text) for text in operations[index])
                layers.append(LayerSpec(hiddens[index], heads, tuple(stack)))
            else:
                parameter = parameters[index]
                if isinstance(parameter, bool) or not isinstance(parameter, str | int):
                    remedy = f"Write {', '.join(parameter_titles())}, 5, 9, …"
                    raise SpecError("p", "be text or an odd number", parameter, remedy)
                if not isinstance(operations[index], str) or operations[index] not in set(Family):
                    raise SpecError("o", "be one of sa, l, c", operations[index], "Use one of the three.")
                layers.append(
                    LayerSpec.per_layer(hiddens[index], operations[index], parameter, counts[index], tuple(stack))
                )
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
        document = parse_json(text, "model_dict")
    except DataError as error:
        raise SpecError.of(error) from None
    return from_model_dict(document)
