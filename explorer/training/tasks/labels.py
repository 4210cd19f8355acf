"""Conversion of labels in files and tables to classes and values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from explorer.errors import Advice, DataError
from explorer.space.imports.rows import number

YAML_TRUTHS = ("yes", "no", "on", "off")


def class_text(value: Any) -> str:
    """Return a class as text: JSON's ``true``, 1, 1.0 and "1" become ``true``, ``1``, ``1`` and ``1``."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))  # As programs write whole numbers of a column that had gaps.
    return str(value).lower() if isinstance(value, bool) else str(value).strip()


def class_label(place: str, value: Any, classes: Sequence[str], numbered: Sequence[str] = ()) -> float:
    """Return the index of a class.

    Args:
        place: location of the label, for the error.
        value: a class by name, or by number where ``numbered`` is given.
        classes: names of the classes, label 0 first.
        numbered: names of the classes in the order of their numbers; empty if classes have only names.

    Returns:
        The label: the index of the class in ``classes``.

    Raises:
        DataError: the class is unknown.
    """
    text = class_text(value)
    if text not in classes and f"{text}.0" in classes:
        text = f"{text}.0"
    if text in classes:
        return float(classes.index(text))
    # int() raises its own error for very long strings.
    if text.isascii() and text.isdigit() and len(text) <= 3 and int(text) < len(numbered):
        return float(classes.index(numbered[int(text)]))
    rule = f"be a class from 0 to {len(numbered) - 1}" if numbered else f"be one of the classes {', '.join(classes)}"
    remedy = "Correct or remove the row."
    if text.lower() in YAML_TRUTHS and set(classes) <= {"true", "false"}:
        remedy = "Quote the classes in the task file, as in ['yes', 'no'], because YAML reads them as true and false."
    raise DataError(f"{place}: label", rule, value, remedy)


def value_label(
    place: str, value: Any, lowest: float, highest: float, decimal: str | None = None, *, dialect: bool = False
) -> float:
    """Return a regression target.

    Args:
        place: location of the label, for the error.
        value: the number.
        lowest: minimum.
        highest: maximum.
        decimal: decimal sign of numbers in texts; see ``plain_number``.
        dialect: whether a task file can state the decimal sign.

    Raises:
        DataError: it is not a number in the range.
    """
    try:
        return number(f"{place}: label", value, lowest, highest, decimal=decimal, dialect=dialect)
    except DataError as error:
        remedy = "Correct or remove the row."
        if isinstance(error.remedy, Advice):
            remedy = "Correct the row, or state decimal: ',' or decimal: '.' in the task file."
        raise DataError(error.field, error.rule, value, remedy) from None
