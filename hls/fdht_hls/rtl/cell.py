"""The recurrent cell with W_h h: sums of W_x x in, hidden codes out, one unit a clock.

    W_x x --> front --> update --> units
                ^                    |
              W_h h <-- state <------+

W_h h of the next frame starts as soon as h is complete, while the next frame still streams in, and
its sums wait in the queue of its last stage: the recurrence is off the critical path.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from fdht_hls.engine import CellPlan, EnginePlan
from fdht_hls.rtl.arithmetic import code_shape, delay, packed
from fdht_hls.rtl.cell_ports import rom, sum_words, unit_code
from fdht_hls.rtl.contraction import PathEngine
from fdht_hls.rtl.fronts import CollectedFront, DirectFront
from fdht_hls.rtl.update import UnitUpdate
from fdht_hls.rtl.weight_loader import load_port
from fdht_hls.rtl.words import activity


class RecurrentCell(wiring.Component):
    """A cell.

    Args:
        own: the plan that it is part of.

    Attributes:
        projected: stream of words of sums of W_x x.
        frame: stream with a bit for each frame: it starts from a zero state.
        space: input: the head has room for a result.
        unit: units with their new hidden codes.
        busy: a bit for each stage of W_h h and, highest, one for the cell itself.
        starved: likewise.
        blocked: likewise.
    """

    def __init__(self, own: EnginePlan) -> None:
        self.own = own
        projected = sum_words(own.cell)["projected"]
        super().__init__(
            {
                "projected": In(stream.Signature(projected)),
                "frame": In(stream.Signature(unsigned(1))),
                "space": In(1),
                "unit": Out(unit_code(own.cell)),
                **activity(len(own.hidden) + 1),
                **load_port(own.layout),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """Builds the logic."""
        own, module = self.own, Module()
        front = CollectedFront(own.cell) if own.cell.collects else DirectFront(own.cell)
        update, state = UnitUpdate(own), HiddenState(own.cell, own.hidden[0].design.word_in)
        path = PathEngine(own.hidden, own.layout)
        module.submodules.front, module.submodules.update = front, update
        module.submodules.state, module.submodules.path = state, path
        wiring.connect(module, wiring.flipped(self.projected), front.projected)
        wiring.connect(module, wiring.flipped(self.frame), front.frame)
        wiring.connect(module, front.sums, update.sums)
        wiring.connect(module, state.words, path.words)
        wiring.connect(module, path.result, front.recurrent)
        for part in (update, path) if own.layout else ():
            wiring.connect(module, wiring.flipped(self.load), part.load)
        for member in unit_code(own.cell).members:
            source = getattr(update.unit, member)
            module.d.comb += [
                getattr(self.unit, member).eq(source),
                getattr(state.unit, member).eq(source),
            ]
        fresh = Signal(init=1)
        with module.If(front.frame.valid & front.frame.ready):
            module.d.sync += fresh.eq(0)
        module.d.comb += [front.fresh.eq(fresh), front.space.eq(self.space)]
        busy = ~front.starved & ~front.blocked
        for name, flag in (("busy", busy), ("starved", front.starved), ("blocked", front.blocked)):
            flags = getattr(self, name)
            module.d.comb += [flags[:-1].eq(getattr(path, name)), flags[-1].eq(flag)]
        return module


class HiddenState(wiring.Component):
    """Keeps h and sends it through W_h as soon as it is complete.

    The next frame's update waits for W_h h, which waits for all of h, so that one copy is enough.

    Args:
        own: the cell.
        fibre: hidden units in a word of what the first stage of W_h h reads.

    Attributes:
        unit: units with their new hidden code.
        words: stream of what the first stage of W_h h reads.
    """

    def __init__(self, own: CellPlan, fibre: int) -> None:
        self.own, self.fibre = own, fibre
        hidden = code_shape(own.hidden)
        self.layout = data.ArrayLayout(hidden, self.fibre)
        super().__init__({"unit": In(unit_code(own)), "words": Out(stream.Signature(self.layout))})

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
        width = self.own.hidden.width
        return data.ArrayLayout(unsigned(width), self.fibre)

    def _position(self, module: Module, rows: int) -> tuple[Any, Any]:
        """(row, place in it) of a unit, a clock after it came."""
        width = max(1, (max(rows, self.fibre) - 1).bit_length())
        units = self.own.order
        table = packed(list(zip(units // self.fibre, units % self.fibre, strict=True)), width)
        layout = data.ArrayLayout(unsigned(width), 2)
        found = rom(module, "position", table, layout, self.unit.number)
        return found[0], found[1]
