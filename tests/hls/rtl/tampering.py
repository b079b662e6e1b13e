"""A core that breaks rules on demand, to see that the test bench catches it.

The upper byte of the address of the results, as the host writes it, chooses the fault; so one
compiled program serves all of them.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import ClockDomain, ClockSignal, Const, Module, Mux, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from fdht_hls.registers import BY_NAME
from fdht_hls.rtl.core import CONTROL, FRAMES, RESULTS, Core

FAULTS = (
    "none",
    "crosses 4 KB",
    "long burst",
    "wrapping burst",
    "drops ARVALID",
    "drops AWVALID",
    "changes WDATA",
    "no WLAST",
    "early WLAST",
    "RVALID unasked",
    "BVALID unasked",
    "writes elsewhere",
    "stops reading",
    "truncates",
    "reads elsewhere",
)
#: Bit of the address above which the fault's number stands.
SHIFT = 56


class TamperedCore(wiring.Component):
    """The core behind wires that go wrong."""

    def __init__(self, core: Core) -> None:
        self._core = core
        super().__init__(dict(core.signature.members))

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # `sync` is the core's own.
        m.domains.wires = ClockDomain()
        m.d.comb += [ClockSignal("wires").eq(self.ap_clk), ResetSignal("wires").eq(~self.ap_rst_n)]
        m.submodules.core = self._core
        fault, flips = self._fault(m), Signal(8)
        m.d.wires += flips.eq(flips + 1)
        changed = self._outputs(flips)
        for name, member in self.signature.members.items():
            inner, outer = getattr(self._core, name), getattr(self, name)
            if member.flow == In:
                m.d.comb += inner.eq(Mux(self._held_back(name, fault, flips), 0, outer))
                continue
            value = inner
            for number, label in enumerate(FAULTS):
                if (label, name) in changed:
                    value = Mux(fault == number, changed[label, name], value)
            m.d.comb += outer.eq(value)
        # No memory is where the number points to.
        m.d.comb += getattr(self, f"{RESULTS}_AWADDR")[SHIFT:].eq(0)
        return m

    def _fault(self, m: Module) -> Signal:
        """Learns the fault from the host's write; address and data come in any order."""
        upper = BY_NAME["results"].offset + 4
        fault, address, data = Signal(8), Signal(16), Signal(32)
        for channel, target in (("AW", address), ("W", data)):
            payload = getattr(self, f"{CONTROL}_{channel}{'ADDR' if channel == 'AW' else 'DATA'}")
            valid = getattr(self, f"{CONTROL}_{channel}VALID")
            with m.If(valid):
                m.d.wires += target.eq(payload)
        answered = getattr(self, f"{CONTROL}_BVALID")
        with m.If(answered & (address == upper)):
            m.d.wires += fault.eq(data[SHIFT - 32 :])
        return fault

    def _held_back(self, name: str, fault: Signal, flips: Signal) -> Any:
        """Is an input kept from the core? A request that is hidden must not pass for answered."""
        hidden = {
            f"{FRAMES}_RVALID": (fault == FAULTS.index("stops reading")),
            f"{FRAMES}_ARREADY": (fault == FAULTS.index("drops ARVALID")) & ~flips[0],
            f"{RESULTS}_AWREADY": (fault == FAULTS.index("drops AWVALID")) & ~flips[0],
        }
        return hidden.get(name, Const(0))

    def _outputs(self, flips: Signal) -> dict[tuple[str, str], Any]:
        def port(name: str) -> Any:
            return getattr(self._core, name)

        read, write = f"{FRAMES}_AR", f"{RESULTS}_W"
        now_and_then = flips[0]
        return {
            ("crosses 4 KB", f"{read}ADDR"): port(f"{read}ADDR") | 0xFF8,
            ("long burst", f"{read}LEN"): Const(16, 8),
            ("wrapping burst", f"{read}BURST"): Const(2, 2),
            ("drops ARVALID", f"{read}VALID"): port(f"{read}VALID") & now_and_then,
            ("drops AWVALID", f"{RESULTS}_AWVALID"): port(f"{RESULTS}_AWVALID") & now_and_then,
            ("changes WDATA", f"{write}DATA"): port(f"{write}DATA") ^ flips,
            ("no WLAST", f"{write}LAST"): Const(0, 1),
            ("early WLAST", f"{write}LAST"): Const(1, 1),
            ("RVALID unasked", f"{CONTROL}_RVALID"): Const(1, 1),
            ("BVALID unasked", f"{CONTROL}_BVALID"): Const(1, 1),
            ("writes elsewhere", f"{RESULTS}_AWADDR"): port(f"{RESULTS}_AWADDR") + 16,
            ("reads elsewhere", f"{read}ADDR"): port(f"{read}ADDR") + 4096,
            ("stops reading", f"{FRAMES}_RREADY"): Const(0, 1),
            ("truncates", f"{write}DATA"): port(f"{write}DATA") & ~1,
        }
