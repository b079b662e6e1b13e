"""From the core's AXI4 masters to one S_AXI_HP port of the processing system."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Array, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from fdht_hls.rtl.bus import Full
from fdht_overlays.design import MASTER_DATA_BITS, MEMORY_ID_BITS
from fdht_overlays.open.axi3 import Axi3
from fdht_overlays.open.ps7 import ADDRESS_BITS

#: Where an address above 4 GB goes: the processing system answers an HP port that asks for this
#: range with a decode error (UG585, "System-Level Address Map": DDR and OCM alone are for HP).
NOWHERE = 0x8000_0000


class MemoryJoin(wiring.Component):
    """Several masters that read and one that writes, on one AXI3 port.

    Requests take turns; the ID says whose they are, and brings their words back. The masters keep
    to 16 words a burst, as `fdht_hls.rtl.axi` does.

    Args:
        readers: number of masters that read.

    Attributes:
        read0, read1, ...: AXI4 slaves whose read channels are used.
        write: AXI4 slave whose write channels are used.
        bus: AXI3 master.
    """

    def __init__(self, readers: int = 1) -> None:
        self._readers = readers
        super().__init__(
            {
                **{f"read{index}": In(Full()) for index in range(readers)},
                "write": In(Full()),
                "bus": Out(Axi3(MEMORY_ID_BITS, MASTER_DATA_BITS)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Amaranth's entry."""
        m = Module()
        readers = [getattr(self, f"read{index}") for index in range(self._readers)]
        self._requests(m, readers)
        self._words(m, readers)
        self._writes(m)
        return m

    def _requests(self, m: Module, readers: Sequence[Any]) -> None:
        """One that was offered stays until it is taken; then the next one's turn begins."""
        turn, bus = Signal(range(max(2, len(readers)))), self.bus.AR
        valids = Array(reader.ARVALID for reader in readers)
        m.d.comb += [bus.valid.eq(valids[turn]), bus.payload.ID.eq(turn)]
        for index, reader in enumerate(readers):
            with m.If(turn == index):
                _request(m, reader, "AR", bus)
                m.d.comb += reader.ARREADY.eq(bus.ready)
        if len(readers) > 1:
            with m.If(~bus.valid | bus.ready):
                m.d.sync += turn.eq(Mux(turn == len(readers) - 1, 0, turn + 1))

    def _words(self, m: Module, readers: Sequence[Any]) -> None:
        bus = self.bus.R
        for index, reader in enumerate(readers):
            mine = index == bus.payload.ID
            m.d.comb += [
                reader.RVALID.eq(bus.valid & mine),
                reader.RDATA.eq(bus.payload.DATA),
                reader.RRESP.eq(bus.payload.RESP),
                reader.RLAST.eq(bus.payload.LAST),
            ]
            with m.If(mine):
                m.d.comb += bus.ready.eq(reader.RREADY)

    def _writes(self, m: Module) -> None:
        writer, bus = self.write, self.bus
        _request(m, writer, "AW", bus.AW)
        m.d.comb += [
            bus.AW.valid.eq(writer.AWVALID),
            writer.AWREADY.eq(bus.AW.ready),
            bus.W.valid.eq(writer.WVALID),
            writer.WREADY.eq(bus.W.ready),
            bus.W.payload.DATA.eq(writer.WDATA),
            bus.W.payload.STRB.eq(writer.WSTRB),
            bus.W.payload.LAST.eq(writer.WLAST),
            writer.BVALID.eq(bus.B.valid),
            bus.B.ready.eq(writer.BREADY),
            writer.BRESP.eq(bus.B.payload.RESP),
        ]


def _request(m: Module, master: Any, prefix: str, channel: Any) -> None:
    payload = channel.payload
    m.d.comb += [
        payload.ADDR.eq(_address(getattr(master, f"{prefix}ADDR"))),
        *(
            payload[name].eq(getattr(master, f"{prefix}{name}"))
            for name in ("LEN", "SIZE", "BURST")
        ),
    ]


def _address(value: Value) -> Value:
    return Mux(value[ADDRESS_BITS:].any(), NOWHERE, value[:ADDRESS_BITS])
