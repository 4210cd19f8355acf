"""Controls of the map on the Space page: projection, colour, size and filters, all kept in the URL."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass

import pandas as pd
import streamlit as st

from explorer.analysis import projections
from explorer.analysis.projections import Method, Projection
from explorer.app.search import launching, study_progress
from explorer.app.shared import address, components, frames, services
from explorer.app.shared.markdown import verbatim
from explorer.app.space import map_services
from explorer.app.space.map_values import MapFilters, describe
from explorer.errors import InputError
from explorer.plots import MapColor, MapSize
from explorer.space.operations import operation_color, operation_title
from explorer.studies.jobs import refresh_jobs
from graphstore.queries import Ends

SCORE, MEASURED, SHARE = "Score: ", "Measured: ", "Share of layers: "
SCORE_COLUMN = "score"
PLAIN = "Plain (scored ones larger)"
NUMBERS = {
    "Depth": ("depth", ",.0f"),
    "Parameters": ("parameters", ",.0f"),
    "FLOPs": ("flops", ",.0f"),
    "Heterogeneity": ("heterogeneity", ".2f"),
}
OPERATIONS = {"Operation of the last layer": "last", "Operation of the first layer": "first"}
MOST_PARAMETERS, MOST_LAYERS, MOST_SCORE, MOST_SEED = 10**12, 10**4, 1e12, 99
FILTERS = ("parameters_from", "parameters_to", "layers_from", "layers_to", "score_from", "score_to", "has", "scored")
"""URL parameters of the filters."""


@dataclass(frozen=True)
class Offer:
    """Quantities of a space by which the map can be coloured and sized.

    Attributes:
        points: frame of ``services.architectures``.
        scores: frame of ``services.scores``.
        shares: frame of ``map_values.layer_shares``.
        measured: frame of ``map_values.measured_values``.
    """

    points: pd.DataFrame
    scores: pd.DataFrame
    shares: pd.DataFrame
    measured: Mapping[str, pd.Series]

    @property
    def numbers(self) -> list[str]:
        """Return the titles of all numeric quantities, scores first."""
        scores = [f"{SCORE}{one.title}" for one in frames.score_kinds(self.scores)]
        measured = [f"{MEASURED}{name}" for name in self.measured]
        return [*scores, *NUMBERS, *measured, *(f"{SHARE}{operation_title(str(one))}" for one in self.shares)]

    def values(self, title: str) -> tuple[pd.Series, str]:
        """Return the values of a quantity by id, and their number format."""
        if title.startswith(SCORE):
            kinds = {one.title: one.kind for one in frames.score_kinds(self.scores)}
            return frames.mean_scores(self.scores, kinds[title.removeprefix(SCORE)]), ".4f"
        if title.startswith(MEASURED):
            return self.measured[title.removeprefix(MEASURED)], ".4g"
        if title.startswith(SHARE):
            operation = next(o for o in self.shares if operation_title(str(o)) == title.removeprefix(SHARE))
            return self.shares[operation], ".0%"
        column, shown = NUMBERS[title]
        return self.points[column], shown

    def color(self, title: str) -> MapColor:
        """Return the values that colour the map under this title."""
        if title in OPERATIONS:
            values = self.points[OPERATIONS[title]]
            palette: dict[Hashable, str] = {value: operation_color(value) for value in values.unique()}
            names: dict[Hashable, str] = {value: operation_title(value) for value in values.unique()}
            return MapColor.categories(title, values, palette, names)
        if title == "Depth":
            depths = self.points["depth"]
            return MapColor.categories(title, depths, titles={depth: f"{depth} layers" for depth in depths.unique()})
        values, shown = self.values(title)
        return MapColor.numbers(title.removeprefix(SCORE), values, shown)


def pick_color(offer: Offer) -> MapColor:
    """Show the selector of the map's colour."""
    scores = [title for title in offer.numbers if title.startswith(SCORE)]
    rest = [title for title in offer.numbers if title not in scores]
    return offer.color(address.choice("Colour by", [*scores, *OPERATIONS, *rest], "space_color"))


def pick_size(offer: Offer) -> MapSize | None:
    """Show the selector of the point size; return ``None`` for a constant size."""
    title = address.choice("Size by", [PLAIN, *offer.numbers], "space_size")
    return None if title == PLAIN else MapSize(title.removeprefix(SCORE), *offer.values(title))


def pick_projection(space: str, ready: bool) -> Projection:
    """Show the selector of the projection, with a button that computes a missing t-SNE.

    Args:
        space: name of the space.
        ready: whether its library is complete.
    """
    methods = list(projections.TITLES)
    method = address.choice("Projection", methods, "projection", title=lambda one: projections.TITLES[one])
    if method is Method.PCA:
        return map_services.pca(space)
    seed = int(address.number("Seed of the t-SNE", "projection_seed", 0, MOST_SEED, 0) or 0)
    found = map_services.tsne(space, seed)
    if found is None:
        _offer_tsne(space, seed, ready)
        return map_services.pca(space)
    return found


def _offer_tsne(space: str, seed: int, ready: bool) -> None:
    jobs = refresh_jobs(services.store())
    job = map_services.job_for(jobs, space, seed)
    if job is not None:
        st.caption("The t-SNE is being computed and will appear automatically. Until then the map shows the PCA.")
        study_progress.job_progress(job.id)
        study_progress.watch(study_progress.fingerprint(jobs, services.store().studies()), True)
        return
    count = len(services.architectures(space))
    try:
        projections.check_tsne(count)
    except InputError as error:
        st.caption(f"{verbatim(error)} The map shows the PCA.")
        return
    st.caption(
        f"This t-SNE has not been computed yet. It takes about {max(5, count // 150)} s, once for all users. "
        f"At most {launching.MAX_ACTIVE_JOBS} jobs run at the same time. Until then the map shows the PCA."
    )
    if st.button("Compute the t-SNE", icon=":material/calculate:", key="compute_tsne", disabled=not ready):
        try:
            map_services.start(space, seed, jobs)
        except InputError as error:
            components.show_error(error)
            return
        st.rerun()


def describe_projection(projection: Projection) -> str:
    """Describe a projection's method, settings and faithfulness."""
    words = f"{projections.TITLES[projection.method]} ({describe(projection.settings)})."
    if projection.held is not None:
        first, second = projection.held
        words += f" It is deterministic; the two axes explain {first:.1%} and {second:.1%} of the variance."
    else:
        words += " It preserves neighbourhoods; its axes and large distances have no meaning."
    if projection.kept == projection.kept:
        words += f" The map keeps {projection.kept:.0%} of the ten nearest neighbours in all 16 dimensions."
    return words


def pick_limits(offer: Offer, has_score: bool) -> MapFilters:
    """Let the visitor narrow what is shown.

    Args:
        offer: quantities of the space.
        has_score: whether a score can be limited.
    """
    begun = any(st.query_params.get(name) for name in FILTERS)
    with st.expander("Filters", icon=":material/filter_alt:", expanded=begun):
        columns = st.columns(4)
        with columns[0]:
            parameters = _range("Parameters", "parameters", 0, MOST_PARAMETERS)
        with columns[1]:
            depth = _range("Layers", "layers", 1, MOST_LAYERS)
        with columns[2]:
            score = _range("Score", "score", -MOST_SCORE, MOST_SCORE, disabled=not has_score)
        with columns[3]:
            has = address.choices(
                "Has all of these operations",
                [str(one) for one in offer.shares],
                "has",
                title=operation_title,
                placeholder="Any",
            )
            scored = address.switch("Scored only", "scored", disabled=not has_score)
    if not has_score:
        score, scored = (None, None), False
    return MapFilters(parameters, depth, score, tuple(has), scored)


def _range(title: str, name: str, low: float, high: float, disabled: bool = False) -> Ends:
    least = address.number(f"{title} from", f"{name}_from", low, high, placeholder="any", disabled=disabled)
    most = address.number(f"{title} to", f"{name}_to", low, high, placeholder="any", disabled=disabled)
    return least, most
