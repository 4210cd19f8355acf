"""Rules for the fields of records, taken from the annotations of their classes and checked before a write.

Both engines store only plain texts, 64-bit integers, finite floats, and lists of them. The checks are here so that both
refuse the same values with the same messages. Whole columns are checked together, because one load contains hundreds of
thousands of operations.
"""

from __future__ import annotations

import functools
import math
import operator
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from graphstore.errors import StoreInputError

LONGEST_NAME = 1_000
"""Maximum bytes of a name in UTF-8; three such names fit into an index of either engine."""

LONGEST_TEXT = 1_000_000
"""Maximum bytes of any other text in UTF-8."""

TEXTS = ("spec", "reason", "message", "log")
"""Fields with longer texts than names."""

Kind = Literal["text", "integer", "number", "state", "map", "list"]


@dataclass(frozen=True)
class Rule:
    """Rule for one field.

    Attributes:
        kind: kind of the value; ``list`` for all sequences.
        types: exact types of the usual values.
        fits: returns whether a value is valid.
        says: the rule in words.
        remedy: what to do about an invalid value.
        items: kind of the values in a list; ``None`` if it is not a list of plain values.
    """

    kind: Kind
    types: frozenset[type]
    fits: Callable[[Any], bool]
    says: str
    remedy: str
    items: Kind | None = None


def is_integer(value: object) -> bool:
    """Return whether a value is a plain 64-bit integer; booleans are not."""
    return isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63


def is_number(value: object) -> bool:
    """Return whether a value is a plain finite number; ``numpy.float64`` is, because it is a subclass of float."""
    return math.isfinite(value) if isinstance(value, float) else is_integer(value)


def is_text(value: object, longest: int = LONGEST_NAME) -> bool:
    """Return whether a value is a text of at most ``longest`` bytes in UTF-8."""
    try:
        return isinstance(value, str) and len(value) <= longest and len(value.encode()) <= longest
    except UnicodeEncodeError:
        return False


def shown(value: object) -> str:
    """Return a value as an error message shows it, shortened."""
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:97]}..."


_PLAIN: dict[Any, Rule] = {
    str: Rule(
        "text", frozenset({str}), is_text, f"a plain text of at most {LONGEST_NAME:,} bytes in UTF-8",
        "Convert it with str(), or shorten it.",
    ),
    int: Rule(
        "integer", frozenset({int}), is_integer, "a plain integer of 64 bits", "Convert it with int(), or correct it."
    ),
    float: Rule(
        "number", frozenset({float, int}), is_number, "a plain finite number",
        "Convert it with float(), or leave the record out.",
    ),
}  # fmt: skip


@functools.cache
def rules(record: type) -> Mapping[str, Rule]:
    """Return the rule of every field of a dataclass."""
    hints = get_type_hints(record)
    return {name: _rule(name, hints[name]) for name in record.__dataclass_fields__}  # type: ignore[attr-defined]


def _rule(name: str, hint: Any) -> Rule:
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        (other,) = (part for part in inner if part is not type(None))
        rule = _rule(name, other)
        absent: Callable[[Any], bool] = lambda value: value is None or rule.fits(value)  # noqa: E731
        return Rule(rule.kind, rule.types | {type(None)}, absent, f"{rule.says}, or None", rule.remedy)
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        allowed = frozenset(member.value for member in hint)
        return Rule(
            "state", frozenset({hint, str}), lambda value: isinstance(value, str) and value in allowed,
            f"one of {', '.join(hint)}", "Use one of them.",
        )  # fmt: skip
    if origin is tuple:
        plain = _PLAIN.get(inner[0])
        return Rule(
            "list", frozenset({tuple}),
            lambda value: isinstance(value, tuple) and (plain is None or all(map(plain.fits, value))),
            f"a tuple, each of it {plain.says}" if plain else "a tuple", "Convert it with tuple().",
            plain.kind if plain else None,
        )  # fmt: skip
    if hint not in _PLAIN:
        return Rule("map", frozenset({dict}), lambda value: isinstance(value, Mapping), "a map", "Give a dict.")
    rule = _PLAIN[hint]
    if name in TEXTS:
        return Rule(
            "text", rule.types, lambda value: is_text(value, LONGEST_TEXT),
            f"a plain text of at most {LONGEST_TEXT:,} bytes in UTF-8", rule.remedy,
        )  # fmt: skip
    return rule


def check_field(record: Any, name: str, value: object, where: str) -> None:
    """Raise StoreInputError unless a value is valid for a record's field.

    Args:
        record: the dataclass.
        name: name of the field.
        value: the value.
        where: owner of the field in the error message, for example ``"score 'SST-2'"``.
    """
    rule = rules(record)[name]
    if not rule.fits(value):
        raise StoreInputError(f"{name} of {where} must be {rule.says}, but got {shown(value)}. {rule.remedy}")


def check_fields(record: object, where: str) -> None:
    """Raise StoreInputError unless every field of a dataclass fits its annotation."""
    kind: Any = type(record)
    for name in rules(kind):
        check_field(kind, name, getattr(record, name), where)


def all_fit(kind: Any, records: Sequence[Any]) -> bool:
    """Return whether all fields of many records have valid values of the usual types; ``False`` for rarer types."""
    if set(map(type, records)) - {kind}:
        return False
    for name, rule in rules(kind).items():
        values: Any = map(operator.attrgetter(name), records)
        try:
            # Check each text once. Numbers need their list, because True equals 1 in a set.
            values = set(values) if rule.kind == "text" else list(values)
        except TypeError:
            return False
        if set(map(type, values)) - rule.types:
            return False
        if rule.kind == "list":
            if not _lists_fit(rule, values):
                return False
        elif rule.kind != "map" and not all(map(rule.fits, set(values))):
            return False
    return True


def _lists_fit(rule: Rule, values: Iterable[tuple[Any, ...]]) -> bool:
    plain = next((one for one in _PLAIN.values() if one.kind == rule.items), None)
    if plain is None:
        return True
    # Check the types first, because True equals 1 in a set.
    flat = list(chain.from_iterable(values))
    return not set(map(type, flat)) - plain.types and all(map(plain.fits, set(flat)))


def check_records(kind: Any, records: Sequence[Any], name: Callable[[Any], str], what: str = "records") -> None:
    """Raise StoreInputError unless every record has the given class and all its fields fit their annotations.

    Args:
        kind: the dataclass.
        records: the records to check.
        name: returns the name of a record in an error message.
        what: name of all records in an error message.
    """
    if all_fit(kind, records):
        return
    for record in records:
        if not isinstance(record, kind):
            raise StoreInputError(f"{what} must be each a {kind.__name__}, but got {shown(record)}. Make one of it.")
        check_fields(record, name(record))
