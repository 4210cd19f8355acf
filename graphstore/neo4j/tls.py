"""Whom to trust when a connection is encrypted.

A scheme that ends with ``+s`` wants a certificate that the machine's authorities, or those in the PEM file that
``NEO4J_CA_FILE`` names, vouch for; one with ``+ssc`` takes any certificate.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import neo4j

from graphstore.errors import StoreError, StoreInputError

VARIABLE = "NEO4J_CA_FILE"


def trust(url: str) -> dict[str, Any]:
    """The driver's arguments for a URL: ``uri`` and, where the user names authorities, those.

    Raises:
        StoreInputError: the file of authorities is missing, or has none.
    """
    file = os.environ.get(VARIABLE, "")
    scheme, _, place = url.partition("://")
    if not file or not scheme.endswith("+s"):
        return {"uri": url}
    try:
        if not Path(file).is_file():
            raise FileNotFoundError(f"there is no file {file!r}")
        ssl.create_default_context(cafile=file)
    except (OSError, ValueError) as error:
        raise StoreInputError(
            f"{VARIABLE} must name a PEM file with certificates of authorities, but got {file!r} ({error}). "
            "Name such a file, or unset it to trust this machine's own authorities."
        ) from None
    # The driver takes authorities with a plain scheme only.
    uri = f"{scheme.removesuffix('+s')}://{place}"
    return {"uri": uri, "encrypted": True, "trusted_certificates": neo4j.TrustCustomCAs(file)}


def check_trusted(url: str, error: BaseException) -> None:
    """Say it plainly if an error of the driver came from a certificate that nobody vouches for.

    Raises:
        StoreError: it did.
    """
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            raise StoreError(
                f"the server {url!r} showed a certificate that is not trusted here ({cause.verify_message}). Let "
                f"{VARIABLE} name a PEM file of the authority that signed it, or write +ssc to trust any certificate."
            ) from error


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and all that led to it; the driver groups what several routers answered."""
    yield error
    if isinstance(error, BaseExceptionGroup):
        for part in error.exceptions:
            yield from _causes(part)
    elif error.__cause__ is not None:
        yield from _causes(error.__cause__)
