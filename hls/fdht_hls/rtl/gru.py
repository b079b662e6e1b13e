"""The GRU's update: the reset gate acts behind W_h.

    r, z = gate[round(W_x x + W_h h + b)]     n = candidate[round(W_x x + b + r round(W_h h))]
    h = round((1 - z) n + z h)

One unit a clock.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from fdht_hls.rtl.arithmetic import align, code_shape, delay, registered, round_saturate
from fdht_hls.rtl.cell_ports import TABLE_CLOCKS, CellParameters, tables
from fdht_hls.rtl.loading import load_port
from fdht_hls.rtl.lstm import PARTS, bias_of, forward, sum_and_round, summands
from fdht_models.tensor.cells import GruCell

#: Clocks from a unit's sums to its gates, its candidate and its new hidden code.
_GATES, _CANDIDATE, _RESULT = 6, 11, 14


class GruUpdate(wiring.Component):
    """The update of one unit a clock.

    Args:
        own: what the cell is made of.
        cell: its formats and tables.

    Attributes:
        sums: what arrives.
        unit: what leaves, a fixed number of clocks later.
    """

    def __init__(self, own: CellParameters, cell: GruCell) -> None:
        self.own, self.cell = own, cell
        super().__init__({"sums": In(own.sums), "unit": Out(own.unit), **load_port(own.layout)})

    def elaborate(self, platform: Any) -> Module:
        """Builds the logic."""
        module, cell = Module(), self.cell
        bias = bias_of(module, self.own, self)
        parts = [(*summands(module, self.sums, gate), bias[gate]) for gate in range(3)]
        reset, update = (sum_and_round(module, self.own, part) for part in parts[:2])
        gates = tables(module, "gate", cell.gate, {"reset": reset, "update": update})
        argument = self._candidate_argument(module, parts[2], gates["reset"])
        fresh = tables(module, "candidate", cell.candidate, {"fresh": argument})["fresh"]
        # A clock early: what is left of it is a register of its own.
        self._mix(module, delay(module, gates["update"], _CANDIDATE - 1 - _GATES), fresh)
        forward(module, self.sums, self.unit, _RESULT)
        return module

    def _candidate_argument(self, module: Module, parts: tuple[Any, ...], reset: Any) -> Signal:
        """round(W_x x + b + r round(W_h h)); `parts` come `PARTS` after the unit."""
        cell, sums = self.cell, self.own.recurrence.sums
        projected, recurrent, bias = parts
        memory = round_saturate(module, recurrent, sums["recurrent"].fraction, cell.recurrent)
        product = registered(module, reset * delay(module, memory, _GATES - PARTS), "remembered")
        total = sums["candidate"]
        shifts = self.own.alignment("candidate", ("input", "bias"))
        base = Signal(signed(total.width), reset_less=True, name="base")
        module.d.sync += base.eq(align(projected, shifts[0]) + align(bias, shifts[1]))
        register = Signal(signed(total.width), reset_less=True, name="argument_sum")
        shift = total.fraction - cell.gate.format.fraction - cell.recurrent.fraction
        module.d.sync += register.eq(delay(module, base, _GATES - PARTS) + align(product, shift))
        argument = round_saturate(module, register, total.fraction, cell.preactivation)
        return registered(module, argument, "argument")

    def _mix(self, module: Module, update: Any, fresh: Any) -> None:
        """(1 - z) n + z h to the new code: n `_CANDIDATE` after the sums, z a clock before."""
        cell, total = self.cell, self.own.recurrence.sums["hidden"]
        gate = cell.gate.format.fraction
        former, write = self._former(module)
        rest = Signal(code_shape(cell.rest), reset_less=True, name="rest")
        module.d.sync += rest.eq((1 << gate) - update)
        update = registered(module, update, "weight")
        added = registered(module, rest * fresh, "added")
        kept = registered(module, update * former, "kept")
        register = Signal(signed(total.width), reset_less=True, name="hidden_sum")
        module.d.sync += register.eq(
            align(added, total.fraction - gate - cell.candidate.format.fraction)
            + align(kept, total.fraction - gate - cell.hidden.fraction)
        )
        result = round_saturate(module, register, total.fraction, cell.hidden)
        hidden = registered(module, result, "hidden")
        module.d.comb += [self.unit.hidden.eq(hidden), write.data.eq(hidden)]

    def _former(self, module: Module) -> tuple[Any, Any]:
        """(the former hidden code, when the candidate is read; the port that writes the new)."""
        shape = code_shape(self.cell.hidden)
        memory = Memory(shape=unsigned(shape.width), depth=max(2, self.own.units), init=[])
        module.submodules.former = memory
        write, read = memory.write_port(), memory.read_port()
        module.d.comb += [
            read.addr.eq(delay(module, self.sums.number, _CANDIDATE - TABLE_CLOCKS)),
            write.addr.eq(self.unit.number),
            write.en.eq(self.unit.valid),
        ]
        zero = delay(module, self.sums.zero, _CANDIDATE - 1)
        former = Mux(zero, 0, read.data.as_signed() if shape.signed else read.data)
        return registered(module, former, "former_code"), write
