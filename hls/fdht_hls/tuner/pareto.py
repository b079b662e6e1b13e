"""Points that no other point beats in everything."""

from __future__ import annotations

from bisect import bisect_left, bisect_right

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.int64]
Places = npt.NDArray[np.intp]


def nondominated(points: Points) -> Places:
    """Positions of the points [count, objectives] that none beats; all objectives are minimised.

    Of equal points the first is kept. They come in the order of the first objective, then of the
    second, and so on.
    """
    if not len(points):
        return np.empty(0, np.intp)
    order = np.lexsort(points.T[::-1])
    ordered = points[order]
    if points.shape[1] <= 2:
        return order[_of_two(ordered)]
    return order[_of_three(ordered) if points.shape[1] == 3 else _of_many(ordered)]


# Whoever beats a point stands before it in the order, so that only those need to be looked at.


def _of_two(ordered: Points) -> Places:
    """One objective or two: those whose last value is a new minimum."""
    last = ordered[:, -1]
    before = np.minimum.accumulate(last)
    new = np.ones(len(last), bool)
    new[1:] = last[1:] < before[:-1]
    return np.flatnonzero(new)


def _of_three(ordered: Points) -> Places:
    """Three: the last two of all points so far are kept as stairs, one falling, one rising."""
    seconds: list[int] = []
    thirds: list[int] = []
    places = []
    for place, (_, second, third) in enumerate(ordered.tolist()):
        at = bisect_right(seconds, second)
        if at and thirds[at - 1] <= third:
            continue
        places.append(place)
        first = bisect_left(seconds, second)
        end = first
        while end < len(seconds) and thirds[end] >= third:
            end += 1
        seconds[first:end] = [second]
        thirds[first:end] = [third]
    return np.array(places, np.intp)


def _of_many(ordered: Points) -> Places:
    kept = np.empty_like(ordered)
    places: list[int] = []
    for place, point in enumerate(ordered):
        if not (kept[: len(places), 1:] <= point[1:]).all(axis=1).any():
            kept[len(places)] = point
            places.append(place)
    return np.array(places, np.intp)
