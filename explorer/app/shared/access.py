"""Who may see the app, where it is shared: a password, or the log-in of an OpenID Connect provider.

Without either everybody who reaches the app's address may use it; by default that is this machine only.

* A password: the environment variable ``EXPLORER_APP_PASSWORD``, or the first line of the file that
  ``EXPLORER_APP_PASSWORD_FILE`` names. It is never part of a command, a page or a log.
* OpenID Connect: Streamlit's own, by an ``[auth]`` section in ``.streamlit/secrets.toml``; ``EXPLORER_APP_USERS``
  restricts it to some addresses, separated by commas.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import wraps
from typing import cast

import streamlit as st

from explorer.app.shared.password import LONGEST, TRIES, Guesses, digest, password_of
from explorer.errors import InputError

USERS = "EXPLORER_APP_USERS"
ADMITTED = "admitted_with"


@st.cache_resource(show_spinner=False)
def _guesses() -> Guesses:
    return Guesses()


def has_provider() -> bool:
    """Whether Streamlit has an OpenID Connect provider to log in at."""
    try:
        return "auth" in st.secrets
    except FileNotFoundError:
        return False


def drawn_again(every: str | None) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """Draw a part of a page again and again by itself, as ``st.fragment`` does, as long as the visit may see it.

    Args:
        every: the time between, such as ``3s``; ``None`` for a part that is drawn again only with the page or by what
            is in it.
    """

    def decorated(draw: Callable[[], None]) -> Callable[[], None]:
        @st.fragment(run_every=every)
        @wraps(draw)
        def part() -> None:
            # It runs without the page, which asks who may see it.
            if not _may_go_on():
                st.rerun()
            draw()

        return cast("Callable[[], None]", part)

    return decorated


def _may_go_on() -> bool:
    try:
        password = password_of(os.environ)
    except InputError:
        return False
    if password:
        return st.session_state.get(ADMITTED) == _mark(password)
    return not has_provider() or bool(st.user.is_logged_in)


def _mark(password: str) -> str:
    # The digest, and not just "yes": a changed password shuts out who knew the old one.
    return digest(password).hex()


def admit(name_pages: Callable[[], object]) -> None:
    """Let this visit go on if it may; else show how to log in, and stop.

    Args:
        name_pages: tells the browser what pages there are; without that it forgets which one was asked for.
    """
    try:
        password = password_of(os.environ)
    except InputError as error:
        name_pages()
        st.error(f"The app is closed. {error}", icon=":material/lock:")
        st.stop()
    if password:
        _by_password(password, name_pages)
    elif has_provider():
        users = [address.strip().casefold() for address in os.environ.get(USERS, "").split(",") if address.strip()]
        _by_provider(users, name_pages)


def _by_password(password: str, name_pages: Callable[[], object]) -> None:
    mark = _mark(password)
    if st.session_state.get(ADMITTED) == mark:
        return
    name_pages()
    st.title("Architecture explorer")
    with st.form("log_in", width=420):
        given = st.text_input("Password", type="password", max_chars=LONGEST)
        sent = st.form_submit_button("Log in", icon=":material/login:")
    if sent and _guesses().check(given, password, time.monotonic()):
        st.session_state[ADMITTED] = mark
        st.rerun()
    if sent:
        left = _guesses().wait_s(time.monotonic())
        pause = f" After {TRIES} wrong ones nobody can log in for {left:.0f} s." if left else ""
        st.error(f"This is not the password.{pause}", icon=":material/lock:")
    st.stop()


def _by_provider(users: list[str], name_pages: Callable[[], object]) -> None:
    if not st.user.is_logged_in:
        name_pages()
        st.title("Architecture explorer")
        st.button("Log in", on_click=st.login, icon=":material/login:", type="primary")
        st.stop()
    # An address that the provider has not verified may be anybody's.
    address = str(st.user.get("email", "")).casefold() if st.user.get("email_verified", True) else ""
    if users and address not in users:
        name_pages()
        st.error(f"{st.user.get('email') or 'This account'} may not use this app.", icon=":material/lock:")
        st.button("Log out", on_click=st.logout)
        st.stop()
    with st.sidebar:
        st.button(f"Log out {st.user.get('name') or address}".strip(), on_click=st.logout, type="tertiary")
