"""Values of a composed query, separate from its text, so that user input never becomes part of the text."""

from __future__ import annotations

from typing import Any

from graphstore.queries import Ends


class Parameters:
    """Collects values and returns placeholders for them.

    Args:
        mark: prefix of a placeholder in the query language: ``:`` in SQLite, ``$`` in Cypher.

    Attributes:
        values: by name of the placeholder, without the prefix.
    """

    def __init__(self, mark: str) -> None:
        self._mark = mark
        self.values: dict[str, Any] = {}

    def place(self, value: Any) -> str:
        """Return a new placeholder for a value."""
        name = f"p{len(self.values)}"
        self.values[name] = value
        return self._mark + name

    def within(self, expression: str, ends: Ends) -> list[str]:
        """Return the conditions that ``expression`` is between two ends, both included; none for an open end."""
        signs = zip((">=", "<="), ends, strict=True)
        return [f"{expression} {sign} {self.place(end)}" for sign, end in signs if end is not None]
