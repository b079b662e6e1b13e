"""The estimate of the core in RTL: its pace and what yosys will count.

Beside it, `core` estimates what Vitis HLS makes of the C++: the two differ in their AXI adapters
and in how processes follow each other. Here frames follow without a gap, and W_h h works
beside W_x x, so that the slowest of port, stages and recurrence sets the pace.

What the parts take is in `rtl_stage` and `rtl_fixed`. `fdht bench estimate` shows how far off all
of it is; its table is in docs/estimate.md.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fdht_hls.beats import beat_weights
from fdht_hls.estimate.model import ResourceModel
from fdht_hls.estimate.resources import Resources, total
from fdht_hls.estimate.rtl_fixed import fixed_parts
from fdht_hls.estimate.rtl_memory import RtlModel
from fdht_hls.estimate.rtl_stage import QUEUE_WORDS, stage_parts, weights_from_memory
from fdht_hls.estimate.stage import stage_designs
from fdht_hls.estimate.timing import Times, serve, stage_times
from fdht_hls.schedule import Schedule, StageSchedule
from fdht_hls.shapes import collects, emission_order
from fdht_hls.weights import weight_layout
from fdht_models.tensor.quantized import WORD_BYTES, QuantizedNetwork

#: Clocks behind a beat until the next stage has its sums, beside the levels of adders; and those
#: of the registers around the memory of its weights.
_STAGE_CLOCKS, _WEIGHT_CLOCKS = 4, 2
#: Clocks of an update, by kind of cell; and between a frame's last unit and the first word of h.
_UPDATE_CLOCKS, _STATE_CLOCKS = {"lstm": 13, "gru": 14}, 2


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


def estimate_rtl(
    network: QuantizedNetwork,
    schedule: Schedule,
    port_bytes: int = WORD_BYTES,
    model: RtlModel | None = None,
) -> RtlEstimate:
    """The estimate of the core that `fdht_hls.rtl` emits.

    Args:
        network: what the core computes; only its shapes and formats matter.
        schedule: parallelism of the stages.
        port_bytes: bytes that the port for frames moves in a clock.
        model: coefficients.
    """
    model, recurrence = model or RtlModel(), network.recurrence
    clocks = {"memory port": network.frame_bytes // port_bytes}
    parts: dict[str, Resources] = {}
    for label, path, chosen in (
        ("input", recurrence.input_path, schedule.input),
        ("hidden", recurrence.hidden_path, schedule.hidden),
    ):
        fibres = chosen[0].vectors
        for at, design in enumerate(stage_designs(recurrence, path, label, fibres)):
            name = f"{label}.{path.plan.stages[at].core}"
            clocks[name] = chosen[at].cycles(design.shape)
            # A whole frame's words of W_h h wait for the next frame's of W_x x.
            waits = label == "hidden" and at == len(chosen) - 1
            depth = max(QUEUE_WORDS, design.shape.words_out) if waits else QUEUE_WORDS
            weights = beat_weights(recurrence, path, at, design.shape, chosen[at]).codes
            parts[name] = stage_parts(design, chosen[at], model, depth, weights)
    clocks["recurrence"] = recurrent_clocks(network, schedule.hidden)
    slowest = max(clocks, key=lambda name: clocks[name])
    layout = weight_layout(network, schedule)
    parts |= fixed_parts(network, port_bytes, model, layout, schedule.fibres[0])
    # The model counts no flip-flops.
    parts = {name: replace(part, ff=None) for name, part in parts.items()}
    return RtlEstimate(clocks[slowest], slowest, clocks["recurrence"], parts)


def recurrent_clocks(network: QuantizedNetwork, schedule: Sequence[StageSchedule]) -> int:
    """From a complete h to the next, if only W_h h has to be waited for."""
    recurrence = network.recurrence
    stages = stage_designs(recurrence, recurrence.hidden_path, "hidden", schedule[0].vectors)
    words = recurrence.units // stages[0].word_in
    times: Times = np.arange(words, dtype=np.int64)
    for design, own in zip(stages, schedule, strict=True):
        levels = math.ceil(math.log2(own.vector)) if own.vector > 1 else 0
        own_clocks = _STAGE_CLOCKS + (_WEIGHT_CLOCKS if weights_from_memory(design, own) else 0)
        depth = ResourceModel(pipeline_depth=own_clocks + levels - int(design.last))
        times = stage_times(times, design.shape, own.beats(design.shape), depth, own.vectors)
    word = int(emission_order(recurrence.hidden_path).shape[1])
    behind = _UPDATE_CLOCKS[recurrence.cell.kind] + _STATE_CLOCKS
    if collects(recurrence):
        taken = int(serve(times, word)[-1]) + word
        return taken + 1 + recurrence.units + behind
    units = word // len(recurrence.cell.gates)
    return int(serve(times, units)[-1]) + units - 1 + behind
