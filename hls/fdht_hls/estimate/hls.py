"""The estimate of a whole core: its pace, its latency and its resources, process by process."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from fdht_hls.engine.contractions import StageDesign
from fdht_hls.engine.engine_plan import EngineDesign, EnginePlan
from fdht_hls.estimate import hls_parts as parts
from fdht_hls.estimate.clip_clocks import ClipClocks
from fdht_hls.estimate.coefficients import Assumptions, ResourceModel
from fdht_hls.estimate.hls_parts import stage_resources
from fdht_hls.estimate.primitives import bram18
from fdht_hls.estimate.resources import Resources, total
from fdht_hls.estimate.timing import Times, reader_times, serve, stage_times
from fdht_hls.schedule import PLAIN, Schedule, StageSchedule, choices, frame_cycles
from fdht_models.tensor.sparse_frames import ReadsFrames

#: Processes between the reader and the first stage of a core that skips zeros: one follows the
#: bitmaps, one collects words of a fibre, one gives it its place.
_PLACING = 3


@dataclass(frozen=True)
class StageEstimate:
    """One process of the core.

    Args:
        name: the process.
        cycles: clocks from its start to its end in a frame; None: not known, or no work of a frame.
        macs: multiply-accumulates in a frame.
        multipliers: multipliers that work at once.
        parts: what it takes of the device, by what for.
    """

    name: str
    cycles: int | None
    macs: int
    multipliers: int
    parts: Mapping[str, Resources]

    @property
    def resources(self) -> Resources:
        """All that it takes."""
        return total(self.parts.values())

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return {
            "name": self.name,
            "cycles": self.cycles,
            "macs": self.macs,
            "multipliers": self.multipliers,
            **self.resources.to_json(),
            "parts": {name: part.to_json() for name, part in self.parts.items()},
        }


@dataclass(frozen=True)
class Estimate:
    """The core's pace and size.

    Args:
        cycles_per_frame: clocks between results in steady state; of a core that skips zeros those
            of full frames, which are the most.
        limited_by: the process that sets that pace.
        fill_latency_cycles: clocks from the last word of such a frame to its result; None if
            unknown.
        recurrent_latency_cycles: clocks from one hidden state to W_h h of the next frame.
        latency: what each process adds to `fill_latency_cycles`, in the order of the data.
        stages: the processes.
        clips: what frames of clips take, where a core that skips zeros is planned for some.
        kind: always "estimated".
    """

    cycles_per_frame: int
    limited_by: str
    fill_latency_cycles: int | None
    recurrent_latency_cycles: int
    latency: Mapping[str, int]
    stages: tuple[StageEstimate, ...]
    clips: ClipClocks | None = None
    kind: str = "estimated"

    @property
    def resources(self) -> Resources:
        """What the whole core takes."""
        return total(stage.resources for stage in self.stages)

    @property
    def pace(self) -> tuple[int, str]:
        """The clocks a frame by which designs are chosen, and the process that sets them.

        The mean over the frames of clips where they are known, else those of every frame.
        """
        if self.clips is None:
            return self.cycles_per_frame, self.limited_by
        return math.ceil(self.clips.frame.spread.mean), self.clips.limited_by

    def to_json(self) -> dict[str, Any]:
        """A JSON object; `clips` only where there are some."""
        return {
            "kind": self.kind,
            "cycles_per_frame": self.cycles_per_frame,
            "limited_by": self.limited_by,
            "fill_latency_cycles": self.fill_latency_cycles,
            "recurrent_latency_cycles": self.recurrent_latency_cycles,
            "latency": dict(self.latency),
            "resources": self.resources.to_json(),
            **({"clips": self.clips.to_json()} if self.clips else {}),
            "stages": [stage.to_json() for stage in self.stages],
        }


def fixed_work(design: EngineDesign) -> dict[str, tuple[int, int]]:
    """Multiply-accumulates a frame, and multipliers, of the cell and the head."""
    head, cell = design.head, design.cell
    return {
        "cell": (0, len(cell.program.products)),
        "head": (head.units * head.classes, head.classes),
    }


def frame_before(design: EngineDesign) -> Resources:
    """The memory in which a core keeps the raw frame that the next one is compared with."""
    port = design.port
    return Resources(bram18=bram18(port.frame_words, 8 * port.word_bytes))


def estimate(
    plan: EnginePlan, model: ResourceModel | None = None, engine: Assumptions | None = None
) -> Estimate:
    """The estimate of the core that `fdht convert` writes.

    Args:
        plan: of the core.
        model: coefficients; by default those of a 7-series device.
        engine: what the engine does beyond today's kernels; by default nothing.
    """
    loadable = plan.layout is not None
    own = (model or ResourceModel(), engine or Assumptions(), loadable, plan.frames)
    core = CoreModel(plan.design, *own)
    return core.estimate(plan.schedule)


@dataclass(frozen=True, eq=False)
class CoreModel(ReadsFrames):
    """A design as processes, before the parallelism of its stages is chosen.

    Args:
        design: of the core.
        model: coefficients.
        engine: what it does beyond today's kernels.
        loadable: weights can be loaded at run time.
        frames: that it reads; see `Schedule`.
    """

    design: EngineDesign
    model: ResourceModel = field(default_factory=ResourceModel)
    engine: Assumptions = field(default_factory=Assumptions)
    loadable: bool = False
    frames: str = "dense"

    def choices(self, design: StageDesign) -> tuple[StageSchedule, ...]:
        """Parallelism that a stage may have; see `choices`."""
        return choices(design.shape)

    @property
    def frames_alike(self) -> bool:
        """Does each frame take as long as any other, and so as long as one process does?"""
        return True

    def multipliers(self, design: StageDesign, choice: StageSchedule) -> tuple[str, ...]:
        """Of what multipliers of constants from a memory may be made."""
        return PLAIN

    @property
    def port_cycles(self) -> int:
        """Clocks in which the memory ports deliver a frame; a word of fibres takes one at least.

        Of a core that skips zeros those of a full frame: its reader deals in words, and a sparse
        frame has a header.
        """
        design = self.design
        if self.skips:
            return design.port.frame_words + int(self.sparse)
        return frame_cycles(design.cell.recurrence, design.port.word_bytes, design.fibres[0])

    @property
    def reading(self) -> int:
        """Clocks of the reader for a frame beside its words: only the header of a sparse frame
        tells how many to ask for, so that memory is waited for twice.
        """
        return self.model.memory_latency * (2 if self.sparse else 1)

    @property
    def placing(self) -> int:
        """Clocks from the reader to the first stage: words that are not zero are given places."""
        return _PLACING * self.model.pipeline_depth if self.skips else 0

    @cached_property
    def arrivals(self) -> Times:
        """When each fibre of a frame, or so many as come in a word, is at the first stage."""
        fibres = self.design.port.fibres // self.design.fibres[0]
        read = reader_times(fibres, self.port_cycles, self.model)
        return read + self.reading - self.model.memory_latency + self.placing

    @property
    def last_word(self) -> int:
        """When the last word of a frame has been read."""
        return int(self.arrivals[-1]) - self.placing

    def stage_cycles(self, design: StageDesign, schedule: StageSchedule) -> int:
        """Clocks of a stage for a frame, from its first read to its end."""
        return schedule.cycles(design.shape) + self.model.pipeline_depth

    def stage_parts(self, design: StageDesign, schedule: StageSchedule) -> dict[str, Resources]:
        """What the parts of a stage take, by name."""
        return stage_resources(design, schedule, self.model, self.engine)

    @property
    def recurrent_overhead(self) -> int:
        """Clocks of W_h h beside its stages: h is read unit by unit, and sums that must be
        collected are written down one by one.
        """
        cell = self.design.cell
        return cell.units + (cell.gates * cell.units if cell.collects else 0)

    def recurrent_cycles(self, hidden: Iterable[StageSchedule]) -> int:
        """Clocks from one hidden state to W_h h: its stages run one after the other in the cell."""
        stages = zip(self.design.hidden, hidden, strict=True)
        return self.recurrent_overhead + sum(self.stage_cycles(*stage) for stage in stages)

    def behind(self, sums: Times) -> dict[str, int]:
        """When each process behind W_x x has finished a frame.

        Args:
            sums: when each word of W_x x leaves the last stage.
        """
        own, depth = self.design.cell, self.model.pipeline_depth
        updated, words = self._taken(sums) + depth, self.design.port.result_words
        # Collected sums are all there before the first unit is updated.
        cell = updated + (own.units + depth if own.collects else 0)
        head = cell + depth  # it adds up as units are updated
        return {"cell": cell, "head": head, "write result": head + words + depth}

    def cell_cycles(self, recurrent: int, sums: Times) -> int:
        """Clocks of the cell in a frame: W_h h, then the words of W_x x as they come."""
        return recurrent + self.behind(sums)["cell"] - int(sums[0])

    def fixed_cycles(self) -> dict[str, int]:
        """Clocks a frame of the processes that have no parallelism to choose."""
        depth = self.model.pipeline_depth
        return {
            "read frame": self.last_word,
            "head": self.design.cell.units + depth,
            "write result": self.design.port.result_words + depth,
        }

    @cached_property
    def fixed_parts(self) -> dict[str, dict[str, Resources]]:
        """What they take, and the cell without its stages."""
        design, model = self.design, self.model
        loader = {"load weights": {"port": parts.loader_resources(model)}} if self.loadable else {}
        return {
            "read frame": {
                **parts.reader_resources(design, model),
                **({"frame before": frame_before(design)} if self.raw else {}),
            },
            "cell": parts.cell_resources(design, model),
            "head": parts.head_resources(design.head, model),
            "write result": parts.writer_resources(design.head, model),
            "registers": parts.control_resources(model),
            **loader,
        }

    @cached_property
    def fixed(self) -> Resources:
        """All of `fixed_parts`."""
        return total(part for found in self.fixed_parts.values() for part in found.values())

    def before(self) -> Any:
        """What is known of frames before the first stage; see `after`."""
        return self.arrivals

    def after(self, known: Any, position: int, beats: int, vectors: int) -> Any:
        """What is known of frames behind a stage of W_x x: when words leave it.

        Args:
            known: the same before it.
            position: of the stage.
            beats: clocks of a turn.
            vectors: of a turn.
        """
        return stage_times(known, self.design.input[position].shape, beats, self.model, vectors)

    def latency(self, known: Any) -> int:
        """Clocks from a frame's last word to its result; `known` is behind all stages."""
        return self.behind(known)["write result"] - self.last_word

    def recurrent_room(self, cycles: int, known: Any) -> int:
        """Clocks that W_h h may take in a frame of so many; `known` is behind all stages."""
        return cycles - self.cell_cycles(0, known)

    def pace(self, schedule: Schedule) -> tuple[int, int]:
        """Clocks a frame, and from its last word to its result: as `estimate`, but quicker."""
        times = self.before()
        for at, (design, own) in enumerate(zip(self.design.input, schedule.input, strict=True)):
            times = self.after(times, at, own.beats(design.shape), own.vectors)
        stages = zip(self.design.stages, schedule.stages, strict=True)
        cell = self.cell_cycles(self.recurrent_cycles(schedule.hidden), times)
        slowest = max(cell, *self.fixed_cycles().values(), *(self.stage_cycles(*s) for s in stages))
        return slowest, self.latency(times)

    def latency_parts(self, schedule: Schedule) -> dict[str, int]:
        """What each process adds to the latency that designs are chosen by."""
        return dict(self.estimate(schedule).latency)

    def estimate(self, schedule: Schedule) -> Estimate:
        """The estimate with a schedule."""
        times, finished = self.arrivals, {"read frame": self.last_word}
        rows = []
        for design, chosen in zip(self.design.input, schedule.input, strict=True):
            times = stage_times(
                times, design.shape, chosen.beats(design.shape), self.model, chosen.vectors
            )
            finished[design.name] = int(times[-1])
            rows.append(self._row(design, chosen))
        rows += [
            self._row(design, chosen)
            for design, chosen in zip(self.design.hidden, schedule.hidden, strict=True)
        ]
        finished |= self.behind(times)
        recurrent = self.recurrent_cycles(schedule.hidden)
        cycles = self.fixed_cycles() | {"cell": self.cell_cycles(recurrent, times)}
        stages = self._fixed_rows(cycles, rows)
        slowest, clocks = max(
            ((stage.name, stage.cycles or 0) for stage in stages), key=lambda found: found[1]
        )
        added = np.diff(list(finished.values()))
        return Estimate(
            clocks,
            slowest,
            int(added.sum()),
            recurrent,
            dict(zip(list(finished)[1:], map(int, added), strict=True)),
            stages,
        )

    def _row(self, design: StageDesign, schedule: StageSchedule) -> StageEstimate:
        return StageEstimate(
            design.name,
            self.stage_cycles(design, schedule),
            design.macs,
            schedule.parallel,
            self.stage_parts(design, schedule),
        )

    def _fixed_rows(
        self, cycles: Mapping[str, int], stages: Iterable[StageEstimate]
    ) -> tuple[StageEstimate, ...]:
        work = fixed_work(self.design)
        rows = [
            StageEstimate(name, cycles.get(name), *work.get(name, (0, 0)), found)
            for name, found in self.fixed_parts.items()
        ]
        return (rows[0], *stages, *rows[1:])

    def _taken(self, sums: Times) -> int:
        """When the cell has taken the last word: a unit a clock, or, to be collected, a sum."""
        own = self.design.cell
        clocks = int(own.arrival.shape[1]) // (1 if own.collects else own.gates)
        return int(serve(sums, clocks)[-1]) + clocks
