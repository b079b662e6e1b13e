"""HiddenState: keeps h and sends it through W_h as soon as it is complete.

The next frame's update waits for W_h h, which waits for all of h, so that one copy is enough.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from fdht_hls.rtl.arithmetic import code_shape, delay, packed
from fdht_hls.rtl.cell_ports import CellParameters, rom


class HiddenState(wiring.Component):
    """The hidden state h.

    Args:
        own: what the cell is made of.
        fibre: hidden units in a word of what the first stage of W_h h reads.

    Attributes:
        unit: units with their new hidden code.
        words: stream of what the first stage of W_h h reads.
    """

    def __init__(self, own: CellParameters, fibre: int) -> None:
        self.own, self.fibre = own, fibre
        hidden = code_shape(own.plan.hidden)
        self.layout = data.ArrayLayout(hidden, self.fibre)
        super().__init__({"unit": In(own.unit), "words": Out(stream.Signature(self.layout))})

    def elaborate(self, platform: Any) -> Module:
        """Builds the logic."""
        module = Module()
        rows = self.own.units // self.fibre
        row, place = self._position(module, rows)
        hidden = delay(module, self.unit.hidden, 1)
        valid = delay(module, self.unit.valid, 1, init=0)
        complete = delay(module, self.unit.valid & self.unit.last, 1, init=0)
        memory = Memory(shape=self._bits(), depth=max(2, rows), init=[])
        module.submodules.memory = memory
        write = memory.write_port(granularity=1)
        read = memory.read_port(domain="comb")
        next_row = Signal(range(rows))
        module.d.comb += [
            write.addr.eq(row),
            write.en.eq(Mux(valid, 1 << place, 0)),
            read.addr.eq(next_row),
            Value.cast(self.words.payload).eq(Value.cast(read.data)),
        ]
        module.d.comb += [entry.eq(hidden) for entry in write.data]
        sent = self.words.valid & self.words.ready
        with module.If(sent):
            last = next_row == rows - 1
            module.d.sync += next_row.eq(Mux(last, 0, next_row + 1))
            with module.If(last):
                module.d.sync += self.words.valid.eq(0)
        with module.If(complete):
            module.d.sync += self.words.valid.eq(1)
        return module

    def _bits(self) -> data.ArrayLayout:
        width = self.own.plan.hidden.width
        return data.ArrayLayout(unsigned(width), self.fibre)

    def _position(self, module: Module, rows: int) -> tuple[Any, Any]:
        """(row, place in it) of a unit, a clock after it came."""
        width = max(1, (max(rows, self.fibre) - 1).bit_length())
        units = self.own.plan.order
        table = packed(list(zip(units // self.fibre, units % self.fibre, strict=True)), width)
        layout = data.ArrayLayout(unsigned(width), 2)
        found = rom(module, "position", table, layout, self.unit.number)
        return found[0], found[1]
