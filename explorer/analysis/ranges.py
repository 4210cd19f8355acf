"""The grammar of numbers and ranges that users write: on the command line, in constraints, in addresses of the app.

* A **number** may end with K, M, G (also B) or T for thousands, millions, and so on: ``100K``, ``1.5M``, ``1e3``. The
  decimal sign is a point.
* A **range** is ``<=10M``, ``>0.8``, ``>=2 <=4``, ``2..4``, ``2..``, ``..4``, ``=3`` or just ``3``. ``2~4`` is another
  spelling of ``2..4``, which older addresses use.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal

from explorer.errors import InputError
from graphstore.queries import Ends, Range

COMPARISON = r"<=|>=|==|=|<|>"
"""Pattern of a comparison operator."""
_SUFFIXES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "b": 10**9, "t": 10**12}
_NUMBER = re.compile(r"([-+]?(?:\d[\d_]*(?:\.\d*)?|\.\d+)(?:e[-+]?\d{1,4})?)\s*([kmgbt]?)", re.IGNORECASE)
_COMMA = re.compile(r"[-+]?[\d_]*,\d[\d,_.]*(?:e[-+]?\d+)?\s*[kmgbt]?", re.IGNORECASE)
_COMPARED = re.compile(rf"({COMPARISON})\s*([^<>=]+)")
_NAMED = (re.compile(rf"(.+?)\s*((?:{COMPARISON}).*)"), re.compile(r"(.+?)\s+(\S*(?:\.\.|~)\S*)"))


def normalised(text: str) -> str:
    """Return the text with ASCII comparison operators and minus signs, and single spaces."""
    return " ".join(text.replace("≤", "<=").replace("≥", ">=").replace("\N{MINUS SIGN}", "-").split())


def parse_number(field: str, text: str) -> float:
    """Read a number. Raises InputError, which names ``field``, if the text is not a finite number."""
    match = _NUMBER.fullmatch(text.strip())
    value = float(Decimal(match[1].replace("_", "")) * _SUFFIXES[match[2].lower()]) if match else math.nan
    if not math.isfinite(value):
        remedy = "Write for example <=10M, 0.8 or 2..4."
        if _COMMA.fullmatch(text.strip()):
            remedy = "Write a decimal point, as in 0.5, and no commas between thousands, as in 1000 or 1K."
        raise InputError(field, "contain finite numbers", text, remedy)
    return value


def parse_range(field: str, text: str, whole: bool = False) -> Range:
    """Read a range.

    Args:
        field: the name of the quantity, for error messages.
        text: the range; see the module's description.
        whole: whether the values are whole numbers, so that ``<10`` means at most 9. Otherwise it means the largest
            float below 10.

    Raises:
        InputError: the text is not a range, or the range is empty.
    """
    given = normalised(text).replace("~", "..")
    low, high = -math.inf, math.inf
    if ".." in given:
        start, end = (part.strip() for part in given.lstrip("=").split("..", 1))
        if not start and not end:
            raise InputError(field, "have a lower or an upper end", text, "Write for example 2..4, 2.. or ..4.")
        low = parse_number(field, start) if start else low
        high = parse_number(field, end) if end else high
    elif given[:1] in ("<", ">", "="):
        parts = _COMPARED.findall(given)
        if "".join("".join(part) for part in parts).replace(" ", "") != given.replace(" ", ""):
            raise InputError(field, "be a range", text, "Write for example <=10M, >0.8, 2..4 or '>=2 <=4'.")
        for operator, number in parts:
            value = parse_number(field, number.strip(" ,"))
            if operator in (">=", "=", "=="):
                low = max(low, value)
            if operator in ("<=", "=", "=="):
                high = min(high, value)
            if operator == ">":
                low = max(low, math.floor(value) + 1 if whole else math.nextafter(value, math.inf))
            if operator == "<":
                high = min(high, math.ceil(value) - 1 if whole else math.nextafter(value, -math.inf))
    else:
        low = high = parse_number(field, given)
    if low > high:
        raise InputError(field, "be a range whose lower end is not above its upper end", text, "Swap the two ends.")
    return Range(low if low > -math.inf else None, high if high < math.inf else None)


def format_ends(ends: Ends) -> str:
    """Return the text of a range: ``2..4``, ``2..``, ``..4``; ``parse_range`` reads it back."""
    return "..".join("" if end is None else f"{end:.15g}" for end in ends)


def intersection(field: str, text: str, first: Range, second: Range) -> Range:
    """Return the values that lie in both ranges. Raises InputError if there are none."""
    lows = [end for end in (first.at_least, second.at_least) if end is not None]
    highs = [end for end in (first.at_most, second.at_most) if end is not None]
    low, high = max(lows, default=None), min(highs, default=None)
    if low is not None and high is not None and low > high:
        raise InputError(field, "have ranges that overlap", text, "Remove one of the ranges.")
    return Range(low, high)


def split_name(text: str) -> tuple[str, str | None]:
    """Split ``NAME RANGE`` into the name and the text of the range; ``None`` if there is only a name."""
    given = normalised(text)
    match = next((match for pattern in _NAMED if (match := pattern.fullmatch(given))), None)
    return (match[1], match[2]) if match else (given, None)
