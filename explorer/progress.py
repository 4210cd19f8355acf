"""Progress reports of long work."""

from __future__ import annotations

from typing import Protocol


class Reporter(Protocol):
    """Receives the progress of named phases; several phases may run at the same time."""

    def update(self, phase: str, done: float, total: float, note: str = "") -> None:
        """Report that ``done`` of ``total`` units of ``phase`` are finished."""


class SilentReporter:
    """Ignores all reports."""

    def update(self, phase: str, done: float, total: float, note: str = "") -> None:
        """Do nothing."""
