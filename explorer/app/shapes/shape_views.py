"""Views of the Shapes page that are independent of the editor: search, layers, machines."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from explorer.app.shapes import shape_services
from explorer.app.shapes.shape_services import Learned
from explorer.app.shared import address, downloads
from explorer.app.shared.markdown import verbatim
from explorer.errors import InputError
from explorer.plots.shapes import by_parameters, layer_importance_plot, shape_profiles, variance_bars
from explorer.supershaper.shapes.asking import ShapeLimits, ShapeObjective, ShapeReport
from explorer.supershaper.shapes.devices import Agreement
from explorer.supershaper.shapes.importance import width_effects

DRAWN = 3
"""Number of best shapes that are drawn; the others differ little from them."""
COLUMNS = {
    **{name: st.column_config.NumberColumn(format="localized") for name in ("parameters", "unmerged")},
    **{name: st.column_config.NumberColumn(format="%.2f") for name in ("perplexity", "from", "to", "low", "high")},
}
"""Number formats of the columns of shapes."""
BACKGROUND = 200
"""Measured shapes over which a width's effect is averaged."""


def search_view(space: str, known: Learned) -> None:
    """Show the limits and the best shapes within them."""
    grid, devices = known.predictors.grid, list(known.predictors.latency)
    objectives = [one for one in ShapeObjective if _possible(one, known)]
    low, high = (size / 1e6 for size in grid.extent)
    columns = st.columns(3)
    with columns[0]:
        objective = address.choice("Make least", objectives, "least", title=lambda one: one.value)
        seed = address.number("Seed", "seed", 0, 10_000, 0)
    with columns[1]:
        millions = address.number("Most parameters, in millions", "parameters", low, high, None, placeholder="no limit")
        perplexity = None
        if known.predictors.perplexity is not None:
            perplexity = address.number("Highest perplexity", "perplexity", 1.0, 1e6, None, placeholder="no limit")
    device, milliseconds = None, None
    with columns[2]:
        if devices:
            device = address.choice("Machine", devices, "machine")
            milliseconds = address.number("Most latency, in ms", "latency", 1e-3, 1e9, None, placeholder="no limit")
    limits = ShapeLimits(
        None if millions is None else millions * 1e6,
        perplexity,
        {} if device is None or milliseconds is None else {device: milliseconds / 1000},
    )
    if limits == ShapeLimits():
        st.info("Set at least one limit; the search then starts automatically.", icon=":material/tune:")
        return
    try:
        reports, evaluated = shape_services.search(space, limits, objective, device, int(seed or 0))
    except InputError as error:
        st.warning(verbatim(error), icon=":material/search_off:")
        return
    st.caption(f"Evolutionary search evaluated {evaluated:,} of {grid.count:,} shapes. All values are predictions.")
    frame = report_frame(reports)
    downloads.table(frame, "found-shapes", "shapes_found", hide_index=True, column_config=COLUMNS)
    drawn = {f"{place}. best": report.widths for place, report in enumerate(reports[:DRAWN], start=1)}
    figure = shape_profiles(drawn, grid.widths[-1])
    downloads.figure(figure, "found-shapes", "shapes_found_figure", alt="Widths of the best shapes found")


def _possible(objective: ShapeObjective, known: Learned) -> bool:
    return {
        ShapeObjective.PERPLEXITY: known.predictors.perplexity is not None,
        ShapeObjective.LATENCY: bool(known.predictors.latency),
        ShapeObjective.PARAMETERS: True,
    }[objective]


def report_frame(reports: list[ShapeReport]) -> pd.DataFrame:
    """Return one row per shape with the limits of the intervals."""
    rows = []
    for report in reports:
        row: dict[str, object] = {
            "shape": ",".join(map(str, report.widths)),
            "parameters": report.parameters,
            "unmerged": report.parameters_unmerged,
        }
        if report.perplexity is not None:
            row |= {"perplexity": report.perplexity.value, "from": report.perplexity.low, "to": report.perplexity.high}
        rows.append(row | {f"{name}, ms": 1000 * one.value for name, one in report.latency_s.items()})
    return pd.DataFrame(rows)


def layers_view(space: str, known: Learned) -> None:
    """Show the importance of the layers' widths for perplexity."""
    predictor = known.predictors.perplexity
    if predictor is None:
        st.info("Too few shapes of this space have a perplexity to learn from.", icon=":material/hourglass_empty:")
        return
    st.subheader("Which layers matter")
    figure = layer_importance_plot(shape_services.importance(space))
    downloads.figure(figure, "layer-importance", "shapes_importance", alt="Importance of each layer's width")
    st.caption("Increase of the predictor's error on held-out shapes when the widths of one layer are permuted.")
    st.subheader("Effect of each width")
    grid = known.predictors.grid
    effects = width_effects(grid, predictor, known.table.scored[0][:BACKGROUND])
    frame = pd.DataFrame(effects, columns=[f"width {width}" for width in grid.widths])
    frame.insert(0, "layer", range(1, grid.layers + 1))
    downloads.table(frame.round(3), "width-effects", "shapes_effects", hide_index=True)
    st.caption("Predicted perplexity, averaged over measured shapes, if a layer had this width.")


def devices_view(space: str, known: Learned, widths: tuple[int, ...]) -> None:
    """Show how far latency depends on the shape at equal parameters."""
    shares, agreement = shape_services.devices(space)
    if not shares:
        st.info("Too few shapes of this space were timed or scored.", icon=":material/hourglass_empty:")
        return
    st.subheader("Sources of the differences between shapes")
    frame = pd.DataFrame(
        [
            {
                "name": name,
                "parameters": one.parameters,
                "shape": one.shape,
                "rest": one.rest,
                "spread at equal parameters": one.at_equal_parameters,
                "explained by shape": one.explained_there,
                "shapes": one.count,
            }
            for name, one in shares.items()
        ]
    )
    downloads.figure(variance_bars(frame), "variance-of-latency", "shapes_variance", alt="Shares of the variance")
    percent = st.column_config.NumberColumn(format="percent")
    formats = dict.fromkeys(frame.columns[1:6], percent)
    downloads.table(frame, "variance-of-latency", "shapes_variance_table", hide_index=True, column_config=formats)
    st.caption(
        "From predictions of held-out shapes: by a curve of the number of parameters alone, and additionally by the "
        "widths of the layers. The spread is the standard deviation among shapes of equal size."
    )
    _agreement(agreement)
    st.subheader("Against the number of parameters")
    points = shape_services.relative_points(known)
    figure = by_parameters(points, _chosen(known, widths))
    downloads.figure(figure, "by-parameters", "shapes_by_parameters", alt="Latency and perplexity by parameters")


def _agreement(agreement: Agreement | None) -> None:
    if agreement is None or len(agreement.devices) < 2:
        return
    st.subheader("Do machines agree?")
    pairs = [(i, j) for i in range(len(agreement.devices)) for j in range(i)]
    frame = pd.DataFrame(
        {
            "machine": [agreement.devices[j] for _, j in pairs],
            "and": [agreement.devices[i] for i, _ in pairs],
            "rank correlation": [agreement.overall[pair] for pair in pairs],
            "among shapes of equal size": [agreement.at_equal_parameters[pair] for pair in pairs],
        }
    )
    downloads.table(frame.round(3), "machines-agree", "shapes_agreement", hide_index=True)
    st.caption(
        f"Spearman correlation over {agreement.count:,} shapes timed on all machines. A value near 0 in the last "
        "column means that being fast for its size on one machine says nothing about the other."
    )


def _chosen(known: Learned, widths: tuple[int, ...]) -> pd.DataFrame:
    """Return the edited shape's predictions relative to the medians of the measurements."""
    report = known.predictors.reports(np.array([widths]))[0]
    predicted = {name: one.value for name, one in report.latency_s.items()}
    medians = {name: float(np.median(known.table.timed(name)[1])) for name in predicted}
    if report.perplexity is not None:
        predicted["perplexity"] = report.perplexity.value
        medians["perplexity"] = float(np.median(known.table.scored[1]))
    rows = [
        {"name": name, "parameters": report.parameters, "relative": value / medians[name]}
        for name, value in predicted.items()
    ]
    return pd.DataFrame(rows).assign(shape=",".join(map(str, widths)))
