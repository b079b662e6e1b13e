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

from fdht_hls.beats import beat_weights
from fdht_hls.estimate import Core, Engine, Estimate, Resources, StageEstimate
from fdht_hls.estimate.rtl import estimate_rtl, recurrent_clocks
from fdht_hls.estimate.rtl_fixed import fixed_parts
from fdht_hls.estimate.rtl_memory import RtlModel
from fdht_hls.estimate.rtl_stage import QUEUE_WORDS, stage_parts
from fdht_hls.estimate.stage import StageDesign
from fdht_hls.estimate.timing import Times
from fdht_hls.schedule import (
    Schedule,
    StageSchedule,
    default_schedule,
    fibres_for,
    vector_length,
)
from fdht_hls.tuner.budget import Budget
from fdht_hls.weights import weight_layout
from fdht_models.errors import ConfigError
from fdht_models.tensor.quantized import ContractionPath, QuantizedNetwork

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
    engine: Engine | None = None,
    loadable: bool = False,
) -> Core:
    """A network as processes, with the costs of the core that is built.

    Raises:
        ConfigError: the family has no model, or the engine is not that of the core in RTL.
    """
    engine, width = engine or Engine(), budget.bytes_per_clock
    if core == "hls":
        return Core(network, budget.model, width, engine, loadable)
    if engine != Engine():
        raise ConfigError(
            "is nothing that the core in RTL does", field="assume", remedy="use --core hls"
        )
    # The RTL's clocks are its own: a memory that answers at once, as in its simulation.
    model = replace(budget.model, pipeline_depth=_STAGE_CLOCKS, memory_latency=0)
    fibres = (fibres_for(network.recurrence, width), 1)
    return RtlCore(network, model, width, engine, loadable, fibres)


@dataclass(frozen=True, eq=False)
class RtlCore(Core):
    """The core in RTL: frames follow without a gap, and W_h h works beside W_x x.

    A design's clocks and what it takes are those of `estimate_rtl`. Before it is chosen, a search
    adds up its parts; of the recurrence it knows a bound, for which see `recurrent_overhead`.
    """

    @cached_property
    def _places(self) -> dict[str, tuple[ContractionPath, int]]:
        """Path and position of each stage."""
        recurrence = self.network.recurrence
        paths = ((recurrence.input_path, self.input), (recurrence.hidden_path, self.hidden))
        return {
            design.name: (path, at) for path, designs in paths for at, design in enumerate(designs)
        }

    def stage_cycles(self, design: StageDesign, schedule: StageSchedule) -> int:
        """Clocks of a stage for a frame."""
        return schedule.cycles(design.shape)

    def stage_parts(self, design: StageDesign, schedule: StageSchedule) -> dict[str, Resources]:
        """What a stage takes; see `estimate_rtl`."""
        path, at = self._places[design.name]
        codes = beat_weights(self.network.recurrence, path, at, design.shape, schedule).codes
        waits = design is self.hidden[-1]
        depth = max(QUEUE_WORDS, design.shape.words_out) if waits else QUEUE_WORDS
        found = stage_parts(design, schedule, RtlModel(), depth, codes)
        return {"stage": replace(found, ff=None)}

    @cached_property
    def fixed_parts(self) -> dict[str, dict[str, Resources]]:
        """What has no parallelism to choose."""
        loadable = default_schedule(self.network.recurrence).with_weights("loadable")
        layout = weight_layout(self.network, loadable) if self.loadable else None
        found = fixed_parts(self.network, self.bytes_per_clock, RtlModel(), layout, self.fibres[0])
        return {name: {name: replace(part, ff=None)} for name, part in found.items()}

    def fixed_cycles(self) -> dict[str, int]:
        """Clocks a frame of the memory port."""
        return {"memory port": self.network.frame_bytes // self.bytes_per_clock}

    @cached_property
    def recurrent_overhead(self) -> int:
        """Clocks of the recurrence at most, beside the beats of W_h h.

        A stage is done no later than its beats and its depth after its last word has come, so that
        all are done after the sum of these. Before stands reading h, behind it the units' updates.
        """
        depth = sum(
            _STAGE_CLOCKS + math.ceil(math.log2(vector_length(design.shape)))
            for design in self.hidden
        )
        words = self.network.recurrence.units // self.hidden[0].word_in
        return super().recurrent_overhead + words + depth + _UPDATE_CLOCKS

    def cell_cycles(self, recurrent: int, sums: Times) -> int:
        """Clocks of the recurrence: it waits for nothing of W_x x."""
        return recurrent

    def pace(self, schedule: Schedule) -> tuple[int, int]:
        """Clocks a frame by `estimate_rtl`; and `Core`'s latency, to compare designs by."""
        stages = zip((*self.input, *self.hidden), schedule.stages, strict=True)
        clocks = [self.stage_cycles(*stage) for stage in stages]
        recurrence = recurrent_clocks(self.network, schedule.hidden)
        return max(*self.fixed_cycles().values(), recurrence, *clocks), super().pace(schedule)[1]

    def estimate(self, schedule: Schedule) -> Estimate:
        """The estimate with a schedule; what the model does not know is None."""
        found = estimate_rtl(self.network, schedule, self.bytes_per_clock)
        designs = (*self.input, *self.hidden)
        # `estimate_rtl` lists the stages in the same order, before everything else.
        names = dict(zip(found.parts, (design.name for design in designs), strict=False))
        stages = list(zip(designs, schedule.stages, strict=True))
        clocks = {design.name: self.stage_cycles(design, chosen) for design, chosen in stages}
        clocks |= {"reader": max(self.fixed_cycles().values()), "cell": found.recurrent_latency}
        work = {design.name: (design.macs, chosen.parallel) for design, chosen in stages}
        work |= dict(zip(("cell", "head"), self.fixed_work.values(), strict=True))
        rows = tuple(
            StageEstimate(own, clocks.get(own), *work.get(own, (0, 0)), {"all": part})
            for own, part in ((names.get(name, name), part) for name, part in found.parts.items())
        )
        limit = names.get(found.limited_by, found.limited_by)
        return Estimate(found.cycles_per_frame, limit, None, found.recurrent_latency, {}, rows)
