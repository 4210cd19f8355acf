"""Heterogeneity: operation and width at each layer, for all, the best and the selected architectures."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from explorer.analysis import heterogeneity
from explorer.app.shared import address, components, downloads, frames, services
from explorer.app.shared.markdown import verbatim
from explorer.errors import InputError
from explorer.plots import heterogeneity_scatter, kind_frontiers, operation_shares, width_shares

VIEWS = ("All sizes", "Bins of equal size", "Controlled for size")
MOST_BINS = 6
SHOWN = ["label", "kind", "score", "parameters", "heterogeneity", "operations", "hiddens"]


@components.page
def render() -> None:
    """Draw the page."""
    components.head("heterogeneity")
    space = components.pick_space().name
    architectures = services.architectures(space)
    if architectures.empty:
        st.info(
            f"{space} has no architectures yet; {components.how_to_finish(space)}.", icon=":material/hourglass_empty:"
        )
        return
    scores = services.scores(space)
    left, middle, right = st.columns(3)
    with left:
        picked = components.pick_kind(scores, "Scores", "heterogeneity_series")
        if picked is None:
            st.caption("No scores yet, so the best architectures are unknown.")
    known = pd.Series(dtype=float, name="score") if picked is None else frames.mean_scores(scores, picked.kind)
    with middle:
        depth = _pick_depth(architectures, known)
    with right:
        asked = address.number("Number of best architectures", "heterogeneity_best", 1, 50, 10, disabled=picked is None)
        count = int(asked or 10)
    lower = picked is not None and picked.kind.lower_is_better
    points = architectures.join(known, how="inner")
    groups = _groups(
        space, architectures, frames.best_first(points, lower), depth, count, None if picked is None else picked.title
    )
    st.subheader("Operation at each layer")
    downloads.figure(
        operation_shares(groups),
        f"{space}-operations",
        "heterogeneity_operations",
        alt="Share of each operation per layer",
    )
    st.subheader("Hidden size at each layer")
    downloads.figure(
        width_shares(groups), f"{space}-widths", "heterogeneity_widths", alt="Share of each hidden size per layer"
    )
    st.subheader("Heterogeneity against score")
    if picked is None:
        components.no_scores_yet()
        return
    if lower:
        st.caption(f"Lower values of {verbatim(picked.title)} are better.")
    _scatter(points, picked.title, space)
    st.subheader("Homogeneous against heterogeneous")
    _frontiers(points, picked.title, lower, space)


def _pick_depth(architectures: pd.DataFrame, known: pd.Series) -> int:
    """Show one depth at a time, because a layer index is not comparable across depths."""
    depths = sorted(int(depth) for depth in architectures["depth"].unique())
    scored = architectures.loc[architectures.index.isin(known.index), "depth"]
    usual = int((scored if len(scored) else architectures["depth"]).mode().iloc[0])
    wanted = st.query_params.get("depth", "")
    begin = next((depth for depth in depths if str(depth) == wanted), usual)
    chosen = st.segmented_control("Layers", depths, default=begin, key="heterogeneity_depth")
    depth = begin if chosen not in depths else int(chosen)
    st.query_params["depth"] = str(depth)
    return depth


def _groups(
    space: str, architectures: pd.DataFrame, ranked: pd.DataFrame, depth: int, count: int, title: str | None
) -> dict[str, pd.DataFrame]:
    layers = services.layers(space)
    layers = layers[layers["depth"] == depth]
    members = architectures[architectures["depth"] == depth]
    groups = {f"all {len(members):,} with {depth} layers": layers}
    if title is not None:
        best = ranked[ranked["depth"] == depth].head(count)
        if len(best):
            groups[f"best {len(best)} by {title}"] = layers[layers["id"].isin(best.index)]
        else:
            st.caption(f"No architecture with {depth} layers is scored.")
    selected = _selected(members)
    if selected is not None:
        groups[f"selected: {selected[:8]}"] = layers[layers["id"] == selected]
    return groups


def _selected(members: pd.DataFrame) -> str | None:
    """Return the architecture to compare, from the URL or the input; ``None`` if none of this depth is given."""
    stated = st.query_params.get("id", "")
    # One key per URL, written on change, so that the browser's Back returns to the previous view.
    key = f"heterogeneity_id_{stated}"
    st.text_input(
        "Compare with an architecture (id, its first 6 or more characters, or a known name)",
        value=stated,
        max_chars=services.LONGEST_NAME,
        key=key,
        on_change=lambda: address.write("id", str(st.session_state[key]).strip() or None),
    )
    asked = stated.strip()
    if not asked:
        return None
    try:
        id = services.find_architecture(asked, members).id
    except InputError as error:
        st.warning(verbatim(error), icon=":material/search_off:")
        return None
    if id not in members.index:
        st.caption(f"{id[:8]} is not an architecture of this space with this number of layers.")
        return None
    return id


def _scatter(points: pd.DataFrame, title: str, space: str) -> None:
    left, right = st.columns([2, 1], vertical_alignment="bottom")
    with left:
        view = address.segments("Look at", list(VIEWS), "heterogeneity_view")
    bins = 0
    if view == VIEWS[1]:
        with right:
            bins = int(address.number("Bins", "heterogeneity_bins", 2, MOST_BINS, 4) or 4)
        points = points.assign(bin=heterogeneity.size_bins(points, bins))
        drawn = heterogeneity_scatter(points, title, groups="bin")
    elif view == VIEWS[2]:
        points = points.assign(beyond=heterogeneity.beyond_size(points))
        drawn = heterogeneity_scatter(points, f"{title}, controlled for size", "beyond")
    else:
        drawn = heterogeneity_scatter(points, title)
    downloads.figure(drawn, f"{space}-heterogeneity-{view}", "heterogeneity_scatter", alt="Heterogeneity and score")
    if view == VIEWS[2]:
        st.caption("Residual of the score after a linear fit to the logarithm of the parameters.")
        rows = {"all, controlled for size": _correlation(points, given_size=True)}
    else:
        group = "bin" if view == VIEWS[1] else "depth"
        titles = {name: str(name) if group == "bin" else f"{name} layers" for name in points[group].unique()}
        rows = {titles[name]: _correlation(some) for name, some in points.groupby(group, sort=True)}
    table = pd.DataFrame([vars(one) for one in rows.values()], index=pd.Index(rows, name="among")).reset_index()
    downloads.table(
        table,
        f"{space}-heterogeneity-{view}",
        "heterogeneity_correlations",
        hide_index=True,
        placeholder=components.UNKNOWN,
        column_config={
            "rho": st.column_config.NumberColumn("rank correlation", format="%+.2f", help="Spearman, -1 to 1."),
            "low": st.column_config.NumberColumn(
                "from", format="%+.2f", help="2.5 % quantile of the bootstrap samples."
            ),
            "high": st.column_config.NumberColumn(
                "to", format="%+.2f", help="97.5 % quantile of the bootstrap samples."
            ),
        },
    )
    st.caption(
        f"Not computed for fewer than {heterogeneity.FEWEST} architectures or if all values are equal. If the interval "
        "contains 0, these scores show no relation."
    )


@st.cache_data(show_spinner=False, max_entries=64)
def _correlation_of(values: pd.DataFrame, given_size: bool) -> heterogeneity.RankCorrelation:
    return heterogeneity.rank_correlation(values, given_size)


def _correlation(points: pd.DataFrame, given_size: bool = False) -> heterogeneity.RankCorrelation:
    return _correlation_of(points[["heterogeneity", "score", "parameters"]], given_size)


def _frontiers(points: pd.DataFrame, title: str, lower: bool, space: str) -> None:
    most = address.number(
        "Homogeneous up to a heterogeneity of",
        "homogeneous_to",
        0.0,
        0.95,
        0.0,
        step=0.05,
        help="0: only architectures whose layers are all equal.",
    )
    points = points.assign(kind=heterogeneity.kinds(points, most or 0.0))
    rated = points.assign(score=-points["score"]) if lower else points
    fronts = heterogeneity.frontiers(rated, points["kind"])
    missing = [kind for kind, front in fronts.items() if not len(front)]
    if missing:
        st.info(
            f"No scored architecture is {missing[0]} by this measure, so there is only one Pareto front.",
            icon=":material/info:",
        )
    downloads.figure(
        kind_frontiers(points, fronts, title, lower),
        f"{space}-frontiers",
        "heterogeneity_frontiers",
        alt="Two frontiers",
    )
    joint = points.loc[heterogeneity.frontier(rated)]
    shares = (joint["kind"].eq(heterogeneity.KINDS[1]).mean(), points["kind"].eq(heterogeneity.KINDS[1]).mean())
    st.caption(
        "A Pareto front holds the architectures that no other of its kind dominates in size and score. "
        f"{shares[0]:.0%} of the {len(joint)} on the joint front are heterogeneous, and {shares[1]:.0%} of all "
        f"{len(points):,} scored ones."
    )
    components.architecture_table(joint, SHOWN, space, "heterogeneity_frontier_table")
