"""Errors of the driver and the server as errors of the store: one line each, with a remedy."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator, Mapping

from neo4j.exceptions import (
    AuthError,
    DriverError,
    GqlError,
    Neo4jError,
    ReadServiceUnavailable,
    RoutingServiceUnavailable,
    WriteServiceUnavailable,
)

from graphstore.errors import StoreError, StoreInputError
from graphstore.neo4j.tls import VARIABLE

LONGEST = 300
"""Characters of a message of the driver or the server that are passed on."""

_LOG_IN = "refused the log-in ({code}). Check NEO4J_USER and NEO4J_PASSWORD."
_READ_ONLY = "does not take writes ({code}). Write neo4j:// instead of bolt://, which finds the server that does."
_MEMORY = (
    "has too little memory for a transaction ({code}). Raise db.memory.transaction.max, or the heap, in neo4j.conf."
)

_BY_CODE: Mapping[str, str] = {
    "Security.AuthenticationRateLimit": "takes no log-in for some seconds, because several in a row had a wrong "
    "password. Correct NEO4J_USER and NEO4J_PASSWORD, wait a moment, and try again.",
    "Security.CredentialsExpired": "wants a new password for this user first. Set it in Neo4j Browser, or by ALTER "
    "CURRENT USER SET PASSWORD in cypher-shell.",
    "Security.Forbidden": "forbids this to the user ({message}). Log in as one who may write and make constraints.",
    "Security.Unauthorized": _LOG_IN,
    "Database.DatabaseUnavailable": "has this database, but it is stopped or starting ({message}). Start it, or wait.",
    "General.DatabaseUnavailable": "is starting or stopping ({message}). Wait a moment, and try again.",
    "Cluster.NotALeader": _READ_ONLY,
    "General.ForbiddenOnReadOnlyDatabase": _READ_ONLY,
    "General.MemoryPoolOutOfMemoryError": _MEMORY,
    "General.TransactionOutOfMemoryError": _MEMORY,
    "General.OutOfMemoryError": _MEMORY,
}
"""What to say of a server by the end of its error's code (https://neo4j.com/docs/status-codes)."""


def failure(url: str, error: DriverError | Neo4jError) -> StoreError:
    """Return the error of the store for one of the driver. It does not show the password.

    Args:
        url: of the store, without a password.
        error: what the driver raised.
    """
    code, server = str(getattr(error, "code", None) or ""), f"the server {url!r}"
    if code.endswith("Database.DatabaseNotFound"):
        return StoreInputError(
            f"store URL must end with the name of a database of the server, or with none for its default one, but got "
            f"{url!r}, and the server has no such database. Correct the part behind the last /, or leave it out."
        )
    for ending, text in _BY_CODE.items():
        if code.endswith(ending):
            return StoreError(f"{server} {text.format(code=code, message=said(error))}")
    if isinstance(error, AuthError):
        return StoreError(f"{server} {_LOG_IN.format(code=code)}")
    if isinstance(error, Neo4jError):
        return StoreError(f"{server} failed: {said(error)} ({code}). Check its log, or try again.")
    return _unreachable(url, server, error)


def _unreachable(url: str, server: str, error: BaseException) -> StoreError:
    """Return the error for a driver that got no connection, or lost it."""
    scheme = url.partition("://")[0]
    for cause in causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return StoreError(
                f"{server} showed a certificate that is not trusted here ({cause.verify_message}). Set {VARIABLE} to a "
                "PEM file of the authority that signed it, or write +ssc to trust any certificate."
            )
        if isinstance(cause, ssl.SSLError):
            plain = scheme.partition("+")[0]
            return StoreError(
                f"{server} does not speak TLS at this port ({cause.reason or said(cause)}). Write {plain}:// instead "
                f"of {scheme}:// for a connection without encryption, or name the port that has it."
            )
        if isinstance(cause, ReadServiceUnavailable | WriteServiceUnavailable | RoutingServiceUnavailable):
            direct = scheme.replace("neo4j", "bolt")
            return StoreError(
                f"{server} answers, but tells its clients another address, at which none answers from here "
                f"({said(cause)}). Write {direct}:// instead of {scheme}:// to use the one you gave; on a cluster, "
                "correct server.bolt.advertised_address."
            )
        if isinstance(cause, socket.gaierror):
            return StoreError(f"{server} has a host name that nobody knows here ({said(cause)}). Correct the name.")
    reason = next((cause for cause in causes(error) if isinstance(cause, OSError)), error)
    return StoreError(
        f"{server} cannot be reached ({said(reason)}). Check that it runs, and that this is its Bolt port (by default "
        "7687; not that of its browser, 7474), or try again; if it demands encryption, write +s or +ssc."
    )


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and all its causes; the driver groups the errors of several routers."""
    yield error
    if isinstance(error, BaseExceptionGroup):
        for part in error.exceptions:
            yield from causes(part)
    elif error.__cause__ is not None:
        yield from causes(error.__cause__)


def said(error: BaseException) -> str:
    """Return an error's own message on one line, without a full stop."""
    message = error.message if isinstance(error, GqlError) and error.message else str(error)
    line = " ".join(message.split()).rstrip(".") or type(error).__name__
    return line if len(line) <= LONGEST else line[:LONGEST] + "…"
