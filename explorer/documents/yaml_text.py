"""YAML that people write: one document of mappings, lists, texts, numbers, booleans and null, as JSON has them.

Anchors and aliases are refused, because a few lines of them can expand to more than the memory holds, and so are tags
such as ``!!bool``. A date is a text, and so is the merge key ``<<``.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from explorer.documents.text import read_text
from explorer.documents.values import LONGEST_SHOWN, MAX_BITS, MAX_DEPTH, TOO_DEEP, Flaw, checked
from explorer.errors import DataError, Shown

MAX_YAML = 2**18
"""Maximum number of characters; the parser takes some seconds for them."""
MAX_NUMBER = 100
"""Maximum number of characters of a number; base 60 would need time that grows with the square of it."""
_OLD = re.compile(r"[-+]?(0[0-7_]+|[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?)")
"""Octal and base 60 numbers of YAML 1.1: 0200 would be 128, and 1:30 would be 90."""
_TYPES = ("null", "bool", "int", "float")
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")


class _Refused(Exception):  # noqa: N818 - it never leaves this module
    """A node breaks a rule: the flaw, and the node's line from 1."""

    def __init__(self, mark: yaml.Mark | None, flaw: Flaw) -> None:
        self.line = 1 if mark is None else mark.line + 1
        self.flaw = flaw


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML's own name and type
        first: [(tag, form) for tag, form in forms if tag.rpartition(":")[2] in _TYPES]
        for first, forms in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            name = Shown(f"{'*' if isinstance(event, yaml.AliasEvent) else '&'}{event.anchor[:LONGEST_SHOWN]}")
            raise _Refused(event.start_mark, Flaw("have no anchors and aliases", name, "Write the value out."))
        if getattr(event, "tag", None) is not None:
            tag = Shown(f"{event.tag[:LONGEST_SHOWN]!a}")
            raise _Refused(event.start_mark, Flaw("have no tags", tag, "Leave the tag out, and quote what is text."))
        if self.depth > MAX_DEPTH:
            raise _Refused(event.start_mark, TOO_DEEP)
        self.depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Hashable:
        if not isinstance(node, yaml.ScalarNode) or node.tag not in _NUMBERS:
            return super().construct_object(node, deep)
        rule = f"be a number of at most {MAX_BITS} bits"
        if _OLD.fullmatch(node.value):
            rule = "be written without leading zeros and colons, if it is a number"
        elif len(node.value) <= MAX_NUMBER:
            with suppress(ArithmeticError, ValueError):  # For example 0x_, which the resolver takes for a number.
                value = super().construct_object(node, deep)
                if isinstance(value, float) or (isinstance(value, int) and value.bit_length() <= MAX_BITS):
                    return value
        flaw = Flaw(rule, node.value[:LONGEST_SHOWN], "Correct it, or quote it if it is text.")
        raise _Refused(node.start_mark, flaw)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        found: dict[Hashable, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise _Refused(
                    key_node.start_mark, Flaw("have texts or numbers as keys", Shown("a list"), "Correct it.")
                )
            key = self.construct_object(key_node, deep=True)
            if key in found:
                shown = key_node.value[:LONGEST_SHOWN]
                raise _Refused(key_node.start_mark, Flaw("give each key once", shown, "Remove one of the two."))
            found[key] = self.construct_object(value_node, deep=deep)
        return found


def parse_yaml(text: str, place: str) -> Any:
    """Parse YAML text of one document.

    Args:
        text: the text.
        place: its location in errors, for example the file.

    Raises:
        DataError: the text is not YAML or too long, or something in it breaks a rule of this module or of ``values``.
    """
    if len(text) > MAX_YAML:
        raise DataError(place, f"have at most {MAX_YAML:,} characters", Shown(f"{len(text):,}"), "Shorten it.")
    try:
        return checked(yaml.load(text, Loader=_Loader), place)
    except _Refused as error:
        flaw = error.flaw
        raise DataError(f"{place}, line {error.line}", flaw.rule, flaw.value, flaw.remedy) from None
    except yaml.reader.ReaderError as error:
        line, shown = text.count("\n", 0, error.position) + 1, chr(error.character)
        raise DataError(f"{place}, line {line}", "have printable characters only", shown, "Remove it.") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = 1 if mark is None else mark.line + 1
        reason = " ".join(str(error.problem or error.context).split())
        shown = (text.split("\n")[line - 1 : line] or [""])[0].strip()[:LONGEST_SHOWN]
        raise DataError(f"{place}, line {line}", f"be valid YAML ({reason})", shown, "Correct it.") from None
    except RecursionError:
        raise DataError(place, TOO_DEEP.rule, TOO_DEEP.value, TOO_DEEP.remedy) from None


def read_yaml(path: Path, what: str = "file") -> Any:
    """Read a YAML file; ``what`` names its kind in errors.

    Raises:
        DataError: it is missing, not text, not YAML, or a value breaks a rule.
    """
    return parse_yaml(read_text(path, what), str(path))
