"""What the cell, the head, the reader and the writer take: they have no parallelism to choose."""

from __future__ import annotations

import math

from fdht_hls.estimate.model import ResourceModel
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
from fdht_hls.estimate.stage import FIFO_DEPTH, StageDesign
from fdht_hls.shapes import collects, emission_order
from fdht_models.tensor.cells import Cell
from fdht_models.tensor.cells.operations import Round
from fdht_models.tensor.quantized import (
    WORD_BYTES,
    QuantizedNetwork,
    QuantizedRecurrence,
    frame_modes,
)

#: Ports of a block RAM.
_PORTS = 2


def cell_resources(
    recurrence: QuantizedRecurrence,
    hidden: tuple[StageDesign, ...],
    model: ResourceModel,
) -> dict[str, Resources]:
    """What the parts of the cell take, by name, without the stages of W_h h."""
    cell = recurrence.cell
    return {
        "tables": tables(recurrence, model),
        "bias": _bias(recurrence, model),
        "state": _state(cell, model),
        "fifo": fifo(FIFO_DEPTH, cell.hidden.width, model),
        "sums": _sums(recurrence, model),
        "products": _products(recurrence, model),
        "streams": _streams(recurrence, hidden, model),
        "control": Resources(2 * model.stage_control_lut, 2 * model.stage_control_ff),
    }


def tables(recurrence: QuantizedRecurrence, model: ResourceModel) -> Resources:
    """Truth tables over all codes of their argument, as often as they are read at once."""
    taken, cell = Resources(), recurrence.cell
    for name, reads in recurrence.cell_program.readers.items():
        depth, width = 1 << cell.arguments[name].width, cell.tables[name].format.width
        if is_block_ram(depth, width, model):
            taken += Resources(bram18=bram18(depth, width)) * -(-reads // _PORTS)
        else:
            taken += Resources(lut=lut_rom(depth, width), ff=width) * reads
    return taken


def _bias(recurrence: QuantizedRecurrence, model: ResourceModel) -> Resources:
    """Bias of all gates of a unit in a clock, and where each word's units belong."""
    cell = recurrence.cell
    count = emission_order(recurrence.input_path).shape[0]
    entries = len(cell.gates) * cell.units if collects(recurrence) else count
    return rom(cell.units, len(cell.gates) * cell.bias.format.width, model) + rom(
        entries, max(1, (entries - 1).bit_length()), model
    )


def _state(cell: Cell, model: ResourceModel) -> Resources:
    """The states; W_h h has read h before the first unit is updated."""
    kept = Resources()
    for name in cell.described.states:
        kept += memory(cell.units, cell.formats[name].width, model)
    return kept


def _sums(recurrence: QuantizedRecurrence, model: ResourceModel) -> Resources:
    """The gates' arguments, added up and rounded; sums that are collected first."""
    cell, program = recurrence.cell, recurrence.cell_program
    gates, taken = len(cell.gates), Resources()
    for step in program.arguments:
        width, result = program.operands(step)[0].format.width, step.format.width
        added = len(program.operands(step)[0].operands) - 1
        lut = luts(added * width * model.lut_per_adder_bit) + rounding(width, result, model)
        taken += Resources(lut=lut, ff=width + result)
    widths = [
        recurrence.accumulator_format(path, -1).width
        for path in (recurrence.input_path, recurrence.hidden_path)
    ]
    if collects(recurrence):
        for width in widths:
            taken += memory(cell.units, width, model, gates)
        return taken
    # A word of sums of either path, of which one unit's are selected.
    sums, parts = int(emission_order(recurrence.input_path).shape[1]), sum(widths)
    return taken + Resources(lut=select(sums // gates, gates * parts, model), ff=sums * parts)


def _products(recurrence: QuantizedRecurrence, model: ResourceModel) -> Resources:
    """Multipliers, and roundings that are no gate's argument."""
    program = recurrence.cell_program
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


def _streams(
    recurrence: QuantizedRecurrence, hidden: tuple[StageDesign, ...], model: ResourceModel
) -> Resources:
    """FIFOs of W_h h hold a whole frame's words, because its stages run one after the other."""
    fibre = hidden[0].word_in
    taken = fifo(recurrence.units // fibre, fibre * recurrence.cell.hidden.width, model)
    for design in hidden:
        width = design.shape.word_out * design.result.width
        taken += fifo(design.shape.words_out, width, model)
    return taken


def head_resources(network: QuantizedNetwork, model: ResourceModel) -> dict[str, Resources]:
    """A multiplier a class, for the one unit that comes in a clock."""
    hidden, form = network.recurrence.cell.hidden, network.head.weights.format
    units, classes = network.recurrence.units, len(network.classes)
    logit = network.logit_format.width
    return {
        "multipliers": Resources(dsp=classes * dsps_of_product(hidden.width, form.width, model)),
        "weights": rom(units, classes * form.width, model),
        "accumulators": Resources(
            lut=luts(classes * logit * model.lut_per_clear_bit), ff=2 * classes * logit
        ),
        "fifo": fifo(1, classes * logit, model),
        "control": Resources(model.stage_control_lut, model.stage_control_ff),
    }


def reader_resources(
    recurrence: QuantizedRecurrence, bytes_per_clock: int, model: ResourceModel, fibres: int = 1
) -> dict[str, Resources]:
    """The read master, the bytes from which fibres are cut, and the FIFO behind them.

    Args:
        recurrence: whose frames are read.
        bytes_per_clock: of the ports.
        model: coefficients.
        fibres: that leave as one.
    """
    length = fibres * frame_modes(recurrence)[1]
    fibre = length * recurrence.input_format.width
    # A fibre starts at one of so many places; whole words need none but an enable for each byte.
    places = WORD_BYTES // math.gcd(length, WORD_BYTES)
    cut = select(places, fibre, model) if places > 1 else length
    ports = max(1, math.ceil(bytes_per_clock / WORD_BYTES))
    master = Resources(model.reader_lut, model.reader_ff, 0, model.reader_bram18)
    return {
        "master": master * ports,
        "words": Resources(lut=cut, ff=fibre + 8 * bytes_per_clock),
        "fifo": fifo(FIFO_DEPTH, fibre, model),
        "control": Resources(model.stage_control_lut, model.stage_control_ff),
    }


def writer_resources(network: QuantizedNetwork, model: ResourceModel) -> dict[str, Resources]:
    """The write master and a word of logits, of which two leave in a clock."""
    bits = len(network.classes) * network.logit_format.width
    ways = -(-len(network.classes) // 2)
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
