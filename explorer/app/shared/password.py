"""The password of a shared app: where it comes from, and how often it may be guessed."""

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
"""Characters of a password."""


def password_of(environment: Mapping[str, str]) -> str:
    """The password the app asks for, or nothing.

    Raises:
        InputError: the file that should hold it cannot be read or is empty, or the password is too long to be typed.
            The app must not be open because of that.
    """
    if environment.get(PASSWORD):
        return _typeable(environment[PASSWORD], PASSWORD)
    name = environment.get(PASSWORD_FILE, "")
    if not name:
        return ""
    try:
        # With or without the mark that some editors put first.
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
    """Counts wrong passwords of all visitors together, so that nobody can try thousands of them.

    Args:
        tries: wrong ones in a row after which everybody waits.
        pause_s: for how long, in seconds.
    """

    def __init__(self, tries: int = TRIES, pause_s: float = PAUSE_S) -> None:
        self._tries, self._pause_s = tries, pause_s
        self._wrong, self._until = 0, 0.0
        self._lock = threading.Lock()

    def wait_s(self, now: float) -> float:
        """Seconds until the next try is looked at; 0 if it may be made now."""
        with self._lock:
            return max(0.0, self._until - now)

    def check(self, given: str, password: str, now: float) -> bool:
        """Whether a try is right; one made during a pause is wrong, whatever it is."""
        with self._lock:
            if now < self._until:
                return False
            # Compared by digest: in a time that says nothing of the password, its length included.
            right = hmac.compare_digest(digest(given), digest(password))
            self._wrong = 0 if right else self._wrong + 1
            if self._wrong >= self._tries:
                self._wrong, self._until = 0, now + self._pause_s
            return right


def digest(password: str) -> bytes:
    """What stands for a password where it is kept or compared."""
    return hashlib.sha256(password.encode("utf-8", errors="surrogatepass")).digest()
