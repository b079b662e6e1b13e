"""What the parts of the core in C++ take: a contraction stage, from its loops, widths and
parallelism; and the cell, the head, the reader and the writer, which have none to choose.
"""

from __future__ import annotations

import math

from fdht_hls.adders import adder_graph, adders_available
from fdht_hls.engine.contractions import QUEUE_WORDS, StageDesign
from fdht_hls.engine.engine_plan import CellPlan, EngineDesign, HeadPlan
from fdht_hls.estimate.coefficients import Assumptions, ResourceModel
from fdht_hls.estimate.primitives import (
    bram18,
    dsps_of_product,
    fifo,
    is_block_ram,
    lut_rom,
    luts_of_constant_product,
    luts_of_product,
    memory,
    rom,
    rounding,
    select,
)
from fdht_hls.estimate.resources import Resources, luts
from fdht_hls.schedule import MOST_ADDER_WEIGHTS, StageSchedule, vector_length, weight_rows
from fdht_models.errors import ToolError
from fdht_models.tensor.cells.operations import Round
from fdht_models.tensor.quantized import WORD_BYTES

#: Ports of a block RAM.
_PORTS = 2


def stage_resources(
    design: StageDesign, schedule: StageSchedule, model: ResourceModel, engine: Assumptions
) -> dict[str, Resources]:
    """What the parts of a stage take, by name."""
    return {
        "multipliers": multipliers(design, schedule, model, engine),
        "weights": weights(design, schedule, model),
        "accumulators": accumulators(design, schedule, model),
        "words": words(design, schedule, model),
        "fifo": fifo(QUEUE_WORDS, design.word_out * design.result.width, model),
        "control": Resources(model.stage_control_lut, model.stage_control_ff),
    }


def multipliers(
    design: StageDesign, schedule: StageSchedule, model: ResourceModel, engine: Assumptions
) -> Resources:
    """Multipliers and the adders behind them.

    DSP slices add as they multiply, and take what they add to from the accumulators. Multipliers
    made of LUT have adders of LUT. Where a multiplier sees one weight only, for good - its stage
    does a turn in one beat and has one slice - it is a constant multiplier.
    """
    if schedule.weights == "adders":
        return adder_resources(design, schedule, model)
    source = design.source.width + int(not design.source.signed)
    parallel, core = schedule.parallel, design.core.format.width
    if schedule.multipliers != "lut":
        each = dsps_of_product(source, core, model)
        packed = (
            engine.int8_pairs
            and max(design.source.width, core) <= model.int8_bits
            and schedule.outputs > 1
        )
        if not packed:
            return Resources(dsp=each * parallel)
        # Two outputs share the value that they are multiplied with; their sums share no adder.
        adders = luts(parallel * design.total.width * model.lut_per_adder_bit)
        pairs = schedule.vectors * schedule.vector * -(-schedule.outputs // 2)
        return Resources(lut=adders, ff=adders, dsp=pairs)
    if design.count == schedule.weights_in_beat and schedule.weights == "constant":
        taken = luts(parallel * luts_of_constant_product(design.source.width, core, model))
    else:
        adder = design.total.width * model.lut_per_adder_bit
        taken = luts(parallel * (luts_of_product(source, core, model) + adder))
    return Resources(lut=taken, ff=luts(taken * model.ff_per_lut))


def adder_resources(
    design: StageDesign, schedule: StageSchedule, model: ResourceModel
) -> Resources:
    """A graph of adders: what da4ml says of these weights, or the study's model of unknown ones."""
    if design.kernel is None:
        each = luts_of_constant_product(design.source.width, design.core.format.width, model)
        taken = luts(schedule.parallel * each)
        return Resources(lut=taken, ff=luts(taken * model.ff_per_lut))
    graph = adder_graph(design.kernel, design.source)
    return Resources(lut=graph.cost, ff=graph.register_bits) * schedule.vectors


def why_no_adders(design: StageDesign) -> str | None:
    """Why a stage whose beats can all have the same weights is not made of adders.

    Finds the graph of a trained stage, which can take some ten seconds, and remembers it.

    Returns:
        A clause; None if adders are possible, or if beats differ in their weights in any case.
    """
    whole = StageSchedule(vector_length(design.shape), design.shape.outputs)
    if weight_rows(design.shape, whole) > 1:
        return None
    if whole.weights_in_beat > MOST_ADDER_WEIGHTS:
        most = f"at most {MOST_ADDER_WEIGHTS:,} weights"
        return f"they are made for {most}, and it has {whole.weights_in_beat:,}"
    if not adders_available():
        return "da4ml is not installed; pip install 'fdht[hls]' brings it"
    if design.kernel is not None:
        try:
            adder_graph(design.kernel, design.source)
        except ToolError as error:
            return str(error)
    return None


def weights(design: StageDesign, schedule: StageSchedule, model: ResourceModel) -> Resources:
    """Constants, or a memory: one word a clock with a weight for every multiplier of a vector."""
    row = schedule.weights_in_beat
    depth, width = design.count // row, row * design.core.format.width
    if schedule.weights == "adders":
        return Resources()
    if schedule.weights == "loadable":
        return memory(depth, width, model)
    return rom(depth, width, model)


def accumulators(design: StageDesign, schedule: StageSchedule, model: ResourceModel) -> Resources:
    """Sums over the mode: a memory for every parallel output; and those of the running turn.

    Behind them, a parallel output is rounded, unless it is emitted exactly.
    """
    shape, width = design.shape, design.total.width
    outputs, pieces = schedule.vectors * schedule.outputs, shape.outputs // schedule.outputs
    kept = schedule.vectors * shape.outputs if schedule.vector < vector_length(shape) else 0
    turn = Resources(ff=kept * width)
    clear = luts(outputs * width * model.lut_per_clear_bit)
    rounded = 0 if design.exact else rounding(width, design.result.width, model)
    logic = Resources(lut=clear + outputs * rounded, ff=outputs * width)
    if shape.fibre:  # the running turn is all that it adds up
        return turn + logic
    rows = shape.groups * shape.inner * shape.lanes // schedule.vectors * pieces
    return turn + logic + memory(rows, width, model, outputs)


def words(design: StageDesign, schedule: StageSchedule, model: ResourceModel) -> Resources:
    """Registers of the word that is worked on and of the word that is put together.

    A beat's values are selected from the former; each value of the latter has an enable. Words that
    are completed at once wait in a FIFO of their own, from which one after the other is selected.
    """
    shape, width = design.shape, design.source.width
    words = schedule.words_at_once(shape) // shape.words_joined
    taken = schedule.vectors * schedule.vector
    arriving, bits = design.word_in * width, design.word_out * design.result.width
    found = Resources(
        lut=select(design.word_in // taken, taken * width, model) + words * design.word_out,
        ff=arriving + words * bits,
    )
    if words > 1:
        found += fifo(QUEUE_WORDS, words * bits, model) + Resources(lut=select(words, bits, model))
    return found


def cell_resources(design: EngineDesign, model: ResourceModel) -> dict[str, Resources]:
    """What the parts of the cell take, by name, without the stages of W_h h."""
    own, cell = design.cell, design.cell.cell
    return {
        "tables": tables(own, model),
        "bias": _bias(own, model),
        "state": _state(own, model),
        "fifo": fifo(QUEUE_WORDS, cell.hidden.width, model),
        "sums": _sums(own, model),
        "products": _products(own, model),
        "streams": _streams(design, model),
        "control": Resources(2 * model.stage_control_lut, 2 * model.stage_control_ff),
    }


def tables(own: CellPlan, model: ResourceModel) -> Resources:
    """Truth tables over all codes of their argument, as often as they are read at once."""
    taken, cell = Resources(), own.cell
    for name, reads in own.program.readers.items():
        depth, width = 1 << cell.arguments[name].width, cell.tables[name].format.width
        if is_block_ram(depth, width, model):
            taken += Resources(bram18=bram18(depth, width)) * -(-reads // _PORTS)
        else:
            taken += Resources(lut=lut_rom(depth, width), ff=width) * reads
    return taken


def _bias(own: CellPlan, model: ResourceModel) -> Resources:
    """Bias of all gates of a unit in a clock, and where each word's units belong."""
    entries = own.positions.size
    return rom(own.units, own.gates * own.bias.format.width, model) + rom(
        entries, max(1, (entries - 1).bit_length()), model
    )


def _state(own: CellPlan, model: ResourceModel) -> Resources:
    """The states of all contexts; W_h h has read h before the first unit is updated."""
    kept, cell = Resources(), own.cell
    for name in cell.described.states:
        kept += memory(own.contexts * own.units, cell.formats[name].width, model)
    return kept


def _sums(own: CellPlan, model: ResourceModel) -> Resources:
    """The gates' arguments, added up and rounded; sums that are collected first."""
    program, gates, taken = own.program, own.gates, Resources()
    for step in program.arguments:
        width, result = program.operands(step)[0].format.width, step.format.width
        added = len(program.operands(step)[0].operands) - 1
        lut = luts(added * width * model.lut_per_adder_bit) + rounding(width, result, model)
        taken += Resources(lut=lut, ff=width + result)
    widths = (own.projected.width, own.recurrent.width)
    if own.collects:
        for width in widths:
            taken += memory(own.units, width, model, gates)
        return taken
    # A word of sums of either path, of which one unit's are selected.
    lut = select(own.units_in_word, gates * sum(widths), model)
    return taken + Resources(lut=lut, ff=int(own.arrival.shape[1]) * sum(widths))


def _products(own: CellPlan, model: ResourceModel) -> Resources:
    """Multipliers, and roundings that are no gate's argument."""
    program = own.program
    dsp = sum(
        dsps_of_product(first.signed_width, second.signed_width, model)
        for first, second in program.products
    )
    taken = Resources(dsp=dsp)
    for step in program.of(Round):
        if step not in program.arguments:
            width = program.operands(step)[0].format.width
            taken += Resources(lut=rounding(width, step.format.width, model), ff=width)
    return taken


def _streams(design: EngineDesign, model: ResourceModel) -> Resources:
    """FIFOs of W_h h hold a whole frame's words, because its stages run one after the other."""
    fibre, own = design.hidden[0].word_in, design.cell
    taken = fifo(own.units // fibre, fibre * own.hidden.width, model)
    for stage in design.hidden:
        width = stage.shape.word_out * stage.result.width
        taken += fifo(stage.shape.words_out, width, model)
    return taken


def head_resources(head: HeadPlan, model: ResourceModel) -> dict[str, Resources]:
    """A multiplier a class, for the one unit that comes in a clock."""
    hidden, form = head.hidden, head.weights.format
    units, classes, logit = head.units, head.classes, head.logits.width
    return {
        "multipliers": Resources(dsp=classes * dsps_of_product(hidden.width, form.width, model)),
        "weights": rom(units, classes * form.width, model),
        "accumulators": Resources(
            lut=luts(classes * logit * model.lut_per_clear_bit), ff=2 * classes * logit
        ),
        "fifo": fifo(1, classes * logit, model),
        "control": Resources(model.stage_control_lut, model.stage_control_ff),
    }


def reader_resources(design: EngineDesign, model: ResourceModel) -> dict[str, Resources]:
    """The read master, the bytes from which fibres are cut, and the FIFO behind them."""
    first, port = design.input[0], design.port
    length, fibre = first.word_in, first.word_in * first.source.width
    # A fibre starts at one of so many places; whole words need none but an enable for each byte.
    places = WORD_BYTES // math.gcd(length, WORD_BYTES)
    cut = select(places, fibre, model) if places > 1 else length
    ports = max(1, math.ceil(port.word_bytes / WORD_BYTES))
    master = Resources(model.reader_lut, model.reader_ff, 0, model.reader_bram18)
    return {
        "master": master * ports,
        "words": Resources(lut=cut, ff=fibre + 8 * port.word_bytes),
        "fifo": fifo(QUEUE_WORDS, fibre, model),
        "control": Resources(model.stage_control_lut, model.stage_control_ff),
    }


def writer_resources(head: HeadPlan, model: ResourceModel) -> dict[str, Resources]:
    """The write master and a word of logits, of which two leave in a clock."""
    bits, ways = head.classes * head.logits.width, -(-head.classes // 2)
    return {
        "master": Resources(model.writer_lut, model.writer_ff, 0, model.writer_bram18),
        "words": Resources(lut=select(ways, 8 * WORD_BYTES, model), ff=bits),
        "control": Resources(model.stage_control_lut, model.stage_control_ff),
    }


def control_resources(model: ResourceModel) -> dict[str, Resources]:
    """The register map behind AXI4-Lite."""
    return {"registers": Resources(model.control_lut, model.control_ff)}


def loader_resources(model: ResourceModel) -> Resources:
    """The port that reads weights, and what puts rows together from its words."""
    control = Resources(model.stage_control_lut, model.stage_control_ff)
    port = Resources(model.reader_lut, model.reader_ff, bram18=model.reader_bram18)
    return port + control
