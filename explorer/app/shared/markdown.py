"""Escape user text in messages, which Streamlit renders as Markdown."""

from __future__ import annotations

import re

import pandas as pd

_SPECIAL = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~$:&])")


def verbatim(text: object) -> str:
    """Escape a text so that Markdown in it is shown verbatim."""
    return _SPECIAL.sub(r"\\\1", str(text))


def with_verbatim_names(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with escaped row and column names, because ``st.table`` renders them as Markdown."""
    return table.rename(index=verbatim, columns=verbatim)
