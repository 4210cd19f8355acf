"""Values, filters and areas of the map of a space, and the search by part of a name.

An area of the map is a polygon, or a box given by two opposite corners; its text is ``x,y x,y …``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from explorer.analysis.quantities import quantity_title
from graphstore.queries import Ends, MeasurementKey
from graphstore.records import MeasurementRecord

FEWEST_DIGITS = 3
"""Fewest characters of an id to search for."""
MOST_CORNERS = 48
"""Most corners of an area; more of a line drawn by hand are dropped."""
LONGEST_AREA = 2000
"""Most characters of an area's text."""
LARGEST = 1e9
Area = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class MapFilters:
    """The filters of the map; ``None`` and an empty tuple exclude nothing.

    Attributes:
        parameters: smallest and largest number.
        depth: smallest and largest number of layers.
        score: smallest and largest score; either excludes architectures without the score.
        operations: all of them must occur.
        scored: whether to show only architectures with the score.
    """

    parameters: Ends = (None, None)
    depth: Ends = (None, None)
    score: Ends = (None, None)
    operations: tuple[str, ...] = ()
    scored: bool = False

    @property
    def are_open(self) -> bool:
        """Whether the filters exclude nothing."""
        return self == MapFilters()

    def mask(self, points: pd.DataFrame, score: pd.Series, shares: pd.DataFrame) -> NDArray[np.bool_]:
        """Return which points are shown, ``[N]``.

        Args:
            points: indexed by id, with ``parameters, depth``.
            score: scores by id, of some architectures.
            shares: the frame that ``layer_shares`` returns.
        """
        shown = np.ones(len(points), dtype=bool)
        known = score.reindex(points.index)
        for values, (low, high) in (
            (points["parameters"], self.parameters),
            (points["depth"], self.depth),
            (known, self.score),
        ):
            found = values.to_numpy(dtype=np.float64)
            shown &= True if low is None else found >= low
            shown &= True if high is None else found <= high
        if self.scored:
            shown &= known.notna().to_numpy()
        for operation in self.operations:
            has = shares.get(operation, pd.Series(0.0, shares.index))
            shown &= has.reindex(points.index).fillna(0.0).to_numpy(dtype=np.float64) > 0
        return shown


def layer_shares(layers: pd.DataFrame) -> pd.DataFrame:
    """Return the share of each architecture's layers that have each operation.

    Args:
        layers: one row per layer: ``id, operation``.

    Returns:
        Indexed by id, one column per operation, 0 to 1.
    """
    counts = pd.crosstab(layers["id"], layers["operation"])
    return counts.div(counts.sum(axis=1), axis=0)


def measured_values(measurements: Iterable[MeasurementRecord]) -> dict[str, pd.Series]:
    """Return measured values by id, for each device, quantity and unit, called ``raspberry latency (s)``."""
    found: dict[str, dict[str, float]] = {}
    for one in measurements:
        title = quantity_title(MeasurementKey(one.device, one.quantity), one.unit)
        found.setdefault(title, {})[one.architecture] = one.value
    return {name: pd.Series(values, dtype=float, name=name) for name, values in sorted(found.items())}


def find_ids(points: pd.DataFrame, text: str) -> list[str]:
    """Return the architectures whose name contains a text or whose id begins with it, in the order of the points.

    Args:
        points: indexed by id, with ``name``.
        text: part of a name, in any case, or the first three or more characters of an id. If it is a whole name, only
            the architectures of that name are returned.
    """
    wanted = text.strip().casefold()
    if not wanted:
        return []
    names = points["name"].str.casefold()
    hits = names == wanted
    if not hits.any():
        hits = names.str.contains(wanted, regex=False)
        if len(wanted) >= FEWEST_DIGITS:
            hits |= points.index.astype(str).str.startswith(wanted)
    return [str(id) for id in points.index[hits.to_numpy(dtype=bool)]]


def area_of(xs: Sequence[float], ys: Sequence[float]) -> Area | None:
    """Return the area of a box's two opposite corners or of a drawn line; ``None`` if it encloses nothing."""
    # NaN and coordinates far outside the map fail the comparison and are dropped.
    corners = [(float(x), float(y)) for x, y in zip(xs, ys, strict=False) if abs(x) <= LARGEST and abs(y) <= LARGEST]
    step = max(1, math.ceil(len(corners) / MOST_CORNERS))
    # Adding 0.0 turns -0.0 into 0.0, so that one place has one text.
    kept = tuple((float(f"{x:.5g}") + 0.0, float(f"{y:.5g}") + 0.0) for x, y in corners[::step])
    return kept if len(set(kept)) >= 2 else None


def area_text(area: Area) -> str:
    """Return an area as text for the address."""
    return " ".join(f"{x:g},{y:g}" for x, y in area)


def read_area(text: str) -> Area | None:
    """Read an area; ``None`` if the text is not one."""
    if len(text) > LONGEST_AREA:
        return None
    try:
        corners = [tuple(float(part) for part in corner.split(",")) for corner in text.split()]
    except ValueError:
        return None
    if not 2 <= len(corners) <= MOST_CORNERS:
        return None
    if any(len(one) != 2 or not all(math.isfinite(end) and abs(end) <= LARGEST for end in one) for one in corners):
        return None
    return tuple((x, y) for x, y in corners)


def inside(points: pd.DataFrame, areas: Iterable[Area]) -> NDArray[np.bool_]:
    """Return which points, with ``x`` and ``y``, lie in one of the areas, ``[N]``, by the even-odd rule."""
    x, y = (points[axis].to_numpy(dtype=np.float64) for axis in ("x", "y"))
    chosen = np.zeros(len(points), dtype=bool)
    for area in areas:
        if len(area) == 2:
            (x0, y0), (x1, y1) = area
            chosen |= (x >= min(x0, x1)) & (x <= max(x0, x1)) & (y >= min(y0, y1)) & (y <= max(y0, y1))
            continue
        crossed = np.zeros(len(points), dtype=bool)
        for (x0, y0), (x1, y1) in zip(area, (*area[1:], area[0]), strict=True):
            if y0 == y1:
                continue
            between = (y0 > y) != (y1 > y)
            # A nearly horizontal edge overflows to inf, which still compares correctly.
            with np.errstate(over="ignore"):
                crossed ^= between & (x < (x1 - x0) * (y - y0) / (y1 - y0) + x0)
        chosen |= crossed
    return chosen


def drawn_ids(points: pd.DataFrame, always: Iterable[str], most: int) -> pd.Index:
    """Return the points to draw if there are too many: the given ones and an evenly spaced selection of the rest.

    Args:
        points: indexed by id.
        always: ids to draw in any case, such as scored architectures.
        most: number of other points to draw.
    """
    if len(points) <= most:
        return points.index
    wanted = points.index.isin(list(always))
    rest = np.flatnonzero(~wanted)
    wanted[rest[np.unique(np.linspace(0, len(rest) - 1, most).astype(np.int64))]] = True
    return points.index[wanted]


def describe(settings: Mapping[str, object]) -> str:
    """Return settings as text: ``perplexity 30, seed 0``."""
    words = (
        f"{name.replace('_', ' ')} {value:g}" if isinstance(value, float) else f"{name.replace('_', ' ')} {value}"
        for name, value in settings.items()
    )
    return ", ".join(words)
