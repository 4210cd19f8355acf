"""JSON that people write: whole documents, rows of large ones, JSON lines, and values of options."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from explorer.documents.text import lines_of, read_text
from explorer.documents.values import MAX_VALUES, TOO_DEEP, Flaw, checked, integer, real
from explorer.errors import DataError, InputError, Shown

MAX_LITERAL = 20_000
"""Maximum number of characters of a Python literal, because its parser needs much memory."""
AROUND = 20
"""Characters shown before and after a mistake."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                document[key] = Flaw("be given once", key, "Remove one of the two.")
            seen.add(key)
    return document


def _constant(name: str) -> Flaw:
    return Flaw("be a finite number", Shown(name), "Write null, or leave it out.")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_int=integer, parse_float=real, parse_constant=_constant)


def load_json(text: str, place: str) -> Any:
    """Parse JSON text, with a ``Flaw`` in place of each value that breaks a rule.

    Args:
        text: the text.
        place: its location in errors, for example the file.

    Returns:
        The document. Pass it, or each part of it that is refused alone, to ``checked``.

    Raises:
        DataError: the text is not JSON, or has too many or too deeply nested values.
    """
    count = text.count(",") + text.count("[") + text.count("{")
    if count > MAX_VALUES:
        raise DataError(place, f"hold at most {MAX_VALUES:,} values", Shown(f"some {count:,}"), "Split it.")
    try:
        return _DECODER.decode(text.removeprefix("\ufeff"))
    except json.JSONDecodeError as error:
        around = error.doc[max(0, error.pos - AROUND) : error.pos + AROUND]
        line = f"{place}, line {error.lineno}" if error.lineno > 1 else place
        rule = f"be valid JSON ({error.msg}, column {error.colno})"
        raise DataError(line, rule, around, "Correct it.") from None
    except RecursionError:
        raise DataError(place, TOO_DEEP.rule, TOO_DEEP.value, TOO_DEEP.remedy) from None


def parse_json(text: str, place: str) -> Any:
    """Parse JSON text in which every value obeys the rules. Raises DataError; see ``load_json`` and ``checked``."""
    return checked(load_json(text, place), place)


def parse_cell(text: str, place: str) -> Any:
    """Parse JSON in a cell, or a dictionary or list as Python and pandas write it: ``{'l': 2, 'o': ['sa', 'c']}``.

    Raises:
        DataError: it is neither, or a value breaks a rule.
    """
    try:
        return parse_json(text, place)
    except DataError as error:
        if "'" not in text or len(text) > MAX_LITERAL:
            raise
        try:
            literal = ast.literal_eval(text.strip())
            # Through JSON, because Python has more kinds of values and keys.
            return parse_json(json.dumps(literal, allow_nan=False), place)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError, DataError):
            raise error from None


def read_json(path: Path, what: str = "file") -> Any:
    """Read a JSON file; ``what`` names its kind in errors.

    Raises:
        DataError: it is missing, not text, not JSON, or a value breaks a rule.
    """
    return parse_json(read_text(path, what), str(path))


def json_lines(text: str, place: str) -> Iterator[tuple[int, Any]]:
    """Yield the number of each line that is not blank, and its value, or the DataError that refuses the line."""
    for number, line in enumerate(lines_of(text), start=1):
        if not line.strip():
            continue
        try:
            yield number, parse_json(line.rstrip("\r\n"), f"{place}, line {number}" if place else "row")
        except DataError as error:
            yield number, error


def parse_value(text: str, place: str) -> Any:
    """Return the JSON value of an option, or the text itself if it is not JSON.

    Raises:
        DataError: it is JSON, but a value breaks a rule.
    """
    try:
        document = _DECODER.decode(text)
    except json.JSONDecodeError:
        document = text
    except RecursionError:
        raise DataError(place, TOO_DEEP.rule, TOO_DEEP.value, TOO_DEEP.remedy) from None
    return checked(document, place)


def parse_settings(texts: Iterable[str], field: str, example: str) -> dict[str, Any]:
    """Read settings that were written as ``NAME=VALUE``, each value as ``parse_value`` reads it.

    Args:
        texts: the settings.
        field: what one of them is, in errors.
        example: one of them, for the remedy.

    Raises:
        InputError: a text is not ``NAME=VALUE``.
        DataError: a value is JSON that breaks a rule.
    """
    found: dict[str, Any] = {}
    for text in texts:
        name, _, value = (part.strip() for part in text.partition("="))
        if not (name.isidentifier() and value):
            raise InputError(field, "be NAME=VALUE", text, f"Write for example {example}.")
        found[name] = parse_value(value, f"{field} {name}")
    return found
