"""Values of a composed query, kept apart from its text: nothing a user writes becomes part of the text."""

from __future__ import annotations

from typing import Any

from graphstore.queries import Ends


class Parameters:
    """Collects values and gives the places that stand for them in the text.

    Args:
        mark: how the query language begins a place: ``:`` in SQLite, ``$`` in Cypher.

    Attributes:
        values: by name of the place, without the mark.
    """

    def __init__(self, mark: str) -> None:
        self._mark = mark
        self.values: dict[str, Any] = {}

    def place(self, value: Any) -> str:
        """A new place in the text for a value."""
        name = f"p{len(self.values)}"
        self.values[name] = value
        return self._mark + name

    def within(self, expression: str, ends: Ends) -> list[str]:
        """The conditions that ``expression`` lies between two ends, both included; none for an open one."""
        signs = zip((">=", "<="), ends, strict=True)
        return [f"{expression} {sign} {self.place(end)}" for sign, end in signs if end is not None]
