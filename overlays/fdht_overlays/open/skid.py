"""Registers between two parts of a bus: every signal that crosses comes from a flip-flop."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out


class Skid(wiring.Component):
    """A stream through two registers, a word a clock; also `ready` is a register.

    The open tools do not time the ports of the processing system: what goes there must come
    straight from a register, and what comes from there must soon be in one. `i.valid` and
    `o.ready` pass two LUTs, the payload one.

    Args:
        shape: of the payload.

    Attributes:
        i: stream in.
        o: stream out.
    """

    def __init__(self, shape: Any) -> None:
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    def elaborate(self, platform: object) -> Module:
        """Amaranth's entry."""
        m = Module()
        given, taken = Value.cast(self.o.payload), Value.cast(self.i.payload)
        # The word that came while the one in front of it could not leave.
        spare = Signal(len(taken))
        room = Signal(init=1)  # `spare` is empty
        m.d.comb += self.i.ready.eq(room)
        with m.If(~self.o.valid | self.o.ready):
            m.d.sync += room.eq(1)
            with m.If(room):
                m.d.sync += [given.eq(taken), self.o.valid.eq(self.i.valid)]
            with m.Else():
                m.d.sync += [given.eq(spare), self.o.valid.eq(1)]
        with m.Elif(self.i.valid & room):
            m.d.sync += [spare.eq(taken), room.eq(0)]
        return m
