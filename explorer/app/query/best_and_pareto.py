"""Comparing tabs of the Query page: the best architecture of every task, and the Pareto front of chosen objectives.

In the URL an objective is ``parameters``, ``-heterogeneity`` (maximised), ``score:`` with the name of comparable
scores, or ``measured:`` with device and quantity. A measured quantity is minimised unless its unit is a rate, that is,
ends with ``/s``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from explorer.analysis import tables
from explorer.analysis.pareto import pareto_front
from explorer.analysis.quantities import FACT_TITLES, Direction, natural_direction, quantity_title
from explorer.analysis.score_kinds import TitledKind, kind_titles
from explorer.app.shared import components, downloads, services
from explorer.app.shared.markdown import verbatim
from explorer.plots.pareto import Axis, pareto_plot
from graphstore.errors import StoreInputError
from graphstore.queries import ArchitectureQuery, Fact, MeasurementKey, Sort
from graphstore.records import MeasurementRecord, ScoreKind

PARAMETER = "objective"
"""URL parameter; repeated for each objective."""
FEWEST = 2
SHOWN = ["label", "operations", "hiddens", "parameters", "flops", "depth", "heterogeneity"]


@dataclasses.dataclass(frozen=True)
class OfferedObjective:
    """An objective that the selectors offer.

    Attributes:
        column: column of the frame of points.
        title: title on the page.
        sort: the order that puts the best first.
    """

    column: str
    title: str
    sort: Sort

    @property
    def text(self) -> str:
        """Return the objective's text in the selector."""
        return f"{'↑' if self.sort.descending else '↓'} {self.title}"

    @property
    def column_config(self) -> Any:
        """Return the configuration of its table column."""
        return st.column_config.NumberColumn(self.title, format="%.4f" if self.column.startswith("score:") else None)


def best(space: str) -> None:
    """Draw the tab with the best architecture of every score kind."""
    found = services.store().best_per_task(space)
    if not found:
        components.no_scores_yet()
        return
    known = tables.architectures_frame(services.store().summaries(ids=sorted({one.architecture for one in found})))
    table = known.loc[[one.architecture for one in found]].copy()
    for name in ScoreKind.OPEN:
        table[name] = [getattr(one.kind, name) for one in found]
    table["scored"] = [one.scored for one in found]
    titles = kind_titles(one.kind for one in found)
    table.insert(0, "task", [titles[one.kind] for one in found])
    table["score"] = [one.value for one in found]
    columns = ["task", "metric", "score", "label", "operations", "hiddens", "parameters", "scored"]
    kind = ["fidelity", "recipe", "dataset", "origin"]
    components.architecture_table(table, [*columns, *kind], space, "best_table", height=520)
    st.caption(
        "The best by the mean over seeds, for each score kind (task, metric, dataset, fidelity, recipe, origin). "
        "*scored* is the number of architectures that have such a score."
    )


def objectives_of(
    kinds: Sequence[TitledKind], measurements: Sequence[MeasurementRecord]
) -> dict[str, OfferedObjective]:
    """Return the objectives of a space: URL value → objective."""
    found = {fact.value: OfferedObjective(fact.value, title, Sort(fact)) for fact, title in FACT_TITLES.items()}
    more = Fact.HETEROGENEITY
    found[f"-{more}"] = OfferedObjective(more, FACT_TITLES[more], Sort(more, descending=True))
    for one in kinds:
        sort = Sort(one.kind, natural_direction(one.kind) is Direction.MAXIMISE)
        found[f"score:{one.title}"] = OfferedObjective(f"score:{one.title}", f"score {one.title}", sort)
    units = {MeasurementKey(one.device, one.quantity): one.unit for one in measurements}
    for measured in sorted(units, key=lambda key: (key.device, key.quantity)):
        name, unit = f"measured:{quantity_title(measured)}", units[measured]
        sort = Sort(measured, natural_direction(measured, unit) is Direction.MAXIMISE)
        found[name] = OfferedObjective(name, quantity_title(measured, unit), sort)
    return found


def usual(objectives: Mapping[str, OfferedObjective]) -> list[str]:
    """Return the initial objectives: size and the first score, or size and heterogeneity without scores."""
    scored = (name for name in objectives if name.startswith("score:"))
    return ["parameters", next(scored, "-heterogeneity")]


def pareto(space: str, kinds: Sequence[TitledKind], question: ArchitectureQuery, filters: str) -> None:
    """Draw the tab of the Pareto front.

    Args:
        space: name of the space.
        kinds: its score kinds.
        question: query that selects the architectures; its order and limit are ignored.
        filters: description of the filters; empty if there are none.
    """
    offered = objectives_of(kinds, services.store().measurements(space=space))
    chosen = _choose(offered)
    if not kinds:
        st.caption("No architecture of this space has a score yet; scores can be selected as soon as there are some.")
    st.caption(
        f"Among the architectures of the Guided tab: {verbatim(filters)}."
        if filters
        else f"Among all architectures of {space}."
    )
    if len(chosen) < FEWEST:
        st.info("Select two objectives or more.", icon=":material/info:")
        return
    if len({offered[name].sort.quantity for name in chosen}) < len(chosen):
        st.warning("One objective maximises what another minimises. Remove one of them.")
        return
    objectives = [offered[name] for name in chosen]
    try:
        points, front = pareto_frame(question, objectives)
    except StoreInputError as error:
        st.warning(verbatim(error), icon=":material/error:")
        return
    if points.empty:
        st.info(
            "No matching architecture has all of these values. Select other objectives, or widen the "
            "filters of the Guided tab.",
            icon=":material/search_off:",
        )
        return
    axes = [Axis(one.column, one.title, one.sort.descending) for one in objectives]
    st.markdown(f"**{len(front):,}** of {len(points):,} architectures with all of these values form the Pareto front.")
    downloads.figure(pareto_plot(points, front, axes), f"{space}-pareto", "pareto_plot", alt="Pareto set")
    note = (
        " Drawn by the first two objectives; a point that looks dominated is better in another one."
        if len(axes) > FEWEST
        else ""
    )
    st.caption(
        f"They are non-dominated: no other architecture is at least as good in all objectives and better in one.{note}"
    )
    table = points.loc[front]
    extra = {one.column: one.column_config for one in objectives if one.column not in SHOWN}
    components.architecture_table(
        table, ["label", *extra, *SHOWN[1:]], space, "pareto_table", height=420, column_config=extra
    )


def pareto_frame(question: ArchitectureQuery, objectives: Sequence[OfferedObjective]) -> tuple[pd.DataFrame, pd.Index]:
    """Return the architectures that have all values, with a column for each objective, and the ids of the Pareto set.

    Raises:
        StoreInputError: the scores are not comparable, or the space does not exist.
    """
    answer = pareto_front(services.store(), question, [objective.sort for objective in objectives])
    points = tables.architectures_frame([found.summary for found in answer.rows])
    for column, objective in enumerate(objectives):
        points[objective.column] = [values[column] for values in answer.values]
    return points, points.index[list(answer.front)]


def _choose(offered: Mapping[str, OfferedObjective]) -> list[str]:
    """Show the selector of objectives; the selection is kept in the URL."""
    asked = st.query_params.get_all(PARAMETER)
    wrong = [name for name in asked if name and name not in offered]
    if wrong:
        st.warning(
            f"The URL names objectives that this space does not have: {verbatim(', '.join(wrong)[:300])}. "
            "They were ignored."
        )
    key = "pareto_objectives"
    known = list(dict.fromkeys(name for name in asked if name in offered))
    st.session_state[key] = known if asked else usual(offered)

    def changed() -> None:
        # An empty selection differs from the default.
        st.query_params[PARAMETER] = st.session_state[key] or [""]

    return st.multiselect(
        "Objectives",
        list(offered),
        format_func=lambda name: offered[name].text,
        placeholder="Select two or more",
        help="↓ minimised, ↑ maximised.",
        key=key,
        on_change=changed,
    )
