"""Parse JSON and YAML that users write, and reject what the parsers would silently misread.

The parsers keep only the last value of a repeated key, and PyYAML crashes on some scalars that do not fit their type.
"""

from __future__ import annotations

import json
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from explorer.errors import DataError

MAX_BITS = 64
"""Maximum length of an integer. Architectures and spaces need less, and str() refuses very long ones."""
MAX_DEPTH = 64
"""Maximum nesting of lists and objects, ten times what any format here needs; repr() must not overflow the stack."""
MAX_FILE_BYTES = 256 * 2**20
"""Maximum file size; a table of 20,000 architectures takes some 60 MB."""


def read_text(path: Path) -> str:
    """Read a text file that a user named, without its byte order mark.

    Raises:
        DataError: the file is missing, not a plain file, empty, too large, or not readable as UTF-8.
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
        # Paths with a null character raise ValueError.
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
        ValueError: the text is not JSON, is nested too deeply, or an object repeats a key; the message says which.
    """
    try:
        return _check_depth(json.loads(text, object_pairs_hook=_unique))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


class _Loader(yaml.SafeLoader):
    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            # A few lines of nested aliases can expand to more than the memory holds.
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
            kind, line = node.tag.rpartition(":")[2], node.start_mark.line + 1
            raise ValueError(f"{node.value[:60]!r} in line {line} is not a valid value of type {kind}")
        return value


def parse_yaml(text: str) -> Any:
    """Parse YAML text of one document, with the plain types only.

    Raises:
        ValueError: the text is not YAML, is nested too deeply, repeats a key, uses an alias, or a value does not fit
            its type; the message says where.
    """
    try:
        return _check_depth(yaml.load(text, Loader=_Loader))
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
