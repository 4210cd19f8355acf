"""What a visitor may type or an address may hold, by chance and by malice, for the tests that nothing of it raises."""

from __future__ import annotations

import random

NASTY = (
    *("", " ", "\x00", "\n", "-", "~", ",", "%", "%00", "\\", "'", '"', "`", "`)", "${x}", "{0}", "%s", "..", "/"),
    *("../../etc/passwd", "a/../../b", "~root", "C:\\x", "file:///etc/passwd", "sqlite:////tmp/x.db", "$(touch x)"),
    *("nan", "inf", "-inf", "-1", "1e999", "-1e999", "0x10", "1_000", "1e5", "٣", "²", "½", "9" * 30, "9" * 5000),
    *("true", "null", "[]", "{}", "[1,", '{"a":1,"a":2}', "[" * 3000, '"\\ud800"', "[NaN]", "[1e400]", '{"l":true}'),
    *("é", "ﬁ", "漢字", "💥", "\u202e", "\ufeff", "\ud800", "\udfff", "a\u0300", "ß", "İ", "\x7f", "\u2028"),
    *("<script>alert(1)</script>", "<b>", "![x](http://evil.example/a.png)", "[x](javascript:alert(1))", ":red[x]"),
    *("MATCH (n) DETACH DELETE n", "CREATE (:X)", "LOAD CSV FROM 'file:///etc/passwd' AS x RETURN x", "CALL a.b()"),
    *("' OR 1=1 --", "); DROP TABLE score; --", "=1+1", "@x", "--store", "-h", "a" * 300, "x" * 20_000, "$x$"),
)
"""Texts that have broken some program."""


def text(draw: random.Random, *sane: str) -> str:
    """A text: a sane one that was damaged, a nasty one, or several in a row."""
    kind = draw.randrange(4)
    if kind == 0 or not sane:
        return draw.choice(NASTY)
    if kind == 1:
        return draw.choice(sane)
    found = list(draw.choice(sane))
    for _ in range(draw.randint(1, 3)):
        place = draw.randrange(len(found) + 1)
        if draw.random() < 0.4 and place < len(found):
            del found[place]
        else:
            found.insert(place, draw.choice(NASTY)[:40] if draw.random() < 0.5 else chr(draw.randrange(0x110000)))
    return "".join(found)


def number(draw: random.Random) -> float | None:
    """A number, or none."""
    odd = (0.0, -0.0, 1.0, -1.0, 0.5, 1e-320, 1e15, -1e308, 1e308, float("inf"), float("-inf"), float("nan"))
    return draw.choice([None, *odd])
