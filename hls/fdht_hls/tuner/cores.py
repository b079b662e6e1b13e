"""The two cores that can be built of a network, each with the model that estimates it.

What asks for an estimate, asks here. `hls` is the C++ through Vitis HLS, `rtl` the project's own
Verilog. The two differ in their adapters and in how processes follow each other, and so in their
figures, for the same schedule too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, get_args

from fdht_hls.engine import StageDesign, StagePlan, design_engine, schedule_engine
from fdht_hls.engine.contractions import queue_words
from fdht_hls.estimate import Assumptions, CoreModel, Estimate, Resources
from fdht_hls.estimate.rtl import estimate_rtl, fixed_parts, rtl_clocks, stage_parts
from fdht_hls.estimate.rtl_memory import RtlModel
from fdht_hls.estimate.timing import Times
from fdht_hls.schedule import (
    Schedule,
    StageSchedule,
    default_schedule,
    fibres_for,
    vector_length,
)
from fdht_hls.tuner.budget import Budget
from fdht_models.errors import ConfigError
from fdht_models.tensor.quantized import QuantizedNetwork

#: As `fdht build --core` names them.
CoreKind = Literal["hls", "rtl"]
CORES: tuple[CoreKind, ...] = get_args(CoreKind)
#: Clocks of a stage of the RTL at most, beside its beats and its levels of adders; and from a
#: frame's last sums to the first word of h; see `fdht_hls.estimate.rtl`.
_STAGE_CLOCKS, _UPDATE_CLOCKS = 6, 17
#: The family for which yosys' counts confirm the model of the RTL; see docs/estimate.md.
_CONFIRMED = "zynq7000"


def checked_core(core: str) -> CoreKind:
    """The name of a core.

    Raises:
        ConfigError: it is none.
    """
    for known in CORES:
        if core == known:
            return known
    raise ConfigError(f"must be {' or '.join(CORES)}", field="core", value=core)


def model_of(core: CoreKind, family: str) -> str:
    """Whose figures the estimates are, in words."""
    if core == "hls":
        return "of what Vitis HLS makes of the C++; not confirmed by a synthesis"
    if family == _CONFIRMED:
        return "of the core in RTL; within 15 % of what yosys counts"
    return "of the core in RTL; confirmed by yosys for the 7 series only"


def core_to_tune(
    network: QuantizedNetwork,
    budget: Budget,
    core: CoreKind = "hls",
    engine: Assumptions | None = None,
    loadable: bool = False,
    frames: str = "dense",
) -> CoreModel:
    """A network as processes, with the costs of the core that is built.

    Raises:
        ConfigError: the family has no model, or the engine is not that of the core in RTL.
    """
    engine, width = engine or Assumptions(), budget.bytes_per_clock
    if core == "hls":
        return CoreModel(design_engine(network, width), budget.model, engine, loadable, frames)
    if engine != Assumptions():
        raise ConfigError(
            "is nothing that the core in RTL does", field="assume", remedy="use --core hls"
        )
    # The RTL's clocks are its own: a memory that answers at once, as in its simulation.
    model = replace(budget.model, pipeline_depth=_STAGE_CLOCKS, memory_latency=0)
    fibres = (fibres_for(network.recurrence, width), 1)
    return RtlCoreModel(design_engine(network, width, fibres), model, engine, loadable, frames)


@dataclass(frozen=True, eq=False)
class RtlCoreModel(CoreModel):
    """The core in RTL: frames follow without a gap, and W_h h works beside W_x x.

    A design's clocks and what it takes are those of `estimate_rtl`. Before it is chosen, a search
    adds up its parts; of the recurrence it knows a bound, for which see `recurrent_overhead`.
    """

    def stage_cycles(self, design: StageDesign, schedule: StageSchedule) -> int:
        """Clocks of a stage for a frame."""
        return schedule.cycles(design.shape)

    def stage_parts(self, design: StageDesign, schedule: StageSchedule) -> dict[str, Resources]:
        """What a stage takes; see `estimate_rtl`."""
        plan = StagePlan(
            design, schedule, queue_words(design, last=design is self.design.hidden[-1])
        )
        return {"stage": replace(stage_parts(plan, RtlModel()), ff=None)}

    @cached_property
    def fixed_parts(self) -> dict[str, dict[str, Resources]]:
        """What has no parallelism to choose."""
        schedule = default_schedule(self.design.cell.recurrence, self.design.port.word_bytes)
        if self.loadable:
            schedule = schedule.with_weights("loadable")
        schedule = schedule.with_frames(self.frames)
        found = fixed_parts(schedule_engine(self.design, schedule), RtlModel())
        return {name: {name: replace(part, ff=None)} for name, part in found.items()}

    def fixed_cycles(self) -> dict[str, int]:
        """Clocks a frame of the memory port."""
        return {"memory port": self.design.port.frame_words}

    @cached_property
    def recurrent_overhead(self) -> int:
        """Clocks of the recurrence at most, beside the beats of W_h h.

        A stage is done no later than its beats and its depth after its last word has come, so that
        all are done after the sum of these. Before stands reading h, behind it the units' updates.
        """
        depth = sum(
            _STAGE_CLOCKS + math.ceil(math.log2(vector_length(design.shape)))
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
