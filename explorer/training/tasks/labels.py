"""Labels as files and tables give them, and what they are to a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from explorer.errors import DataError
from explorer.space.imports.rows import number


def class_text(value: Any) -> str:
    """A class as text: what JSON calls ``true``, 1 and "1" are ``true``, ``1`` and ``1``."""
    return str(value).lower() if isinstance(value, bool) else str(value).strip()


def class_label(place: str, value: Any, classes: Sequence[str], numbered: Sequence[str] = ()) -> float:
    """The number of a class.

    Args:
        place: where it stands, for the error.
        value: a class by name, or by number where ``numbered`` is given.
        classes: names of the classes in our order, label 0 first.
        numbered: names of the classes in the order the numbers count; empty where classes have only names.

    Returns:
        The label: the class's place in ``classes``.

    Raises:
        DataError: no such class.
    """
    text = class_text(value)
    if text in classes:
        return float(classes.index(text))
    # int() refuses very long texts with an error of its own.
    if text.isascii() and text.isdigit() and len(text) <= 3 and int(text) < len(numbered):
        return float(classes.index(numbered[int(text)]))
    rule = f"be a class from 0 to {len(numbered) - 1}" if numbered else f"be one of the classes {', '.join(classes)}"
    raise DataError(f"{place}: label", rule, value, "Correct or remove the row.")


def value_label(place: str, value: Any, lowest: float, highest: float) -> float:
    """A number to predict. Raises DataError if it is none, or out of its range."""
    try:
        return number(f"{place}: label", value, lowest, highest)
    except DataError as error:
        raise DataError(error.field, error.rule, value, "Correct or remove the row.") from None
