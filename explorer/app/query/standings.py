"""Tabs of the Query page that compare: the best of every task, and the Pareto set of what the visitor cares for.

An objective stands in the address as ``parameters``, ``-heterogeneity`` (more is better), ``score:`` with the name of
comparable scores, or ``measured:`` with device and quantity. Of a measured quantity less is better, unless its unit is
a rate, that is, ends with ``/s``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from explorer.analysis import tables
from explorer.analysis.pareto import pareto_front
from explorer.analysis.score_kinds import kind_titles
from explorer.app.query.query_form import Choices
from explorer.app.shared import components, downloads, services
from explorer.app.shared.messages import literal
from explorer.plots.pareto import Axis, pareto_plot
from graphstore.errors import StoreInputError
from graphstore.queries import ArchitectureQuery, Fact, MeasurementKey, Sort
from graphstore.records import MeasurementRecord

PARAMETER = "objective"
"""Name in the address; repeated for each objective."""
FEWEST = 2
FACTS = {
    "parameters": (Fact.PARAMETERS, "parameters", False),
    "flops": (Fact.FLOPS, "FLOPs", False),
    "depth": (Fact.DEPTH, "layers", False),
    "heterogeneity": (Fact.HETEROGENEITY, "heterogeneity", False),
    "-heterogeneity": (Fact.HETEROGENEITY, "heterogeneity", True),
}
"""Objectives of what every architecture has: place in the address → fact, title, whether more is better."""
SHOWN = ["label", "operations", "hiddens", "parameters", "flops", "depth", "heterogeneity"]


@dataclasses.dataclass(frozen=True)
class Objective:
    """What counts.

    Attributes:
        column: of the frame of points.
        title: for people.
        sort: the order that puts the best first.
    """

    column: str
    title: str
    sort: Sort

    @property
    def text(self) -> str:
        """The objective as the list of choices shows it."""
        return f"{'↑' if self.sort.descending else '↓'} {self.title}"

    @property
    def look(self) -> Any:
        """How a table shows its column."""
        return st.column_config.NumberColumn(self.title, format="%.4f" if self.column.startswith("score:") else None)


def best(space: str) -> None:
    """Draw the tab with the best architecture of every score kind."""
    found = services.store().best_per_task(space)
    if not found:
        components.no_scores_yet()
        return
    known = tables.architectures_frame(services.store().summaries(ids=sorted({one.architecture for one in found})))
    table = known.loc[[one.architecture for one in found]].copy()
    for name in ("metric", "fidelity", "recipe", "dataset"):
        table[name] = [getattr(one.kind, name) for one in found]
    table["scored"] = [one.scored for one in found]
    titles = kind_titles(one.kind for one in found)
    table.insert(0, "task", [titles[one.kind] for one in found])
    table["score"] = [one.value for one in found]
    columns = ["task", "metric", "score", "label", "operations", "hiddens", "parameters", "scored"]
    components.architecture_table(table, [*columns, "fidelity", "recipe", "dataset"], space, "best_table", height=520)
    st.caption(
        "The best by the mean over seeds and sources, for each score kind (task, metric, dataset, fidelity, recipe). "
        "*scored* is the number of architectures that have such a score."
    )


def objectives_of(choices: Choices, measurements: Sequence[MeasurementRecord]) -> dict[str, Objective]:
    """What may be chosen in a space: place in the address → objective."""
    found = {name: Objective(fact.value, title, Sort(fact, more)) for name, (fact, title, more) in FACTS.items()}
    for name, key in choices.series.items():
        sort = Sort(key, descending=not key.lower_is_better)
        found[f"score:{name}"] = Objective(f"score:{name}", f"score {name}", sort)
    units = {MeasurementKey(one.device, one.quantity): one.unit for one in measurements}
    for measured in sorted(units, key=lambda key: (key.device, key.quantity)):
        unit, name = units[measured], f"{measured.device} {measured.quantity}"
        sort = Sort(measured, descending=unit.endswith("/s"))
        found[f"measured:{name}"] = Objective(f"measured:{name}", f"{name} ({unit})" if unit else name, sort)
    return found


def usual(objectives: Mapping[str, Objective]) -> list[str]:
    """What to begin with: size and the first score, or in a space without scores size and heterogeneity."""
    scored = (name for name in objectives if name.startswith("score:"))
    return ["parameters", next(scored, "-heterogeneity")]


def pareto(space: str, choices: Choices, question: ArchitectureQuery, filters: str) -> None:
    """Draw the tab of the Pareto set.

    Args:
        space: name of the space.
        choices: its comparable scores.
        question: which architectures; its order and limit do not matter.
        filters: what narrows the choice, for people; empty where nothing does.
    """
    offered = objectives_of(choices, services.store().measurements(space=space))
    chosen = _choose(offered)
    if not choices.series:
        st.caption("No architecture of this space has a score yet; scores can be chosen as soon as there are some.")
    st.caption(
        f"Among what the Guided tab asks for: {literal(filters)}."
        if filters
        else f"Among all architectures of {space}."
    )
    if len(chosen) < FEWEST:
        st.info("Choose two objectives or more.", icon=":material/info:")
        return
    if len({offered[name].sort.quantity for name in chosen}) < len(chosen):
        st.warning("One objective asks for more of what another asks less of. Leave one of them out.")
        return
    objectives = [offered[name] for name in chosen]
    try:
        points, front = pareto_frame(question, objectives)
    except StoreInputError as error:
        st.warning(literal(error), icon=":material/error:")
        return
    if points.empty:
        st.info(
            "No architecture that fits has all of these values. Choose other objectives, or widen what the Guided tab "
            "asks for.",
            icon=":material/search_off:",
        )
        return
    axes = [Axis(one.column, one.title, one.sort.descending) for one in objectives]
    st.markdown(f"**{len(front):,}** of {len(points):,} that have all of these values make the Pareto set.")
    downloads.figure(pareto_plot(points, front, axes), f"{space}-pareto", "pareto_plot", alt="Pareto set")
    note = " Drawn by the first two; a point that seems beaten is better in another one." if len(axes) > FEWEST else ""
    st.caption(f"No other beats them in one objective without losing in another.{note}")
    table = points.loc[front]
    extra = {one.column: one.look for one in objectives if one.column not in SHOWN}
    components.architecture_table(table, ["label", *extra, *SHOWN[1:]], space, "pareto_table", height=420, looks=extra)


def pareto_frame(question: ArchitectureQuery, objectives: Sequence[Objective]) -> tuple[pd.DataFrame, pd.Index]:
    """Return the architectures that have all values, with a column for each objective, and the ids of the Pareto set.

    Raises:
        StoreInputError: scores that do not compare, or no such space.
    """
    answer = pareto_front(services.store(), question, [objective.sort for objective in objectives])
    points = tables.architectures_frame([found.summary for found in answer.rows])
    for column, objective in enumerate(objectives):
        points[objective.column] = [values[column] for values in answer.values]
    return points, points.index[list(answer.front)]


def _choose(offered: Mapping[str, Objective]) -> list[str]:
    """Let the visitor choose; the choice is in the address."""
    asked = st.query_params.get_all(PARAMETER)
    wrong = [name for name in asked if name and name not in offered]
    if wrong:
        st.warning(
            f"The address asks for what this space does not have: {literal(', '.join(wrong)[:300])}. It was left out."
        )
    key = "pareto_objectives"
    known = list(dict.fromkeys(name for name in asked if name in offered))
    st.session_state[key] = known if asked else usual(offered)

    def changed() -> None:
        # An empty choice is a choice as well, and not the usual one.
        st.query_params[PARAMETER] = st.session_state[key] or [""]

    return st.multiselect(
        "Objectives",
        list(offered),
        format_func=lambda name: offered[name].text,
        placeholder="Choose two or more",
        help="↓ less is better, ↑ more is better.",
        key=key,
        on_change=changed,
    )
