"""Exhaustive search of the parallelism of all stages, with what cannot matter left out.

The cost of a design is the sum of its stages' costs, but its latency is not: when a word leaves a
stage depends on all stages before. So every combination of beats of W_x x is timed, and for each
the cheapest choices of multipliers are found by adding up stage after stage and dropping what is
beaten. W_h h runs stage by stage, so that its clocks add up too. Nothing that could be on the front
is dropped: the result is that of trying all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from fdht_hls.estimate import Core, Resources
from fdht_hls.estimate.stage import StageDesign
from fdht_hls.estimate.timing import Times, stage_times
from fdht_hls.schedule import Schedule
from fdht_hls.tuner.alternatives import (
    ALL_RESOURCES,
    CYCLES,
    DSP,
    LUT,
    Alternatives,
    StageOptions,
    cost,
    stage_options,
)
from fdht_hls.tuner.pareto import Points, nondominated

#: Latency, DSP and LUT.
_OBJECTIVES = 3


@dataclass(frozen=True)
class Limits:
    """What a design must keep.

    Args:
        cycles: clocks a frame at most.
        latency: clocks from the last word of a frame to its result at most; None: any.
        resources: what it may take; None: anything.
    """

    cycles: int
    latency: int | None = None
    resources: Resources | None = None


@dataclass(frozen=True)
class Design:
    """A schedule and what it is estimated to give.

    Args:
        schedule: parallelism of all stages.
        cycles: clocks a frame.
        latency: clocks from the last word of a frame to its result.
        resources: what it takes.
    """

    schedule: Schedule
    cycles: int
    latency: int
    resources: Resources

    @property
    def objectives(self) -> tuple[int, int, int, int]:
        """What is minimised: cycles, latency, DSP, LUT."""
        return self.cycles, self.latency, self.resources.dsp, self.resources.lut


def search(core: Core, limits: Limits) -> list[Design]:
    """Designs within the limits of which none beats another in latency, DSP and LUT.

    Returns:
        By latency; empty if no design is within the limits.
    """
    # Flip-flops and block RAM rarely run out. Where what is best without a look at them keeps
    # their limits too, it is the answer.
    found, most = _Search(core, limits, (LUT, DSP)).run(), limits.resources
    if most is None or all(
        design.resources.ff <= most.ff and design.resources.bram18 <= most.bram18
        for design in found
    ):
        return found
    return _Search(core, limits, ALL_RESOURCES).run()


class _Search:
    """One search that tells apart, and limits, the given columns of costs."""

    def __init__(self, core: Core, limits: Limits, columns: Sequence[int]) -> None:
        self.core, self.limits, self.columns = core, limits, columns
        self.fixed = cost(core.fixed)
        self.input = self._options(core.input)
        self.hidden = self._options(core.hidden)

    def _options(self, designs: Sequence[StageDesign]) -> list[StageOptions]:
        return [stage_options(self.core, design, self.limits.cycles) for design in designs]

    def run(self) -> list[Design]:
        """See `search`."""
        stages = (*self.input, *self.hidden)
        if any(not len(options.paces) for options in stages):
            return []
        if max(self.core.fixed_cycles().values()) > self.limits.cycles:
            return []
        recurrences = self._recurrences()
        if not len(recurrences):
            return []
        found = list(self._designs(recurrences))
        if not found:
            return []
        objectives = np.concatenate([rows for rows, _ in found])
        picks = np.concatenate([kept.picks for _, kept in found])
        costs = np.concatenate([kept.costs for _, kept in found]) + self.fixed
        # All of them keep the limits: what only takes fewer flip-flops is no better.
        front = nondominated(objectives[:, :_OBJECTIVES])
        return [self._design(picks[at], costs[at]) for at in front]

    def _kept(self, every: Alternatives, columns: Sequence[int]) -> Alternatives:
        """The cheapest within the limits."""
        if self.limits.resources is not None:
            most = cost(self.limits.resources) - self.fixed
            every = every.within(most, self.columns)
        return every.cheapest(columns)

    def _recurrences(self) -> Alternatives:
        """Alternatives of W_h h, by their clocks."""
        columns = (CYCLES, *self.columns)
        found = reduce(
            lambda first, second: self._kept(first.joined(second), columns),
            (self._kept(options.all(), columns) for options in self.hidden),
        )
        found.costs[:, CYCLES] += self.core.recurrent_overhead
        return found

    def _designs(self, recurrences: Alternatives) -> Iterator[tuple[Points, Alternatives]]:
        """Objectives (latency, DSP, LUT, ..) of designs, for each combination of paces of W_x x."""
        clocks = recurrences.costs[:, CYCLES]
        cache: dict[int, Alternatives] = {}
        for times, input_stages in self._walk(0, self.core.arrivals, None):
            latency = self.core.behind(times)["write result"] - self.core.last_word
            if self.limits.latency is not None and latency > self.limits.latency:
                continue
            room = self.limits.cycles - self.core.cell_cycles(0, times)
            count = int(np.searchsorted(clocks, room, side="right"))
            if count not in cache:
                cache[count] = self._kept(recurrences.only(np.arange(count)), self.columns)
            kept = self._kept(input_stages.joined(cache[count]), self.columns)
            if len(kept):
                costs = kept.costs[:, [DSP, LUT, *self.columns[2:]]]
                yield np.insert(costs, 0, latency, axis=1), kept

    def _walk(
        self, stage: int, times: Times, before: Alternatives | None
    ) -> Iterator[tuple[Times, Alternatives]]:
        if stage == len(self.input):
            assert before is not None
            yield times, before
            return
        shape, options = self.core.input[stage].shape, self.input[stage]
        for pace in np.unique(options.paces, axis=0):
            own = options.with_pace(pace)
            kept = self._kept(own if before is None else before.joined(own), self.columns)
            if len(kept):
                beats, vectors = map(int, pace)
                after = stage_times(times, shape, beats, self.core.model, vectors)
                yield from self._walk(stage + 1, after, kept)

    def _design(self, picks: Points, costs: Points) -> Design:
        chosen = [
            options.schedules[int(pick)]
            for options, pick in zip((*self.input, *self.hidden), picks, strict=True)
        ]
        schedule = Schedule(tuple(chosen[: len(self.input)]), tuple(chosen[len(self.input) :]))
        return Design(
            schedule, *self.core.pace(schedule), Resources(*map(int, costs[: len(ALL_RESOURCES)]))
        )
