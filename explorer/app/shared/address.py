"""Widgets whose value stands in the page's address, so that every view can be linked and reloaded.

Streamlit's own binding does the work: the widget's key is the name in the address, a value as usual is left out, and
what an address states wrongly is ignored. These helpers add what it keeps silent about: a note that something was
ignored. Numbers and texts have limits, because an address can hold anything.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import streamlit as st

Option = TypeVar("Option")
LONGEST_TEXT = 200
"""Characters of a text in the address."""
LONGEST_NOTE = 60
"""Characters of a wrong value that the note repeats."""


def choice(
    label: str,
    options: Sequence[Option],
    key: str,
    default: Option | None = None,
    title: Callable[[Option], str] = str,
    **looks: Any,
) -> Option:
    """A list to choose one from.

    Args:
        label: for people.
        options: at least one; their titles differ from each other.
        key: name in the address, and of the widget; no other widget of the page has it.
        default: what to begin with; the first option if it is not among them.
        title: an option as people and the address see it.
        **looks: the rest of ``st.selectbox``.

    Returns:
        The chosen option.
    """
    _note_unknown(key, [title(option) for option in options], label)
    index = options.index(default) if default in options else 0
    chosen = st.selectbox(label, options, index=index, format_func=title, key=key, bind="query-params", **looks)
    return options[index] if chosen is None else chosen


def segments(
    label: str,
    options: Sequence[Option],
    key: str,
    default: Option | None = None,
    title: Callable[[Option], str] = str,
    **looks: Any,
) -> Option:
    """A few options beside each other to choose one from; arguments and result as for ``choice``."""
    _note_unknown(key, [title(option) for option in options], label)
    first = default if default is not None and default in options else options[0]
    chosen = st.segmented_control(
        label, options, default=first, format_func=title, key=key, bind="query-params", required=True, **looks
    )
    return first if chosen is None else chosen


def choices(
    label: str,
    options: Sequence[Option],
    key: str,
    default: Iterable[Option] = (),
    title: Callable[[Option], str] = str,
    **looks: Any,
) -> list[Option]:
    """A list to choose several from, or none; arguments as for ``choice``, ``looks`` are of ``st.multiselect``."""
    _note_unknown(key, [title(option) for option in options], label)
    usual = [option for option in default if option in options]
    return list(st.multiselect(label, options, default=usual, format_func=title, key=key, bind="query-params", **looks))


def switch(label: str, key: str, default: bool = False, **looks: Any) -> bool:
    """A switch, ``true`` or ``false`` in the address; ``looks`` are of ``st.toggle``."""
    _note_wrong(key, lambda text: text.lower() in ("true", "false"), label)
    return bool(st.toggle(label, value=default, key=key, bind="query-params", **looks))


def number(
    label: str,
    key: str,
    low: float,
    high: float,
    default: float | None = None,
    **looks: Any,
) -> float | None:
    """A number from ``low`` to ``high``, whole if both are ``int``; ``None`` while the field is empty.

    Args:
        label: for people.
        key: name in the address, and of the widget.
        low: least number that is allowed.
        high: greatest number that is allowed.
        default: what to begin with; an empty field if ``None``.
        **looks: the rest of ``st.number_input``.

    Returns:
        The number, or ``None``.
    """
    _note_wrong(key, lambda text: _is_between(text, low, high), label)
    whole = isinstance(low, int) and isinstance(high, int)
    # Whole numbers are asked for as fractional ones as well, because an endless one in the address breaks the others.
    if whole:
        looks = {"step": 1.0, "format": "%.0f"} | looks
    begin = None if default is None else float(default)
    value: float | None = st.number_input(label, float(low), float(high), begin, key=key, bind="query-params", **looks)
    return round(value) if whole and value is not None else value


def text(label: str, key: str, default: str = "", longest: int = LONGEST_TEXT, **looks: Any) -> str:
    """A line of text without white space around it, cut after ``longest``; ``looks`` are of ``st.text_input``."""
    found = st.text_input(label, value=default, max_chars=longest, key=key, bind="query-params", **looks) or ""
    return found[:longest].strip()


def read(key: str, known: Callable[[str], bool], label: str, longest: int = LONGEST_TEXT) -> str | None:
    """What the address states under a name that belongs to no widget, such as a selected point.

    Args:
        key: name in the address.
        known: whether a value makes sense.
        label: what it is, for the note about one that does not.
        longest: most characters of a value.

    Returns:
        The value; ``None`` where there is none or it makes no sense.
    """
    found = st.query_params.get(key)
    if found is None or (len(found) <= longest and known(found)):
        return found
    _note(label, found)
    return None


def write(key: str, value: str | None) -> None:
    """State a value in the address under a name that belongs to no widget; ``None`` takes the name out of it."""
    if value is None:
        st.query_params.pop(key, None)
    elif st.query_params.get(key) != value:
        st.query_params[key] = value


def _is_between(text: str, low: float, high: float) -> bool:
    try:
        value = float(text)
    except ValueError:
        return False
    return math.isfinite(value) and low <= value <= high


def _note_unknown(key: str, titles: list[str], label: str) -> None:
    _note_wrong(key, lambda found: found in titles, label)


def _note_wrong(key: str, fits: Callable[[str], bool], label: str) -> None:
    """Say which values of the address do not fit; only when they arrive, not after later choices of the visitor."""
    found, noted = st.query_params.get_all(key), f"address_{key}"
    if st.session_state.get(noted) == found:
        return
    st.session_state[noted] = found
    wrong = [one for one in found if one and not fits(one)]
    if wrong:
        _note(label, ", ".join(wrong))


def _note(label: str, wrong: str) -> None:
    shown = wrong if len(wrong) <= LONGEST_NOTE else wrong[:LONGEST_NOTE] + "…"
    # As code, because a visitor's signs are no markdown.
    st.caption(f":orange[The address asks for a {label.lower()} that is not there; it was ignored:]")
    st.code(shown, language=None)
