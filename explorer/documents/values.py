"""Rules that every value of a document obeys: numbers are finite, texts can be encoded, keys differ, levels are few.

A parser marks what breaks a rule by a ``Flaw`` in the value's place, so that a bad row of a large file does not refuse
the others. ``checked`` turns the first flaw into an error that names the key's path.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from explorer.errors import DataError, Shown

MAX_BITS = 64
"""Maximum length of an integer; nothing here needs more."""
MAX_DIGITS = 21
MAX_DEPTH = 64
"""Maximum nesting of lists and objects, ten times what any format here needs."""
MAX_VALUES = 6_000_000
"""Maximum number of values of a document, which bounds the memory for it."""
LONGEST_SHOWN = 60


@dataclass(frozen=True)
class Flaw:
    """Placeholder in a parsed document of a value that breaks a rule.

    Attributes:
        rule: the rule; completes "VALUE must …".
        value: what was written, shortened.
        remedy: how to correct it.
    """

    rule: str
    value: object
    remedy: str = "Correct it."

    def __repr__(self) -> str:
        return repr(self.value)


TOO_DEEP = Flaw(f"be nested at most {MAX_DEPTH} levels deep", Shown("more"), "Flatten it.")


def integer(digits: str) -> int | Flaw:
    """Return the integer of decimal digits. int() refuses thousands of them, and float() overflows on fewer."""
    if len(digits) <= MAX_DIGITS and (value := int(digits)).bit_length() <= MAX_BITS:
        return value
    return Flaw(f"be an integer of at most {MAX_BITS} bits", Shown(digits[:LONGEST_SHOWN]))


def real(text: str) -> float | Flaw:
    """Return the number of a decimal text, which must be finite."""
    value = float(text)
    return value if math.isfinite(value) else Flaw("be a finite number", Shown(text[:LONGEST_SHOWN]))


def checked(document: Any, place: str) -> Any:
    """Return a parsed document, or a part of it, in which no value breaks a rule.

    Args:
        document: the document, with a ``Flaw`` in place of each value that its parser refused.
        place: location of the document in the error; may be empty.

    Raises:
        DataError: a value breaks a rule; the field is the place and the path of keys.
    """
    if found := _find(document, 0):
        flaw, keys = found
        where = "" if flaw is TOO_DEEP else "".join(_step(key) for key in reversed(keys)).removeprefix(".")
        field = ": ".join(filter(None, (place, where))) or "value"
        raise DataError(field, flaw.rule, flaw.value, flaw.remedy)
    return document


def _find(value: object, depth: int) -> tuple[Flaw, list[object]] | None:
    """Return the first flaw in a value, and the keys that lead to it, the innermost first."""
    if not isinstance(value, dict | list):
        flaw = _flaw(value)
        return (flaw, []) if flaw else None
    if depth == MAX_DEPTH:
        return TOO_DEEP, []
    for key, child in value.items() if isinstance(value, dict) else enumerate(value):
        if flaw := _flaw(key):  # An index has none.
            return flaw, [key]
        if found := _find(child, depth + 1):
            found[1].append(key)
            return found
    return None


def _flaw(value: object) -> Flaw | None:
    """Return what is wrong with a scalar."""
    kind = type(value)
    if kind is str:
        return _text_flaw(str(value))
    if kind is float:
        return None if math.isfinite(value) else Flaw("be a finite number", value)  # type: ignore[arg-type]
    return value if isinstance(value, Flaw) else None


def _text_flaw(text: str) -> Flaw | None:
    if text.isascii():
        return None
    try:
        text.encode()
    except UnicodeEncodeError as error:
        around = text[max(0, error.start - 20) : error.start + 20]
        return Flaw("be valid Unicode text, without lone surrogates", around)
    return None


def _step(key: object) -> str:
    """Return a key or an index as a step of a path, for example ``.scores`` or ``[3]``."""
    if not isinstance(key, str):
        return f"[{key!r}]"
    return f".{key}" if key.isprintable() and len(key) <= LONGEST_SHOWN else f"[{key[:LONGEST_SHOWN]!a}]"
