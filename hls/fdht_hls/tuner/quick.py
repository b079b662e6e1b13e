"""Answers without a search: what no design can keep, a design that fits, and the smallest one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial, reduce
from itertools import product

import numpy as np
import numpy.typing as npt

from fdht_hls.estimate import CoreModel, Resources
from fdht_hls.tuner.alternatives import (
    ALL_RESOURCES,
    CYCLES,
    DSP,
    FF,
    LUT,
    Alternatives,
    Points,
    StageOptions,
    cost,
    options_within,
    resources_of,
    schedule_of,
)
from fdht_hls.tuner.budget import Budget
from fdht_hls.tuner.search import Design, Limits, spread

#: How much more than its share of the device a DSP slice counts; and how much the clocks of W_h h
#: count, as parts of all that there are.
_SLICES = (1.0, 0.25, 0.5, 2.0, 4.0, 0.1, 10.0, 0.03, 30.0)
_CLOCKS = (0.0, 0.1, 1.0, 10.0, 1000.0)
#: Choices for some stages that go on to the next, and designs whose times are looked at.
_KEPT, _TIMED = 256, 24
#: Parts of a frame's clocks that W_h h may take: in C++, W_x x takes the rest.
_ROOM = (1.0, 0.8, 0.5)
#: More than any device has.
_ANYTHING = 1 << 40


def hopeless(core: CoreModel, limits: Limits) -> bool:
    """Is there no design, whatever the choice? Each stage's least of each resource is too much."""
    every = options_within(core, limits.cycles)
    if any(not len(options.schedules) for options in every):
        return True
    if max(core.fixed_cycles().values()) > limits.cycles:
        return True
    if limits.resources is None:
        return False
    least = cost(core.fixed) + sum(options.costs.min(axis=0) for options in every)
    most = cost(limits.resources)
    return bool((least[list(ALL_RESOURCES)] > most[list(ALL_RESOURCES)]).any())


def quick_design(core: CoreModel, budget: Budget, limits: Limits) -> Design | None:
    """A design within the limits, of those that are looked at the least demanding; None: search.

    Stage after stage is added to some hundred choices for those before, spread over what does not
    beat another: a search without its times.
    """
    room = cost(limits.resources or Resources(_ANYTHING, _ANYTHING, _ANYTHING, _ANYTHING))
    every, stages = options_within(core, limits.cycles), len(core.design.input)
    if any(not len(options.schedules) for options in every):
        return None
    room = room - cost(core.fixed)
    for logic, part in product((LUT, FF), _ROOM):
        columns = (logic, DSP)
        path = reduce(partial(_added, room, columns), (one.all() for one in every[:stages]))
        inner = reduce(
            partial(_added, room, (CYCLES, *columns)), (one.all() for one in every[stages:])
        )
        clocks = part * (limits.cycles - core.recurrent_overhead)
        quick = inner.only(np.flatnonzero(inner.costs[:, CYCLES] <= clocks))
        if len(quick):
            both = _added(room, columns, path, quick.cheapest(columns))
            found = _least_demanding(core, budget, limits, every, both)
            if found is not None:
                return found
    return None


def _added(
    room: Points, columns: Sequence[int], first: Alternatives, second: Alternatives
) -> Alternatives:
    """Some of the cheapest that fit, of each of these with each of the others."""
    found = first.joined(second).within(room, ALL_RESOURCES).cheapest(columns)
    return found.only(spread(len(found), _KEPT)) if len(found) > _KEPT else found


def _least_demanding(
    core: CoreModel,
    budget: Budget,
    limits: Limits,
    every: Sequence[StageOptions],
    designs: Alternatives,
) -> Design | None:
    """The first that keeps pace and latency."""
    taken = [resources_of(core, row + cost(core.fixed)) for row in designs.costs]
    order = sorted(range(len(taken)), key=lambda at: budget.demand(taken[at]))
    for at in order[:_TIMED]:
        schedule = schedule_of(core, every, designs.picks[at])
        cycles, latency = core.pace(schedule)
        if cycles <= limits.cycles and (limits.latency is None or latency <= limits.latency):
            return Design(schedule, cycles, latency, taken[at])
    return None


def smallest(core: CoreModel, budget: Budget, cycles: int) -> Design | None:
    """The design of at most so many clocks a frame that strains the device least, fitting or not.

    None if no design is so fast.
    """
    found = sorted(_rim(core, budget, cycles), key=lambda one: budget.strain(one.resources))
    for design in found:
        clocks, latency = core.pace(design.schedule)
        if clocks <= cycles:
            return Design(design.schedule, clocks, latency, design.resources)
    return None


def _rim(core: CoreModel, budget: Budget, cycles: int) -> Iterator[Design]:
    """For one weighting of resources after the other, the cheapest option of each stage.

    Their pace is not known yet.
    """
    every, stages = options_within(core, cycles), len(core.design.input)
    if any(not len(options.schedules) for options in every):
        return
    most = cost(budget.limits).astype(float)
    seen = set()
    for slices, clocks in product(_SLICES, _CLOCKS):
        weights: npt.NDArray[np.float64] = 1 / np.maximum(most, 1)
        weights[DSP] *= slices
        weights[CYCLES] = 0
        inner = weights.copy()
        inner[CYCLES] = clocks / max(1, cycles)
        picks = tuple(
            int(np.argmin(options.costs @ (weights if at < stages else inner)))
            for at, options in enumerate(every)
        )
        if picks in seen:
            continue
        seen.add(picks)
        schedule = schedule_of(core, every, picks)
        taken = cost(core.fixed) + sum(
            options.costs[pick] for options, pick in zip(every, picks, strict=True)
        )
        yield Design(schedule, 0, 0, resources_of(core, taken))
