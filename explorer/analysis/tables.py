"""Tables of architectures, of the map and of repeated scores, for the app and for figures.

Units: ``parameters`` counts the encoder's weights without embeddings, ``flops`` one forward pass of 128 tokens,
``heterogeneity`` runs from 0 (all layers equal) to 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from explorer.training.metrics import verdict
from graphstore.records import ArchitectureSummary, Embeddings

FORMULA_BEGINS = ("=", "+", "-", "@", "\t", "\r")
"""First characters by which a spreadsheet takes a text for a formula."""


@dataclass(frozen=True)
class Spread:
    """Share of the vectors' total variance along each axis of the map, 0 to 1."""

    x: float
    y: float


def architecture_label(id: str, name: str = "") -> str:
    """Return a short label: the architecture's name, if any, and the first digits of its id."""
    return f"{name} ({id[:8]})" if name else id[:8]


def architectures_frame(summaries: Sequence[ArchitectureSummary]) -> pd.DataFrame:
    """Return one row per architecture, indexed by id, in the order given."""
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
    """Return the coordinates ``x`` and ``y`` of each architecture: its first two stored principal coordinates."""
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


def score_spread(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the mean and the spread of repeated scores, one row per architecture and score kind.

    Args:
        scores: ``id, kind, title, metric, value, seed, majority, chance``; values that are not finite are dropped.

    Returns:
        ``id, kind, title, metric, mean, deviation, runs, seeds, majority, chance, rank, scored, note``: the sample
        standard deviation over the runs (NaN for a single run), the means of the known levels, and the rank of the
        mean, from 1 for the best, among the ``scored`` architectures of the kind. ``note`` says that a score is not
        better than a constant answer.
    """
    known = scores[np.isfinite(scores["value"].to_numpy(dtype=float))]
    groups = known.groupby(["kind", "id"], observed=True, sort=False)
    table = groups.agg(
        title=("title", "first"),
        metric=("metric", "first"),
        mean=("value", "mean"),
        deviation=("value", "std"),
        runs=("value", "size"),
        seeds=("seed", "nunique"),
        majority=("majority", "mean"),
        chance=("chance", "mean"),
    ).reset_index()
    signs = np.array([1.0 if kind.lower_is_better else -1.0 for kind in table["kind"]])
    # Rounded, because means of the same values in another order differ in the last digits.
    ranks = (signs * table["mean"]).round(12).groupby(table["kind"], observed=True, sort=False).rank(method="min")
    table["rank"] = ranks.astype(int)
    table["scored"] = table.groupby("kind", observed=True, sort=False)["id"].transform("size")
    table["note"] = [
        verdict(mean, None if np.isnan(majority) else majority, kind.lower_is_better)
        for kind, mean, majority in zip(table["kind"], table["mean"], table["majority"], strict=True)
    ]
    return table[["id", *table.columns.drop("id")]]


def escape_formula(cell: object) -> object:
    """Return the cell; a text that a spreadsheet would take for a formula gets an apostrophe in front."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA_BEGINS) else cell
