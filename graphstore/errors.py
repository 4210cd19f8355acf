"""Errors of the graph store."""

from __future__ import annotations


class StoreError(Exception):
    """Base of all store errors; also raised when the engine fails (disk full, connection lost)."""


class StoreInputError(StoreError):
    """What was given to the store breaks a rule. The command line exits with 2."""


class StoreVersionError(StoreInputError):
    """The store's layout is newer than this software knows, or older and to be migrated; it was left untouched."""


class ForeignFileError(StoreInputError):
    """The file is no store of ours, or is damaged; it was left untouched."""


class NotFoundError(StoreInputError):
    """The named thing is not in the store."""


class LeaseLostError(StoreError):
    """A writer's fencing token is out of date: its lease expired and the trial was given to somebody else."""
