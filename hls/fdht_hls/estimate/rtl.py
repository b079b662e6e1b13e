"""The estimate of the core in RTL: its pace and what yosys will count.

Beside it, `core` estimates what Vitis HLS makes of the C++: the two differ in their AXI adapters
and in how processes follow each other. Here frames follow without a gap, and W_h h works
beside W_x x, so that the slowest of port, stages and recurrence sets the pace.

Formulas follow the modules of `fdht_hls.rtl` one by one. Coefficients were calibrated by
`fdht bench estimate`, whose table is in docs/estimate.md, and on single stages counted alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fdht_hls.estimate.cell import products_of, tables
from fdht_hls.estimate.model import Engine, ResourceModel
from fdht_hls.estimate.primitives import bram18, dsps_of_product
from fdht_hls.estimate.resources import Resources, luts, total
from fdht_hls.estimate.stage import StageDesign, multipliers, stage_designs
from fdht_hls.estimate.timing import Times, serve, stage_times
from fdht_hls.schedule import Schedule, StageSchedule, vector_length
from fdht_hls.shapes import collects, emission_order
from fdht_models.tensor.cells import LstmCell
from fdht_models.tensor.fixedpoint import Codes, FixedPoint
from fdht_models.tensor.quantized import LOGIT_BYTES, WORD_BYTES, QuantizedNetwork, frame_modes

#: Words of a queue between two stages; see `fdht_hls.rtl.contraction`.
_QUEUE = 16
#: Rows of a memory that one LUT holds, a bit wide.
_ROWS = 64
#: Clocks behind a beat until the next stage has its sums, beside the levels of adders.
_STAGE_CLOCKS = 4
#: Clocks of an update, by kind of cell; and between a frame's last unit and the first word of h.
_UPDATE_CLOCKS, _STATE_CLOCKS = {"lstm": 10, "gru": 11}, 2


@dataclass(frozen=True)
class RtlModel:
    """Coefficients, in LUTs unless another unit is named.

    Args:
        rom_bit: for a bit of a row of constants, if there are 64 rows or fewer. Below 1, because
            columns that are alike are made once.
        rom_deep: for a bit and 64 rows if there are more: LUTs and what selects among them.
        block_rom_bits: bits from which constants are put into block RAM.
        constant_bit: for a bit of an adder of a product with a constant. Far below 1, because
            low bits pass by and products that are alike are made once.
        rounding_bit: for a bit of a result that is rounded and saturated.
        stage: counters, handshakes and the queue's control of a stage.
        slot: for each part of a word of output that has an enable.
        control: registers, interrupt, and what runs calls.
        reader: of the port for frames.
        writer: of the port for results, without a result's words.
        front: handshakes between the parts of the cell, and its state.
        argument_bit: for a bit of a sum of three in the cell.
    """

    rom_bit: float = 0.85
    rom_deep: float = 1.3
    block_rom_bits: int = 9_000
    constant_bit: float = 0.4
    rounding_bit: float = 1.6
    stage: int = 60
    slot: float = 1.0
    control: int = 390
    reader: int = 272
    writer: int = 65
    front: int = 60
    argument_bit: float = 2.5


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
            depth = max(_QUEUE, design.shape.words_out) if waits else _QUEUE
            codes = recurrence.core_of(path, at).codes
            parts[name] = stage_parts(design, chosen[at], model, depth, codes)
    clocks["recurrence"] = recurrent_clocks(network, schedule.hidden)
    slowest = max(clocks, key=lambda name: clocks[name])
    parts |= fixed_parts(network, port_bytes, model, schedule.fibres[0])
    return RtlEstimate(clocks[slowest], slowest, clocks["recurrence"], parts)


# Clocks ------------------------------------------------------------------------------------------


def recurrent_clocks(network: QuantizedNetwork, schedule: Sequence[StageSchedule]) -> int:
    """From a complete h to the next, if only W_h h has to be waited for."""
    recurrence = network.recurrence
    stages = stage_designs(recurrence, recurrence.hidden_path, "hidden", schedule[0].vectors)
    words = recurrence.units // stages[0].word_in
    times: Times = np.arange(words, dtype=np.int64)
    for design, own in zip(stages, schedule, strict=True):
        levels = math.ceil(math.log2(own.vector)) if own.vector > 1 else 0
        depth = ResourceModel(pipeline_depth=_STAGE_CLOCKS + levels - int(design.last))
        times = stage_times(times, design.shape, own.beats(design.shape), depth, own.vectors)
    word = int(emission_order(recurrence.hidden_path).shape[1])
    behind = _UPDATE_CLOCKS[recurrence.cell.kind] + _STATE_CLOCKS
    if collects(recurrence):
        taken = int(serve(times, word)[-1]) + word
        return taken + 1 + recurrence.units + behind
    units = word // len(recurrence.cell.gates)
    return int(serve(times, units)[-1]) + units - 1 + behind


# Resources ---------------------------------------------------------------------------------------


def stage_parts(
    design: StageDesign,
    schedule: StageSchedule,
    model: RtlModel,
    depth: int = _QUEUE,
    codes: Codes | None = None,
) -> Resources:
    """A contraction stage and the queue behind it.

    Args:
        design: the stage.
        schedule: its parallelism.
        model: coefficients.
        depth: words that the queue holds.
        codes: its weights; None: any.
    """
    shape, vector = design.shape, schedule.vector
    # Vectors of a beat share its weights, but nothing else.
    outputs = schedule.vectors * schedule.outputs
    rows = design.weights // schedule.weights_in_beat
    output_parts = shape.outputs // schedule.outputs
    slots = max(1, shape.lanes // schedule.vectors) * output_parts
    taken = vector * schedule.vectors
    logic = _select(design.word_in // taken, taken * design.source.width)
    logic += _products(design, schedule, rows, model, codes)
    accumulates = rows > 1 and (not shape.fibre or vector < vector_length(shape))
    if shape.fibre:
        kept = output_parts if vector < vector_length(shape) else 0
    else:
        kept = (
            shape.groups * shape.inner * shape.lanes * shape.outputs // outputs
            if shape.mode > 1
            else 0
        )
        if shape.mode == 1 and vector < vector_length(shape):
            kept = output_parts
    if kept and accumulates:
        logic += outputs * design.total.width
    if not design.last:
        logic += outputs * design.result.width * model.rounding_bit
    logic += model.stage + slots * model.slot
    memory = _single_port(kept, outputs * design.total.width)
    memory += _queue(depth, design.word_out * design.result.width)
    each = dsps_of_product(
        design.source.width + int(not design.source.signed), design.core.width, ResourceModel()
    )
    in_dsp = schedule.multipliers == "dsp" and schedule.weights != "adders"
    dsp = each * schedule.parallel if in_dsp else 0
    return Resources(lut=luts(logic + memory), dsp=dsp) + rom_parts(
        rows, schedule.weights_in_beat * design.core.width, model
    )


def _products(
    design: StageDesign,
    schedule: StageSchedule,
    rows: int,
    model: RtlModel,
    codes: Codes | None,
) -> float:
    """Multipliers made of LUTs, and the adders of a vector's products."""
    source = design.source.width + int(not design.source.signed)
    core, parallel = design.core.width, schedule.parallel
    outputs = schedule.vectors * schedule.outputs
    if schedule.weights == "adders":
        return float(multipliers(design, schedule, ResourceModel(), Engine()).lut)
    if schedule.multipliers == "dsp":
        # The adder behind two DSP slices is part of one of them.
        pairs = -(-schedule.vector // 2)
        return outputs * _adders(pairs, source + core + 1, design.total.width)
    if rows > 1:
        # Booth's recoding: a row of adders for two bits of the narrower operand.
        wide, narrow = max(source, core), min(source, core)
        sums = outputs * _adders(schedule.vector, source + core, design.total.width)
        return sums + parallel * -(-narrow // 2) * (wide + 1)
    digits, bits = core / 3 + 1 / 9, float(core)
    if codes is not None and codes.any():
        digits = float(np.mean([_digits(int(code)) for code in codes.ravel()]))
        bits = 1 + math.log2(1 + float(np.abs(codes).mean()))
    sums = outputs * _adders(schedule.vector, math.ceil(source - 1 + bits), design.total.width)
    return sums + parallel * max(0.0, digits - 1) * (source + 1) * model.constant_bit


def _adders(terms: int, width: int, most: int) -> int:
    """Bits of the adders that sum terms of so many bits, two by two."""
    bits = 0
    while terms > 1:
        width = min(width + 1, most)
        bits += terms // 2 * width
        terms = -(-terms // 2)
    return bits


def _digits(factor: int) -> int:
    """Signed digits of a constant that are not 0: a product takes an adder less than that."""
    return (abs(factor) ^ (3 * abs(factor))).bit_count()


def rom_parts(rows: int, width: int, model: RtlModel) -> Resources:
    """Constants of which a row is read in each clock."""
    if rows <= 1:
        return Resources()
    if rows > _ROWS and rows * width >= model.block_rom_bits and width <= _ROWS:
        return Resources(bram18=bram18(rows, width))
    if rows <= _ROWS:
        # Few rows have few different columns.
        return Resources(lut=luts(min(width * model.rom_bit, 2.0**rows)))
    return Resources(lut=luts(width * rows / _ROWS * model.rom_deep))


def _select(ways: int, width: int) -> float:
    """One of several words: a LUT chooses from four, or from two."""
    return 0.0 if ways <= 1 else width * max(1.0, ways / 3)


def _single_port(rows: int, width: int) -> int:
    """A memory that is read and written at the same place (RAM32X2S, RAM64X1S; UG474)."""
    if rows <= 1:
        return 0
    return -(-width // 2) if rows <= _ROWS // 2 else width * -(-rows // _ROWS)


def _queue(depth: int, width: int) -> int:
    """A queue's memory: 32 x 6 bits in 4 LUTs, or 64 x 3 (RAM32M, RAM64M; UG474)."""
    if depth <= _ROWS // 2:
        return 4 * -(-width // 6)
    return 4 * -(-width // 3) * -(-depth // _ROWS)


def fixed_parts(
    network: QuantizedNetwork, port_bytes: int, model: RtlModel, fibres: int = 1
) -> dict[str, Resources]:
    """What has no parallelism to choose; the gearbox gives `fibres` as one."""
    recurrence = network.recurrence
    fibre = fibres * frame_modes(recurrence)[1] * recurrence.input_format.width
    levels = 1 + (port_bytes - 1) // math.gcd(port_bytes, fibre // 8)
    words = network.result_bytes // WORD_BYTES
    return {
        "control": Resources(lut=model.control),
        "reader": Resources(lut=model.reader, bram18=2 * -(-port_bytes // WORD_BYTES)),
        "gearbox": Resources(lut=luts(_select(levels, fibre)) + fibre + _queue(4, fibre)),
        "cell": _cell(network, model),
        "head": _head(network, model),
        "writer": Resources(lut=model.writer + 8 * WORD_BYTES * words),
    }


def _signed_width(form: FixedPoint) -> int:
    """Bits as a signed number."""
    return form.width + int(not form.signed)


def _cell(network: QuantizedNetwork, model: RtlModel) -> Resources:
    """Front, update and state; truth tables are block RAM."""
    recurrence, cell = network.recurrence, network.recurrence.cell
    gates, width = len(cell.gates), recurrence.sums["preactivation"].width
    projected, recurrent = (
        recurrence.accumulator_format(path, -1).width
        for path in (recurrence.input_path, recurrence.hidden_path)
    )
    lanes = int(emission_order(recurrence.input_path).shape[1])
    if collects(recurrence):
        front = _select(lanes, projected) + _select(
            int(emission_order(recurrence.hidden_path).shape[1]), recurrent
        )
        front += gates * (projected + recurrent) * (1 + cell.units / _ROWS)
    else:
        front = _select(lanes // gates, gates * (projected + recurrent))
    arguments = gates * (width * model.argument_bit + cell.preactivation.width * 1.6)
    states = [form for name, form in recurrence.sums.items() if name != "preactivation"]
    update = sum(form.width + cell.hidden.width * model.rounding_bit for form in states)
    kept = _single_port(cell.units, cell.cell.width) if isinstance(cell, LstmCell) else 0
    dsp = sum(
        dsps_of_product(_signed_width(first), _signed_width(second), ResourceModel())
        for first, second in products_of(cell)
    )
    own = Resources(lut=luts(front + arguments + update + 2 * kept + model.front), dsp=dsp)
    bias = rom_parts(cell.units, gates * cell.bias.format.width, model)
    return own + bias + replace(tables(cell, ResourceModel()), ff=0)


def _head(network: QuantizedNetwork, model: RtlModel) -> Resources:
    """A multiplier a class that adds up what it multiplies, and a queue of results."""
    classes, cell = len(network.classes), network.recurrence.cell
    width = network.head.weights.format.width
    each = dsps_of_product(cell.hidden.width, width, ResourceModel())
    queue = _queue(2, 8 * LOGIT_BYTES * classes)
    bias = classes * network.logit_format.width / 2
    return Resources(lut=luts(queue + bias), dsp=classes * each) + rom_parts(
        cell.units, classes * width, model
    )
