"""Texts in figures."""

from __future__ import annotations

from collections.abc import Hashable

ABSENT = "–"
"""Shown for a choice of a layer that the architecture does not have."""


def choice_title(value: Hashable) -> str:
    """Return a short text of a design choice."""
    return ABSENT if value is None else str(value).replace("_", " ")


def escaped(text: str) -> str:
    """Escape a text from users, so that Plotly interprets it neither as tags nor as a template."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("%{", "% {")
