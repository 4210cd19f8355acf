"""Seeded damage to small files: bytes, tokens, values of JSON, lines, encodings; now and then something large."""

from __future__ import annotations

import json
import random
import re
from typing import Any

import yaml

NUMBERS = (
    *("0", "-1", "1.5", "1e999", "-1e999", "1e-400", "NaN", "Infinity", ".nan", ".inf", "1_0", "0x10", "0x_", "1:30"),
    *("9" * 20, "9" * 400, "9" * 5000, "0" * 5000, "1" + "0" * 400 + ".5", "18446744073709551616", "1,234", "0,5"),
    *("1.234,5", "85.8 %", " 0.81", "٣", "²", "08", "+1", "--1", "1e5", "1.0e+400", "true", "null", "~", "yes"),
)
TEXTS = (
    *("", " ", "\0", "\n", "\t", "\ufeff", "\u2028", "\u0085", "é", "漢", "💥", "\ud800", "\u202e", "a" * 300, "_s"),
    *("!!bool foo", "!!int ''", "!!timestamp x", "!!python/object:os.system x", "!own", "&a", "*a", "<<: {a: 1}"),
    *("? a", "2020-99-99", "2020-12-24", "=", "- - -", "%YAML 9.9", "---", "...", '"\\ud800"', '"\\u0000"', "[", "{"),
    *("}", "]", "'", '"', ",", ";", "|", ":", "#", "[[" * 40, "[" * 3000, '{"a":' * 3000, '{"a":1,"a":2}', "sep=;"),
    *("sep=", "../x", "/etc/passwd", "~", "$(touch x)", "h1", "perplexity", "hub:x", "nano", "quick", "sa", "sdp"),
    *("model", "a_s", "x" * 5000),
)
LARGE_PARTS = ("[", "{", "- ", "a,", "[],", "{},", '"', "'", "#\n", "a: 1\n", "1:", "\n", " ", "a\n", "9", "_s,", "é")
SIGNS = ',;\t|":{}[]'
TOKEN = re.compile(r"[+-]?\d[\d.eE+-]*|[A-Za-z_][\w-]*|\"[^\"]*\"|\S")
ENCODINGS = ("utf-8-sig", "utf-16", "utf-16-le", "utf-32", "latin-1", "cp1252")
LARGE = 60_000


def mutated(seed: str, draw: random.Random) -> bytes:
    """The bytes of a seed, damaged one to four times."""
    text = seed
    for _ in range(draw.choice((1, 1, 1, 2, 2, 3, 4))):
        change = draw.choice(
            (_token, _token, _token, _value_in, _value_in, _lines, _characters, _characters, _delimiters)
        )
        text = change(text, draw)
    if draw.random() < 0.03:
        text = _large(text, draw)
    encoding = draw.choice(ENCODINGS) if draw.random() < 0.06 else "utf-8"
    raw = text.encode(encoding, errors="surrogatepass" if encoding.startswith("utf") else "replace")
    return _bytes(raw, draw) if draw.random() < 0.12 else raw


def _token(text: str, draw: random.Random) -> str:
    found = list(TOKEN.finditer(text))
    if not found:
        return draw.choice(TEXTS)
    one = draw.choice(found)
    word = draw.choice((draw.choice(NUMBERS), draw.choice(TEXTS), "", one[0] * 2, draw.choice(found)[0]))
    return text[: one.start()] + word + text[one.end() :]


def _value(draw: random.Random) -> Any:
    whole = draw.choice((0, 1, -1, 2, 5, 64, 128, 10**6, 2**63, 2**64, 10**30, 10**400, -(10**400)))
    texts = draw.choice(TEXTS)
    plain = (None, True, False, whole, draw.choice((0.5, -0.0, 1e308, float("nan"), float("inf"))), texts, whole, texts)
    kind = draw.randrange(11)
    if kind < 8:
        return plain[kind]
    if kind == 8:
        return [_value(draw) for _ in range(draw.randrange(4))]
    return {draw.choice(TEXTS): _value(draw) for _ in range(draw.randrange(3))} if kind == 9 else [[]]


def _value_in(text: str, draw: random.Random) -> str:
    """Exchange, add or remove a value of a document of JSON or YAML, or of a line that is one."""
    lines = text.split("\n")
    place = draw.randrange(len(lines))
    whole = draw.random() < 0.7
    try:
        # JSON is YAML, but for what is too long or too deep.
        document = yaml.safe_load(text if whole else lines[place])
    except (ValueError, RecursionError, LookupError, AttributeError, yaml.YAMLError):
        return _token(text, draw)
    if not isinstance(document, dict | list):
        return _token(text, draw)
    container = [document]
    parent: Any = container
    key: Any = 0
    while isinstance(parent[key], dict | list) and parent[key] and draw.random() < 0.85:
        parent = parent[key]
        key = draw.choice(list(parent)) if isinstance(parent, dict) else draw.randrange(len(parent))
    if draw.random() < 0.2 and parent is not container:
        del parent[key]
    elif draw.random() < 0.2 and isinstance(parent, dict):
        parent[draw.choice((*TEXTS, "l", "o", "p", "s", "a"))] = _value(draw)
    else:
        parent[key] = _value(draw)
    is_json = text.lstrip()[:1] in ("{", "[")
    try:
        if is_json or draw.random() < 0.3:
            written = json.dumps(container[0], ensure_ascii=draw.random() < 0.5, default=str)
        else:
            written = yaml.safe_dump(container[0], allow_unicode=draw.random() < 0.5, sort_keys=False)
    except (ValueError, TypeError):  # Neither writes integers of thousands of digits.
        return text
    return written if whole else "\n".join([*lines[:place], written, *lines[place + 1 :]])


def _lines(text: str, draw: random.Random) -> str:
    lines = text.split("\n")
    place, other = draw.randrange(len(lines)), draw.randrange(len(lines))
    change = draw.randrange(5)
    if change == 0:
        del lines[place]
    elif change == 1:
        lines.insert(place, lines[other])
    elif change == 2:
        lines[place], lines[other] = lines[other], lines[place]
    elif change == 3:
        lines[place] = draw.choice((" ", "  ", "\t", "- ", "#")) + lines[place]
    else:
        return draw.choice(("\r\n", "\r", "\n\n", "\u2028")).join(lines)
    return "\n".join(lines)


def _characters(text: str, draw: random.Random) -> str:
    start = draw.randrange(len(text) + 1)
    end = min(len(text), start + draw.choice((0, 0, 1, 1, 3, 10)))
    kind = draw.randrange(4)
    if kind == 0:
        new = ""
    elif kind == 1:
        new = text[start:end] * 2
    else:
        new = draw.choice(
            (draw.choice(TEXTS), draw.choice(NUMBERS), chr(draw.randrange(0x300)), draw.choice(',;\t|":{}[]'))
        )
    return text[:start] + new + text[end:]


def _delimiters(text: str, draw: random.Random) -> str:
    old, new = draw.choice(',;\t|."'), draw.choice(',;\t|.:"')
    return text.replace(old, new, draw.choice((-1, -1, 1, 2)))


def _large(text: str, draw: random.Random) -> str:
    """Something that some parsers need much time or memory for."""
    part = draw.choice(
        ("[", "{", "- ", "a,", "[],", "{},", '"', "'", "#\n", "a: 1\n", "1:", "\n", " ", "a\n", "9", "_s,", "é")
    )
    count = draw.choice((1_000, LARGE // len(part)))
    kind = draw.randrange(4)
    if kind == 0:
        return part * count
    if kind == 1:
        return text + part * count
    if kind == 2:
        return part * count + text
    lines = text.split("\n")
    return "\n".join(lines[:1] + lines[1:] * draw.choice((20, 500)))


def _bytes(raw: bytes, draw: random.Random) -> bytes:
    start = draw.randrange(len(raw) + 1)
    end = min(len(raw), start + draw.choice((0, 1, 1, 4)))
    new = draw.choice((b"", b"\0", b"\xff", b"\x80", b"\xef\xbb\xbf", b"\xff\xfe", b"PK\x03\x04", draw.randbytes(3)))
    place = 0 if draw.random() < 0.2 else start
    return raw[:place] + new + raw[max(place, end) :]


CHANGES = {_token: 3, _value_in: 2, _lines: 1, _characters: 2, _delimiters: 1}
"""Changes of a text, and how often each is made."""
