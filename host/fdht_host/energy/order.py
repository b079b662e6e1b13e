"""The order of busy and idle windows, and the orders that might have been drawn in its place.

A fixed order can be in step with something that comes and goes by itself - a fan, another program -
which is then taken for energy of the core. So the order is drawn anew for each run, with the same
chance from all in which each state comes equally often and never more than twice in a row. What
the others would have made of the same readings is what the interval follows from: `estimating`.
"""

from __future__ import annotations

import random
import secrets
from functools import cache

import numpy as np
import numpy.typing as npt

#: How often a state may come in a row: what drifts slowly then hits both alike.
_IN_A_ROW = 2
#: Orders that are compared at most; beyond, so many are drawn.
_COMPARED = 4000


def draw_seed() -> int:
    """A seed that nobody knows beforehand."""
    return secrets.randbits(31)


def draw_order(repeats: int, seed: int) -> tuple[bool, ...]:
    """Of each window in order of time, whether the core is busy in it.

    Args:
        repeats: windows of each state.
        seed: of the order.
    """
    return _drawn(repeats, random.Random(seed))


@cache
def possible_orders(repeats: int) -> npt.NDArray[np.bool_]:
    """The orders that may be drawn, bool[m, 2 x repeats]: all where they are few, else a sample."""
    if _ways(repeats, repeats, 0) <= _COMPARED:
        return np.array(_all(repeats, repeats, 0))
    generator = random.Random(repeats)
    return np.array([_drawn(repeats, generator) for _ in range(_COMPARED)])


def is_possible(order: tuple[bool, ...]) -> bool:
    """May this order have been drawn?"""
    runs = [len(set(order[k : k + _IN_A_ROW + 1])) for k in range(len(order) - _IN_A_ROW)]
    return 2 * sum(order) == len(order) and 1 not in runs


def _drawn(repeats: int, generator: random.Random) -> tuple[bool, ...]:
    """One of the orders, each with the same chance."""
    busy, idle, run, order = repeats, repeats, 0, []
    while busy or idle:
        chosen = generator.randrange(_ways(busy, idle, run)) < _ways_with(busy, idle, run, True)
        run = _run(run, chosen)
        busy, idle = busy - chosen, idle - (not chosen)
        order.append(chosen)
    return tuple(order)


def _run(run: int, busy: bool) -> int:
    """How many of a state are in a row, below 0 if idle, after one more window."""
    sign = 1 if busy else -1
    return run + sign if run * sign > 0 else sign


def _ways_with(busy: int, idle: int, run: int, chosen: bool) -> int:
    """Orders of the windows that are left, of which the first is busy, or idle."""
    after = _run(run, chosen)
    if abs(after) > _IN_A_ROW or not (busy if chosen else idle):
        return 0
    return _ways(busy - chosen, idle - (not chosen), after)


@cache
def _ways(busy: int, idle: int, run: int) -> int:
    if busy == idle == 0:
        return 1
    return sum(_ways_with(busy, idle, run, chosen) for chosen in (True, False))


def _all(busy: int, idle: int, run: int) -> list[tuple[bool, ...]]:
    if busy == idle == 0:
        return [()]
    return [
        (chosen, *rest)
        for chosen in (True, False)
        if _ways_with(busy, idle, run, chosen)
        for rest in _all(busy - chosen, idle - (not chosen), _run(run, chosen))
    ]
