"""Texts of the figures."""

from __future__ import annotations

from collections.abc import Hashable

ABSENT = "–"
"""Stands for the choice of a layer that an architecture does not have."""


def choice_title(value: Hashable) -> str:
    """A design choice in few characters."""
    return ABSENT if value is None else str(value).replace("_", " ")


def escaped(text: str) -> str:
    """A text that users or studies gave, so that a figure reads it neither as tags nor as places of values."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("%{", "% {")
