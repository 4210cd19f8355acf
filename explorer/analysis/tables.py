"""Tables of architectures and of the map, for the app and for figures.

Units: ``parameters`` counts the encoder's weights without embeddings, ``flops`` one forward pass of 128 tokens,
``heterogeneity`` runs from 0 (all layers alike) to 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from graphstore.records import ArchitectureSummary, Embeddings


@dataclass(frozen=True)
class Spread:
    """Share of the vectors' total variance along each drawn axis, 0 to 1."""

    x: float
    y: float


def architecture_label(id: str, name: str = "") -> str:
    """Short text for an architecture: its name if it has one, and the first digits of its id."""
    return f"{name} ({id[:8]})" if name else id[:8]


def architectures_frame(summaries: Sequence[ArchitectureSummary]) -> pd.DataFrame:
    """One row per architecture, indexed by id, in the order given."""
    rows = [
        (
            s.id,
            s.name,
            architecture_label(s.id, s.name),
            s.depth,
            s.parameters,
            s.flops,
            s.heterogeneity,
            s.operations[0],
            s.operations[-1],
            " → ".join(operation.replace("_", " ") for operation in s.operations),
            " → ".join(str(hidden) for hidden in s.hiddens),
            "+".join(sorted(set(s.families))),
        )
        for s in summaries
    ]
    names = ["id", "name", "label", "depth", "parameters", "flops", "heterogeneity", "first", "last"]
    return pd.DataFrame(rows, columns=[*names, "operations", "hiddens", "families"]).set_index("id")


def map_frame(embeddings: Embeddings) -> tuple[pd.DataFrame, Spread]:
    """Coordinates ``x`` and ``y`` of each architecture: the first two of its stored principal coordinates."""
    vectors = np.asarray(embeddings.vectors, dtype=np.float64)
    count = len(embeddings.ids)
    padded = np.zeros((count, 2))
    width = min(2, vectors.shape[1])
    padded[:, :width] = vectors[:, :width]
    variance = vectors.var(axis=0) if count else np.zeros(0)
    total = float(variance.sum())
    shares = [float(v) / total if total > 0 else 0.0 for v in variance[:2]] + [0.0, 0.0]
    index = pd.Index(embeddings.ids, name="id")
    return pd.DataFrame(padded, columns=["x", "y"], index=index), Spread(shares[0], shares[1])
