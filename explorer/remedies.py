"""Remedies for errors of the store, which does not know the commands of this package."""

from __future__ import annotations

from graphstore.errors import Code, StoreError

_REMEDIES = {
    Code.NO_STORE: "Make one with `archex demo` or `archex space build nano`, or name another with --store.",
    Code.OLD_LAYOUT: "Run `archex store migrate --store {url}`.",
    Code.INCONSISTENT: "See `archex store check`.",
    Code.UNKNOWN_SPACE: "Build one with `archex space build nano`, or see `archex space count`.",
    Code.UNKNOWN_STUDY: "Start one with `archex search`, or see `archex search list`.",
    Code.UNKNOWN_JOB: "The app's Jobs page lists all jobs.",
    Code.UNKNOWN_QUERY: "See `archex cypher --list`.",
    Code.NO_CYPHER: "Use `archex find`, or copy the catalogue to a server with `archex store copy {url} neo4j`.",
}


def with_remedy(error: object) -> str:
    """Return an error's message, with the command to run where the error has a code."""
    if isinstance(error, StoreError) and error.code is not None:
        return f"{error} {_REMEDIES[error.code].format(url=error.url)}"
    return str(error)
