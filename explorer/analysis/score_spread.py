"""The scores of one architecture over seeds and sources, and where they stand among those of its space."""

from __future__ import annotations

import math

import pandas as pd

COLUMNS = ("series", "metric", "mean", "deviation", "runs", "seeds", "rank", "scored")


def score_spread(scores: pd.DataFrame, id: str) -> pd.DataFrame:
    """One row for each kind of comparable scores that an architecture has.

    Args:
        scores: of its space: ``id, series, metric, value, seed, source``.
        id: the architecture.

    Returns:
        ``series, metric, mean, deviation, runs, seeds, rank, scored``: ``deviation`` is the sample standard deviation
        over its runs, missing where there is one; ``rank`` counts from 1, by mean score, among the ``scored``
        architectures that have this kind.
    """
    rows = []
    own = scores[scores["id"] == id]
    for series, mine in own.groupby("series", sort=False):
        means = scores.loc[scores["series"] == series].groupby("id")["value"].mean()
        mean = float(mine["value"].mean())
        deviation = float(mine["value"].std(ddof=1)) if len(mine) > 1 else math.nan
        rank = int((means > mean + 1e-12).sum()) + 1
        rows.append(
            (series, mine["metric"].iloc[0], mean, deviation, len(mine), mine["seed"].nunique(), rank, len(means))
        )
    return pd.DataFrame(rows, columns=list(COLUMNS))
