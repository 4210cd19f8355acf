"""Whether workers on other machines can reach a store, and which environment variables they need for it."""

from __future__ import annotations

from urllib.parse import urlsplit

from graphstore.url import LOOPBACK, MANAGED, SQLITE_PREFIX

KEPT_VARIABLES = ("NEO4J_USER", "NEO4J_PASSWORD", "NEO4J_CA_FILE", "XDG_DATA_HOME", "HF_HUB_OFFLINE")
"""Variables for the log-in and for the places of files; workers get them, and no study or log keeps them."""


def is_of_one_machine(store_url: str) -> bool:
    """Return whether only its own machine reaches a store: a file, the managed server, or a server on the loopback.

    An SQLite file on a network file system cannot be shared: its write-ahead log needs one machine's memory
    (https://www.sqlite.org/wal.html).
    """
    if store_url.startswith(SQLITE_PREFIX) or store_url == MANAGED:
        return True
    host = urlsplit(store_url).hostname or ""
    return host in (*LOOPBACK, "::1")
