"""What the cell, the head, the reader and the writer take: they have no parallelism to choose."""

from __future__ import annotations

import math

from fdht_hls.engine.contractions import QUEUE_WORDS
from fdht_hls.engine.engine_plan import CellPlan, EngineDesign, HeadPlan
from fdht_hls.estimate.coefficients import ResourceModel
from fdht_hls.estimate.primitives import (
    bram18,
    dsps_of_product,
    fifo,
    is_block_ram,
    lut_rom,
    memory,
    rom,
    rounding,
    select,
)
from fdht_hls.estimate.resources import Resources, luts
from fdht_models.tensor.cells import Cell
from fdht_models.tensor.cells.operations import Round
from fdht_models.tensor.quantized import WORD_BYTES

#: Ports of a block RAM.
_PORTS = 2


def cell_resources(design: EngineDesign, model: ResourceModel) -> dict[str, Resources]:
    """What the parts of the cell take, by name, without the stages of W_h h."""
    own, cell = design.cell, design.cell.cell
    return {
        "tables": tables(own, model),
        "bias": _bias(own, model),
        "state": _state(cell, model),
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


def _state(cell: Cell, model: ResourceModel) -> Resources:
    """The states; W_h h has read h before the first unit is updated."""
    kept = Resources()
    for name in cell.described.states:
        kept += memory(cell.units, cell.formats[name].width, model)
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
