"""From a user's words to ranges and to rules about layers and operations; ``explorer.analysis.questions`` has the rest.

* A **range**: ``<=10M``, ``>0.8``, ``>=2 <=4``, ``2..4``, ``2..``, ``..4``, ``=3`` or just ``3``. Numbers may end with
  K, M, G (also B) or T for thousands to millions of millions.
* A **layer rule**: a position (``first``, ``last``, a number from 0, or from the end if negative; or ``any``, ``none``,
  ``all``, which look at every layer), then what the layer must be like: ``family=c``, ``parameter=5``, ``op=c_5``,
  ``hidden>=256``, ``heads=4``, ``ff<=512``, ``ff_depth=3``, ``pure``, and after ``any`` how many: ``count>=2``.
* An **op rule**: a kind or a label, which may end with ``*``, and how many: ``c_* >=3``, ``add_norm_h128=4``,
  ``head 8..12``.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal

from explorer.errors import InputError
from explorer.space.spec import MAX_LAYERS, PARAMETERS, Family
from graphstore.queries import ANY, SOME, LayerRule, OpRule, Range

SUFFIXES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "b": 10**9, "t": 10**12}
NUMBER = re.compile(r"([-+]?(?:\d[\d_]*(?:\.\d*)?|\.\d+)(?:e[-+]?\d{1,4})?)\s*([kmgbt]?)", re.IGNORECASE)
COMPARISON = r"<=|>=|==|=|<|>"
COMPARED = re.compile(rf"({COMPARISON})\s*([^<>=]+)")
NAMED = (re.compile(rf"(.+?)\s*((?:{COMPARISON}).*)"), re.compile(r"(.+?)\s+(\S*\.\.\S*)"))
POSITIONS = {"first": 0, "last": -1}
EVERYWHERE = ("any", "none", "all")
LAYER_RANGES = {
    "hidden": "hidden",
    "heads": "heads",
    "ff": "feed_forward",
    "feed_forward": "feed_forward",
    "ff_depth": "feed_forward_depth",
    "feed_forward_depth": "feed_forward_depth",
    "count": "count",
}
LAYER_TEXTS = ("family", "parameter", "op")
KINDS = {"input": "input", "output": "output", "head": "head", "add_norm": "add_norm", "bottleneck": "bottleneck"}
KINDS |= {"feed_forward": "feed_forward", "ff": "feed_forward"}
LAYER_EXAMPLE = "Write for example 'last family=c' or 'any hidden>=256 count>=2'."
OP_EXAMPLE = "Write for example 'c_* >=3' or 'head 8..12'."


def plain(text: str) -> str:
    """The text with plain comparison signs and single spaces."""
    return " ".join(text.replace("≤", "<=").replace("≥", ">=").split())


def _number(field: str, text: str) -> float:
    match = NUMBER.fullmatch(text.strip())
    value = float(Decimal(match[1].replace("_", "")) * SUFFIXES[match[2].lower()]) if match else math.nan
    if not math.isfinite(value):
        raise InputError(field, "hold finite numbers", text, "Write for example <=10M, 0.8 or 2..4.")
    return value


def parse_range(field: str, text: str, whole: bool = False) -> Range:
    """Read a range.

    Args:
        field: what it is about, for the error.
        text: see the module's description.
        whole: whether the values are whole numbers, so that ``<10`` means at most 9; else it means any value below.

    Raises:
        InputError: it is no range, or nothing could lie in it.
    """
    given = plain(text)
    low, high = -math.inf, math.inf
    if ".." in given:
        start, end = (part.strip() for part in given.lstrip("=").split("..", 1))
        if not start and not end:
            raise InputError(field, "have a beginning or an end", text, "Write for example 2..4, 2.. or ..4.")
        low = _number(field, start) if start else low
        high = _number(field, end) if end else high
    elif given[:1] in ("<", ">", "="):
        parts = COMPARED.findall(given)
        if "".join("".join(part) for part in parts).replace(" ", "") != given.replace(" ", ""):
            raise InputError(field, "be a range", text, "Write for example <=10M, >0.8, 2..4 or '>=2 <=4'.")
        for sign, number in parts:
            value = _number(field, number.strip(" ,"))
            if sign in (">=", "=", "=="):
                low = max(low, value)
            if sign in ("<=", "=", "=="):
                high = min(high, value)
            if sign == ">":
                low = max(low, math.floor(value) + 1 if whole else math.nextafter(value, math.inf))
            if sign == "<":
                high = min(high, math.ceil(value) - 1 if whole else math.nextafter(value, -math.inf))
    else:
        low = high = _number(field, given)
    if low > high:
        raise InputError(field, "be a range that begins below its end", text, "Swap the two ends.")
    return Range(low if low > -math.inf else None, high if high < math.inf else None)


def _both(field: str, text: str, first: Range, second: Range) -> Range:
    """What lies in both ranges."""
    lows = [side for side in (first.at_least, second.at_least) if side is not None]
    highs = [side for side in (first.at_most, second.at_most) if side is not None]
    low, high = max(lows, default=None), min(highs, default=None)
    if low is not None and high is not None and low > high:
        raise InputError(field, "leave something that fits", text, "Leave one of the ranges out.")
    return Range(low, high)


def _family(text: str, given: str) -> str:
    parts = sorted(set(text.split("+")))
    if not set(parts) <= set(Family):
        raise InputError("family of a layer rule", "be sa, l or c, or a mix such as c+sa", given, LAYER_EXAMPLE)
    return "+".join(parts)


def _parameter(text: str, given: str) -> str:
    parts = sorted(set(text.split("+")))
    words = {name for names in PARAMETERS.values() for name in names}
    if not all(part in words or (part.isascii() and part.isdigit()) for part in parts):
        rule = f"be {', '.join(sorted(words))} or a kernel size, or a mix such as 5+sdp"
        raise InputError("parameter of a layer rule", rule, given, LAYER_EXAMPLE)
    return "+".join(parts)


def _layer_words(text: str) -> list[str]:
    """The rule's words, each field with its value: ``hidden >= 64`` and ``heads 2..4`` are one word each."""
    joined = re.sub(rf"\s*({COMPARISON})\s*", r"\1", plain(text))
    fields = "|".join([*LAYER_RANGES, *LAYER_TEXTS])
    joined = re.sub(rf"\b({fields})\s+(?=[\d.])", r"\1=", joined)
    return [word.strip(",;") for word in joined.split() if word.strip(",;") not in ("", "layer", "layers", "and")]


def parse_layer_rule(text: str, depth: int | None = None) -> LayerRule:
    """Read a layer rule.

    Args:
        text: see the module's description.
        depth: number of layers of every architecture that may fit, where the question fixes it; ``all`` needs it.

    Raises:
        InputError: it is no layer rule.
    """
    position: int | None = None
    where, texts, pure = "any", dict[str, str](), False
    ranges: dict[str, Range] = {}
    words = _layer_words(text)
    if words and (words[0] in (*POSITIONS, *EVERYWHERE) or re.fullmatch(r"[-+]?\d{1,4}", words[0])):
        where = words.pop(0)
        if where not in EVERYWHERE:
            position = POSITIONS[where] if where in POSITIONS else int(where)
        if position is not None and not -MAX_LAYERS <= position < MAX_LAYERS:
            rule = f"name a layer from 0 to {MAX_LAYERS - 1}, or from -1 to -{MAX_LAYERS}"
            raise InputError("layer rule", rule, text, LAYER_EXAMPLE)
    for word in words:
        match = re.match(rf"([a-z_-]+)((?:{COMPARISON}).+)", word)
        name = match[1].replace("-", "_") if match else ""
        if word == "pure":
            pure = True
        elif match and name in LAYER_RANGES:
            field = LAYER_RANGES[name]
            found = parse_range(f"{name} of a layer rule", match[2], whole=True)
            ranges[field] = _both(f"{name} of a layer rule", text, ranges.get(field, ANY), found)
        elif match and name in LAYER_TEXTS and re.match(r"==?[^<>=]", match[2]):
            texts[name] = match[2].lstrip("=")
        elif not match and word.partition("_")[0] in set(Family):
            texts["op"] = word
        else:
            rule = f"be made of a position, {', '.join(LAYER_TEXTS)} (with =), {', '.join(LAYER_RANGES)}, and pure"
            raise InputError("layer rule", rule, f"{word} in {text}" if word != text else text, LAYER_EXAMPLE)
    count = _count(text, where, ranges.pop("count", None), depth)
    if not (texts or ranges):
        raise InputError("layer rule", "say what the layer must be like", text, LAYER_EXAMPLE)
    family, _, parameter = texts.get("op", "").partition("_")
    family, parameter = texts.get("family", family), texts.get("parameter", parameter)
    return LayerRule(
        position,
        _family(family, text) if family else None,
        _parameter(parameter, text) if parameter else None,
        pure,
        count=count,
        **ranges,
    )


def _count(text: str, where: str, given: Range | None, depth: int | None) -> Range:
    """How many layers must fit."""
    if given is not None and where != "any":
        raise InputError("layer rule", "have a count only with 'any'", text, LAYER_EXAMPLE)
    if where == "none":
        return Range(0, 0)
    if where == "all":
        if depth is None:
            remedy = "Give the depth too, such as 4; or say 'none hidden<256' for 'all hidden>=256'."
            raise InputError("layer rule", "come with an exact depth if it says 'all'", text, remedy)
        return Range(depth, depth)
    return given or SOME


def parse_op_rule(text: str) -> OpRule:
    """Read an op rule. Raises InputError if it is none."""
    name, found = named_range(text)
    count = SOME if found is None else parse_range("count of an op rule", found, whole=True)
    if not re.fullmatch(r"[^\s*<>=]*\*?", name) or not name:
        rule = "be a kind or a label, with a * at its end if at all, and how many"
        raise InputError("op rule", rule, text, OP_EXAMPLE)
    if name in KINDS:
        return OpRule(kind=KINDS[name], count=count)
    if name == "*":
        return OpRule(count=count)
    return OpRule(label=f"{name}_*" if name in set(Family) else name, count=count)


def named_range(text: str) -> tuple[str, str | None]:
    """A name and the range behind it, if any."""
    given = plain(text)
    match = next((match for pattern in NAMED if (match := pattern.fullmatch(given))), None)
    return (match[1], match[2]) if match else (given, None)
