"""The core in RTL as the tuner sees it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from fdht_hls.engine import StageDesign, StagePlan, schedule_engine
from fdht_hls.engine.contractions import queue_words
from fdht_hls.engine.pairs import why_no_pairs
from fdht_hls.estimate import CoreModel, Estimate, Resources
from fdht_hls.estimate.rtl import (
    estimate_rtl,
    fixed_parts,
    port_clocks,
    rtl_clocks,
    stage_parts,
)
from fdht_hls.estimate.rtl_memory import RtlModel
from fdht_hls.estimate.timing import Times
from fdht_hls.schedule import (
    PAIRS,
    PLAIN,
    Schedule,
    StageSchedule,
    default_schedule,
    vector_length,
)
from fdht_hls.shapes import coming_modes

#: Clocks of a stage of the RTL at most, beside its beats and its levels of adders; and from a
#: frame's last sums to the first word of h; see `fdht_hls.estimate.rtl`.
STAGE_CLOCKS, _UPDATE_CLOCKS = 6, 17


@dataclass(frozen=True, eq=False)
class RtlCoreModel(CoreModel):
    """The core in RTL: frames follow without a gap, and W_h h works beside W_x x.

    A design's clocks and what it takes are those of `estimate_rtl`. Before it is chosen, a search
    adds up its parts; of the recurrence it knows a bound, for which see `recurrent_overhead`.
    """

    def multipliers(self, design: StageDesign, choice: StageSchedule) -> tuple[str, ...]:
        """Pairs for sparse frames only: with others the port sets the pace, and slices suffice."""
        pairs = self.sparse and why_no_pairs(design, choice) is None
        return (*PLAIN, PAIRS) if pairs else PLAIN

    def stage_cycles(self, design: StageDesign, schedule: StageSchedule) -> int:
        """Clocks of a stage for a frame."""
        return schedule.cycles(design.shape)

    @cached_property
    def _coming(self) -> Mapping[str, tuple[int, ...]]:
        """See `StagePlan.coming`."""
        if not self.skips:
            return {}
        coming = coming_modes([design.shape for design in self.design.input])
        names = (design.name for design in self.design.input)
        return dict(zip(names, coming, strict=True))

    def stage_parts(self, design: StageDesign, schedule: StageSchedule) -> dict[str, Resources]:
        """What a stage takes; see `estimate_rtl`."""
        last = design is self.design.hidden[-1]
        coming = self._coming.get(design.name)
        plan = StagePlan(design, schedule, queue_words(design, last=last), coming=coming)
        return {"stage": replace(stage_parts(plan, RtlModel()), ff=None)}

    @cached_property
    def fixed_parts(self) -> dict[str, dict[str, Resources]]:
        """What has no parallelism to choose."""
        schedule = default_schedule(self.design.cell.recurrence, self.design.port.word_bytes)
        if self.loadable:
            schedule = schedule.with_weights("loadable")
        plan = schedule_engine(self.design, replace(schedule, frames=self.frames))
        found = fixed_parts(plan, RtlModel())
        return {name: {name: replace(part, ff=None)} for name, part in found.items()}

    def fixed_cycles(self) -> dict[str, int]:
        """Clocks a frame of the memory port."""
        return {"memory port": port_clocks(self.design.port, self)}

    @cached_property
    def recurrent_overhead(self) -> int:
        """Clocks of the recurrence at most, beside the beats of W_h h.

        A stage is done no later than its beats and its depth after its last word has come, so that
        all are done after the sum of these. Before stands reading h, behind it the units' updates.
        """
        depth = sum(
            STAGE_CLOCKS + math.ceil(math.log2(vector_length(design.shape)))
            for design in self.design.hidden
        )
        words = self.design.cell.units // self.design.hidden[0].word_in
        return super().recurrent_overhead + words + depth + _UPDATE_CLOCKS

    def cell_cycles(self, recurrent: int, sums: Times) -> int:
        """Clocks of the recurrence: it waits for nothing of W_x x."""
        return recurrent

    def pace(self, schedule: Schedule) -> tuple[int, int]:
        """Clocks a frame by `estimate_rtl`; and `CoreModel`'s latency, to compare designs by."""
        clocks = rtl_clocks(schedule_engine(self.design, schedule))
        return max(clocks.values()), super().pace(schedule)[1]

    def estimate(self, schedule: Schedule) -> Estimate:
        """The estimate with a schedule; see `estimate_rtl`."""
        return estimate_rtl(schedule_engine(self.design, schedule))
