"""Errors of the graph store.

A message names the rule and the value that breaks it. A program that uses the store can choose a remedy, such as one of
its commands, by the error's ``code``.
"""

from __future__ import annotations

from enum import StrEnum


class Code(StrEnum):
    """Subject of an error whose remedy depends on the program that uses the store."""

    NO_STORE = "no_store"
    OLD_LAYOUT = "old_layout"
    INCONSISTENT = "inconsistent"
    UNKNOWN_SPACE = "unknown_space"
    UNKNOWN_STUDY = "unknown_study"
    UNKNOWN_JOB = "unknown_job"
    UNKNOWN_QUERY = "unknown_query"
    NO_CYPHER = "no_cypher"


class StoreError(Exception):
    """Base of all store errors; also raised when the engine fails (disk full, connection lost).

    Args:
        message: the message.
        code: subject of the error, if the remedy depends on the program.
        url: URL of the store, without a password.
    """

    def __init__(self, message: str = "", code: Code | None = None, url: str = "") -> None:
        super().__init__(message)
        self.code, self.url = code, url


class StoreInputError(StoreError):
    """An argument breaks a rule of the store. The command line exits with 2."""


class StoreVersionError(StoreInputError):
    """The store's layout is newer than this software knows, or older and must be migrated; it was not changed."""


class ForeignFileError(StoreInputError):
    """The file is not a store, or is damaged; it was not changed."""


class NotFoundError(StoreInputError):
    """The named thing is not in the store."""


class LeaseLostError(StoreError):
    """A writer's fencing token is out of date: its lease expired and somebody else claimed the trial."""
