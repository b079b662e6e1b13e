"""What the parts of the RTL take that have no parallelism to choose: ports, cell, head, loader."""

from __future__ import annotations

import math

from fdht_hls.engine.plan import CellPlan, EnginePlan
from fdht_hls.estimate.cell import TABLE_READS, products_of
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
from fdht_models.tensor.arrays import QuantizedArray
from fdht_models.tensor.cells import LstmCell
from fdht_models.tensor.fixedpoint import FixedPoint
from fdht_models.tensor.quantized import LOGIT_BYTES, WORD_BYTES, QuantizedRecurrence


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


def _signed_width(form: FixedPoint) -> int:
    """Bits as a signed number."""
    return form.width + int(not form.signed)


def _cell(plan: EnginePlan, model: RtlModel) -> Resources:
    """Front, update and state."""
    own, cell = plan.cell, plan.cell.cell
    dsp = sum(
        dsps_of_product(_signed_width(first), _signed_width(second), ResourceModel())
        for first, second in products_of(cell)
    )
    # The state of an LSTM, or a copy of a GRU's h, and h in words for W_h h.
    kept = queue(cell.units, (cell.cell if isinstance(cell, LstmCell) else cell.hidden).width)
    fibre = plan.hidden[0].design.word_in
    kept += fibre * queue(cell.units // fibre, cell.hidden.width)
    found = Resources(lut=luts(_front(own) + kept + model.front), dsp=dsp)
    found += _update(own.recurrence, model)
    found += _unit_rows(own.bias, model, plan.layout is not None)
    for name, argument in cell.arguments.items():
        table = getattr(cell, name)
        bits = bits_of(table.codes[:, None], table.format.width)
        readers = TABLE_READS[cell.kind][name]
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


def _update(recurrence: QuantizedRecurrence, model: RtlModel) -> Resources:
    """Sums and rounding of a unit's arguments and of its new state."""
    cell, sums = recurrence.cell, recurrence.sums
    each = sums["preactivation"].width * model.argument_bit
    each += cell.preactivation.width * model.rounding_bit
    found = len(cell.gates) * each
    for name, form in sums.items():
        if name == "preactivation":
            continue
        # A sum is named after what it is rounded to, but a GRU's candidate is an argument.
        result = cell.preactivation if name == "candidate" else getattr(cell, name)
        found += result.width * model.rounding_bit
        # What a GRU's reset gate multiplies, and an LSTM's new h, are no sums.
        summed = name != "recurrent" and (name, cell.kind) != ("hidden", "lstm")
        found += form.width * summed
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
