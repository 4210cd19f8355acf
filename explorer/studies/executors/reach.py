"""Whether workers on other machines can reach a store, and what of this process's environment they need for it."""

from __future__ import annotations

from urllib.parse import urlsplit

from graphstore.url import LOOPBACK, MANAGED, SQLITE_PREFIX

KEPT_VARIABLES = ("NEO4J_USER", "NEO4J_PASSWORD", "NEO4J_CA_FILE", "XDG_DATA_HOME", "HF_HUB_OFFLINE")
"""Variables that say how to log in and where files are; workers get them, no study or log does."""


def is_of_one_machine(store_url: str) -> bool:
    """Whether a store can be reached from its own machine only: a file, the managed server, or one on the loopback.

    An SQLite file on a network file system is no way out: its write-ahead log needs one machine's memory
    (https://www.sqlite.org/wal.html).
    """
    if store_url.startswith(SQLITE_PREFIX) or store_url == MANAGED:
        return True
    host = urlsplit(store_url).hostname or ""
    return host in (*LOOPBACK, "::1")
