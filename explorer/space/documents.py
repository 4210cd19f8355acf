"""JSON and YAML as users write them: what the parsers would quietly take differently from its writer is refused.

A key given twice would lose its first value, and a scalar that is no value of its type would break PyYAML itself.
"""

from __future__ import annotations

import json
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from explorer.errors import DataError

MAX_BITS = 64
"""No number in an architecture or a space is longer; longer ones cannot even be shown."""
MAX_DEPTH = 64
"""Most lists and objects in one another: ten times what any format here needs, and few enough to be shown."""
MAX_FILE_BYTES = 256 * 2**20
"""Larger files are no tables of a library's size; one of 20,000 architectures takes some 60 MB."""


def read_text(path: Path) -> str:
    """Read a text file a user named; a byte order mark is passed over.

    Raises:
        DataError: it is missing, no plain file, empty, too large, or not readable as UTF-8.
    """
    shown = str(path)
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise DataError("file", "be a plain file", shown, "Check the path.")
        if size > MAX_FILE_BYTES:
            raise DataError("file", f"have at most {MAX_FILE_BYTES:,} bytes", f"{shown} ({size:,})", "Split the file.")
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise DataError("file", "exist", shown, "Check the path.") from None
    except (OSError, UnicodeDecodeError, ValueError) as error:
        # A path with a null character is a ValueError.
        raise DataError("file", f"be readable UTF-8 text ({error})", shown, "Check the file.") from None
    if not text.strip():
        raise DataError("file", "hold something", shown, "The file is empty.")
    return text


def _check_depth(document: Any) -> Any:
    level = [document]
    for _ in range(MAX_DEPTH + 1):
        level = [
            child
            for value in level
            if isinstance(value, dict | list)
            for child in (value.values() if isinstance(value, dict) else value)
        ]
        if not level:
            return document
    raise ValueError(f"it is nested too deeply, more than {MAX_DEPTH} levels")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document: dict[str, Any] = {}
    for key, value in pairs:
        if key in document:
            raise ValueError(f"the key {key[:60]!r} is given twice")
        document[key] = value
    return document


def parse_json(text: str) -> Any:
    """Parse JSON text.

    Raises:
        ValueError: it is no JSON, is nested too deeply, or an object repeats a key; the message says which.
    """
    try:
        return _check_depth(json.loads(text, object_pairs_hook=_unique))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


class _Loader(yaml.SafeLoader):
    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            # A few lines of aliases of aliases stand for more than any memory holds.
            line = self.peek_event().start_mark.line + 1
            raise ValueError(f"an alias (*name) in line {line} is not allowed, write the value out")
        return super().compose_node(parent, index)

    def compose_mapping_node(self, anchor: dict[Any, yaml.Node]) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        assert isinstance(node, yaml.MappingNode)
        seen: set[tuple[str, str]] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            if (key.tag, key.value) in seen:
                line = key.start_mark.line + 1
                raise ValueError(f"the key {key.value[:60]!r} is given twice, the second time in line {line}")
            seen.add((key.tag, key.value))
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Hashable:
        if not isinstance(node, yaml.ScalarNode):
            return super().construct_object(node, deep)
        try:
            value = super().construct_object(node, deep)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
            value = None
            fits = False
        else:
            fits = not isinstance(value, int) or value.bit_length() <= MAX_BITS
        if not fits:
            kind = node.tag.rpartition(":")[2]
            raise ValueError(f"{node.value[:60]!r} in line {node.start_mark.line + 1} is no sound value of type {kind}")
        return value


def parse_yaml(text: str) -> Any:
    """Parse YAML text of one document, with the plain types only.

    Raises:
        ValueError: it is no YAML, is nested too deeply, repeats a key, uses an alias, or a value does not fit its
            type; the message says where.
    """
    try:
        return _check_depth(yaml.load(text, Loader=_Loader))
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
