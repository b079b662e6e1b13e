"""Cores that skip zeros, with the frames that they are tuned for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from fdht_hls.engine import StageDesign, schedule_engine
from fdht_hls.estimate import CoreModel, Estimate
from fdht_hls.estimate.clip_clocks import FRAME, LATENCY, ClipClocks, FrameFigures
from fdht_hls.estimate.rtl import recurrent_clocks, stage_depth
from fdht_hls.estimate.sparse_timing import Known, SparseTiming
from fdht_hls.frame_profile import Counts, FrameProfile, Spread
from fdht_hls.schedule import Schedule, StageSchedule, choices, vector_length
from fdht_hls.tuner.rtl_core import STAGE_CLOCKS, RtlCoreModel

#: Clocks of a stage for a full frame at most, as a multiple of those of the port.
FULL_FRAME = 1.05


@dataclass(frozen=True, eq=False)
class SparseCoreModel(CoreModel):
    """A core for frames like those of a profile; see `SparseHlsModel` and `SparseRtlModel`.

    A design's clocks are the mean over these frames of what the slowest process takes for each;
    its latency is the mean likewise, of frames that find the core at rest. No stage takes longer
    for a full frame than `FULL_FRAME` times the port does, if it can be so fast. The estimate is of
    full frames, as without a profile, with the profile's beside them.

    Args:
        profile: of the frames; never None.
    """

    profile: FrameProfile | None = None
    #: The process that computes W_h h.
    recurrence: ClassVar[str]

    @cached_property
    def full(self) -> CoreModel:
        """The same core, for which every frame is full."""
        raise NotImplementedError

    @cached_property
    def timing(self) -> SparseTiming:
        """The frames at work."""
        raise NotImplementedError

    @property
    def least(self) -> int:
        """Clocks that every frame takes, whatever the schedule."""
        return max([0, *self._constant.values()])

    def recurrence_clocks(self, schedule: Schedule) -> int:
        """Its clocks, which are the same for every frame."""
        raise NotImplementedError

    def word_depth(self, design: StageDesign) -> int:
        """Clocks at most from a stage's last beat to the word that it completes."""
        raise NotImplementedError

    def frames_behind(self, known: Any) -> Known:
        """What is known of the profile's frames, of all that `after` gives."""
        raise NotImplementedError

    def last_to_result(self, known: Any) -> int:
        """Clocks from a frame's last word to its result if no stage has to catch up."""
        raise NotImplementedError

    @cached_property
    def _position(self) -> Mapping[str, int]:
        return {design.name: at for at, design in enumerate(self.design.input)}

    @cached_property
    def _reader(self) -> str:
        """The process that reads frames."""
        return next(iter(self.full.fixed_cycles()))

    @cached_property
    def _constant(self) -> dict[str, int]:
        """Clocks of the processes that read no frames and have no parallelism to choose."""
        every = self.full.fixed_cycles().items()
        return {name: clocks for name, clocks in every if name != self._reader}

    @property
    def frames_alike(self) -> bool:
        """The slowest process of one frame is not that of another."""
        return False

    @property
    def port_cycles(self) -> int:
        """Clocks of the port for a frame, on average."""
        return math.ceil(self.timing.profile.port.mean())

    def fixed_cycles(self) -> dict[str, int]:
        """Clocks a frame of the processes that have no parallelism to choose, on average."""
        return {self._reader: math.ceil(self.timing.port.mean()), **self._constant}

    def choices(self, design: StageDesign) -> tuple[StageSchedule, ...]:
        """Parallelism with which a full frame is no slower than it may be, or the fastest."""
        every = choices(design.shape)
        if design.name not in self._position:
            return every
        fastest = min(one.cycles(design.shape) for one in every)
        most = max(fastest, int(FULL_FRAME * self.full.fixed_cycles()[self._reader]))
        return tuple(one for one in every if one.cycles(design.shape) <= most)

    def stage_cycles(self, design: StageDesign, schedule: StageSchedule) -> int:
        """Clocks of a stage for a frame; of W_x x the mean, below which no design can be."""
        if design.name not in self._position:
            return super().stage_cycles(design, schedule)
        beats = schedule.beats(design.shape)
        clocks = self.timing.stage_clocks(self._position[design.name], beats, schedule.vectors)
        return math.ceil(clocks.mean())

    def before(self) -> Any:
        """See `SparseTiming`."""
        return self.timing.before(self.placing, self.least)

    def after(self, known: Any, position: int, beats: int, vectors: int) -> Any:
        """See `SparseTiming`."""
        depth = self.word_depth(self.design.input[position])
        return self.timing.after(known, position, beats, vectors, depth)

    def latency(self, known: Any) -> int:
        """Clocks from a frame's last word to its result, on average, if the core was at rest."""
        behind = self.frames_behind(known).backlog.mean()
        return math.ceil(behind) + self.last_to_result(known)

    def known(self, schedule: Schedule) -> list[Any]:
        """What is known of the frames before the first stage of W_x x, and behind each."""
        found = [self.before()]
        for at, (design, own) in enumerate(zip(self.design.input, schedule.input, strict=True)):
            found.append(self.after(found[-1], at, own.beats(design.shape), own.vectors))
        return found

    def pace(self, schedule: Schedule) -> tuple[int, int]:
        """Clocks a frame and latency."""
        known = self.known(schedule)[-1]
        clocks = self.frames_behind(known).clocks
        frames = np.maximum(clocks, self.recurrence_clocks(schedule))
        return math.ceil(frames.mean()), self.latency(known)

    def estimate(self, schedule: Schedule) -> Estimate:
        """The estimate of full frames, and of those of the profile."""
        return replace(self.full.estimate(schedule), clips=self.clip_clocks(schedule))

    def latency_parts(self, schedule: Schedule) -> dict[str, int]:
        """What each process adds to the latency; and what stages have to catch up with."""
        known = self.known(schedule)
        backlog = math.ceil(self.frames_behind(known[-1]).backlog.mean())
        return {**self._steps(known), "backlog": backlog}

    def _steps(self, known: list[Any]) -> dict[str, int]:
        """What each process adds to the latency if no stage has to catch up."""
        times = [0, *(int(self.frames_behind(own).times[-1]) for own in known)]
        times.append(self.last_to_result(known[-1]))
        names = ["placer", *(design.name for design in self.design.input), "cell and head"]
        return dict(zip(names, map(int, np.diff(times)), strict=True))

    def figures(self, schedule: Schedule) -> dict[str, FrameFigures]:
        """What each process takes for a frame; all of them (`FRAME`); and the latency."""
        timing, every_frame = self.timing, np.ones_like(self.timing.port)
        clocks: dict[str, Counts] = {self._reader: timing.port}
        full = {self._reader: self.full.fixed_cycles()[self._reader]}
        for at, (design, own) in enumerate(zip(self.design.input, schedule.input, strict=True)):
            clocks[design.name] = timing.stage_clocks(at, own.beats(design.shape), own.vectors)
            full[design.name] = self.full.stage_cycles(design, own)
        for name, found in {
            self.recurrence: self.recurrence_clocks(schedule),
            **self._constant,
        }.items():
            clocks[name], full[name] = found * every_frame, found
        every = np.array(list(clocks.values()))
        slowest = every.argmax(axis=0)
        figures = {
            name: FrameFigures(Spread.of(own), full[name], float(np.mean(slowest == at)))
            for at, (name, own) in enumerate(clocks.items())
        }
        figures[FRAME] = FrameFigures(Spread.of(every.max(axis=0)), max(full.values()), None)
        known = self.known(schedule)[-1]
        least, backlog = self.last_to_result(known), self.frames_behind(known).backlog
        figures[LATENCY] = FrameFigures(Spread.of(least + backlog), least, None)
        return figures

    def clip_clocks(self, schedule: Schedule) -> ClipClocks:
        """The same, with whose frames they are."""
        profile, figures = self.timing.profile, self.figures(schedule)
        limiting = {name: own.limits for name, own in figures.items() if own.limits is not None}
        return ClipClocks(
            profile.clips,
            len(profile.words),
            float(profile.port.mean()),
            max(limiting, key=lambda name: limiting[name]),
            figures,
        )


@dataclass(frozen=True, eq=False)
class SparseRtlModel(SparseCoreModel, RtlCoreModel):
    """The core in RTL: frames follow without a gap, and W_h h works beside W_x x."""

    recurrence: ClassVar[str] = "recurrence"

    @cached_property
    def full(self) -> CoreModel:
        """See `SparseCoreModel`."""
        return RtlCoreModel(self.design, self.model, self.engine, self.loadable, self.frames)

    @cached_property
    def timing(self) -> SparseTiming:
        """See `SparseCoreModel`."""
        assert self.profile is not None
        return SparseTiming(self.design, self.profile)

    @property
    def placing(self) -> int:
        """See `SparseTiming`."""
        return self.timing.placing

    def recurrence_clocks(self, schedule: Schedule) -> int:
        """See `recurrent_clocks`."""
        return recurrent_clocks(schedule_engine(self.design, schedule))

    def word_depth(self, design: StageDesign) -> int:
        """Of the widest vector that the stage may have."""
        return STAGE_CLOCKS + math.ceil(math.log2(vector_length(design.shape)))

    def frames_behind(self, known: Any) -> Known:
        """All that is known."""
        found: Known = known
        return found

    def last_to_result(self, known: Any) -> int:
        """See `SparseTiming`."""
        return self.timing.last_word_to_result(known)

    def recurrent_room(self, cycles: int, known: Any) -> int:
        """See `SparseTiming`."""
        return self.timing.recurrent_room(cycles, known)

    def known(self, schedule: Schedule) -> list[Any]:
        """With the depths that the schedule's stages have."""
        stages = schedule_engine(self.design, schedule).input
        found = [self.before()]
        for at, stage in enumerate(stages):
            own, depth = stage.schedule, stage_depth(stage)
            beats = own.beats(stage.shape)
            found.append(self.timing.after(found[-1], at, beats, own.vectors, depth))
        return found

    def estimate(self, schedule: Schedule) -> Estimate:
        """With the latency of a full frame, which only here is known."""
        found, latency = super().estimate(schedule), self._steps(self.known(schedule))
        return replace(found, fill_latency_cycles=sum(latency.values()), latency=latency)


@dataclass(frozen=True, eq=False)
class SparseHlsModel(SparseCoreModel):
    """The core that Vitis HLS makes: each process drains behind a frame, and W_h h is computed in
    the cell. Not confirmed by a synthesis.

    What is known of frames is that of the profile's, and when words of a full frame leave a stage:
    the cell takes as long for every frame.
    """

    recurrence: ClassVar[str] = "cell"

    @cached_property
    def full(self) -> CoreModel:
        """See `SparseCoreModel`."""
        return CoreModel(self.design, self.model, self.engine, self.loadable, self.frames)

    @cached_property
    def timing(self) -> SparseTiming:
        """See `SparseCoreModel`."""
        assert self.profile is not None
        return SparseTiming(self.design, self.profile, self.reading, self.model.pipeline_depth)

    def recurrence_clocks(self, schedule: Schedule) -> int:
        """Clocks of the cell."""
        recurrent = self.recurrent_cycles(schedule.hidden)
        return self.full.cell_cycles(recurrent, self.known(schedule)[-1][1])

    def word_depth(self, design: StageDesign) -> int:
        """Of any stage."""
        return self.model.pipeline_depth

    def before(self) -> Any:
        """Of the profile's frames, and of a full one."""
        return super().before(), self.full.before()

    def after(self, known: Any, position: int, beats: int, vectors: int) -> Any:
        """The same."""
        frames, full = known
        found = super().after(frames, position, beats, vectors)
        return found, self.full.after(full, position, beats, vectors)

    def frames_behind(self, known: Any) -> Known:
        """The former."""
        found: Known = known[0]
        return found

    def last_to_result(self, known: Any) -> int:
        """Clocks behind the last word's read."""
        return self.behind(self.frames_behind(known).times)["write result"]

    def recurrent_room(self, cycles: int, known: Any) -> int:
        """Clocks that W_h h may take if frames take so many on average; negative: none."""
        room = self.timing.recurrent_room(cycles, self.frames_behind(known))
        return room - self.full.cell_cycles(0, known[1])
