"""The estimate of the core in RTL: its pace and what yosys will count.

Beside it, `core` estimates what Vitis HLS makes of the C++: the two differ in their AXI adapters
and in how processes follow each other. Here frames follow without a gap, and W_h h works
beside W_x x, so that the slowest of port, stages and recurrence sets the pace.

What the parts take is in `rtl_stage` and `rtl_fixed`. `fdht bench estimate` shows how far off all
of it is; its table is in docs/estimate.md.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from fdht_hls.engine.engine_plan import EnginePlan
from fdht_hls.estimate.coefficients import ResourceModel
from fdht_hls.estimate.resources import Resources, total
from fdht_hls.estimate.rtl_fixed import fixed_parts
from fdht_hls.estimate.rtl_memory import RtlModel
from fdht_hls.estimate.rtl_stage import stage_parts, weights_from_memory
from fdht_hls.estimate.timing import Times, serve, stage_times

#: Clocks behind a beat until the next stage has its sums, beside the levels of adders; and those
#: of the registers around the memory of its weights.
_STAGE_CLOCKS, _WEIGHT_CLOCKS = 4, 2
#: Clocks between a frame's last unit and the first word of h.
_STATE_CLOCKS = 2


@dataclass(frozen=True)
class RtlEstimate:
    """Pace and size of the core in RTL.

    Args:
        cycles_per_frame: clocks between results in steady state.
        limited_by: "memory port", a stage, or "recurrence".
        recurrent_latency: clocks from a complete h to the next.
        parts: what each part takes.
        kind: always "estimated".
    """

    cycles_per_frame: int
    limited_by: str
    recurrent_latency: int
    parts: Mapping[str, Resources]
    kind: str = "estimated"

    @property
    def resources(self) -> Resources:
        """What the whole core takes; LUTs include those used as memory."""
        return total(self.parts.values())


def estimate_rtl(plan: EnginePlan, model: RtlModel | None = None) -> RtlEstimate:
    """The estimate of the core that `fdht_hls.rtl` emits."""
    model = model or RtlModel()
    clocks = {"memory port": plan.port.frame_words}
    clocks |= {stage.name: stage.cycles for stage in plan.stages}
    clocks["recurrence"] = recurrent_clocks(plan)
    slowest = max(clocks, key=lambda name: clocks[name])
    # The model counts no flip-flops.
    parts = {stage.name: stage_parts(stage, model) for stage in plan.stages}
    parts = {
        name: replace(part, ff=None) for name, part in (parts | fixed_parts(plan, model)).items()
    }
    return RtlEstimate(clocks[slowest], slowest, clocks["recurrence"], parts)


def recurrent_clocks(plan: EnginePlan) -> int:
    """From a complete h to the next, if only W_h h has to be waited for."""
    cell = plan.cell
    words = cell.units // plan.hidden[0].design.word_in
    times: Times = np.arange(words, dtype=np.int64)
    for stage in plan.hidden:
        own = stage.schedule
        levels = math.ceil(math.log2(own.vector)) if own.vector > 1 else 0
        clocks = _STAGE_CLOCKS + (_WEIGHT_CLOCKS if weights_from_memory(stage) else 0)
        depth = ResourceModel(pipeline_depth=clocks + levels - int(stage.design.exact))
        times = stage_times(times, stage.shape, own.beats(stage.shape), depth, own.vectors)
    word = cell.recurrent_word
    behind = cell.pipeline.clocks + _STATE_CLOCKS
    if cell.collects:
        taken = int(serve(times, word)[-1]) + word
        return taken + 1 + cell.units + behind
    units = word // cell.gates
    return int(serve(times, units)[-1]) + units - 1 + behind
