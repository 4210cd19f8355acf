"""The Pareto set of points, and the hypervolume that they dominate.

Objectives are maximised; negate a cost. The hypervolume is the volume of all points that lie between a reference and at
least one of the given points (Zitzler and Thiele, 1998). It is computed by slicing along the last objective, which is
exact for any number of objectives and fast for two and three. Its unit is the product of the objectives' units.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from explorer.errors import InputError

Array = NDArray[np.float64]


def pareto_set(points: Array) -> NDArray[np.int64]:
    """Return the indices of the non-dominated points, ascending.

    A point is dominated if another one is at least as good in every objective and better in one. So a weakly dominated
    point is not in the set, and of equal points all are.

    Args:
        points: ``[N, m]``, larger is better, no NaN.

    Raises:
        InputError: the shape is wrong, or there is a NaN.
    """
    points = _checked(points)
    if points.shape[1] == 2:
        return _pareto_pairs(points)
    order = np.lexsort(points.T)[::-1]  # by the last objective, best first: a point comes after all that dominate it
    kept: list[int] = []
    for i in order:
        rivals = points[kept]
        dominates = (rivals >= points[i]).all(axis=1) & (rivals > points[i]).any(axis=1)
        if not dominates.any():
            kept.append(int(i))
    return np.array(sorted(kept), dtype=np.int64)


def _pareto_pairs(points: Array) -> NDArray[np.int64]:
    """``pareto_set`` for two objectives in O(N log N), also where nearly all points are in the set."""
    if not len(points):
        return np.empty(0, dtype=np.int64)
    order = np.lexsort(points.T)[::-1]  # by the last objective, then by the first one, best first
    first, last = points[order].T
    begins = np.append(True, last[1:] != last[:-1])  # each group of points with equal last objectives
    group = np.cumsum(begins) - 1
    best = first[begins]  # the first point of each group is its best
    best_so_far = np.maximum.accumulate(best)
    improves = np.append(True, best[1:] > best_so_far[:-1])
    kept = improves[group] & (first == best[group])
    return np.sort(order[kept]).astype(np.int64)


def hypervolume(points: Array, reference: Array) -> float:
    """Return the volume between a reference and the points.

    Args:
        points: ``[N, m]``, larger is better, no NaN; those not above the reference in every objective add nothing.
        reference: ``[m]``, finite.

    Raises:
        InputError: a shape is wrong, or there is a NaN.
    """
    points, low = _checked(points), np.asarray(reference, dtype=np.float64)
    if low.shape != points.shape[1:] or not np.isfinite(low).all():
        raise InputError("reference", f"be finite, [{points.shape[1]}]", reference, "Give one number per objective.")
    inside = points[(points > low).all(axis=1)] - low
    return _volume(inside[pareto_set(inside)])


def _volume(points: Array) -> float:
    """Return the volume between 0 and points ``[N, m]`` above 0."""
    if len(points) == 0:
        return 0.0
    if points.shape[1] == 1:
        return float(points.max())
    points = points[np.argsort(-points[:, -1], kind="stable")]
    if points.shape[1] == 2:  # each slice is as wide as the best first objective so far
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
