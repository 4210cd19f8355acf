"""What a study may choose from, as the search package wants it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import numpy as np

from explorer.errors import DataError
from explorer.search import Candidates
from explorer.space.encoding import encode_choices
from explorer.space.formats import from_json
from graphstore import GraphStore
from graphstore.queries import LOWER_IS_BETTER
from graphstore.records import ScoreRecord


def space_candidates(store: GraphStore, space: str, only: Iterable[str] | None = None) -> Candidates:
    """All embedded architectures of a space, or only the named ones, in the space's order.

    Raises:
        DataError: the space has no library yet, or none of the named architectures is in it.
    """
    embedded = store.embeddings(space)
    if not embedded.ids:
        remedy = f"Run `archex space build {space}` first."
        raise DataError(f"space {space}", "have a finished library", "no embedding", remedy)
    wanted = set(embedded.ids) if only is None else set(only)
    rows = [index for index, id in enumerate(embedded.ids) if id in wanted]
    if not rows:
        raise DataError(f"space {space}", "hold the scored architectures", "none", "Choose another objective.")
    ids = tuple(embedded.ids[row] for row in rows)
    specs = [from_json(summary.spec) for summary in store.summaries(space, ids)]
    return Candidates(ids, embedded.vectors[rows].astype(np.float64), encode_choices(specs))


def known_objective(store: GraphStore, space: str, task: str, fidelity: str | None = None) -> dict[str, float]:
    """Mean known score of each architecture of a space, for studies that need no training.

    Scores that are not comparable never mix: all must share metric, dataset, fidelity and recipe.

    Args:
        store: where the scores are.
        space: name of the space.
        task: the objective; ``TASK:METRIC`` where a task was scored by several metrics.
        fidelity: take only scores of this fidelity; needed where there are several kinds.

    Raises:
        DataError: there are none, they are of several kinds, or less of them is better, as of a perplexity.
    """
    found = store.scores(space=space, task=task)
    if not found and ":" in task:
        name, metric = (part.strip() for part in task.rsplit(":", 1))
        found = [score for score in store.scores(space=space, task=name) if score.metric == metric]
    if not found:
        tasks = sorted({score.task for score in store.scores(space=space)})
        rule = f"be a task with scores in space {space}: {', '.join(tasks) or 'none yet'}"
        raise DataError("objective", rule, task, "Choose one of them, or import scores first.")
    kinds = {score_kind(score) for score in found}
    if fidelity is not None:
        found = [score for score in found if score.fidelity == fidelity]
        if not found:
            rule = f"be one of: {'; '.join(sorted({kind[2] for kind in kinds}))}"
            raise DataError("fidelity", rule, fidelity, "Choose one of them.")
        kinds = {score_kind(score) for score in found}
    if len(kinds) > 1:
        shown = "; ".join(sorted(" / ".join(kind) for kind in kinds))
        rule = "have comparable scores (one metric, dataset, fidelity and recipe)"
        remedy = "Choose one kind by --fidelity, the third part of each."
        if len({kind[0] for kind in kinds}) > 1:
            remedy = f"Name one metric, the first part of each, as in --objective '{task}:{min(kinds)[0]}'."
        raise DataError(f"objective {task}", rule, shown, remedy)
    (metric, *_) = min(kinds)
    if metric in LOWER_IS_BETTER:
        rule = "have scores of which more is better, because a search maximises them"
        raise DataError(f"objective {task}", rule, f"metric {metric}", "Choose another, or import it with a minus.")
    values: dict[str, list[float]] = defaultdict(list)
    for score in found:
        values[score.architecture].append(score.value)
    return {architecture: float(np.mean(group)) for architecture, group in values.items()}


def score_kind(score: ScoreRecord) -> tuple[str, str, str, str]:
    """What two scores of a task must share to be comparable."""
    return score.metric, score.dataset, score.fidelity, score.recipe
