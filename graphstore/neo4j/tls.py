"""Trust in the certificates of encrypted connections.

Schemes that end with ``+s`` need a certificate signed by an authority of the machine, or by one in the PEM file that
``NEO4J_CA_FILE`` names; ``+ssc`` accepts any certificate.
"""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import Any

import neo4j

from graphstore.errors import StoreInputError

VARIABLE = "NEO4J_CA_FILE"


def trust(url: str) -> dict[str, Any]:
    """Return the driver's arguments for a URL: ``uri``, and the authorities if the user names them.

    Raises:
        StoreInputError: the file of authorities is missing or empty.
    """
    file = os.environ.get(VARIABLE, "")
    scheme, _, place = url.partition("://")
    if not file or not scheme.endswith("+s"):
        return {"uri": url}
    try:
        if not Path(file).is_file():
            raise FileNotFoundError(f"the file {file!r} does not exist")
        ssl.create_default_context(cafile=file)
    except (OSError, ValueError) as error:
        raise StoreInputError(
            f"{VARIABLE} must name a PEM file with certificates of authorities, but got {file!r} ({error}). "
            "Name such a file, or unset it to trust this machine's own authorities."
        ) from None
    # The driver accepts authorities only with a plain scheme.
    uri = f"{scheme.removesuffix('+s')}://{place}"
    return {"uri": uri, "encrypted": True, "trusted_certificates": neo4j.TrustCustomCAs(file)}
