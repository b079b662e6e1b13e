"""The estimate of the core in RTL: its pace and what yosys will count.

Beside it, `core` estimates what Vitis HLS makes of the C++: the two differ in their AXI adapters
and in how processes follow each other. Here frames follow without a gap, and W_h h works
beside W_x x, so that the slowest of port, stages and recurrence sets the pace.

What memories take is in `rtl_memory`. `fdht bench estimate` shows how far off all of it is; its
table is in docs/estimate.md.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from fdht_hls.engine.contractions import StagePlan
from fdht_hls.engine.engine_plan import CellPlan, EnginePlan, PortPlan
from fdht_hls.engine.pairs import lane_bits, pair_bits, pair_codes
from fdht_hls.estimate.coefficients import Assumptions, ResourceModel
from fdht_hls.estimate.hls import Estimate, StageEstimate, fixed_work
from fdht_hls.estimate.hls_parts import multipliers
from fdht_hls.estimate.primitives import dsps_of_product
from fdht_hls.estimate.resources import Resources, luts
from fdht_hls.estimate.rtl_memory import (
    RtlModel,
    bits_of,
    queue,
    rom_parts,
    select,
    single_port,
    table_parts,
)
from fdht_hls.estimate.rtl_skipping import place_bits, skipping_parts
from fdht_hls.estimate.timing import Times, serve, stage_times
from fdht_models.tensor.arrays import QuantizedArray
from fdht_models.tensor.cells.operations import Round, Sum
from fdht_models.tensor.quantized import LOGIT_BYTES, WORD_BYTES
from fdht_models.tensor.sparse_frames import ReadsFrames

#: Clocks behind a beat until the next stage has its sums, beside the levels of adders; and those
#: of the registers around the memory of its weights.
_STAGE_CLOCKS, _WEIGHT_CLOCKS = 4, 2
#: Clocks between a frame's last unit and the first word of h.
_STATE_CLOCKS = 2
#: Rows of the deepest memory of LUTs (RAM64M); of deeper ones a row is selected. And LUTs of what
#: switches between contexts: as yosys counts it (12 of 8 contexts).
_DEEPEST, _SWITCH = 64, 12


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
    clocks = {"memory port": port_clocks(plan.port, plan)}
    clocks |= {stage.name: stage.cycles for stage in plan.stages}
    return clocks | {"recurrence": recurrent_clocks(plan)}


def port_clocks(port: PortPlan, reads: ReadsFrames) -> int:
    """Clocks of the port for a frame at most; a sparse one has a header."""
    return port.frame_words + int(reads.sparse)


def stage_depth(stage: StagePlan) -> int:
    """Clocks from a stage's last beat to the word that it completes."""
    levels = _levels(stage)
    clocks = _STAGE_CLOCKS + (_WEIGHT_CLOCKS if weights_from_memory(stage) else 0)
    return clocks + levels - int(stage.design.exact)


def _levels(stage: StagePlan) -> int:
    """Of adders behind the products of a vector."""
    vector = stage.schedule.vector
    if stage.paired:
        # Of two slices, and then of these sums and what is given back.
        return 1 + math.ceil(math.log2(-(-vector // 2) + 1))
    return math.ceil(math.log2(vector)) if vector > 1 else 0


def recurrent_clocks(plan: EnginePlan) -> int:
    """From a complete h to the next, if only W_h h has to be waited for."""
    cell = plan.cell
    words = cell.units // plan.hidden[0].design.word_in
    times: Times = np.arange(words, dtype=np.int64)
    for stage in plan.hidden:
        own, depth = stage.schedule, ResourceModel(pipeline_depth=stage_depth(stage))
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
    port, layout = plan.port, plan.layout
    found = {
        "control": Resources(lut=model.control),
        "reader": _reader(port.word_bytes, model),
        **(skipping_parts(plan, model) if plan.skips else {"gearbox": _gearbox(plan)}),
        "cell": _cell(plan, model),
        "head": _head(plan, model),
        "writer": Resources(lut=model.writer + 8 * WORD_BYTES * port.result_words),
    }
    if plan.raw:
        found["feature"] = feature_parts(port.frame_words, port.word_bytes, model)
    if layout:
        tables = Resources(lut=model.loader + len(layout.tables) * model.loaded_table)
        found["loader"] = _reader(WORD_BYTES, model) + tables
    return found


def feature_parts(frame_words: int, word_bytes: int, model: RtlModel) -> Resources:
    """The feature of raw frames: of each byte a difference, its size, and what the dead zone leaves
    of it; and the frame before.
    """
    bits = 8 * word_bytes
    logic = Resources(lut=luts(model.feature + model.difference_bit * bits))
    return logic + table_parts(frame_words, bits, model)


def _gearbox(plan: EnginePlan) -> Resources:
    """From words of the port to fibres, and these in a queue."""
    port, first = plan.port, plan.input[0].design
    fibre = first.word_in * first.source.width
    levels = 1 + (port.word_bytes - 1) // math.gcd(port.word_bytes, fibre // 8)
    return Resources(lut=luts(select(levels, fibre)) + fibre + queue(4, fibre))


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
    found = Resources(lut=luts(_front(own) + model.front), dsp=dsp)
    found += _states(plan, model)
    found += _update(own, model)
    found += _unit_rows(own.bias, model, plan.layout is not None)
    for name, readers in program.readers.items():
        table, argument = cell.tables[name], cell.arguments[name]
        bits = bits_of(table.codes[:, None], table.format.width)
        found += rom_parts(1 << argument.width, table.format.width, model, bits, readers)
    return found


def _states(plan: EnginePlan, model: RtlModel) -> Resources:
    """The states that an update reads, and h in words for W_h h; of each context."""
    own, fibre = plan.cell, plan.hidden[0].design.word_in
    words, forms = own.units // fibre, own.program.former.values()
    if own.contexts == 1:
        kept: float = sum(queue(own.units, form.width) for form in forms)
        return Resources(lut=luts(kept + fibre * queue(words, own.hidden.width)))
    # Contexts begin at powers of two. h is read in the clock of its address, as no block is.
    rows, words = (own.contexts << (count - 1).bit_length() for count in (own.units, words))
    deep = select(-(-words // _DEEPEST), fibre * own.hidden.width)
    kept = fibre * queue(words, own.hidden.width) + deep + _SWITCH
    found = Resources(lut=luts(kept))
    for form in forms:
        found += table_parts(rows, form.width, model)
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


def stage_parts(stage: StagePlan, model: RtlModel) -> Resources:
    """A contraction stage and the queue behind it."""
    design, schedule = stage.design, stage.schedule
    # Vectors of a beat share its weights, but nothing else.
    outputs = schedule.vectors * schedule.outputs
    slots, kept = stage.loops.slots, stage.loops.sum_rows
    taken = schedule.vector * schedule.vectors
    logic = select(design.word_in // taken, taken * design.source.width)
    if weights_from_memory(stage) and schedule.multipliers == "lut":
        # Operands wait for the weights in shift registers, a LUT a bit; a DSP slice has its own.
        logic += taken * design.source.width
    logic += _products(stage, model)
    if kept:
        logic += outputs * design.total.width
    if not design.exact:
        logic += outputs * design.result.width * model.rounding_bit
    logic += model.stage + slots * model.slot
    memory = single_port(kept, outputs * design.total.width)
    # Words that are completed at once share a place; they are given on one by one, but for those of
    # fibres, which the second stage takes as one.
    words, word = stage.words_split, design.word_out * design.result.width
    memory += queue(-(-stage.queue_words // words), words * word + place_bits(stage.leaving))
    logic += select(words, word)
    each = dsps_of_product(
        design.source.width + int(not design.source.signed),
        design.core.format.width,
        ResourceModel(),
    )
    in_dsp = schedule.multipliers != "lut" and schedule.weights != "adders"
    dsp = each * schedule.parallel // (2 if stage.paired else 1) if in_dsp else 0
    own = Resources(lut=luts(logic + memory), dsp=dsp)
    return own + _stage_weights(stage, model)


def weights_from_memory(stage: StagePlan) -> bool:
    """Beats differ in their weights, which have registers before and behind their memory."""
    kind = stage.schedule.weights
    return kind == "loadable" or (kind == "constant" and len(stage.rows.codes) > 1)


def _stage_weights(stage: StagePlan, model: RtlModel) -> Resources:
    """The memory of a stage's weights."""
    schedule, codes = stage.schedule, stage.rows.codes
    if schedule.weights == "adders":
        return Resources()
    rows, core = len(codes), stage.rows.format.width
    if stage.paired:
        codes, core = pair_codes(stage.rows), pair_bits(stage.design)
    width = codes.shape[1] * core
    if schedule.weights == "loadable":
        return table_parts(rows, width, model)
    return rom_parts(rows, width, model, bits_of(codes, core))


def _products(stage: StagePlan, model: RtlModel) -> float:
    """Multipliers made of LUTs, and the adders of a vector's products."""
    design, schedule, codes = stage.design, stage.schedule, stage.rows.codes
    source = design.source.width + int(not design.source.signed)
    core, parallel = design.core.format.width, schedule.parallel
    outputs = schedule.vectors * schedule.outputs
    exact = design.source.width + core
    if schedule.weights == "adders":
        return float(multipliers(design, schedule, ResourceModel(), Assumptions()).lut)
    if stage.paired:
        return outputs / 2 * _paired_adders(stage)
    if schedule.multipliers == "dsp":
        # The adder behind two DSP slices is part of one of them.
        pairs = -(-schedule.vector // 2)
        return outputs * _adders(pairs, exact + 1, design.total.width)
    if weights_from_memory(stage):
        # Booth's recoding: a row of adders for two bits of the narrower operand.
        wide, narrow = max(source, core), min(source, core)
        sums = outputs * _adders(schedule.vector, exact, design.total.width)
        return sums + parallel * -(-narrow // 2) * (wide + 1)
    digits, bits = core / 3 + 1 / 9, float(core)
    if codes.any():
        digits = float(np.mean([_digits(int(code)) for code in codes.ravel()]))
        bits = 1 + math.log2(1 + float(np.abs(codes).mean()))
    sums = outputs * _adders(schedule.vector, math.ceil(source - 1 + bits), design.total.width)
    return sums + parallel * max(0.0, digits - 1) * (source + 1) * model.constant_bit


def _paired_adders(stage: StagePlan) -> float:
    """Adders behind the slices that two outputs share, and what takes their lanes apart."""
    sums, lane, most = -(-stage.schedule.vector // 2), lane_bits(stage.design), stage.design.total
    apart = sums * (lane / 5 + 1)
    return apart + _adders(sums, lane + 1, most.width) + _adders(sums + 1, lane + 1, most.width)


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
