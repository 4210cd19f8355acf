"""The candidates of a study, as the search policies take them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from explorer.errors import DataError
from explorer.library.settings import build_remedy
from explorer.search import Candidates, encode_choices
from explorer.space.formats import from_json
from graphstore import GraphStore


def space_candidates(store: GraphStore, space: str, only: Iterable[str] | None = None) -> Candidates:
    """Return all embedded architectures of a space, or only the named ones, in the space's order.

    Raises:
        DataError: the space has no library yet, or none of the named architectures is in it.
    """
    embedded = store.embeddings(space)
    if not embedded.ids:
        raise DataError(f"space {space}", "have a finished library", "no embedding", build_remedy(space))
    wanted = set(embedded.ids) if only is None else set(only)
    rows = [index for index, id in enumerate(embedded.ids) if id in wanted]
    if not rows:
        raise DataError(f"space {space}", "hold the scored architectures", "none", "Choose another objective.")
    ids = tuple(embedded.ids[row] for row in rows)
    specs = [from_json(summary.spec) for summary in store.summaries(space, ids)]
    return Candidates(ids, embedded.vectors[rows].astype(np.float64), encode_choices(specs))
