"""Texts of visitors inside of messages, which Streamlit reads as Markdown."""

from __future__ import annotations

import re

import pandas as pd

_SIGNS = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~$:&])")


def literal(text: object) -> str:
    """A text as it stands: nothing in it is a link, a picture or an icon."""
    return _SIGNS.sub(r"\\\1", str(text))


def named_literally(table: pd.DataFrame) -> pd.DataFrame:
    """The table with the names of rows and columns as they stand, for ``st.table``, which reads them as Markdown."""
    return table.rename(index=literal, columns=literal)
