"""From M_AXI_GP0 of the processing system to the core's registers: AXI3 to AXI4-Lite."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from fdht_hls.registers import WINDOW
from fdht_hls.rtl.bus import Lite
from fdht_overlays.design import CONTROL_ADDRESS_BITS, CONTROL_ID_BITS
from fdht_overlays.open.axi3 import DECERR, FIXED, INCR, LENGTH_BITS, OKAY, SLVERR, Axi3
from fdht_overlays.open.ps7 import ADDRESS_BITS

_WINDOW_BITS = (WINDOW - 1).bit_length()


class ControlBridge(wiring.Component):
    """Splits bursts into single accesses; one read and one write are under way at a time.

    An access outside the window is answered with DECERR, a burst that wraps with SLVERR; neither
    reaches the core, and all of its words are taken or given, so that the bus never hangs. The
    answer carries the request's ID.

    Args:
        base: address of the window, a multiple of its size.

    Attributes:
        bus: AXI3 slave.
        lite: AXI4-Lite master.
    """

    def __init__(self, base: int) -> None:
        self._base = base
        super().__init__(
            {"bus": In(Axi3(CONTROL_ID_BITS, 32)), "lite": Out(Lite(CONTROL_ADDRESS_BITS))}
        )

    def elaborate(self, platform: object) -> Module:
        """Amaranth's entry."""
        m = Module()
        self._reads(m)
        self._writes(m)
        return m

    def _reads(self, m: Module) -> None:
        bus, lite = self.bus, self.lite
        burst = _Burst(m, bus.AR, "read")
        word, response = Signal(32), Signal(2)
        m.d.comb += [
            lite.ARADDR.eq(burst.address),
            bus.R.payload.ID.eq(burst.id),
            bus.R.payload.DATA.eq(word),
            bus.R.payload.RESP.eq(response),
            bus.R.payload.LAST.eq(burst.last),
        ]
        refusal = burst.refusal(self._base)
        with m.FSM(name="reads"):
            with m.State("IDLE"):
                m.d.comb += bus.AR.ready.eq(1)
                with m.If(bus.AR.valid):
                    burst.begin(m)
                    m.next = "CHECK"
            with m.State("CHECK"):
                m.d.sync += [word.eq(0), response.eq(refusal)]
                m.next = "GIVE"
                with m.If(refusal == OKAY):
                    m.next = "ASK"
            with m.State("ASK"):
                m.d.comb += lite.ARVALID.eq(1)
                with m.If(lite.ARREADY):
                    m.next = "WAIT"
            with m.State("WAIT"):
                m.d.comb += lite.RREADY.eq(1)
                with m.If(lite.RVALID):
                    m.d.sync += [word.eq(lite.RDATA), response.eq(lite.RRESP)]
                    m.next = "GIVE"
            with m.State("GIVE"):
                m.d.comb += bus.R.valid.eq(1)
                with m.If(bus.R.ready):
                    burst.advance(m)
                    m.next = "CHECK"
                    with m.If(burst.last):
                        m.next = "IDLE"

    def _writes(self, m: Module) -> None:
        bus, lite = self.bus, self.lite
        burst = _Burst(m, bus.AW, "write")
        worst = Signal(2)
        has_address, has_data = Signal(), Signal()  # the core has taken it
        m.d.comb += [
            lite.AWADDR.eq(burst.address),
            lite.WDATA.eq(bus.W.payload.DATA),
            lite.WSTRB.eq(bus.W.payload.STRB),
            bus.B.payload.ID.eq(burst.id),
            bus.B.payload.RESP.eq(worst),
        ]
        refusal = burst.refusal(self._base)
        with m.FSM(name="writes"):
            with m.State("IDLE"):
                m.d.comb += bus.AW.ready.eq(1)
                m.d.sync += worst.eq(OKAY)
                with m.If(bus.AW.valid):
                    burst.begin(m)
                    m.next = "CHECK"
            with m.State("CHECK"):
                m.d.sync += [has_address.eq(0), has_data.eq(0)]
                with m.If(bus.W.valid):
                    m.next = "GIVE"
                    with m.If(refusal != OKAY):
                        # SLVERR and DECERR differ in one bit, so that their union is the worse.
                        m.d.sync += worst.eq(worst | refusal)
                        m.next = "TAKE"
            with m.State("GIVE"):
                m.d.comb += [lite.AWVALID.eq(~has_address), lite.WVALID.eq(~has_data)]
                m.d.sync += [
                    has_address.eq(has_address | lite.AWREADY),
                    has_data.eq(has_data | lite.WREADY),
                ]
                with m.If((has_address | lite.AWREADY) & (has_data | lite.WREADY)):
                    m.next = "WAIT"
            with m.State("WAIT"):
                m.d.comb += lite.BREADY.eq(1)
                with m.If(lite.BVALID):
                    m.d.sync += worst.eq(worst | lite.BRESP)
                    m.next = "TAKE"
            with m.State("TAKE"):
                m.d.comb += bus.W.ready.eq(1)
                burst.advance(m)
                m.next = "CHECK"
                with m.If(burst.last):
                    m.next = "ANSWER"
            with m.State("ANSWER"):
                m.d.comb += bus.B.valid.eq(1)
                with m.If(bus.B.ready):
                    m.next = "IDLE"


class _Burst:
    """Registers of a burst under way."""

    def __init__(self, m: Module, request: wiring.PureInterface, name: str) -> None:
        self._request = request.payload
        self.id = Signal(CONTROL_ID_BITS, name=f"{name}_id")
        self.address = Signal(ADDRESS_BITS, name=f"{name}_address")
        self._left = Signal(LENGTH_BITS, name=f"{name}_left")
        self._size = Signal(2, name=f"{name}_size")
        self._kind = Signal(2, name=f"{name}_kind")
        self.last = Signal(name=f"{name}_last")
        m.d.comb += self.last.eq(self._left == 0)

    def begin(self, m: Module) -> None:
        """Takes the request."""
        request = self._request
        m.d.sync += [
            self.id.eq(request.ID),
            self.address.eq(request.ADDR),
            self._left.eq(request.LEN),
            self._size.eq(request.SIZE),
            self._kind.eq(request.BURST),
        ]

    def advance(self, m: Module) -> None:
        """Goes on to the next word."""
        step = Mux(self._kind == FIXED, 0, 1 << self._size)
        m.d.sync += [self.address.eq(self.address + step), self._left.eq(self._left - 1)]

    def refusal(self, base: int) -> Value:
        """The response to a word that does not reach the core, or OKAY."""
        outside = self.address[_WINDOW_BITS:] != base >> _WINDOW_BITS
        wraps = (self._kind != FIXED) & (self._kind != INCR)
        return Mux(outside, DECERR, Mux(wraps, SLVERR, OKAY))
