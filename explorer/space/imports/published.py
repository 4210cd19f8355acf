"""Published tables recognised by their content, for the remedy where one is given to the command of another."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from explorer.space.imports.rows import number

published_number = partial(number, dialect=False)
"""Reads a number like ``number``; the dialect of a published file is known."""
HASH = r"[0-9a-f]{32}(?:[0-9a-f]{32})?"
"""A row's name in EdgeTran's tables, 32 digits, and in FlexiBERT's, 64."""
_KEY = re.compile(f"{HASH}(_.+)?", re.ASCII)


def published_remedy(document: object, path: Path) -> str:
    """Return the command that reads a published table; an empty text if it is none of them."""
    rows = list(document.values()) if isinstance(document, Mapping) else document
    first = rows[0] if isinstance(rows, list) and rows else None
    if not isinstance(first, Mapping):
        return ""
    if isinstance(document, list) and {"hparams", "scores"} <= set(first):
        return f"Run `archex import nas-bench-bert {path}`."
    if isinstance(document, Mapping) and "model_dict" in first and _KEY.fullmatch(next(iter(document))):
        return f"Run `archex import edgetran {path}`."
    return ""
