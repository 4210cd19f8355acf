"""Data of the Pareto page: architectures with a score and a cost, the Pareto front, and the share that studies found.

Units: those of the objectives; a hypervolume is a share from 0 to 1 of the box between the worst and the best values of
all points. No widgets here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from explorer.analysis.quantities import COST_FACTS
from explorer.app.query.best_and_pareto import OfferedObjective, objectives_of
from explorer.app.shared import frames, services
from explorer.pareto import hypervolume, pareto_set
from explorer.plots.pareto import Axis
from explorer.studies.driver import value_of
from explorer.studies.spec import StudySpec
from graphstore.queries import Ends, Fact, MeasurementKey
from graphstore.records import ScoreKind, StudyRecord, TrialRecord

SCORE, MEASURED = "score:", "measured:"
"""Prefixes of objective names that are scores or measurements."""


@dataclass(frozen=True)
class Limit:
    """A constraint: the closed interval of allowed values of an objective."""

    objective: OfferedObjective
    ends: Ends

    @property
    def text(self) -> str:
        """Return the constraint as text."""
        low, high = self.ends
        parts = [f"{sign} {end:,.15g}" for sign, end in (("≥", low), ("≤", high)) if end is not None]
        return f"{self.objective.title} {' and '.join(parts)}"


@dataclass(frozen=True)
class Trade:
    """Architectures that can be traded off.

    Attributes:
        points: architectures with both values finite and within the limits: rows of ``services.architectures`` with one
            column per objective.
        front: ids of the Pareto front, by cost.
        total: number of architectures with both values, ignoring limits.
        volume: share of the box that the front dominates; ``None`` if all points are equal in one objective.
    """

    points: pd.DataFrame
    front: pd.Index
    total: int
    volume: float | None


@dataclass(frozen=True)
class Picks:
    """The architectures that a study evaluated.

    Attributes:
        study: the study.
        ids: evaluated architectures in order of their trials.
        failed: number of failed trials.
    """

    study: StudyRecord
    ids: tuple[str, ...]
    failed: int


@st.cache_data(show_spinner=False, max_entries=8)
def _offered(url: str, space: str, revision: tuple[int, int]) -> dict[str, OfferedObjective]:
    return objectives_of(frames.score_kinds(services.scores(space)), services.store().measurements(space=space))


def offered(space: str) -> dict[str, OfferedObjective]:
    """Return the objectives of a space by name; scores have prefix ``score:``, measurements ``measured:``."""
    return _offered(services.store_url(), space, _revision())


@st.cache_data(show_spinner=False, max_entries=8)
def _measured(url: str, space: str, revision: tuple[int, int]) -> pd.DataFrame:
    found = services.store().measurements(space=space)
    rows = [(one.architecture, MeasurementKey(one.device, one.quantity), one.value) for one in found]
    return pd.DataFrame(rows, columns=["id", "key", "value"])


def values(space: str, objective: OfferedObjective) -> pd.Series[float]:
    """Return the values of an objective, indexed by id, without missing values."""
    quantity = objective.sort.quantity
    if isinstance(quantity, Fact):
        return services.architectures(space)[quantity.value].astype(float)
    if isinstance(quantity, ScoreKind):
        return frames.mean_scores(services.scores(space), quantity)
    measured = _measured(services.store_url(), space, _revision())
    chosen = measured[[key == quantity for key in measured["key"]]]
    return chosen.set_index("id")["value"].astype(float)


def trade(space: str, objectives: Sequence[OfferedObjective], limits: Sequence[Limit] = ()) -> Trade:
    """Return the trade-off between two objectives of a space.

    Args:
        space: name of the space.
        objectives: cost and score, of different columns.
        limits: limits that must all hold; a missing value violates its limit.
    """
    points = services.architectures(space).copy()
    for objective in objectives:
        points[objective.column] = values(space, objective).reindex(points.index)
    points = points[np.isfinite(points[[one.column for one in objectives]].to_numpy(float)).all(axis=1)]
    everything = gains(points, objectives)
    for limit in limits:
        low, high = (math.inf * sign if end is None else end for sign, end in zip((-1, 1), limit.ends, strict=True))
        points = points[values(space, limit.objective).reindex(points.index).between(low, high).to_numpy(bool)]
    front = points.iloc[pareto_set(gains(points, objectives))].sort_values([one.column for one in objectives])
    volume = dominated(gains(front, objectives), everything)
    return Trade(points, front.index, len(everything), volume)


def gains(points: pd.DataFrame, objectives: Sequence[OfferedObjective]) -> NDArray[np.float64]:
    """Return the objectives of some points ``[N, m]``, negated where minimised."""
    signs = [1.0 if one.sort.descending else -1.0 for one in objectives]
    return points[[one.column for one in objectives]].to_numpy(float) * signs


def dominated(some: NDArray[np.float64], everything: NDArray[np.float64]) -> float | None:
    """Return the share of the box spanned by ``everything`` ``[N, m]`` that ``some`` ``[M, m]`` dominate.

    Returns:
        A value from 0 to 1; ``None`` if the box has no volume.
    """
    if not len(everything):
        return None
    worst, best = everything.min(axis=0), everything.max(axis=0)
    if (best <= worst).any():
        return None
    return hypervolume((some - worst) / (best - worst), np.zeros(len(worst)))


def picks_of(study: StudyRecord, trials: Sequence[TrialRecord]) -> Picks:
    """Return the distinct architectures for which a study has a finite value."""
    known = [trial for trial in trials if value_of(trial) is not None]
    failed = sum(bool(trial.reason) and value_of(trial) is None for trial in trials)
    return Picks(study, tuple(dict.fromkeys(trial.architecture for trial in known)), failed)


def picks_table(found: Sequence[Picks], whole: Trade, objectives: Sequence[OfferedObjective]) -> pd.DataFrame:
    """Return the share of a trade-off that each study found, one row per study in the order given.

    Returns:
        ``study, policy, evaluated, failed, drawn, front, volume``: numbers of evaluated and failed trials, of evaluated
        architectures among the points and on the Pareto front, and the share of the box that they dominate.
    """
    everything = gains(whole.points, objectives)
    rows = []
    for picks in found:
        own = whole.points.loc[whole.points.index.intersection(list(picks.ids))]
        volume = dominated(gains(own, objectives), everything)
        on_front = len(whole.front.intersection(own.index))
        named = (picks.study.name, StudySpec.of(picks.study).policy, len(picks.ids), picks.failed)
        rows.append((*named, len(own), on_front, volume))
    return pd.DataFrame(rows, columns=["study", "policy", "evaluated", "failed", "drawn", "front", "volume"])


def axes(objectives: Sequence[OfferedObjective]) -> list[Axis]:
    """Return the objectives as axes of a figure."""
    return [Axis(one.column, one.title, one.sort.descending) for one in objectives]


def usual_cost(offered: Mapping[str, OfferedObjective]) -> list[str]:
    """Return the costs that a score can be plotted against: sizes, then measurements."""
    return [*(fact.value for fact in COST_FACTS), *(name for name in offered if name.startswith(MEASURED))]


def _revision() -> tuple[int, int]:
    store = services.store()
    return store.revision("scores"), store.revision("library")
