"""What the Pareto page draws: architectures with a score and a cost, the best trade-offs, what studies found of them.

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

from explorer.app.query.query_form import choices_of
from explorer.app.query.standings import Objective, objectives_of
from explorer.app.shared import frames, services
from explorer.pareto import hypervolume, pareto_set
from explorer.plots.pareto import Axis
from explorer.studies.frames import value_of
from graphstore.queries import Fact, MeasurementKey
from graphstore.records import ScoreKind, StudyRecord, TrialRecord

SCORE, MEASURED = "score:", "measured:"
"""How the names of objectives begin that are scores, or measured."""
COSTS = ("parameters", "flops", "depth")
"""Costs that every architecture has."""
Ends = tuple[float | None, float | None]


@dataclass(frozen=True)
class Limit:
    """A constraint: the values of an objective that are allowed, both ends included."""

    objective: Objective
    ends: Ends

    @property
    def text(self) -> str:
        """The constraint for people."""
        low, high = self.ends
        parts = [f"{sign} {end:,.15g}" for sign, end in (("≥", low), ("≤", high)) if end is not None]
        return f"{self.objective.title} {' and '.join(parts)}"


@dataclass(frozen=True)
class Trade:
    """Architectures that can be traded off.

    Attributes:
        points: those that have both values, finite, and keep the limits; as ``services.architectures`` gives them, with
            a column for each objective.
        front: ids of the Pareto set, by cost.
        total: how many have both values, whatever the limits.
        volume: share of the box that the front dominates; ``None`` where all points are equal in one of them.
    """

    points: pd.DataFrame
    front: pd.Index
    total: int
    volume: float | None


@dataclass(frozen=True)
class Picks:
    """What a study evaluated.

    Attributes:
        study: the study.
        ids: evaluated architectures in order of their trials.
        failed: number of failed trials.
    """

    study: StudyRecord
    ids: tuple[str, ...]
    failed: int


@st.cache_data(show_spinner=False, max_entries=8)
def _offered(url: str, space: str, revision: tuple[int, int]) -> dict[str, Objective]:
    scores = services.scores(space)
    choices = choices_of(services.layers(space), scores, frames.series_names(scores))
    return objectives_of(choices, services.store().measurements(space=space))


def offered(space: str) -> dict[str, Objective]:
    """What can be traded off in a space, by name; scores begin with ``score:``, measurements with ``measured:``."""
    return _offered(services.store_url(), space, _revision())


@st.cache_data(show_spinner=False, max_entries=8)
def _measured(url: str, space: str, revision: tuple[int, int]) -> pd.DataFrame:
    found = services.store().measurements(space=space)
    rows = [(one.architecture, MeasurementKey(one.device, one.quantity), one.value) for one in found]
    return pd.DataFrame(rows, columns=["id", "key", "value"])


def values(space: str, objective: Objective) -> pd.Series[float]:
    """The values of an objective, indexed by id; architectures without one are left out."""
    quantity = objective.sort.quantity
    if isinstance(quantity, Fact):
        return services.architectures(space)[quantity.value].astype(float)
    if isinstance(quantity, ScoreKind):
        return frames.mean_scores(services.scores(space), objective.column.removeprefix(SCORE))
    measured = _measured(services.store_url(), space, _revision())
    chosen = measured[[key == quantity for key in measured["key"]]]
    return chosen.set_index("id")["value"].astype(float)


def trade(space: str, objectives: Sequence[Objective], limits: Sequence[Limit] = ()) -> Trade:
    """Weigh the architectures of a space.

    Args:
        space: its name.
        objectives: cost and score, of different columns.
        limits: all of them must hold; what lacks a limited value does not.
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


def gains(points: pd.DataFrame, objectives: Sequence[Objective]) -> NDArray[np.float64]:
    """The objectives of some points, turned so that larger is better, ``[N, m]``."""
    signs = [1.0 if one.sort.descending else -1.0 for one in objectives]
    return points[[one.column for one in objectives]].to_numpy(float) * signs


def dominated(some: NDArray[np.float64], everything: NDArray[np.float64]) -> float | None:
    """Share of the box between the worst and the best of ``everything`` ``[N, m]`` that ``some`` ``[M, m]`` dominate.

    Returns:
        From 0 to 1; ``None`` where the box is flat.
    """
    if not len(everything):
        return None
    worst, best = everything.min(axis=0), everything.max(axis=0)
    if (best <= worst).any():
        return None
    return hypervolume((some - worst) / (best - worst), np.zeros(len(worst)))


def picks_of(study: StudyRecord, trials: Sequence[TrialRecord]) -> Picks:
    """What a study has evaluated, each architecture once; a trial without a finite value does not count."""
    known = [trial for trial in trials if value_of(trial) is not None]
    failed = sum(bool(trial.reason) and value_of(trial) is None for trial in trials)
    return Picks(study, tuple(dict.fromkeys(trial.architecture for trial in known)), failed)


def picks_table(found: Sequence[Picks], whole: Trade, objectives: Sequence[Objective]) -> pd.DataFrame:
    """What studies found of a trade-off: one row per study, by the order given.

    Returns:
        ``study, policy, evaluated, failed, drawn, front, volume``: how many it evaluated and how many failed, how many
        of those are among the points and in the Pareto set, and the share of the box that its points dominate.
    """
    everything = gains(whole.points, objectives)
    rows = []
    for picks in found:
        own = whole.points.loc[whole.points.index.intersection(list(picks.ids))]
        volume = dominated(gains(own, objectives), everything)
        on_front = len(whole.front.intersection(own.index))
        named = (picks.study.name, picks.study.policy, len(picks.ids), picks.failed)
        rows.append((*named, len(own), on_front, volume))
    return pd.DataFrame(rows, columns=["study", "policy", "evaluated", "failed", "drawn", "front", "volume"])


def axes(objectives: Sequence[Objective]) -> list[Axis]:
    """The objectives as a figure's axes."""
    return [Axis(one.column, one.title, one.sort.descending) for one in objectives]


def usual_cost(offered: Mapping[str, Objective]) -> list[str]:
    """What a score can be set against: sizes first, then what was measured."""
    return [*COSTS, *(name for name in offered if name.startswith(MEASURED))]


def _revision() -> tuple[int, int]:
    store = services.store()
    return store.revision("scores"), store.revision("library")
