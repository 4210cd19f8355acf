"""How long work tells others how far it is."""

from __future__ import annotations

from typing import Protocol


class Reporter(Protocol):
    """Shows the progress of named phases; several phases may be under way at once."""

    def update(self, phase: str, done: float, total: float, note: str = "") -> None:
        """``done`` of ``total`` units of ``phase`` are finished."""


class SilentReporter:
    """Shows nothing."""

    def update(self, phase: str, done: float, total: float, note: str = "") -> None:
        """Do nothing."""
