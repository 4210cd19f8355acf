"""Texts of visitors inside of messages, which Streamlit reads as Markdown."""

from __future__ import annotations

import re

_SIGNS = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~$:&])")


def literal(text: object) -> str:
    """A text as it stands: nothing in it is a link, a picture or an icon."""
    return _SIGNS.sub(r"\\\1", str(text))
