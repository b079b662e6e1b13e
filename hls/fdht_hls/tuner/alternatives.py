"""Schedules of a stage and of several: what each costs, and which are worth keeping."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from fdht_hls.engine.contractions import StageDesign
from fdht_hls.estimate import CoreModel, Resources
from fdht_hls.estimate.hls_parts import why_no_adders
from fdht_hls.schedule import PLAIN, Schedule, StageSchedule, weight_rows

Points = npt.NDArray[np.int64]
Places = npt.NDArray[np.intp]

#: Columns of what an alternative costs: resources, and clocks of a path that runs stage by stage.
LUT, FF, DSP, BRAM, CYCLES = range(5)
#: Those of resources.
ALL_RESOURCES = (LUT, DSP, FF, BRAM)


def cost(resources: Resources, cycles: int = 0) -> Points:
    """A row of costs; what is not known costs nothing."""
    ff = resources.ff or 0
    return np.array([resources.lut, ff, resources.dsp, resources.bram18, cycles], np.int64)


def resources_of(core: CoreModel, costs: Points) -> Resources:
    """A row of costs as resources; what the core's model does not count is None."""
    lut, ff, dsp, bram18 = map(int, costs[:CYCLES])
    return Resources(lut, ff if core.fixed.ff is not None else None, dsp, bram18)


@dataclass(frozen=True)
class StageOptions:
    """Schedules of a stage that are fast enough; of those of equal pace none beats another.

    Args:
        schedules: the schedules, by pace.
        paces: of each, clocks and vectors of a turn [count, 2].
        costs: what each costs [count, 5].
    """

    schedules: tuple[StageSchedule, ...]
    paces: Places
    costs: Points

    def all(self) -> Alternatives:
        """All of them."""
        return Alternatives(self.costs, np.arange(len(self.schedules), dtype=np.int64)[:, None])

    def with_pace(self, pace: Places) -> Alternatives:
        """Those of a turn of so many clocks and vectors."""
        return self.all().only(np.flatnonzero((self.paces == pace).all(axis=1)))

    def only_paces(self, paces: Places) -> StageOptions:
        """Those of some paces [count, 2]."""
        same = (self.paces[:, None] == paces[None]).all(axis=2).any(axis=1)
        return self.only(np.flatnonzero(same))

    def only(self, places: Places) -> StageOptions:
        """Some of them."""
        schedules = tuple(self.schedules[place] for place in places)
        return StageOptions(schedules, self.paces[places], self.costs[places])


#: Options of the stages of a core, which is asked for them at one pace after the other.
_made: WeakKeyDictionary[CoreModel, dict[str, StageOptions]] = WeakKeyDictionary()


def stage_options(core: CoreModel, design: StageDesign, cycles: int) -> StageOptions:
    """Schedules of a stage with which a frame takes at most `cycles` clocks."""
    made = _made.setdefault(core, {})
    if design.name not in made:
        made[design.name] = _all_options(core, design)
    every = made[design.name]
    return every.only(np.flatnonzero(every.costs[:, CYCLES] <= cycles))


def options_within(core: CoreModel, cycles: int) -> list[StageOptions]:
    """`stage_options` of all stages."""
    return [stage_options(core, design, cycles) for design in core.design.stages]


def schedule_of(core: CoreModel, every: Sequence[StageOptions], picks: Iterable[int]) -> Schedule:
    """The schedule that takes an option of each stage."""
    chosen = [options.schedules[pick] for options, pick in zip(every, picks, strict=True)]
    stages = len(core.design.input)
    return Schedule(
        tuple(chosen[:stages]), tuple(chosen[stages:]), core.frames, core.design.cell.contexts
    )


def _all_options(core: CoreModel, design: StageDesign) -> StageOptions:
    shape = design.shape
    every = [option for choice in core.choices(design) for option in kinds(core, design, choice)]
    paces = np.array([(one.beats(shape), one.vectors) for one in every], np.intp).reshape(-1, 2)
    costs = np.array(
        [
            cost(
                sum(core.stage_parts(design, one).values(), Resources()),
                core.stage_cycles(design, one),
            )
            for one in every
        ],
        np.int64,
    ).reshape(-1, 5)
    kept = [
        place
        for same in np.unique(paces, axis=0)
        for group in [np.flatnonzero((paces == same).all(axis=1))]
        for place in group[nondominated(costs[group][:, ALL_RESOURCES])]
    ]
    return StageOptions(tuple(every), paces, costs).only(np.array(kept, np.intp))


def kinds(core: CoreModel, design: StageDesign, choice: StageSchedule) -> list[StageSchedule]:
    """What a stage of some parallelism can be made of.

    Adders take the place of multipliers of LUT where all beats have the same weights: they compute
    the same with fewer; see `why_no_adders` for where that is not possible. Weights that can be
    loaded need multipliers.
    """
    if core.loadable:
        return [replace(choice, multipliers=kind, weights="loadable") for kind in PLAIN]
    if weight_rows(design.shape, choice) == 1 and why_no_adders(design) is None:
        return [choice, replace(choice, weights="adders")]
    return [replace(choice, multipliers=kind) for kind in core.multipliers(design, choice)]


@dataclass(frozen=True)
class Alternatives:
    """Choices for some stages.

    Args:
        costs: of each choice [count, 5].
        picks: which option of each stage it takes [count, stages].
    """

    costs: Points
    picks: Points

    def __len__(self) -> int:
        return len(self.costs)

    def only(self, places: Places) -> Alternatives:
        """Some of them."""
        return Alternatives(self.costs[places], self.picks[places])

    def cheapest(self, columns: Sequence[int]) -> Alternatives:
        """Those of which none is beaten in the given columns."""
        return self.only(nondominated(self.costs[:, columns]))

    def within(self, most: Points, columns: Sequence[int]) -> Alternatives:
        """Those that keep a limit in the given columns."""
        inside = (self.costs[:, columns] <= most[list(columns)]).all(axis=1)
        return self.only(np.flatnonzero(inside))

    def joined(self, other: Alternatives) -> Alternatives:
        """Each of these with each of the others, whose stages come behind."""
        costs = (self.costs[:, None] + other.costs[None]).reshape(-1, self.costs.shape[1])
        picks = np.concatenate(
            [np.repeat(self.picks, len(other), axis=0), np.tile(other.picks, (len(self), 1))],
            axis=1,
        )
        return Alternatives(costs, picks)


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
