"""What a set of trade-offs is worth: the Pareto set and the hypervolume it dominates.

Everything is larger-is-better; a cost is given negated. The hypervolume is the volume of all points that lie between a
reference and at least one of the given points (Zitzler and Thiele, 1998), found by cutting it into slices along the
last objective: exact for any number of objectives, fast for two and three. Its unit is the product of theirs.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from explorer.errors import InputError

Array = NDArray[np.float64]


def pareto_set(points: Array) -> NDArray[np.int64]:
    """Which points no other beats in one objective without losing in another.

    Args:
        points: ``[N, m]``, larger is better, no NaN; equal ones are all kept.

    Returns:
        Their indices, ascending.

    Raises:
        InputError: the shape does not fit, or there is a NaN.
    """
    points = _checked(points)
    if points.shape[1] == 2:
        return _pareto_pairs(points)
    order = np.lexsort(points.T)[::-1]  # by the last objective, best first: what beats a point comes before it
    kept: list[int] = []
    for i in order:
        rivals = points[kept]
        beaten = (rivals >= points[i]).all(axis=1) & (rivals > points[i]).any(axis=1)
        if not beaten.any():
            kept.append(int(i))
    return np.array(sorted(kept), dtype=np.int64)


def _pareto_pairs(points: Array) -> NDArray[np.int64]:
    """``pareto_set`` of two objectives in the time of a sort, also where nearly all points are kept."""
    if not len(points):
        return np.empty(0, dtype=np.int64)
    order = np.lexsort(points.T)[::-1]  # by the last objective, then by the first one, best first
    first, last = points[order].T
    begins = np.append(True, last[1:] != last[:-1])  # of points with equal last objectives
    group = np.cumsum(begins) - 1
    best = first[begins]  # of each group, whose best is its first
    beaten_up_to = np.maximum.accumulate(best)  # by the group and those before it
    improves = np.append(True, best[1:] > beaten_up_to[:-1])
    kept = improves[group] & (first == best[group])
    return np.sort(order[kept]).astype(np.int64)


def hypervolume(points: Array, reference: Array) -> float:
    """Volume between a reference and the points.

    Args:
        points: ``[N, m]``, larger is better, no NaN; those that do not beat the reference in everything count nothing.
        reference: ``[m]``, finite.

    Raises:
        InputError: shapes do not fit, or something is NaN.
    """
    points, low = _checked(points), np.asarray(reference, dtype=np.float64)
    if low.shape != points.shape[1:] or not np.isfinite(low).all():
        raise InputError("reference", f"be finite, [{points.shape[1]}]", reference, "Give one number per objective.")
    inside = points[(points > low).all(axis=1)] - low
    return _volume(inside[pareto_set(inside)])


def _volume(points: Array) -> float:
    """Volume between 0 and points ``[N, m]`` above it."""
    if len(points) == 0:
        return 0.0
    if points.shape[1] == 1:
        return float(points.max())
    points = points[np.argsort(-points[:, -1], kind="stable")]
    if points.shape[1] == 2:  # the best of the first objective so far is the width of each slice
        heights = -np.diff(points[:, 1], append=0.0)
        return float(np.maximum.accumulate(points[:, 0]) @ heights)
    total = 0.0
    floors = np.append(points[1:, -1], 0.0)
    for place in np.flatnonzero(points[:, -1] > floors):
        slice_ = points[: place + 1, :-1]
        total += float(points[place, -1] - floors[place]) * _volume(slice_[pareto_set(slice_)])
    return total


def _checked(points: Array) -> Array:
    checked = np.asarray(points, dtype=np.float64)
    if checked.ndim != 2 or checked.shape[1] == 0 or np.isnan(checked).any():
        raise InputError("points", "be [N, m] with m ≥ 1, without NaN", checked.shape, "Give one row per point.")
    return checked
