"""Cycles and multipliers of the core, from its loops. Every figure here is `estimated`.

A stage takes (turns of its pipelined loop) x (initiation interval) clocks a frame; the stages run
side by side, so the slowest sets the pace. The depth of the pipelines is an allowance, not known
before synthesis.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from fdht_hls.shapes import StageShape, collects, stage_shape
from fdht_models.tensor.quantized import (
    WORD_BYTES,
    QuantizedNetwork,
    QuantizedRecurrence,
    frame_modes,
)

#: Clocks between the entry and the exit of a pipelined loop; an allowance.
_PIPELINE_DEPTH = 12
#: Clocks for a first word from memory; an allowance.
_MEMORY_LATENCY = 40


@dataclass(frozen=True)
class StageEstimate:
    """One process of the core.

    Args:
        name: the process.
        cycles: clocks it is busy in a frame.
        macs: multiply-accumulates in a frame.
        multipliers: multipliers that work at once.
    """

    name: str
    cycles: int
    macs: int
    multipliers: int


@dataclass(frozen=True)
class Estimate:
    """The core's pace.

    Args:
        cycles_per_frame: clocks between results in steady state.
        limited_by: the process that sets that pace.
        fill_latency_cycles: clocks from the last word of a frame to its result.
        recurrent_latency_cycles: clocks from one hidden state to W_h h of the next frame.
        stages: the processes.
        kind: always "estimated".
    """

    cycles_per_frame: int
    limited_by: str
    fill_latency_cycles: int
    recurrent_latency_cycles: int
    stages: tuple[StageEstimate, ...]
    kind: str = "estimated"

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return asdict(self)


#: A slower stage saves multipliers, but its last turns add to the latency; no slower than this.
_SLOWEST_INTERVAL = 8


def fibre_interval(lstm: QuantizedRecurrence) -> int:
    """Clocks in which a fibre arrives, at one memory word a clock."""
    return -(-frame_modes(lstm)[1] // WORD_BYTES)


def stage_interval(lstm: QuantizedRecurrence, position: int) -> int:
    """Initiation interval of a stage of W_x x: as slow as the memory port allows."""
    if position == 0:
        return fibre_interval(lstm)
    arrival = frame_modes(lstm)[0] * fibre_interval(lstm)
    turns = stage_shape(lstm.input_path, position).turns
    return min(_SLOWEST_INTERVAL, max(1, arrival // turns))


def hidden_interval() -> int:
    """Initiation interval of the stages of W_h h, which have a whole frame's time."""
    return _SLOWEST_INTERVAL


def estimate(network: QuantizedNetwork) -> Estimate:
    """The estimate of the core that `fdht convert` writes."""
    lstm = network.recurrence
    fibres, fibre = frame_modes(lstm)
    words = fibres * fibre_interval(lstm) if fibre % WORD_BYTES == 0 else fibres * fibre
    stages = [StageEstimate("read frame", words + _MEMORY_LATENCY, 0, 0)]
    tail = 0
    for position, name in enumerate(lstm.input_path.cores):
        shape = stage_shape(lstm.input_path, position)
        interval = stage_interval(lstm, position)
        stages.append(_stage(f"W_x {name}", shape, interval))
        # Behind the last word, a stage still has its last value of the mode to add and emit.
        tail += shape.groups * shape.inner * shape.lanes * interval + _PIPELINE_DEPTH
    hidden = [
        _stage(f"W_h {name}", stage_shape(lstm.hidden_path, position), hidden_interval())
        for position, name in enumerate(lstm.hidden_path.cores)
    ]
    recurrent = lstm.units + sum(stage.cycles + _PIPELINE_DEPTH for stage in hidden)
    update = 2 * lstm.units + 2 * _PIPELINE_DEPTH
    if collects(lstm):
        # The sums of a frame are written down one by one before the first unit is updated.
        rows = len(lstm.cell.gates) * lstm.units
        recurrent += rows
        update += rows
    multipliers = sum(stage.multipliers for stage in hidden) + 3
    stages.append(
        StageEstimate(
            f"{lstm.cell.kind.upper()} cell",
            recurrent + update,
            lstm.hidden_path.plan.macs,
            multipliers,
        )
    )
    classes = len(network.classes)
    # The head reuses each multiplier once a hidden unit (see `head_settings`).
    stages.append(StageEstimate("head", lstm.units, lstm.units * classes, classes))
    slowest = max(stages, key=lambda stage: stage.cycles)
    return Estimate(
        slowest.cycles,
        slowest.name,
        tail + update + lstm.units + 2 * _PIPELINE_DEPTH,
        recurrent,
        tuple(stages),
    )


def _stage(name: str, shape: StageShape, interval: int) -> StageEstimate:
    return StageEstimate(
        name,
        shape.turns * interval,
        shape.turns * shape.macs_per_turn,
        -(-shape.macs_per_turn // interval),
    )
