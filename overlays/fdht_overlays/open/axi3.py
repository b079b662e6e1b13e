"""AXI3, as the processing system of a Zynq-7000 speaks it (UG585, "Interconnect"), in streams.

Every signal between two parts of a bus comes from a flip-flop: see `Skid`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from amaranth.hdl import Module, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from fdht_hls.rtl.bus import MAX_BURST
from fdht_overlays.open.ps7 import ADDRESS_BITS

#: Responses and burst kinds (ARM IHI 0022, A3.4).
OKAY, SLVERR, DECERR = 0, 2, 3
FIXED, INCR = 0, 1
LENGTH_BITS = (MAX_BURST - 1).bit_length()
#: Those that go from the master to the slave.
REQUESTS = ("AR", "AW", "W")


def channels(id_bits: int, data_bits: int) -> dict[str, data.StructLayout]:
    """Payload of each channel, by the names of its signals without the channel's prefix."""
    address = {"ID": id_bits, "ADDR": ADDRESS_BITS, "LEN": LENGTH_BITS, "SIZE": 2, "BURST": 2}
    return {
        "AR": data.StructLayout(address),
        "AW": data.StructLayout(address),
        "W": data.StructLayout(
            {"ID": id_bits, "DATA": data_bits, "STRB": data_bits // 8, "LAST": 1}
        ),
        "R": data.StructLayout({"ID": id_bits, "DATA": data_bits, "RESP": 2, "LAST": 1}),
        "B": data.StructLayout({"ID": id_bits, "RESP": 2}),
    }


class Axi3(wiring.Signature):
    """The five channels as streams, seen from the master.

    Args:
        id_bits: of the IDs.
        data_bits: of the data.
    """

    def __init__(self, id_bits: int, data_bits: int) -> None:
        self.layouts = channels(id_bits, data_bits)
        super().__init__(
            {
                name: (Out if name in REQUESTS else In)(stream.Signature(layout))
                for name, layout in self.layouts.items()
            }
        )


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


def connect_port(
    m: Module, signals: Mapping[str, Value], prefix: str, bus: wiring.PureInterface
) -> None:
    """Puts registers between a port of the processing system and a bus, on every channel.

    Args:
        m: gets them.
        signals: of the processing system, by the primitive's names.
        prefix: of the port's signals.
        bus: its five streams; those that a slave takes, if the processing system is the master.
    """
    for channel, member in bus.signature.members.items():
        inner = getattr(bus, channel)
        layout = inner.payload.shape()
        skid = Skid(layout)
        m.submodules[f"{prefix}_{channel}"] = skid
        valid, ready = (signals[f"{prefix}{channel}{name}"] for name in ("VALID", "READY"))
        outgoing = member.flow == Out
        side = skid.o if outgoing else skid.i
        for field, _ in layout:
            outer = signals[f"{prefix}{channel}{field}"]
            value = side.payload[field]
            m.d.comb += outer.eq(value) if outgoing else value.eq(outer)
        if outgoing:
            wiring.connect(m, inner, skid.i)
            m.d.comb += [valid.eq(skid.o.valid), skid.o.ready.eq(ready)]
        else:
            wiring.connect(m, skid.o, inner)
            m.d.comb += [skid.i.valid.eq(valid), ready.eq(skid.i.ready)]
