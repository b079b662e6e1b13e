"""What the parts of the RTL take that have no parallelism to choose: ports, cell, head, loader."""

from __future__ import annotations

import math

from fdht_hls.estimate.model import ResourceModel
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
from fdht_hls.schedule import shapes_of, vector_length
from fdht_hls.shapes import collects, emission_order
from fdht_hls.weight_tables import WeightLayout
from fdht_hls.weights import bias_rows
from fdht_models.tensor.cells.operations import Round, Sum
from fdht_models.tensor.fixedpoint import Codes
from fdht_models.tensor.quantized import (
    LOGIT_BYTES,
    WORD_BYTES,
    QuantizedNetwork,
    QuantizedRecurrence,
    frame_modes,
)


def fixed_parts(
    network: QuantizedNetwork,
    port_bytes: int,
    model: RtlModel,
    layout: WeightLayout | None = None,
    fibres: int = 1,
) -> dict[str, Resources]:
    """What has no parallelism to choose.

    Args:
        network: what the core computes.
        port_bytes: bytes that the port for frames moves in a clock.
        model: coefficients.
        layout: of weights that can be loaded, those of bias and head among them.
        fibres: that the gearbox gives as one.
    """
    recurrence = network.recurrence
    fibre = fibres * frame_modes(recurrence)[1] * recurrence.input_format.width
    levels = 1 + (port_bytes - 1) // math.gcd(port_bytes, fibre // 8)
    words = network.result_bytes // WORD_BYTES
    found = {
        "control": Resources(lut=model.control),
        "reader": _reader(port_bytes, model),
        "gearbox": Resources(lut=luts(select(levels, fibre)) + fibre + queue(4, fibre)),
        "cell": _cell(network, model, layout is not None),
        "head": _head(network, model, layout is not None),
        "writer": Resources(lut=model.writer + 8 * WORD_BYTES * words),
    }
    if layout:
        tables = Resources(lut=model.loader + len(layout.tables) * model.loaded_table)
        found["loader"] = _reader(WORD_BYTES, model) + tables
    return found


def _reader(port_bytes: int, model: RtlModel) -> Resources:
    """A port that reads, and the words that it asked for ahead."""
    return Resources(lut=model.reader, bram18=2 * -(-port_bytes // WORD_BYTES))


def _cell(network: QuantizedNetwork, model: RtlModel, loadable: bool) -> Resources:
    """Front, update and state."""
    recurrence, cell = network.recurrence, network.recurrence.cell
    program = recurrence.cell_program
    dsp = sum(
        dsps_of_product(first.signed_width, second.signed_width, ResourceModel())
        for first, second in program.products
    )
    # The states that an update reads, and h in words for W_h h.
    kept = sum(queue(cell.units, form.width) for form in program.former.values())
    fibre = vector_length(shapes_of(recurrence.hidden_path)[0])
    kept += fibre * queue(cell.units // fibre, cell.hidden.width)
    found = Resources(lut=luts(_front(recurrence) + kept + model.front), dsp=dsp)
    found += _update(recurrence, model)
    rows, form = bias_rows(recurrence).codes, cell.bias.format
    found += _unit_rows(rows, form.width, model, loadable)
    for name, readers in program.readers.items():
        table, argument = cell.tables[name], cell.arguments[name]
        bits = bits_of(table.codes[:, None], table.format.width)
        found += rom_parts(1 << argument.width, table.format.width, model, bits, readers)
    return found


def _front(recurrence: QuantizedRecurrence) -> float:
    """What brings the sums of a unit together."""
    cell, paths = recurrence.cell, (recurrence.input_path, recurrence.hidden_path)
    gates = len(cell.gates)
    widths = [recurrence.accumulator_format(path, -1).width for path in paths]
    lanes = [int(emission_order(path).shape[1]) for path in paths]
    if not collects(recurrence):
        return select(lanes[0] // gates, gates * sum(widths))
    selected = sum(select(ways, width) for ways, width in zip(lanes, widths, strict=True))
    return selected + gates * sum(queue(cell.units, width) for width in widths)


def _update(recurrence: QuantizedRecurrence, model: RtlModel) -> Resources:
    """Sums and roundings of a unit's update."""
    program = recurrence.cell_program
    found = sum(step.format.width * model.rounding_bit for step in program.of(Round))
    arguments = {step.operands[0] for step in program.arguments}
    for step in program.of(Sum):
        found += step.format.width * (model.argument_bit if step.name in arguments else 1)
    return Resources(lut=luts(found))


def _unit_rows(codes: Codes, width: int, model: RtlModel, loadable: bool) -> Resources:
    """A memory with a row a hidden unit."""
    rows, columns = codes.shape
    if not loadable:
        return rom_parts(rows, columns * width, model, bits_of(codes, width))
    # Rows are loaded in the natural order of units and read in that of updates.
    place = rom_parts(rows, max(1, (rows - 1).bit_length()), model)
    return table_parts(rows, columns * width, model) + place


def _head(network: QuantizedNetwork, model: RtlModel, loadable: bool) -> Resources:
    """A multiplier a class that adds up what it multiplies, and a queue of results."""
    classes, cell, head = len(network.classes), network.recurrence.cell, network.head
    width = head.weights.format.width
    each = dsps_of_product(cell.hidden.width, width, ResourceModel())
    results = queue(2, 8 * LOGIT_BYTES * classes)
    # Half of a constant's bits are 0 and need nothing.
    bias = network.logit_format.width if loadable else head.bias.format.width / 2
    return Resources(lut=luts(results + classes * bias), dsp=classes * each) + _unit_rows(
        head.weights.codes, width, model, loadable
    )
