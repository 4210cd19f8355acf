"""Texts in tables that spreadsheets open."""

from __future__ import annotations

FORMULA_BEGINS = ("=", "+", "-", "@", "\t", "\r")
"""What makes a spreadsheet take a text for a formula."""


def harmless(cell: object) -> object:
    """The cell; a text that a spreadsheet would take for a formula with a quotation mark before it."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA_BEGINS) else cell
