"""The figures of a study on the Search page, one at a time; frames are cached by their inputs.

History, parallel coordinates, importance and Pareto front cover all studies comparable with the shown one; the
posterior and the timeline are its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import pandas as pd
import streamlit as st

from explorer.analysis.importance import Importance, choice_importance, parallel_axes
from explorer.analysis.quantities import FACT_TITLES
from explorer.analysis.tables import Spread
from explorer.app import navigation
from explorer.app.shared import downloads, services
from explorer.app.shared.markdown import verbatim
from explorer.errors import Code, ExplorerError, InputError
from explorer.plots import (
    PosteriorQuantity,
    acquisition_map,
    best_so_far_curves,
    importance_bars,
    parallel_coordinates,
    pareto_plot,
    trial_timeline,
)
from explorer.plots.pareto import study_axes
from explorer.studies import frames as pictures
from explorer.studies.driver import value_of
from explorer.studies.spec import External, Known, StudySpec
from graphstore.records import StudyRecord, StudyState, TrialRecord

WAITING = "The figure starts with the first finished trial."
QUANTITIES = {
    PosteriorQuantity.UCB: "Upper bound",
    PosteriorQuantity.MEAN: "Expected",
    PosteriorQuantity.UNCERTAINTY: "Uncertainty",
}


def draw(study: StudyRecord, trials: Sequence[TrialRecord], running: bool) -> None:
    """Show the selector of the figure, and draw it.

    Args:
        study: the shown study.
        trials: its current trials.
        running: whether a job runs it.
    """
    names = list(FIGURES)
    chosen = st.segmented_control("Figure", names, default=names[0], key="search_figure", label_visibility="collapsed")
    try:
        FIGURES[chosen or names[0]](study, trials)
    except InputError as error:
        if error.code is Code.TOO_FEW_SCORES:  # the page names its buttons instead
            error = InputError(error.field, error.rule, error.value, _how_to_get_more(study, running))
        st.info(verbatim(error), icon=":material/info:")
    except ExplorerError as error:
        st.info(verbatim(error), icon=":material/info:")


def _how_to_get_more(study: StudyRecord, running: bool) -> str:
    """Return how to get more trials of a study, with the names of its buttons."""
    if running:
        return "Wait for more trials."
    if isinstance(StudySpec.of(study).evaluation, External):
        return "Its trials are evaluated elsewhere."
    return "Extend it." if study.state is StudyState.DONE else "Resume it."


@st.cache_data(show_spinner=False, max_entries=8)
def _rivals(url: str, name: str, revision: int) -> tuple[list[StudyRecord], dict[str, list[TrialRecord]]]:
    store = services.store()
    kind = pictures.comparable(store.study(name))
    studies = [study for study in store.studies() if pictures.comparable(study) == kind]
    return studies, {study.name: store.trials(study.name) for study in studies}


def rivals(name: str) -> tuple[list[StudyRecord], dict[str, list[TrialRecord]]]:
    """Return the studies comparable with one, including itself, newest first, with their trials."""
    return _rivals(services.store_url(), name, services.store().revision("studies"))


@st.cache_data(show_spinner=False, max_entries=8)
def _best_known(url: str, name: str, revision: tuple[int, int]) -> float | None:
    store = services.store()
    return pictures.best_known(store, store.study(name))


def _history(study: StudyRecord, trials: Sequence[TrialRecord]) -> None:
    if all(value_of(trial) is None for trial in trials):
        # Without a curve of its own, the curves of other studies would be mistaken for it.
        st.info("The curve starts with the first finished trial.", icon=":material/hourglass_empty:")
        return
    store, spec = services.store(), StudySpec.of(study)
    studies, found = rivals(study.name)
    known = (store.revision("scores"), store.revision("library"))
    try:
        best = _best_known(services.store_url(), study.name, known)
    except ExplorerError:  # The known scores were deleted, but the history remains.
        best = None
    curves = pictures.history_frame(studies, found, best)
    regret = best is not None and st.toggle(
        "Simple regret", key="search_regret", help="Best known value minus best found value."
    )
    bands = pictures.history_bands(curves, "regret" if regret else "best")
    figure = best_so_far_curves(curves, spec.objective, study.name, bands, regret)
    downloads.figure(figure, f"{study.name}-history", "search_curves", alt="Best value against evaluations")
    shown = curves["study"].nunique()
    note = f"{shown} studies of {study.space} on {spec.objective}." if shown > 1 else ""
    if len(bands):
        note += " Policies with three or more finished studies: median with its 95 % bootstrap interval."
    st.caption(note)


@st.cache_data(show_spinner="Computing the policy's posterior …", max_entries=16)
def _posterior(
    url: str,
    name: str,
    observed: tuple[tuple[object, ...], ...],
    revision: tuple[int, int],
    _trials: Sequence[TrialRecord],
) -> pd.DataFrame:
    store = services.store()
    return pictures.posterior_frame(store, store.study(name), _trials)


def _acquisition(study: StudyRecord, trials: Sequence[TrialRecord]) -> None:
    store, spec = services.store(), StudySpec.of(study)
    observed = tuple((t.number, t.architecture, t.state.value, value_of(t)) for t in trials)
    revision = (store.revision("library"), store.revision("scores") if isinstance(spec.evaluation, Known) else 0)
    posterior = _posterior(services.store_url(), study.name, observed, revision, trials)
    points, spread = services.map_points(study.space)
    shown = st.segmented_control(
        "Colour by",
        list(QUANTITIES),
        format_func=lambda b: QUANTITIES[b],
        default=PosteriorQuantity.UCB,
        key="search_posterior",
    )
    placed = pictures.trial_points(trials)
    figure = acquisition_map(points, posterior, placed, spec.objective, shown or PosteriorQuantity.UCB, _axes(spread))
    downloads.figure(
        figure,
        f"{study.name}-acquisition",
        "search_acquisition",
        config={"scrollZoom": True},
        alt="Posterior over the map",
    )
    st.caption(
        f"Posterior of {spec.policy} over {len(posterior):,} architectures after these trials. Numbers are trials in "
        "the order of the proposals. The policy uses more dimensions than the two drawn."
    )


def _axes(spread: Spread) -> tuple[str, str]:
    return f"coordinate 1 ({spread.x:.0%} of the variance)", f"coordinate 2 ({spread.y:.0%})"


@st.cache_data(show_spinner=False, max_entries=8)
def _choices(url: str, name: str, revision: tuple[int, int]) -> tuple[pd.Series, pd.DataFrame, int]:
    studies, found = rivals(name)
    values = pictures.trial_values(found)
    return values, pictures.trial_choices(services.store(), values), len(studies)


def _evaluated(study: StudyRecord) -> tuple[pd.Series, pd.DataFrame, str]:
    """Return values, design choices, and a text with the number of studies."""
    store = services.store()
    revision = (store.revision("studies"), store.revision("library"))
    values, choices, studies = _choices(services.store_url(), study.name, revision)
    noun = "study" if studies == 1 else "comparable studies"
    return values, choices, f"{len(values):,} architectures evaluated by {studies} {noun}"


def _parallel(study: StudyRecord, trials: Sequence[TrialRecord]) -> None:
    values, choices, counted = _evaluated(study)
    if values.empty:
        st.info(WAITING, icon=":material/hourglass_empty:")
        return
    axes = parallel_axes(choices, values)
    figure = parallel_coordinates(axes, values, StudySpec.of(study).objective)
    downloads.figure(figure, f"{study.name}-choices", "search_parallel", alt="Design choices and scores")
    left_out = len(choices.columns) - len(axes)
    rest = f" {left_out} less important choices are left out." if left_out else ""
    st.caption(f"{counted}. Drag along an axis to select a range; – marks a missing layer.{rest}")


@st.cache_data(show_spinner="Growing forests …", max_entries=8)
def _importance_of(values: pd.Series, choices: pd.DataFrame) -> Importance:
    return choice_importance(choices, values)


def _importance(study: StudyRecord, trials: Sequence[TrialRecord]) -> None:
    values, choices, counted = _evaluated(study)
    if values.empty:
        st.info(WAITING, icon=":material/hourglass_empty:")
        return
    found = _importance_of(values, choices)
    downloads.figure(
        importance_bars(found.choices, StudySpec.of(study).objective),
        f"{study.name}-importance",
        "search_importance",
        alt="Importance",
    )
    st.caption(
        f"Permutation importance in a random forest on {counted}: the increase of its error on held-out architectures "
        "when the values of one choice are permuted. Median and middle 90 % of 20 bootstrap samples; "
        f"intervals of grey ones contain 0. The forest explains {found.explained:.0%} of the held-out variance"
        + ("." if found.explained > 0 else ", so it is uninformative.")
    )


def _pareto(study: StudyRecord, trials: Sequence[TrialRecord]) -> None:
    values, _, counted = _evaluated(study)
    if values.empty:
        st.info(WAITING, icon=":material/hourglass_empty:")
        return
    against = st.selectbox("Against", [fact.value for fact in FACT_TITLES], key="search_against")
    points, front = pictures.pareto_points(services.store(), values, [against])
    figure = pareto_plot(points, front, study_axes(StudySpec.of(study).objective, [against]))
    downloads.figure(figure, f"{study.name}-pareto", "search_pareto", alt="Pareto set")
    st.caption(f"{counted}.")
    st.page_link(
        navigation.page("pareto"),
        label="Measured costs and limits on the Pareto page",
        icon=navigation.PAGES["pareto"][1],
        query_params={"space": study.space, "studies": study.name},
    )


def _timeline(study: StudyRecord, trials: Sequence[TrialRecord]) -> None:
    frame = pictures.timeline_frame([study], {study.name: trials}, time.time())
    if frame.empty:
        st.info("The timeline starts with the first running trial.", icon=":material/hourglass_empty:")
        return
    downloads.figure(trial_timeline(frame), f"{study.name}-timeline", "search_timeline", alt="Timeline of trials")
    st.caption("The last attempt of each trial, numbered by ×. Lanes are parallel trainings on a host.")


FIGURES: dict[str, Callable[[StudyRecord, Sequence[TrialRecord]], None]] = {
    "History": _history,
    "Acquisition": _acquisition,
    "Choices": _parallel,
    "Importance": _importance,
    "Pareto": _pareto,
    "Timeline": _timeline,
}
"""Figures by name, in display order."""
