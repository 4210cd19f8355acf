"""Trials over time, by study, host and lane."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from explorer.plots.base import styled
from explorer.plots.palette import BLUE, GREEN, GREY, ORANGE, VERMILLION
from explorer.plots.titles import escaped

ROW = 34
"""Height of a lane, in pixels."""
LEAST = 0.006
"""Minimum length of a bar as a share of the shown time, because a trial on known scores takes almost none."""
NAMED = 0.015
"""Length above which a bar is labelled, as a share of the shown time."""
UNITS = ((86400.0 * 3, "days", 86400.0), (3600.0 * 3, "hours", 3600.0), (60.0 * 3, "minutes", 60.0), (0.0, "s", 1.0))
STATES = {
    "complete": (GREEN, ""),
    "running": (BLUE, ""),
    "failed": (VERMILLION, "x"),
    "stale": (ORANGE, "/"),
    "waiting": (GREY, "."),
}
"""State → colour and pattern; the pattern distinguishes states without colour."""
SHOWN = {"stale": "stale (worker lost)", "waiting": "given back"}


def trial_timeline(trials: pd.DataFrame) -> go.Figure:
    """Draw when trials ran.

    Args:
        trials: ``study, number, architecture, state, attempt, host, lane, started, ended, value, reason``, times in
            seconds since the epoch.

    Returns:
        A figure with one bar per trial (its last attempt) and one row per study, host and lane. Attempts after the
        first are labelled ``×`` and their number. A stale trial, whose end is unknown, is a short bar at its start.
    """
    figure = go.Figure()
    begin = float(trials["started"].min()) if len(trials) else 0.0
    span = max(float(trials["ended"].max()) - begin, 1e-3) if len(trials) else 1.0
    unit, scale = next((name, seconds) for least, name, seconds in UNITS if span >= least)
    rows = trials.assign(row=_rows(trials))
    for state in [state for state in STATES if state in set(rows["state"])]:
        chosen = rows[rows["state"] == state]
        color, pattern = STATES[state]
        length = np.maximum((chosen["ended"] - chosen["started"]).to_numpy(), LEAST * span)
        figure.add_trace(
            go.Bar(
                base=(chosen["started"].to_numpy() - begin) / scale,
                x=length / scale,
                y=chosen["row"],
                orientation="h",
                name=SHOWN.get(state, state),
                marker={"color": color, "pattern": {"shape": pattern}, "line": {"width": 1, "color": "white"}},
                text=[
                    _short(number, attempt) if long >= NAMED * span else ""
                    for number, attempt, long in zip(chosen["number"], chosen["attempt"], length, strict=True)
                ],
                textposition="inside",
                insidetextanchor="middle",
                constraintext="inside",
                customdata=[_details(row) for row in chosen.itertuples()],
                hovertemplate="%{customdata}<extra></extra>",
            )
        )
    lanes = rows["row"].nunique()
    styled(figure, 130 + ROW * max(1, lanes), barmode="overlay", bargap=0.15, showlegend=True)
    figure.update_layout(legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0.0})
    figure.update_xaxes(title_text=f"time since the first start ({unit})", rangemode="tozero")
    figure.update_yaxes(autorange="reversed", automargin=True, type="category")
    return figure


def _rows(trials: pd.DataFrame) -> list[str]:
    """Return the name of each trial's row: study and host if they differ between trials, and the lane."""
    several = trials["study"].nunique() > 1
    names = []
    for study, host, lane in zip(trials["study"], trials["host"], trials["lane"], strict=True):
        parts = [escaped(study)] if several else []
        parts += [escaped(host)] if host else []
        names.append(" · ".join([*parts, f"lane {lane + 1}"]))
    return names


def _short(number: int, attempt: int) -> str:
    return f"{number}" if attempt <= 1 else f"{number} ×{attempt}"


def _details(row: object) -> str:
    found = {name: getattr(row, name) for name in ("study", "number", "architecture", "state", "attempt", "reason")}
    started, ended, value = (float(getattr(row, name)) for name in ("started", "ended", "value"))
    clock = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(started))
    lines = [f"<b>{escaped(found['study'])}, trial {found['number']}</b>: {SHOWN.get(found['state'], found['state'])}"]
    lines += [found["architecture"][:8] + (f", value {value:.4f}" if value == value else "")]
    lines += [
        f"attempt {found['attempt']}, from {clock}" + (f" for {ended - started:.1f} s" if ended > started else "")
    ]
    if found["reason"]:
        lines.append(escaped(" ".join(found["reason"].split())[:200]))
    return "<br>".join(lines)
