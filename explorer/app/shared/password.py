"""The password of a shared app: its source, and a limit on failed attempts."""

from __future__ import annotations

import hashlib
import hmac
import threading
from collections.abc import Mapping
from pathlib import Path

from explorer.documents.text import lines_of, read_text
from explorer.errors import DataError, InputError

PASSWORD, PASSWORD_FILE = "EXPLORER_APP_PASSWORD", "EXPLORER_APP_PASSWORD_FILE"
TRIES, PAUSE_S = 5, 30.0
LONGEST = 256
"""Most characters of a password."""
MAX_FILE_BYTES = 2**16
"""Maximum size of a password file, which may have notes below the password."""


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
    rule, remedy = "name a text file whose first line is a password", "Correct the file or its name."
    try:
        password = next(lines_of(read_text(Path(name), "password file", MAX_FILE_BYTES))).strip()
    except DataError as error:
        # Its value may be a part of the password.
        raise InputError(PASSWORD_FILE, f"{rule} (it must {error.rule})", name, remedy) from None
    if not password:
        raise InputError(PASSWORD_FILE, rule, name, remedy)
    return _typeable(password, PASSWORD_FILE)


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
