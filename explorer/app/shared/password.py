"""The password of a shared app: its source, and a limit on failed attempts."""

from __future__ import annotations

import hashlib
import hmac
import threading
from collections.abc import Mapping
from pathlib import Path

from explorer.errors import InputError

PASSWORD, PASSWORD_FILE = "EXPLORER_APP_PASSWORD", "EXPLORER_APP_PASSWORD_FILE"
TRIES, PAUSE_S = 5, 30.0
LONGEST = 256
"""Most characters of a password."""


def password_of(environment: Mapping[str, str]) -> str:
    """Return the password of the app, or an empty string if it has none.

    Raises:
        InputError: the password file cannot be read or is empty, or the password is too long for the form. The app
            must then stay closed.
    """
    if environment.get(PASSWORD):
        return _typeable(environment[PASSWORD], PASSWORD)
    name = environment.get(PASSWORD_FILE, "")
    if not name:
        return ""
    try:
        # utf-8-sig accepts files with and without a byte-order mark.
        lines = Path(name).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError):
        lines = []
    if not lines or not lines[0].strip():
        raise InputError(PASSWORD_FILE, "name a readable file whose first line is a password", name, "Correct it.")
    return _typeable(lines[0].strip(), PASSWORD_FILE)


def _typeable(password: str, field: str) -> str:
    if len(password) > LONGEST:
        raise InputError(field, f"have at most {LONGEST} characters", len(password), "Choose a shorter password.")
    return password


class Guesses:
    """A counter of failed log-ins across all sessions that limits password guessing.

    Args:
        tries: number of consecutive failures after which log-in is paused.
        pause_s: length of the pause in seconds.
    """

    def __init__(self, tries: int = TRIES, pause_s: float = PAUSE_S) -> None:
        self._tries, self._pause_s = tries, pause_s
        self._wrong, self._until = 0, 0.0
        self._lock = threading.Lock()

    def wait_s(self, now: float) -> float:
        """Return the seconds until the next attempt is accepted; 0 if one may be made now."""
        with self._lock:
            return max(0.0, self._until - now)

    def check(self, given: str, password: str, now: float) -> bool:
        """Return whether an attempt is correct; any attempt during a pause is rejected."""
        with self._lock:
            if now < self._until:
                return False
            # Compare digests: the time then reveals nothing about the password, not even its length.
            right = hmac.compare_digest(digest(given), digest(password))
            self._wrong = 0 if right else self._wrong + 1
            if self._wrong >= self._tries:
                self._wrong, self._until = 0, now + self._pause_s
            return right


def digest(password: str) -> bytes:
    """Return the digest that represents a password in the session state and in comparisons."""
    return hashlib.sha256(password.encode("utf-8", errors="surrogatepass")).digest()
