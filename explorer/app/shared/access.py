"""Access control of a shared app: a password, or the log-in of an OpenID Connect provider.

Without either, everyone who can reach the app's address may use it; by default that is this machine only.

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

from explorer.app.server import is_loopback
from explorer.app.shared.password import LONGEST, TRIES, Guesses, digest, password_of
from explorer.errors import InputError

USERS = "EXPLORER_APP_USERS"
ADMITTED = "admitted_with"


@st.cache_resource(show_spinner=False)
def _guesses() -> Guesses:
    return Guesses()


def has_provider() -> bool:
    """Return whether Streamlit is configured with an OpenID Connect provider."""
    try:
        return "auth" in st.secrets
    except FileNotFoundError:
        return False


def is_shared() -> bool:
    """Return whether several people may use the app.

    It then asks for a log-in, listens beyond this machine, or has a base path, which only a reverse proxy needs.
    """
    address, base_path = st.get_option("server.address"), st.get_option("server.baseUrlPath")
    return has_provider() or _has_password() or bool(base_path) or not (address and is_loopback(address))


def _has_password() -> bool:
    try:
        return bool(password_of(os.environ))
    except InputError:
        return True


def drawn_again(every: str | None) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """Make a fragment that reruns periodically, as ``st.fragment`` does, while the session has access.

    Args:
        every: interval between reruns, such as ``3s``; ``None`` for a fragment that reruns only with the page or by
            its own widgets.
    """

    def decorated(draw: Callable[[], None]) -> Callable[[], None]:
        @st.fragment(run_every=every)
        @wraps(draw)
        def part() -> None:
            # A fragment reruns without the page's script, so it must check access itself.
            if not _has_access():
                st.rerun()
            draw()

        return cast("Callable[[], None]", part)

    return decorated


def _has_access() -> bool:
    try:
        password = password_of(os.environ)
    except InputError:
        return False
    if password:
        return st.session_state.get(ADMITTED) == _mark(password)
    return not has_provider() or bool(st.user.is_logged_in)


def _mark(password: str) -> str:
    # Store the digest rather than a flag, so that changing the password ends existing sessions.
    return digest(password).hex()


def admit(name_pages: Callable[[], object]) -> None:
    """Return if this session has access; otherwise show the log-in and stop the script.

    Args:
        name_pages: declares the pages; without it the browser forgets which page was requested.
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
    # Anyone could claim an address that the provider has not verified.
    address = str(st.user.get("email", "")).casefold() if st.user.get("email_verified", True) else ""
    if users and address not in users:
        name_pages()
        st.error(f"{st.user.get('email') or 'This account'} may not use this app.", icon=":material/lock:")
        st.button("Log out", on_click=st.logout)
        st.stop()
    with st.sidebar:
        st.button(f"Log out {st.user.get('name') or address}".strip(), on_click=st.logout, type="tertiary")
