"""Tables of the store's records for the pages: pure functions from records to pandas frames.

Units: ``parameters`` counts the encoder's weights without embeddings, ``flops`` is one forward pass of 128 tokens,
``heterogeneity`` runs from 0 (all layers equal) to 1, and scores are in units of their metric; most are maximised.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from explorer.analysis.score_kinds import TitledKind, kind_titles
from explorer.space.operations import operation_title
from graphstore.records import (
    ArchitectureSummary,
    LayerRecord,
    NeighborRecord,
    ScoreKind,
    ScoreRecord,
    TrialRecord,
    TrialStatus,
)

OVERALL_TASKS = ("mean", "glue")
"""Names of tasks that are means over other tasks; they are offered first."""


def layers_frame(summaries: Sequence[ArchitectureSummary]) -> pd.DataFrame:
    """Return one row per layer with columns ``id, depth, layer, operation, hidden``."""
    rows = [
        (s.id, s.depth, layer, operation, hidden)
        for s in summaries
        for layer, (operation, hidden) in enumerate(zip(s.operations, s.hiddens, strict=True))
    ]
    return pd.DataFrame(rows, columns=["id", "depth", "layer", "operation", "hidden"])


def scores_frame(scores: Sequence[ScoreRecord]) -> pd.DataFrame:
    """Return one row per score: its kind, the kind's title (see ``kind_titles``) and fields, its value and its origin.

    ``kind`` is categorical, because comparing a column of ``ScoreKind`` objects takes microseconds a row. ``seconds``
    is NaN where the record has 0, which means unknown; so are unknown levels (``majority``, ``chance``).
    """
    kinds = [score.kind for score in scores]
    titles = kind_titles(kinds)
    numbers = ["seconds", "majority", "chance"]
    names = ["id", "kind", "title", *ScoreKind.FIELDS, "value", "seed", "source", *numbers]
    rows = [
        (s.architecture, kind, titles[kind], *kind.fields.values(), s.value, s.seed, s.source,
         s.seconds or np.nan, s.majority, s.chance)
        for s, kind in zip(scores, kinds, strict=True)
    ]  # fmt: skip
    frame = pd.DataFrame(rows, columns=names).astype(dict.fromkeys(numbers, float))
    return frame.assign(kind=pd.Categorical(kinds, categories=list(titles)))


def score_kinds(scores: pd.DataFrame) -> list[TitledKind]:
    """Return the score kinds of a frame: those over all tasks first, then by task; of one task the largest first."""
    rank = {task: position for position, task in enumerate(OVERALL_TASKS)}
    counts = dict(scores.groupby("kind", observed=True, sort=False)["id"].nunique().items())
    found = [TitledKind(*row) for row in scores[["kind", "title"]].drop_duplicates("kind").itertuples(index=False)]

    def place(one: TitledKind) -> tuple[int, str, int, str]:
        return rank.get(one.kind.task, len(rank)), one.kind.task, -int(counts[one.kind]), one.title

    return sorted(found, key=place)


def mean_scores(scores: pd.DataFrame, kind: ScoreKind) -> pd.Series[float]:
    """Return the mean score of each architecture over its scores of one kind, indexed by id, named ``score``."""
    chosen = scores.loc[scores["kind"] == kind]
    return chosen.groupby("id", sort=False)["value"].mean().rename("score").astype(float)


def best_first(table: pd.DataFrame, lower: bool = False) -> pd.DataFrame:
    """Return the rows sorted by ``score``, best first; ties by size, rows without a score last.

    Args:
        table: frame with columns ``score`` and ``parameters``.
        lower: whether lower scores are better.
    """
    return table.sort_values(["score", "parameters"], ascending=[lower, True], na_position="last")


def objective_tasks(scores: pd.DataFrame) -> dict[str, int]:
    """Return the tasks a study can use as a known objective, with the number of scored architectures.

    Tasks whose scores are of several kinds are left out, because they cannot be compared with each other. So are those
    of which lower scores are better, because a search maximises.
    """
    return {
        one.title: int(scores.loc[scores["kind"] == one.kind, "id"].nunique())
        for one in score_kinds(scores)
        if one.title == one.kind.task and not one.kind.lower_is_better
    }


def stack_text(widths: Sequence[int]) -> str:
    """Return a short text of a feed-forward stack, for example ``3 × 128`` for equal widths."""
    if len(widths) > 1 and len(set(widths)) == 1:
        return f"{len(widths)} × {widths[0]}"
    return " → ".join(map(str, widths))


def layer_table(layers: Iterable[LayerRecord]) -> pd.DataFrame:
    """Return the layers of one architecture as a table."""
    rows = [
        (
            layer.index,
            operation_title(f"{layer.family}_{layer.parameter}"),
            layer.hidden,
            layer.heads,
            stack_text(layer.feed_forward),
        )
        for layer in layers
    ]
    return pd.DataFrame(rows, columns=["layer", "operation", "hidden", "heads", "feed-forward"])


def neighbor_table(
    neighbors: Sequence[NeighborRecord], architectures: pd.DataFrame, score: pd.Series[float] | None
) -> pd.DataFrame:
    """Return neighbours by rank with their facts and scores, without those missing in ``architectures``."""
    found = [n for n in neighbors if n.target in architectures.index]
    table = architectures.loc[[n.target for n in found]].copy()
    table.insert(0, "rank", [n.rank for n in found])
    table.insert(1, "dissimilarity", [n.dissimilarity for n in found])
    table["score"] = np.nan if score is None else score.reindex(table.index)
    return table


def trials_frame(trials: Sequence[TrialRecord]) -> pd.DataFrame:
    """Return one row per trial.

    ``seconds`` is the time from start to end, ``acquisition`` is text, and ``progress`` is the message of a running
    trial.
    """
    rows = []
    for trial in trials:
        figures = trial.info.get("acquisition")
        parts = figures.items() if isinstance(figures, dict) else []
        rows.append(
            {
                "trial": trial.number,
                "state": trial.state.value,
                "value": trial.value,
                "architecture": trial.architecture,
                "origin": str(trial.info.get("origin", "")),
                "acquisition": ", ".join(f"{name} {value:.3g}" for name, value in parts),
                "attempt": trial.attempt,
                "seconds": trial.finished - trial.started if trial.finished and trial.started else None,
                "progress": str(trial.info.get("message", "")) if trial.state is TrialStatus.RUNNING else "",
                "reason": trial.reason,
            }
        )
    names = ["trial", "state", "value", "architecture", "origin", "acquisition", "attempt", "seconds"]
    frame = pd.DataFrame(rows, columns=[*names, "progress", "reason"])
    return frame.astype({"value": float, "seconds": float})
