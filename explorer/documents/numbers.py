"""Decimal numbers in the cells of tables: ``0.858``, and with a known decimal sign also ``0,858`` and ``1,234.5``."""

from __future__ import annotations

import re
from collections.abc import Iterable

UNCLEAR = ""
"""The decimal sign of a table whose cells fit both signs."""
_PLAIN = re.compile(r"[+-]?(\d{1,40}(\.\d{0,40})?|\.\d{1,40})([eE][+-]?\d{1,4})?", re.ASCII)
_GROUPED = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3}){1,12}(\.\d{0,40})?([eE][+-]?\d{1,4})?", re.ASCII)
_ONE_GROUP = re.compile(r"[+-]?[1-9]\d{0,2}[.,]\d{3}", re.ASCII)
"""``1,234`` is 1234 or 1.234."""
_BLANKS = re.compile("(?<=\\d)[\u00a0\u202f'](?=\\d{3})")
"""Separators of groups that mean nothing else."""
_SWAPPED = str.maketrans(".,", ",.")


def plain_number(text: str, decimal: str | None = None) -> str | None:
    """Return a number as float() reads it; ``None`` if the text is not a number.

    Args:
        text: the cell.
        decimal: the table's decimal sign. If it is known, the other sign may separate groups of three digits; if it is
            ``UNCLEAR``, only numbers without either sign are read. ``None``: a point, and no groups.
    """
    text = text.strip().replace("\N{MINUS SIGN}", "-")
    if not decimal:
        unclear = decimal == UNCLEAR and ("." in text or "," in text)
        return text if _PLAIN.fullmatch(text) and not unclear else None
    text = _BLANKS.sub("", text.translate(_SWAPPED) if decimal == "," else text)
    if _PLAIN.fullmatch(text):
        return text
    return text.replace(",", "") if _GROUPED.fullmatch(text) else None


def is_grouped(text: str, decimal: str | None) -> bool:
    """Return whether a text is a number with separators of thousands, as ``1,234.5``."""
    text = percentage(text) or text.strip()
    plain = plain_number(text, decimal)
    return plain is not None and len(plain) < len(text)


def percentage(text: str) -> str | None:
    """Return the number before a percent sign; ``None`` if the text does not end with one."""
    number = text.strip().removesuffix("%")
    return number.rstrip() if number != text.strip() else None


def number_text(number: float) -> str:
    """Return a number as people write it: a whole one without a point."""
    return str(int(number)) if float(number).is_integer() else repr(number)


def looks_numeric(text: str) -> bool:
    """Return whether a text is a number with one of the decimal signs."""
    return any(plain_number(text, sign) is not None for sign in ".,")


def decimal_sign(cells: Iterable[str], usual: str | None) -> str | None:
    """Return the decimal sign of a table's numbers.

    Args:
        cells: the cells.
        usual: the sign where the cells fit both; ``None`` if neither is usual.

    Returns:
        A point, a comma, ``UNCLEAR``, or ``None`` if no cell has either.
    """
    point = comma = either = False
    for cell in cells:
        cell = percentage(cell) or cell.strip()
        if "." not in cell and "," not in cell:
            continue
        if _ONE_GROUP.fullmatch(cell):
            either = True
            continue
        as_point, as_comma = (plain_number(cell, sign) is not None for sign in ".,")
        point, comma = point or (as_point and not as_comma), comma or (as_comma and not as_point)
    if point != comma:
        return "." if point else ","
    if not (point or either):
        return None
    return UNCLEAR if usual is None else usual if point else None
