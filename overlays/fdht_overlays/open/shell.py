"""The shell: everything between the processing system of a Zynq-7000 and the core.

    M_AXI_GP0 --AXI3--> registers --> bridge --AXI4-Lite--> core --interrupt--> IRQ_F2P[0]
    S_AXI_HP0 <--AXI3-- registers <-- join <---AXI4-------- core
    FCLK_CLK0 --> global buffer --> clock;  FCLK_RESET0_N --> synchroniser --> reset

There is one clock, FCLK_CLK0, and no pin but those of the processing system.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Const, Instance, Module, Signal, Value
from amaranth.lib import cdc, wiring
from amaranth.lib.wiring import In, Out

from fdht_hls.rtl.core import CONTROL, FRAMES, RESULTS, WEIGHTS, Core
from fdht_overlays.design import CORE_ADDRESS
from fdht_overlays.open import ps7
from fdht_overlays.open.axi3 import connect_port
from fdht_overlays.open.control_bridge import ControlBridge
from fdht_overlays.open.memory_join import MemoryJoin

TOP = "fdht_shell"
#: Flip-flops that the reset passes on its way into the clock domain.
_RESET_STAGES = 3
#: On all bursts of the core: "normal non-cacheable bufferable", as Vitis HLS has it.
_CACHE = Const(0b0011, 4)


class Shell(wiring.Component):
    """The shell around a core.

    Args:
        core: whose ports are named as Vitis HLS names them.
        simulated: leave the primitive PS7 out and make its ports those of this component, so that
            a model of the processing system can drive them. Without it there is no port at all.
    """

    def __init__(self, core: Core, *, simulated: bool = False) -> None:
        self._core, self._simulated = core, simulated
        outside = {
            **{name: In(width) for name, width in ps7.USED_OUTPUTS.items()},
            **{name: Out(width) for name, width in ps7.USED_INPUTS.items()},
        }
        super().__init__(outside if simulated else {})

    def elaborate(self, platform: object) -> Module:
        """Amaranth's entry."""
        m = Module()
        signals = self._processing_system(m)
        m.submodules.core = core = self._core
        clock, reset = Signal(), Signal()
        self._clock(m, signals["FCLKCLK"][0], clock)
        # The core's own domain `sync` comes up from it, and is that of all parts here.
        m.submodules.reset = cdc.AsyncFFSynchronizer(
            ~signals["FCLKRESETN"][0], reset, stages=_RESET_STAGES
        )
        m.d.comb += [
            core.ap_clk.eq(clock),
            core.ap_rst_n.eq(~reset),
            signals[f"{ps7.CONTROL}ACLK"].eq(clock),
            signals[f"{ps7.MEMORY}ACLK"].eq(clock),
        ]
        interrupt = Signal()
        m.d.sync += interrupt.eq(core.interrupt)
        m.d.comb += signals["IRQF2P"].eq(interrupt)
        self._control(m, signals)
        self._memory(m, signals)
        return m

    def _control(self, m: Module, signals: dict[str, Value]) -> None:
        m.submodules.bridge = bridge = ControlBridge(CORE_ADDRESS)
        connect_port(m, signals, ps7.CONTROL, bridge.bus)
        _connect_core(m, self._core, CONTROL, bridge.lite)

    def _memory(self, m: Module, signals: dict[str, Value]) -> None:
        # A core whose weights can be loaded reads them through a port of its own.
        loads = f"{WEIGHTS}_ARVALID" in self._core.signature.members
        m.submodules.join = join = MemoryJoin(readers=1 + loads)
        _connect_core(m, self._core, FRAMES, join.read0)
        if loads:
            _connect_core(m, self._core, WEIGHTS, join.read1)
        _connect_core(m, self._core, RESULTS, join.write)
        connect_port(m, signals, ps7.MEMORY, join.bus)
        for channel in ("AR", "AW"):
            m.d.comb += signals[f"{ps7.MEMORY}{channel}CACHE"].eq(_CACHE)

    def _clock(self, m: Module, source: Value, clock: Signal) -> None:
        if self._simulated:
            m.d.comb += clock.eq(source)
        else:
            m.submodules.clock_buffer = Instance("BUFG", i_I=source, o_O=clock)

    def _processing_system(self, m: Module) -> dict[str, Value]:
        """The signals of the primitive by its names, in the simulation those of this component."""
        used = {**ps7.USED_OUTPUTS, **ps7.USED_INPUTS}
        if self._simulated:
            return {name: getattr(self, name) for name in used}
        signals: dict[str, Value] = {name: Signal(width, name=name) for name, width in used.items()}
        inputs = {
            f"i_{name}": signals.get(name, Const(0, width)) for name, width in ps7.INPUTS.items()
        }
        outputs = {f"o_{name}": signals[name] for name in ps7.USED_OUTPUTS}
        m.submodules.processing_system = Instance("PS7", **inputs, **outputs)
        return signals


def _connect_core(m: Module, core: Any, prefix: str, bus: Any) -> None:
    """Connects flat ports of the core with a bus of the shell.

    Args:
        m: gets the wires.
        core: has the ports `<prefix>_<signal>`.
        prefix: of the port.
        bus: its other side.
    """
    for name, member in bus.signature.members.items():
        flat, inner = getattr(core, f"{prefix}_{name}"), getattr(bus, name)
        # `bus` is seen from the shell: what comes into it the core gives.
        m.d.comb += inner.eq(flat) if member.flow == In else flat.eq(inner)
