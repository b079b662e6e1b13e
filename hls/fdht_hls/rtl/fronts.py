"""Fronts of a cell: what brings the sums of a unit together, one unit a clock."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from fdht_hls.engine import CellPlan
from fdht_hls.rtl.arithmetic import code_shape, delay, packed, registered
from fdht_hls.rtl.cell_ports import front_ports, rom, sum_words, unit_number
from fdht_models.tensor.fixedpoint import FixedPoint

#: Clocks from a sum that is taken to its write.
_STORED = 2


class Collector(wiring.Component):
    """Puts the sums of a path away.

    Args:
        own: the cell.
        name: of the sums, "projected" or "recurrent".

    Attributes:
        words: stream of words of sums.
        complete: output: a frame's sums are there.
        clear: input: they have been used.
        number: input: a unit.
        sums: output: its sums, a clock later.
    """

    def __init__(self, own: CellPlan, name: str) -> None:
        self.own = own
        self.form: FixedPoint = getattr(own, name)
        super().__init__(
            {
                "words": In(stream.Signature(sum_words(own)[name])),
                "complete": Out(1),
                "clear": In(1),
                "number": In(unit_number(own)),
                "sums": Out(data.ArrayLayout(code_shape(self.form), own.gates)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """Builds the logic."""
        own, module = self.own, Module()
        rows, length = own.arrival.size, self.words.payload.shape().length
        place, count = Signal(range(length)), Signal(range(rows))
        take, last = Signal(), count == rows - 1
        # All sums are on their way when `full` is set, and lie in their places two clocks later.
        full, last_place = Signal(), place == length - 1
        module.d.comb += [
            take.eq(self.words.valid & ~full),
            self.words.ready.eq(take & last_place),
            self.complete.eq(full & delay(module, full, _STORED, init=0)),
        ]
        with module.If(take):
            module.d.sync += [
                place.eq(Mux(last_place, 0, place + 1)),
                count.eq(Mux(last, 0, count + 1)),
                full.eq(last),
            ]
        with module.If(self.clear):
            module.d.sync += full.eq(0)
        entry = Signal(code_shape(self.form), reset_less=True)
        with module.Switch(place):
            for at in range(length):
                with module.Case(at):
                    module.d.sync += entry.eq(self.words.payload[at])
        self._store(module, delay(module, take, _STORED, init=0), count, entry)
        return module

    def _store(self, module: Module, valid: Any, count: Signal, entry: Signal) -> None:
        """A memory a gate, each with a row a unit."""
        own = self.own
        order = own.arrival.ravel()
        width = max(unit_number(own).width, (own.gates - 1).bit_length())
        table = packed(list(zip(order % own.units, order // own.units, strict=True)), width)
        layout = data.ArrayLayout(unsigned(width), 2)
        # Memory blocks may be at both sides of it.
        found = rom(module, "row", table, layout, count)
        target = layout(registered(module, Value.cast(found), "target"))
        entry = registered(module, entry, "stored")
        for gate in range(own.gates):
            memory = Memory(shape=unsigned(self.form.width), depth=max(2, own.units), init=[])
            module.submodules[f"gate_{gate}"] = memory
            write, read = memory.write_port(), memory.read_port()
            module.d.comb += [
                write.addr.eq(target[0]),
                write.en.eq(valid & (target[1] == gate)),
                write.data.eq(entry),
                read.addr.eq(self.number),
                self.sums[gate].eq(read.data.as_signed()),
            ]


class CollectedFront(wiring.Component):
    """Collects the sums of both paths, then issues a frame's units; see `front_ports`.

    For sums that come in any order. Both paths emit theirs in the same one, whatever the words that
    carry them: one sum a clock is put away for each path, by row of W; then units are issued in
    their natural order.

    Args:
        own: the cell.
    """

    def __init__(self, own: CellPlan) -> None:
        self.own = own
        super().__init__(front_ports(own))

    def elaborate(self, platform: Any) -> Module:
        """Builds the logic."""
        own, module = self.own, Module()
        number = Signal(unit_number(own))
        last = number == own.units - 1
        parts = {name: Collector(own, name) for name in ("projected", "recurrent")}
        there = parts["projected"].complete & (parts["recurrent"].complete | self.fresh)
        word, room = there & self.frame.valid, ~last | self.space
        issue = Signal()
        module.d.comb += [
            issue.eq(word & room),
            self.frame.ready.eq(issue & last),
            self.sums.valid.eq(delay(module, issue, 1, init=0)),
            self.sums.number.eq(delay(module, number, 1)),
            self.sums.last.eq(delay(module, last, 1)),
            self.sums.zero.eq(delay(module, self.frame.payload | self.fresh, 1)),
            self.starved.eq(~word),
            self.blocked.eq(word & ~room),
        ]
        with module.If(issue):
            module.d.sync += number.eq(Mux(last, 0, number + 1))
        for name, part in parts.items():
            module.submodules[name] = part
            wiring.connect(module, wiring.flipped(getattr(self, name)), part.words)
            module.d.comb += [
                part.number.eq(number),
                part.clear.eq(issue & last),
                getattr(self.sums, name).eq(part.sums),
            ]
        return module


class DirectFront(wiring.Component):
    """Joins the words of both paths and issues their units one by one; see `front_ports`.

    For words of sums that hold all gates of some units: nothing is collected.

    Args:
        own: the cell.
    """

    def __init__(self, own: CellPlan) -> None:
        self.own = own
        super().__init__(front_ports(own))

    def elaborate(self, platform: Any) -> Module:
        """Builds the logic."""
        own, module = self.own, Module()
        lanes = own.units_in_word
        lane, number = Signal(range(lanes)), Signal(unit_number(own))
        last_lane, last = lane == lanes - 1, number == own.units - 1
        # A frame that starts from zero still takes the words of W_h h that the former one left.
        word = self.projected.valid & self.frame.valid & (self.recurrent.valid | self.fresh)
        room = ~last | self.space
        issue = Signal()
        module.d.comb += [
            issue.eq(word & room),
            self.projected.ready.eq(issue & last_lane),
            self.recurrent.ready.eq(issue & last_lane & ~self.fresh),
            self.frame.ready.eq(issue & last),
            self.sums.valid.eq(issue),
            self.sums.number.eq(number),
            self.sums.last.eq(last),
            self.sums.zero.eq(self.frame.payload | self.fresh),
            self.starved.eq(~word),
            self.blocked.eq(word & ~room),
        ]
        with module.If(issue):
            module.d.sync += [
                lane.eq(Mux(last_lane, 0, lane + 1)),
                number.eq(Mux(last, 0, number + 1)),
            ]
        with module.Switch(lane):
            for at in range(lanes):
                with module.Case(at):
                    for gate in range(own.gates):
                        place = gate * lanes + at
                        module.d.comb += [
                            self.sums.projected[gate].eq(self.projected.payload[place]),
                            self.sums.recurrent[gate].eq(self.recurrent.payload[place]),
                        ]
        return module
