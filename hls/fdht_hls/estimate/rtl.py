"""The estimate of the core in RTL: its pace and what yosys will count.

Beside it, `core` estimates what Vitis HLS makes of the C++: the two differ in their AXI adapters
and in how processes follow each other. Here frames follow without a gap, and W_h h works
beside W_x x, so that the slowest of port, stages and recurrence sets the pace.

What stages take is in `rtl_stage`. `fdht bench estimate` shows how far off all of it is; its table
is in docs/estimate.md.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from fdht_hls.engine.engine_plan import CellPlan, EnginePlan
from fdht_hls.estimate.coefficients import ResourceModel
from fdht_hls.estimate.hls import Estimate, StageEstimate, fixed_work
from fdht_hls.estimate.primitives import dsps_of_product
from fdht_hls.estimate.resources import Resources, luts
from fdht_hls.estimate.rtl_memory import (
    RtlModel,
    bits_of,
    queue,
    rom_parts,
    select,
    table_parts,
)
from fdht_hls.estimate.rtl_stage import stage_parts, weights_from_memory
from fdht_hls.estimate.timing import Times, serve, stage_times
from fdht_models.tensor.arrays import QuantizedArray
from fdht_models.tensor.cells.operations import Round, Sum
from fdht_models.tensor.quantized import LOGIT_BYTES, WORD_BYTES

#: Clocks behind a beat until the next stage has its sums, beside the levels of adders; and those
#: of the registers around the memory of its weights.
_STAGE_CLOCKS, _WEIGHT_CLOCKS = 4, 2
#: Clocks between a frame's last unit and the first word of h.
_STATE_CLOCKS = 2


def estimate_rtl(plan: EnginePlan, model: RtlModel | None = None) -> Estimate:
    """The estimate of the core that `fdht_hls.rtl` emits; what the model does not know is None."""
    model, clocks = model or RtlModel(), rtl_clocks(plan)
    slowest = max(clocks, key=lambda name: clocks[name])
    known = clocks | {"reader": clocks["memory port"], "cell": clocks["recurrence"]}
    work = {stage.name: (stage.design.macs, stage.schedule.parallel) for stage in plan.stages}
    work |= fixed_work(plan.design)
    # The model counts no flip-flops.
    parts = {
        name: replace(part, ff=None)
        for name, part in (
            *((stage.name, stage_parts(stage, model)) for stage in plan.stages),
            *fixed_parts(plan, model).items(),
        )
    }
    rows = tuple(
        StageEstimate(name, known.get(name), *work.get(name, (0, 0)), {"all": part})
        for name, part in parts.items()
    )
    return Estimate(clocks[slowest], slowest, None, clocks["recurrence"], {}, rows)


def rtl_clocks(plan: EnginePlan) -> dict[str, int]:
    """Clocks a frame of what may set the pace: "memory port", the stages and "recurrence"."""
    clocks = {"memory port": plan.port.frame_words}
    clocks |= {stage.name: stage.cycles for stage in plan.stages}
    return clocks | {"recurrence": recurrent_clocks(plan)}


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


def fixed_parts(plan: EnginePlan, model: RtlModel) -> dict[str, Resources]:
    """What has no parallelism to choose."""
    port, layout, first = plan.port, plan.layout, plan.input[0].design
    fibre = first.word_in * first.source.width
    levels = 1 + (port.word_bytes - 1) // math.gcd(port.word_bytes, fibre // 8)
    found = {
        "control": Resources(lut=model.control),
        "reader": _reader(port.word_bytes, model),
        "gearbox": Resources(lut=luts(select(levels, fibre)) + fibre + queue(4, fibre)),
        "cell": _cell(plan, model),
        "head": _head(plan, model),
        "writer": Resources(lut=model.writer + 8 * WORD_BYTES * port.result_words),
    }
    if layout:
        tables = Resources(lut=model.loader + len(layout.tables) * model.loaded_table)
        found["loader"] = _reader(WORD_BYTES, model) + tables
    return found


def _reader(port_bytes: int, model: RtlModel) -> Resources:
    """A port that reads, and the words that it asked for ahead."""
    return Resources(lut=model.reader, bram18=2 * -(-port_bytes // WORD_BYTES))


def _cell(plan: EnginePlan, model: RtlModel) -> Resources:
    """Front, update and state."""
    own, cell, program = plan.cell, plan.cell.cell, plan.cell.program
    dsp = sum(
        dsps_of_product(first.signed_width, second.signed_width, ResourceModel())
        for first, second in program.products
    )
    # The states that an update reads, and h in words for W_h h.
    kept = sum(queue(own.units, form.width) for form in program.former.values())
    fibre = plan.hidden[0].design.word_in
    kept += fibre * queue(own.units // fibre, own.hidden.width)
    found = Resources(lut=luts(_front(own) + kept + model.front), dsp=dsp)
    found += _update(own, model)
    found += _unit_rows(own.bias, model, plan.layout is not None)
    for name, readers in program.readers.items():
        table, argument = cell.tables[name], cell.arguments[name]
        bits = bits_of(table.codes[:, None], table.format.width)
        found += rom_parts(1 << argument.width, table.format.width, model, bits, readers)
    return found


def _front(own: CellPlan) -> float:
    """What brings the sums of a unit together."""
    widths = [own.projected.width, own.recurrent.width]
    lanes = [int(own.arrival.shape[1]), own.recurrent_word]
    if not own.collects:
        return select(lanes[0] // own.gates, own.gates * sum(widths))
    selected = sum(select(ways, width) for ways, width in zip(lanes, widths, strict=True))
    return selected + own.gates * sum(queue(own.units, width) for width in widths)


def _update(own: CellPlan, model: RtlModel) -> Resources:
    """Sums and roundings of a unit's update."""
    program = own.program
    found = sum(step.format.width * model.rounding_bit for step in program.of(Round))
    arguments = {step.operands[0] for step in program.arguments}
    for step in program.of(Sum):
        found += step.format.width * (model.argument_bit if step.name in arguments else 1)
    return Resources(lut=luts(found))


def _unit_rows(table: QuantizedArray, model: RtlModel, loadable: bool) -> Resources:
    """A memory with a row a hidden unit."""
    width, (rows, columns) = table.format.width, table.codes.shape
    if not loadable:
        return rom_parts(rows, columns * width, model, bits_of(table.codes, width))
    # Rows are loaded in the natural order of units and read in that of updates.
    place = rom_parts(rows, max(1, (rows - 1).bit_length()), model)
    return table_parts(rows, columns * width, model) + place


def _head(plan: EnginePlan, model: RtlModel) -> Resources:
    """A multiplier a class that adds up what it multiplies, and a queue of results."""
    head, loadable = plan.head, plan.layout is not None
    each = dsps_of_product(head.hidden.width, head.weights.format.width, ResourceModel())
    results = queue(2, 8 * LOGIT_BYTES * head.classes)
    # Half of a constant's bits are 0 and need nothing.
    bias = head.logits.width if loadable else head.bias.format.width / 2
    own = Resources(lut=luts(results + head.classes * bias), dsp=head.classes * each)
    return own + _unit_rows(head.weights, model, loadable)
