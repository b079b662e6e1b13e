"""The core in RTL for sparse frames, with the frames that it is tuned for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from fdht_hls.engine import StageDesign, schedule_engine
from fdht_hls.estimate import Estimate
from fdht_hls.estimate.rtl import estimate_rtl, port_clocks, recurrent_clocks, stage_depth
from fdht_hls.estimate.rtl_sparse import Known, SparseTiming
from fdht_hls.frame_profile import Counts, FrameProfile, Spread
from fdht_hls.schedule import Schedule, StageSchedule, choices, vector_length
from fdht_hls.tuner.rtl_core import STAGE_CLOCKS, RtlCoreModel

#: Clocks of a stage for a full frame at most, as a multiple of those of the port.
FULL_FRAME = 1.05
#: What a frame's clocks and its latency are called beside processes.
FRAME, LATENCY = "frame", "last word to result"


@dataclass(frozen=True)
class FrameFigures:
    """What a process takes for a frame. All figures are estimated.

    Args:
        spread: over the frames of the profile.
        full: of a frame without any zero.
        limits: share of the profile's frames for which nothing is slower; None: of what is no
            process.
    """

    spread: Spread
    full: int
    limits: float | None


@dataclass(frozen=True, eq=False)
class SparseCoreModel(RtlCoreModel):
    """The core in RTL for sparse frames like those of a profile.

    A design's clocks are the mean over these frames of what the slowest process takes for each;
    its latency is the mean likewise, of frames that find the core at rest. No stage takes longer
    for a full frame than `FULL_FRAME` times the port does, if it can be so fast.

    Args:
        profile: of the frames; never None.
    """

    profile: FrameProfile | None = None

    @cached_property
    def timing(self) -> SparseTiming:
        """The frames at work."""
        assert self.profile is not None
        return SparseTiming(self.design, self.profile)

    @cached_property
    def _position(self) -> Mapping[str, int]:
        return {design.name: at for at, design in enumerate(self.design.input)}

    @property
    def frames_alike(self) -> bool:
        """The slowest process of one frame is not that of another."""
        return False

    @property
    def port_cycles(self) -> int:
        """Clocks of the port for a frame, on average."""
        return math.ceil(self.timing.profile.port.mean())

    def fixed_cycles(self) -> dict[str, int]:
        """Clocks a frame of the memory port, on average."""
        return {"memory port": self.port_cycles}

    def choices(self, design: StageDesign) -> tuple[StageSchedule, ...]:
        """Parallelism with which a full frame is no slower than it may be, or the fastest."""
        every = choices(design.shape)
        if design.name not in self._position:
            return every
        fastest = min(one.cycles(design.shape) for one in every)
        most = max(fastest, int(FULL_FRAME * self.full_port))
        return tuple(one for one in every if one.cycles(design.shape) <= most)

    @property
    def full_port(self) -> int:
        """Clocks of the port for a full frame."""
        return port_clocks(self.design.port, self.frames)

    def stage_cycles(self, design: StageDesign, schedule: StageSchedule) -> int:
        """Clocks of a stage for a frame; of W_x x the mean, below which no design can be."""
        if design.name not in self._position:
            return super().stage_cycles(design, schedule)
        beats = schedule.beats(design.shape)
        clocks = self.timing.stage_clocks(self._position[design.name], beats, schedule.vectors)
        return math.ceil(clocks.mean())

    def before(self) -> Any:
        """See `SparseTiming`."""
        return self.timing.before()

    def after(self, known: Any, position: int, beats: int, vectors: int) -> Any:
        """See `SparseTiming`; the depth of a stage is that of its widest vector."""
        length = vector_length(self.design.input[position].shape)
        depth = STAGE_CLOCKS + math.ceil(math.log2(length))
        return self.timing.after(known, position, beats, vectors, depth)

    def latency(self, known: Any) -> int:
        """Clocks from a frame's last word to its result, on average, if the core was at rest."""
        return math.ceil(known.backlog.mean()) + self.timing.last_word_to_result(known)

    def recurrent_room(self, cycles: int, known: Any) -> int:
        """See `SparseTiming`."""
        return self.timing.recurrent_room(cycles, known)

    def pace(self, schedule: Schedule) -> tuple[int, int]:
        """Clocks a frame and latency."""
        plan = schedule_engine(self.design, schedule)
        known = self.known(schedule)[-1]
        frames = np.maximum(known.clocks, recurrent_clocks(plan))
        return math.ceil(frames.mean()), self.latency(known)

    def known(self, schedule: Schedule) -> list[Known]:
        """What is known of the frames before the first stage of W_x x, and behind each."""
        stages = schedule_engine(self.design, schedule).input
        found = [self.timing.before()]
        for at, stage in enumerate(stages):
            own, depth = stage.schedule, stage_depth(stage)
            beats = own.beats(stage.shape)
            found.append(self.timing.after(found[-1], at, beats, own.vectors, depth))
        return found

    def estimate(self, schedule: Schedule) -> Estimate:
        """The estimate with a schedule; clocks of stages are means."""
        plan, figures = schedule_engine(self.design, schedule), self.figures(schedule)
        found = estimate_rtl(plan)
        names = {"reader": "memory port", "cell": "recurrence"}
        rows = []
        for row in found.stages:
            own = figures.get(names.get(row.name, row.name))
            cycles = row.cycles if own is None else math.ceil(own.spread.mean)
            rows.append(replace(row, cycles=cycles))
        limiting = {name: own.limits for name, own in figures.items() if own.limits is not None}
        latency = self._latency(schedule)
        return replace(
            found,
            cycles_per_frame=math.ceil(figures[FRAME].spread.mean),
            limited_by=max(limiting, key=lambda name: limiting[name]),
            fill_latency_cycles=sum(latency.values()),
            latency=latency,
            stages=tuple(rows),
        )

    def _latency(self, schedule: Schedule) -> dict[str, int]:
        """What each process adds to the latency; and what stages have to catch up with."""
        known = self.known(schedule)
        times = [0, *(int(own.times[-1]) for own in known)]
        times.append(self.timing.last_word_to_result(known[-1]))
        names = ["placer", *(design.name for design in self.design.input), "cell and head"]
        added = dict(zip(names, map(int, np.diff(times)), strict=True))
        return {**added, "backlog": math.ceil(known[-1].backlog.mean())}

    def figures(self, schedule: Schedule) -> dict[str, FrameFigures]:
        """What each process takes for a frame; all of them (`FRAME`); and the latency."""
        plan = schedule_engine(self.design, schedule)
        recurrence = recurrent_clocks(plan)
        clocks: dict[str, Counts] = {"memory port": self.timing.profile.port}
        full = {"memory port": self.full_port}
        for at, stage in enumerate(plan.input):
            own = stage.schedule
            clocks[stage.name] = self.timing.stage_clocks(at, own.beats(stage.shape), own.vectors)
            full[stage.name] = stage.cycles
        clocks["recurrence"] = np.full_like(self.timing.profile.port, recurrence)
        full["recurrence"] = recurrence
        every = np.array(list(clocks.values()))
        slowest = every.argmax(axis=0)
        found = {
            name: FrameFigures(Spread.of(own), full[name], float(np.mean(slowest == at)))
            for at, (name, own) in enumerate(clocks.items())
        }
        found[FRAME] = FrameFigures(Spread.of(every.max(axis=0)), max(full.values()), None)
        known = self.known(schedule)[-1]
        least = self.timing.last_word_to_result(known)
        found[LATENCY] = FrameFigures(Spread.of(least + known.backlog), least, None)
        return found
