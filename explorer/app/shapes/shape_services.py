"""Shapes of the open store and their fitted predictors, cached for all sessions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st

from explorer.analysis.shapes import has_shapes, stored_shapes
from explorer.app.shared import services
from explorer.supershaper.shapes.asking import ShapeLimits, ShapeObjective, ShapePredictors, ShapeReport
from explorer.supershaper.shapes.devices import FEWEST, Agreement, VarianceShares, device_agreement, variance_shares
from explorer.supershaper.shapes.grid import Shapes
from explorer.supershaper.shapes.importance import layer_importance
from explorer.supershaper.shapes.tables import ShapeTable

HELD_OUT = 0.3
"""Share of the shapes held out to measure the importance of layers."""


@dataclass(frozen=True, eq=False)
class Learned:
    """A space's measured shapes and predictors fitted to them."""

    table: ShapeTable
    predictors: ShapePredictors


def _revision() -> tuple[int, ...]:
    opened = services.store()
    return tuple(opened.revision(topic) for topic in ("library", "scores"))


@st.cache_data(show_spinner=False, max_entries=8)
def _spaces(url: str, revision: int) -> list[str]:
    opened = services.store()
    return [space.name for space in opened.spaces() if has_shapes(opened, space.name)]


def spaces() -> list[str]:
    """Names of the spaces that hold shapes."""
    return _spaces(services.store_url(), services.store().revision("library"))


@st.cache_resource(show_spinner="Fitting predictors to the measured shapes …", max_entries=4)
def _learned(url: str, space: str, revision: tuple[int, ...]) -> Learned | None:
    found = stored_shapes(services.store(), space)
    if found is None:
        return None
    grid, table = found
    enough = len(table.scored[0]) >= FEWEST
    devices = [name for name in table.latency if len(table.timed(name)[0]) >= FEWEST]
    used = table if enough else ShapeTable(table.shapes, np.full(len(table.shapes), np.nan), table.latency)
    return Learned(table, ShapePredictors.learn(used, grid, "gp", devices))


def learned(space: str) -> Learned | None:
    """Return a space's shapes with fitted predictors; ``None`` if it holds none."""
    return _learned(services.store_url(), space, _revision())


@st.cache_data(show_spinner="Computing the importance of layers …", max_entries=4)
def _importance(url: str, space: str, revision: tuple[int, ...]) -> pd.DataFrame:
    known = learned(space)
    assert known is not None
    shapes, perplexity = known.table.scored
    order = np.random.default_rng(0).permutation(len(shapes))
    cut = int(HELD_OUT * len(shapes))
    outside, inside = order[:cut], order[cut:]
    only = ShapeTable(shapes[inside], perplexity[inside], {})
    fitted = ShapePredictors.learn(only, known.predictors.grid, "gp").perplexity
    assert fitted is not None
    found = layer_importance(fitted, shapes[outside], perplexity[outside], np.random.default_rng(0))
    layers = range(1, shapes.shape[1] + 1)
    columns = {"importance": found.importance, "low": found.low, "high": found.high}
    return pd.DataFrame({"layer": list(layers), **columns})


def importance(space: str) -> pd.DataFrame:
    """Return the importance of each layer's width for perplexity: ``layer, importance, low, high``."""
    return _importance(services.store_url(), space, _revision())


@st.cache_data(show_spinner=False, max_entries=4)
def _devices(url: str, space: str, revision: tuple[int, ...]) -> tuple[dict[str, VarianceShares], Agreement | None]:
    known = learned(space)
    assert known is not None
    grid, table = known.predictors.grid, known.table
    latency = {name: table.latency[name] for name in known.predictors.latency}
    shares = {name: variance_shares(grid, *table.timed(name)) for name in latency}
    if known.predictors.perplexity is not None:
        shares["perplexity"] = variance_shares(grid, *table.scored)
    together = np.isfinite(list(latency.values())).all(0).sum() if latency else 0
    return shares, device_agreement(grid, table.shapes, latency) if together >= FEWEST else None


def devices(space: str) -> tuple[dict[str, VarianceShares], Agreement | None]:
    """Return the variance shares of latencies and perplexity by name, and the agreement of machines if measurable."""
    return _devices(services.store_url(), space, _revision())


@st.cache_data(show_spinner="Searching …", max_entries=64)
def _search(
    url: str,
    space: str,
    revision: tuple[int, ...],
    limits: tuple[float | None, float | None, tuple[tuple[str, float], ...]],
    objective: ShapeObjective,
    device: str | None,
    seed: int,
) -> tuple[list[ShapeReport], int]:
    known = learned(space)
    assert known is not None
    asked = ShapeLimits(limits[0], limits[1], dict(limits[2]))
    found = known.predictors.search(asked, objective, device, seed)
    return known.predictors.reports(found.shapes), found.evaluated


def search(
    space: str, limits: ShapeLimits, objective: ShapeObjective, device: str | None, seed: int
) -> tuple[list[ShapeReport], int]:
    """Return the best shapes within limits and the number evaluated. Raises InputError if there are none."""
    key = (limits.parameters, limits.perplexity, tuple(sorted(limits.latency_s.items())))
    return _search(services.store_url(), space, _revision(), key, objective, device, seed)


def relative_points(known: Learned) -> pd.DataFrame:
    """Return measured latencies and perplexities relative to their medians: ``name, parameters, relative, shape``."""
    measured = {name: known.table.timed(name) for name in known.table.latency} | {"perplexity": known.table.scored}
    parts = []
    for name, (shapes, values) in measured.items():
        if len(values):
            relative = values / np.median(values)
            sizes = known.predictors.grid.parameters(shapes)
            parts.append(
                pd.DataFrame({"name": name, "parameters": sizes, "relative": relative, "shape": texts(shapes)})
            )
    return pd.concat(parts) if parts else pd.DataFrame(columns=["name", "parameters", "relative", "shape"])


def texts(shapes: Shapes) -> list[str]:
    """Return shapes as text, as in URLs."""
    return [",".join(map(str, shape)) for shape in shapes.tolist()]
