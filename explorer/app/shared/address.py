"""Widgets whose value is kept in the URL, so that every view can be linked and reloaded.

Streamlit's ``bind="query-params"`` does the work: the widget's key is the name of the URL parameter, default values
are left out, and invalid values are ignored. These helpers add a notice about ignored values. Numbers and texts have
limits, because a URL can hold anything.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import streamlit as st

Option = TypeVar("Option")
LONGEST_TEXT = 200
"""Most characters of a text in the URL."""
LONGEST_NOTE = 60
"""Most characters of an invalid value that the notice repeats."""


def choice(
    label: str,
    options: Sequence[Option],
    key: str,
    default: Option | None = None,
    title: Callable[[Option], str] = str,
    **kwargs: Any,
) -> Option:
    """Show a select box for one option.

    Args:
        label: label of the widget.
        options: at least one option; titles must be distinct.
        key: name of the URL parameter and key of the widget, unique on the page.
        default: initial option; the first one if it is not among the options.
        title: function from an option to its text on the page and in the URL.
        **kwargs: further arguments of ``st.selectbox``.

    Returns:
        The selected option.
    """
    _note_unknown(key, [title(option) for option in options], label)
    index = options.index(default) if default in options else 0
    chosen = st.selectbox(label, options, index=index, format_func=title, key=key, bind="query-params", **kwargs)
    return options[index] if chosen is None else chosen


def segments(
    label: str,
    options: Sequence[Option],
    key: str,
    default: Option | None = None,
    title: Callable[[Option], str] = str,
    **kwargs: Any,
) -> Option:
    """Show a segmented control for one of a few options; arguments and result as in ``choice``."""
    _note_unknown(key, [title(option) for option in options], label)
    first = default if default is not None and default in options else options[0]
    chosen = st.segmented_control(
        label, options, default=first, format_func=title, key=key, bind="query-params", required=True, **kwargs
    )
    return first if chosen is None else chosen


def choices(
    label: str,
    options: Sequence[Option],
    key: str,
    default: Iterable[Option] = (),
    title: Callable[[Option], str] = str,
    **kwargs: Any,
) -> list[Option]:
    """Show a multiselect for any number of options; arguments as in ``choice``; ``kwargs`` go to ``st.multiselect``."""
    _note_unknown(key, [title(option) for option in options], label)
    usual = [option for option in default if option in options]
    return list(
        st.multiselect(label, options, default=usual, format_func=title, key=key, bind="query-params", **kwargs)
    )


def switch(label: str, key: str, default: bool = False, **kwargs: Any) -> bool:
    """Show a toggle, ``true`` or ``false`` in the URL; ``kwargs`` go to ``st.toggle``."""
    _note_wrong(key, lambda text: text.lower() in ("true", "false"), label)
    return bool(st.toggle(label, value=default, key=key, bind="query-params", **kwargs))


def number(
    label: str,
    key: str,
    low: float,
    high: float,
    default: float | None = None,
    **kwargs: Any,
) -> float | None:
    """Show an input for a number in [``low``, ``high``], an integer if both limits are ``int``.

    Args:
        label: label of the widget.
        key: name of the URL parameter and key of the widget.
        low: smallest value allowed.
        high: largest value allowed.
        default: initial value; ``None`` starts with an empty field.
        **kwargs: further arguments of ``st.number_input``.

    Returns:
        The number; ``None`` while the field is empty.
    """
    _note_wrong(key, lambda text: _is_between(text, low, high), label)
    whole = isinstance(low, int) and isinstance(high, int)
    # Use a float input for integers too: an `inf` in the URL would crash Streamlit's integer input.
    if whole:
        kwargs = {"step": 1.0, "format": "%.0f"} | kwargs
    begin = None if default is None else float(default)
    value: float | None = st.number_input(label, float(low), float(high), begin, key=key, bind="query-params", **kwargs)
    return round(value) if whole and value is not None else value


def text(label: str, key: str, default: str = "", longest: int = LONGEST_TEXT, **kwargs: Any) -> str:
    """Show a text input; return the stripped text, cut after ``longest``. ``kwargs`` go to ``st.text_input``."""
    found = st.text_input(label, value=default, max_chars=longest, key=key, bind="query-params", **kwargs) or ""
    return found[:longest].strip()


def read(key: str, known: Callable[[str], bool], label: str, longest: int = LONGEST_TEXT) -> str | None:
    """Return a URL parameter that belongs to no widget, such as a selected point.

    Args:
        key: name of the URL parameter.
        known: predicate that accepts valid values.
        label: what the parameter is, for the notice about an invalid value.
        longest: most characters of a value.

    Returns:
        The value; ``None`` if it is missing or invalid.
    """
    found = st.query_params.get(key)
    if found is None or (len(found) <= longest and known(found)):
        return found
    _note(label, found)
    return None


def write(key: str, value: str | None) -> None:
    """Set a URL parameter that belongs to no widget; ``None`` removes it."""
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
    """Show a notice about invalid URL values when they arrive, not again after later selections."""
    found, noted = st.query_params.get_all(key), f"address_{key}"
    if st.session_state.get(noted) == found:
        return
    st.session_state[noted] = found
    wrong = [one for one in found if one and not fits(one)]
    if wrong:
        _note(label, ", ".join(wrong))


def _note(label: str, wrong: str) -> None:
    shown = wrong if len(wrong) <= LONGEST_NOTE else wrong[:LONGEST_NOTE] + "…"
    # Show the text as code, so that Markdown in it is not rendered.
    st.caption(f":orange[The URL names a {label.lower()} that does not exist; it was ignored:]")
    st.code(shown, language=None)
