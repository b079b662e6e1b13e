"""The LSTM's update: pre-activations, gates as truth tables, cell state and hidden code.

    pre = round(W_x x + W_h h + b)     f, u, o = gate[pre]     g = candidate[pre]
    c = round(f c + u g)               h = round(o output[c])

One unit a clock. A unit's cell state is read and written once a frame; the next frame's update
of it waits for W_h h, and so for all of this frame's.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from fdht_hls.engine.plan import BIAS
from fdht_hls.rtl.arithmetic import align, code_shape, delay, registered, round_saturate
from fdht_hls.rtl.cell_ports import TABLE_CLOCKS, CellParameters, tables
from fdht_hls.rtl.loading import load_port, row_of, unit_rows
from fdht_models.tensor.cells import LstmCell

#: Clocks from a unit's sums to the three parts of an argument.
PARTS = 2
#: Clocks from a unit's sums to its new hidden code.
_ARGUMENTS, _GATES, _STATE, _RESULT = 4, 6, 9, 13


class LstmUpdate(wiring.Component):
    """The update of one unit a clock.

    Args:
        own: what the cell is made of.
        cell: its formats and tables.

    Attributes:
        sums: what arrives.
        unit: what leaves, a fixed number of clocks later.
    """

    def __init__(self, own: CellParameters, cell: LstmCell) -> None:
        self.own, self.cell = own, cell
        super().__init__({"sums": In(own.sums), "unit": Out(own.unit), **load_port(own.layout)})

    def elaborate(self, platform: Any) -> Module:
        """Builds the logic."""
        module = Module()
        arguments = gate_arguments(module, self.own, self, range(4))
        squashed = self._state(module, arguments)
        cell, total = self.cell, self.own.recurrence.sums["hidden"]
        open_gate = delay(module, squashed.pop("open"), _STATE + TABLE_CLOCKS - _GATES)
        product = registered(module, open_gate * squashed["output"], "emitted")
        result = round_saturate(module, product, total.fraction, cell.hidden)
        module.d.comb += self.unit.hidden.eq(registered(module, result, "hidden"))
        forward(module, self.sums, self.unit, _RESULT)
        return module

    def _state(self, module: Module, arguments: list[Any]) -> dict[str, Any]:
        """Updates the cell state; the output gate, and the table's value of the new state."""
        cell = self.cell
        names = ("forget", "update", "fresh", "open")
        at = dict(zip(names, arguments, strict=True))
        fresh = tables(module, "candidate", cell.candidate, {"fresh": at.pop("fresh")})["fresh"]
        gates = tables(module, "gate", cell.gate, at)
        former = self._former(module)
        kept = registered(module, gates["forget"] * former, "kept")
        added = registered(module, gates["update"] * fresh, "added")
        total, gate = self.own.recurrence.sums["cell"], cell.gate.format.fraction
        sum_register = Signal(signed(total.width), reset_less=True, name="state_sum")
        module.d.sync += sum_register.eq(
            align(kept, total.fraction - gate - cell.cell.fraction)
            + align(added, total.fraction - gate - cell.candidate.format.fraction)
        )
        state = round_saturate(module, sum_register, total.fraction, cell.cell)
        new = registered(module, state, "state")
        module.d.comb += self._write.data.eq(new)
        output = tables(module, "output", cell.output, {"output": new})
        return {**output, "open": gates["open"]}

    def _former(self, module: Module) -> Any:
        """The former cell state, when the gates are read; opens the port that writes the new."""
        shape = code_shape(self.cell.cell)
        memory = Memory(shape=unsigned(shape.width), depth=max(2, self.own.units), init=[])
        module.submodules.cell_state = memory
        self._write, read = memory.write_port(), memory.read_port()
        module.d.comb += [
            read.addr.eq(delay(module, self.sums.number, _ARGUMENTS)),
            self._write.addr.eq(delay(module, self.sums.number, _STATE)),
            self._write.en.eq(delay(module, self.sums.valid, _STATE, init=0)),
        ]
        zero = delay(module, self.sums.zero, _GATES - 1)
        former = Mux(zero, 0, read.data.as_signed() if shape.signed else read.data)
        return registered(module, former, "former")


def gate_arguments(module: Module, own: CellParameters, update: Any, gates: Any) -> list[Signal]:
    """round(W_x x + W_h h + b) of some gates of an update, `_ARGUMENTS` clocks later."""
    bias, sums = bias_of(module, own, update), update.sums
    return [
        sum_and_round(module, own, (*summands(module, sums, gate), bias[gate])) for gate in gates
    ]


def sum_and_round(module: Module, own: CellParameters, parts: tuple[Any, ...]) -> Signal:
    """The argument of a gate, two clocks after its parts W_x x, W_h h and b."""
    total = own.recurrence.sums["preactivation"]
    shifts = own.alignment("preactivation")
    aligned = [align(part, shift) for part, shift in zip(parts, shifts, strict=True)]
    register = Signal(signed(total.width), reset_less=True, name="argument_sum")
    module.d.sync += register.eq(aligned[0] + aligned[1] + aligned[2])
    form = own.recurrence.cell.preactivation
    return registered(module, round_saturate(module, register, total.fraction, form), "argument")


def summands(module: Module, sums: Any, gate: int) -> tuple[Signal, Signal]:
    """(W_x x, W_h h) of a gate, `PARTS` clocks later.

    The sums may come straight from memory blocks, and nothing but a register is to follow those.
    """
    recurrent = delay(module, sums.recurrent[gate], PARTS - 1)
    zero = delay(module, sums.zero, PARTS - 1)
    return (
        delay(module, sums.projected[gate], PARTS),
        registered(module, Mux(zero, 0, recurrent), "recurrent"),
    )


def bias_of(module: Module, own: CellParameters, update: Any) -> Any:
    """The bias of all gates of a unit of an update, `PARTS` clocks later."""
    shape = data.ArrayLayout(code_shape(own.recurrence.cell.bias.format), own.gates)
    table = own.layout.table(BIAS) if own.layout else None
    load = row_of(update.load, own.layout, table) if own.layout and table else None
    rows, order = own.bias_rows(), own.plan.order.tolist()
    found = unit_rows(module, "bias", rows, shape, update.sums.number, order, load)
    return shape(delay(module, Value.cast(found), PARTS - 1))


def forward(module: Module, sums: Any, unit: Any, clocks: int) -> None:
    """Whose sums came so many clocks ago."""
    module.d.comb += [
        unit.valid.eq(delay(module, sums.valid, clocks, init=0)),
        unit.number.eq(delay(module, sums.number, clocks)),
        unit.last.eq(delay(module, sums.last, clocks)),
    ]
