"""Exhaustive search of the parallelism of all stages, with what cannot matter left out.

The cost of a design is the sum of its stages' costs, but its latency is not: when a word leaves a
stage depends on all stages before. So every combination of beats of W_x x is timed, and for each
the cheapest choices of multipliers are found by adding up stage after stage and dropping what is
beaten. W_h h runs stage by stage, so that its clocks add up too. Nothing that could be on the front
is dropped: the result is that of trying all.

That holds up to a size. Networks of many stages have millions of combinations: beyond
`MOST_COMBINATIONS` of them, or `MOST_KEPT` choices for some stages, they are thinned out evenly,
both ends are kept, and the effort notes what was left out.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import numpy as np

from fdht_hls.estimate import CoreModel, Resources
from fdht_hls.schedule import Schedule
from fdht_hls.tuner.alternatives import (
    ALL_RESOURCES,
    CYCLES,
    DSP,
    LUT,
    Alternatives,
    Places,
    Points,
    StageOptions,
    cost,
    nondominated,
    options_within,
    resources_of,
    schedule_of,
)
from fdht_models.errors import ConfigError

#: Latency, DSP and LUT.
_OBJECTIVES = 3
#: Combinations of paces of W_x x that are timed in a search.
MOST_COMBINATIONS = 20_000
#: Choices for some stages, none of which beats another, that go on to the next stage.
MOST_KEPT = 4_096
#: Rows of costs that are made at a time: some 50 MB.
_ROWS = 1 << 18


@dataclass
class Effort:
    """The effort of one call of the tuner, which may search several times.

    Args:
        seconds: that all may take; None: any.
        show: called with what is being done, for people.
        left_out: what was not considered, in the order in which it was met.
    """

    seconds: float | None = None
    show: Callable[[str], object] = lambda text: None
    left_out: list[str] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)

    def leave_out(self, text: str) -> None:
        """Notes something that is not considered, once."""
        if text not in self.left_out:
            self.left_out.append(text)

    def check(self) -> None:
        """Ends what takes too long.

        Raises:
            ConfigError: the time is over.
        """
        if self.seconds is not None and time.monotonic() - self.started > self.seconds:
            raise ConfigError(
                "was over before the search had ended",
                field="time-limit",
                value=self.seconds,
                remedy="allow more seconds, or ask for more --frames-per-second: fewer schedules "
                "are fast enough then",
            )


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


def search(core: CoreModel, limits: Limits, effort: Effort | None = None) -> list[Design]:
    """Designs within the limits of which none beats another in latency, DSP and LUT.

    Args:
        core: the network.
        limits: what a design must keep.
        effort: notes what is left out; None: any time may be taken.

    Returns:
        By latency; empty if no design is within the limits.

    Raises:
        ConfigError: the effort's time is over.
    """
    effort = effort or Effort()
    # Flip-flops and block RAM rarely run out. Where what is best without a look at them keeps
    # their limits too, it is the answer.
    found, most = _Search(core, limits, (LUT, DSP), effort).run(), limits.resources
    if most is None or all(
        (design.resources.ff or 0) <= (most.ff or 0) and design.resources.bram18 <= most.bram18
        for design in found
    ):
        return found
    return _Search(core, limits, ALL_RESOURCES, effort).run()


class _Search:
    """One search that tells apart, and limits, the given columns of costs."""

    def __init__(
        self, core: CoreModel, limits: Limits, columns: Sequence[int], effort: Effort
    ) -> None:
        self.core, self.limits, self.columns, self.effort = core, limits, columns, effort
        self.fixed = cost(core.fixed)
        every, stages = options_within(core, limits.cycles), len(core.design.input)
        self.input, self.hidden = self._thinned(every[:stages]), every[stages:]

    def _thinned(self, every: list[StageOptions]) -> list[StageOptions]:
        """Options of W_x x with so few paces that all combinations of them can be timed."""
        paces = [np.unique(options.paces, axis=0) for options in every]
        counts = [len(own) for own in paces]
        while math.prod(counts) > MOST_COMBINATIONS:
            counts[counts.index(max(counts))] -= 1
        found = []
        for design, options, own, count in zip(
            self.core.design.input, every, paces, counts, strict=True
        ):
            if count < len(own):
                self.effort.leave_out(
                    f"some paces of {design.name}: all together have more than "
                    f"{MOST_COMBINATIONS:,} combinations"
                )
                # By clocks a vector, the slowest, which takes least, first.
                ordered = own[np.argsort(-own[:, 0] / own[:, 1], kind="stable")]
                options = options.only_paces(ordered[spread(len(own), count)])
            found.append(options)
        return found

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
        found = self._front(self._designs(recurrences))
        if found is None:
            return []
        _, kept = found
        costs = kept.costs + self.fixed
        return [self._design(picks, row) for picks, row in zip(kept.picks, costs, strict=True)]

    def _front(
        self, parts: Iterator[tuple[Points, Alternatives]]
    ) -> tuple[Points, Alternatives] | None:
        """Those of all parts that none beats; a few parts at a time, for together they are many."""
        found: tuple[Points, Alternatives] | None = None
        waiting: list[tuple[Points, Alternatives]] = []
        rows = 0
        for part in parts:
            waiting.append(part)
            rows += len(part[0])
            if rows > _ROWS:
                found = _beaten_left_out([*([found] if found else []), *waiting])
                waiting, rows = [], 0
        return _beaten_left_out([*([found] if found else []), *waiting]) if waiting else found

    def _kept(self, every: Alternatives, columns: Sequence[int]) -> Alternatives:
        """The cheapest within the limits."""
        self.effort.check()
        if self.limits.resources is not None:
            most = cost(self.limits.resources) - self.fixed
            every = every.within(most, self.columns)
        found = every.cheapest(columns)
        if len(found) <= MOST_KEPT:
            return found
        self.effort.leave_out(f"of choices for several stages at once, more than {MOST_KEPT:,}")
        least = [int(np.argmin(found.costs[:, column])) for column in columns]
        return found.only(np.union1d(spread(len(found), MOST_KEPT), least))

    def _joined(
        self, first: Alternatives, second: Alternatives, columns: Sequence[int]
    ) -> Alternatives:
        """The cheapest within the limits of each of these with each of the others."""
        step = max(1, _ROWS // max(1, len(second)))
        if len(first) <= step:
            return self._kept(first.joined(second), columns)
        parts = []
        for at in range(0, len(first), step):
            some = first.only(np.arange(at, min(at + step, len(first))))
            parts.append(self._kept(some.joined(second), columns))
        return self._kept(_together(parts), columns)

    def _recurrences(self) -> Alternatives:
        """Alternatives of W_h h, by their clocks."""
        columns = (CYCLES, *self.columns)
        found = reduce(
            lambda first, second: self._joined(first, second, columns),
            (self._kept(options.all(), columns) for options in self.hidden),
        )
        found.costs[:, CYCLES] += self.core.recurrent_overhead
        return found

    def _designs(self, recurrences: Alternatives) -> Iterator[tuple[Points, Alternatives]]:
        """Objectives (latency, DSP, LUT, ..) of designs, for each combination of paces of W_x x."""
        clocks = recurrences.costs[:, CYCLES]
        cache: dict[int, Alternatives] = {}
        for known, input_stages in self._walk(0, self.core.before(), None):
            room = self.core.recurrent_room(self.limits.cycles, known)
            if not len(clocks) or room < clocks[0]:
                continue
            latency = self.core.latency(known)
            if self.limits.latency is not None and latency > self.limits.latency:
                continue
            count = int(np.searchsorted(clocks, room, side="right"))
            if count not in cache:
                cache[count] = self._kept(recurrences.only(np.arange(count)), self.columns)
            kept = self._joined(input_stages, cache[count], self.columns)
            if len(kept):
                costs = kept.costs[:, [DSP, LUT, *self.columns[2:]]]
                yield np.insert(costs, 0, latency, axis=1), kept

    def _walk(
        self, stage: int, known: Any, before: Alternatives | None
    ) -> Iterator[tuple[Any, Alternatives]]:
        if stage == len(self.input):
            assert before is not None
            yield known, before
            return
        options = self.input[stage]
        for pace in np.unique(options.paces, axis=0):
            own = options.with_pace(pace)
            kept = (
                self._kept(own, self.columns)
                if before is None
                else self._joined(before, own, self.columns)
            )
            if len(kept):
                beats, vectors = map(int, pace)
                after = self.core.after(known, stage, beats, vectors)
                yield from self._walk(stage + 1, after, kept)

    def _design(self, picks: Points, costs: Points) -> Design:
        schedule = schedule_of(self.core, (*self.input, *self.hidden), picks)
        return Design(schedule, *self.core.pace(schedule), resources_of(self.core, costs))


def _beaten_left_out(
    parts: Sequence[tuple[Points, Alternatives]],
) -> tuple[Points, Alternatives]:
    objectives = np.concatenate([rows for rows, _ in parts])
    every = _together([kept for _, kept in parts])
    # All of them keep the limits: what only takes fewer flip-flops is no better.
    front = nondominated(objectives[:, :_OBJECTIVES])
    return objectives[front], every.only(front)


def _together(parts: Sequence[Alternatives]) -> Alternatives:
    """Alternatives for the same stages as one."""
    return Alternatives(
        np.concatenate([part.costs for part in parts]),
        np.concatenate([part.picks for part in parts]),
    )


def spread(count: int, kept: int) -> Places:
    """Places of so many of `count` things, spread evenly with both ends; of one, the first."""
    return np.unique(np.linspace(0, count - 1 if kept > 1 else 0, kept).round()).astype(np.intp)
