"""FlexiBERT's ``design_space.yaml`` as a document of this package's design spaces.

The file has two forms (jha-lab/txf_design-space). In the first, with ``attention_heads`` and ``similarity_metric``,
every layer has attention and one feed-forward layer. The second, of the paper, has operation types with parameters and
stacks of feed-forward layers; EdgeTran uses it with an operation per head. How many layers share their choices is not
in the file: two in the paper's library.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

from explorer.errors import SpecError

_SHARED = {"hidden": "hidden_size", "layers": "encoder_layers", "width": "feed-forward_hidden"}
_FIRST = _SHARED | {"heads": "attention_heads", "sa": "similarity_metric"}
_SECOND = _SHARED | {
    "heads": "num_heads",
    "families": "operation_types",
    "parameters": "operation_parameters",
    "depth": "number_of_feed-forward_stacks",
}
"""Keys of the two forms, by what they mean here."""


def _architecture(document: object) -> Mapping[str, Any]:
    inner = document.get("architecture", document) if isinstance(document, Mapping) else None
    if not isinstance(inner, Mapping):
        return {}
    known = {key.replace("-", "_"): key for key in {*_FIRST.values(), *_SECOND.values()}}
    named = {known.get(str(key).replace("-", "_"), str(key)): value for key, value in inner.items()}
    return named if len(named) == len(inner) else {str(key): value for key, value in inner.items()}


def is_flexibert_space(document: object) -> bool:
    """Return whether a parsed YAML document is a ``design_space.yaml`` of either form."""
    return set(_SHARED.values()) <= set(_architecture(document))


def space_document(document: object, name: str, source: str) -> tuple[dict[str, Any], str]:
    """Convert a ``design_space.yaml``.

    Args:
        document: the parsed file, for which ``is_flexibert_space`` holds.
        name: a name for the space, such as the file's.
        source: the file's name in errors.

    Returns:
        The document, for ``DesignSpace.from_document``, and a line that says how the file was read.

    Raises:
        SpecError: a key is missing or unknown.
    """
    given = _architecture(document)
    first = _FIRST["sa"] in given or _FIRST["heads"] in given
    keys = _FIRST if first else _SECOND
    for key in keys.values():
        if key not in given:
            raise SpecError(f"{source}: {key}", "be given", None, "Add it with its options.")
    if unknown := sorted(str(key) for key in set(given) - set(keys.values())):
        rule = f"have no keys but {', '.join(keys.values())}"
        raise SpecError(f"{source}: architecture", rule, unknown, "Remove them.")
    values = {meaning: given[key] for meaning, key in keys.items()}
    operations = {"sa": values["sa"]} if first else _operations(values["families"], values["parameters"], source)
    converted = {
        "name": re.sub(r"[^a-z0-9_-]+", "-", name.lower()).strip("-_")[:64] or "flexibert",
        "hidden": values["hidden"],
        "heads": values["heads"],
        "layers": values["layers"],
        "operations": operations,
        "operations_per": "head" if not first and _uneven(values["hidden"], values["heads"]) else "layer",
        "feed_forward": {"depth": [1] if first else values["depth"], "width": values["width"]},
        "layers_per_stack": 1 if first or _odd(values["layers"]) else 2,
    }
    written = yaml.safe_dump(converted, default_flow_style=True, sort_keys=False, width=10_000).strip()
    form = "the first form of FlexiBERT's" if first else "FlexiBERT's"
    return converted, f"{form} design_space.yaml, in the form of this package: {written}"


def _operations(families: Any, parameters: Any, source: str) -> dict[str, Any]:
    if not isinstance(families, list) or not isinstance(parameters, Mapping):
        rule = "be a list, and operation_parameters an object with a list for each of them"
        raise SpecError(f"{source}: operation_types", rule, families, "Correct both.")
    for family in families:
        if not isinstance(family, str) or family not in parameters:
            rule = f"hold a list for operation type {family}"
            raise SpecError(f"{source}: operation_parameters", rule, list(parameters), "Add it.")
    return {family: parameters[family] for family in families}


def _uneven(hidden: Any, heads: Any) -> bool:
    """Return whether a number of heads does not divide a hidden size, as in spaces with an operation per head."""
    if not isinstance(hidden, list) or not isinstance(heads, list):
        return False
    pairs = [(size, count) for size in hidden for count in heads]
    return all(isinstance(n, int) and n > 0 for pair in pairs for n in pair) and any(h % n for h, n in pairs)


def _odd(layers: Any) -> bool:
    return isinstance(layers, list) and any(isinstance(depth, int) and depth % 2 for depth in layers)
