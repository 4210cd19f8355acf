"""Remedies for errors of the store, which does not know the commands of this package."""

from __future__ import annotations

from explorer.library.workplace import DEFAULT_STORE
from graphstore.errors import Code, StoreError

_REMEDIES = {
    Code.NO_STORE: "Make one with `archex space build nano{store}`, or name another with --store.",
    Code.OLD_LAYOUT: "Run `archex store migrate{store}`.",
    Code.INCONSISTENT: "See `archex store check{store}`.",
    Code.UNKNOWN_SPACE: "Build one, for example with `archex space build nano{store}`.",
    Code.UNKNOWN_STUDY: "See `archex studies{store}`.",
    Code.UNKNOWN_JOB: "The app's Jobs page lists all jobs.",
    Code.UNKNOWN_QUERY: "See `archex cypher --list{store}`.",
    Code.NO_CYPHER: "Use `archex find{store}`, or copy the catalogue to a server: `archex store copy {url} neo4j`.",
}


def with_remedy(error: object, url: str = "") -> str:
    """Return an error's message, with the command to run where the error has a code.

    Args:
        error: the error.
        url: the store that the user named, for errors that do not say it; empty for the default one.
    """
    if not isinstance(error, StoreError) or error.code is None:
        return str(error)
    named = error.url or url
    remedy = _REMEDIES[error.code].format(store=f" --store {named}" if named else "", url=named or DEFAULT_STORE)
    return f"{error} {remedy}"
