"""The IP core `fdht_lstm`: control port, frame reader, engine and result writer.

Its ports have the names that Vitis HLS gives them, so that a block design, a driver or a test bench
made for one serves the other. A call processes `frame_count` frames and is done when the memory has
confirmed every result.

When the memory answers with an error, the call ends early: frames that are under way are completed,
later ones are dropped, no result of the frame concerned or of a later one is counted, and
`frames_done` shows how many frames came before it. The LSTM state is then of no use: start the next
call with `reset_state`. The same holds where sparse frames are not what their format says, which
`frame_faults` then tells; words behind the last frame harm none.

Where weights can be loaded, a call that asks for it loads them before its first frame, which then
starts from a zero state: W_h h of the state that is there was computed with other weights. When the
memory answers with an error, no frame is processed until weights were loaded without one.

With several contexts a call goes on from the state that the register `context` names, of which the
low bits count. The first frame of each starts from a zero state, after a reset of the core and
after weights were loaded. What is said above of a state is said of the call's context alone.
"""

from __future__ import annotations

import math
from typing import Any

from amaranth.hdl import ClockDomain, ClockSignal, Const, Module, ResetSignal, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from fdht_hls.engine.engine_plan import PORT_BYTES, EnginePlan, PortPlan
from fdht_hls.rtl.axi import FrameReader, ResultWriter
from fdht_hls.rtl.bus import Full, Lite, connect_flat, flat_ports
from fdht_hls.rtl.control import ADDRESS_BITS, Control
from fdht_hls.rtl.engine import Engine
from fdht_hls.rtl.raw_reader import RawReader
from fdht_hls.rtl.sparse_reader import SparseReader
from fdht_hls.rtl.weight_loader import WeightLoader
from fdht_hls.rtl.words import ACTIVITY
from fdht_models.errors import ConfigError, ToolError

TOP = "fdht_lstm"
CONTROL, FRAMES, RESULTS = "s_axi_control", "m_axi_gmem_frames", "m_axi_gmem_results"
#: Only where weights can be loaded.
WEIGHTS = "m_axi_gmem_weights"

#: What brings frames to the engine.
Reader = FrameReader | SparseReader | RawReader


class Core(wiring.Component):
    """The top level.

    Args:
        plan: what it is made of.
        engine: what computes; by default the plan's. Another has the ports and `names` of `Engine`.
        probes: also bring out what each stage does, as ports `probe_busy`, `probe_starved` and
            `probe_blocked`, for simulations.

    Raises:
        ConfigError: there is no such port for frames, or frames would not start at its words.
    """

    def __init__(
        self, plan: EnginePlan, engine: Engine | None = None, *, probes: bool = False
    ) -> None:
        check_port(plan.port)
        engine = engine or Engine(plan)
        self._plan, self._engine = plan, engine
        self._probes = ACTIVITY if probes else ()
        super().__init__(
            {
                "ap_clk": In(1),
                "ap_rst_n": In(1),
                "interrupt": Out(1),
                **flat_ports(CONTROL, Lite(ADDRESS_BITS), In),
                **flat_ports(FRAMES, Full(plan.port.word_bytes), Out),
                **flat_ports(RESULTS, Full(), Out),
                **(flat_ports(WEIGHTS, Full(), Out) if plan.layout else {}),
                **{f"probe_{name}": Out(len(engine.names)) for name in self._probes},
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Amaranth's entry."""
        plan, m = self._plan, Module()
        m.domains.sync = ClockDomain()
        m.d.comb += [ClockSignal().eq(self.ap_clk), ResetSignal().eq(~self.ap_rst_n)]
        m.submodules.control = control = Control(
            plan.identity,
            loading=plan.layout is not None,
            frames=plan.frames,
            contexts=plan.contexts,
        )
        m.submodules.reader = reader = self._reader()
        result_words = plan.port.result_words
        m.submodules.writer = writer = ResultWriter(plan.head.classes, result_words)
        m.submodules.engine = engine = self._engine
        loader = self._loader(m, control)
        loading = loader.busy if loader else Const(0)
        # Frames may be read while weights are loaded, but not processed.
        m.d.comb += [
            engine.words.payload.eq(reader.words.payload),
            engine.words.valid.eq(reader.words.valid & ~loading),
            reader.words.ready.eq(engine.words.ready & ~loading),
        ]
        wiring.connect(m, engine.logits, writer.logits)
        for prefix, part in ((CONTROL, control), (FRAMES, reader), (RESULTS, writer)):
            connect_flat(m, self, prefix, part.bus)
        m.d.comb += self.interrupt.eq(control.interrupt)
        m.d.comb += [
            getattr(self, f"probe_{name}").eq(getattr(engine, name)) for name in self._probes
        ]
        self._run_calls(m, control, reader, writer, loader)
        if isinstance(reader, SparseReader):
            m.d.comb += [
                reader.call_words.eq(control.call_words),
                control.frame_faults.eq(reader.faults),
            ]
        if isinstance(reader, RawReader):
            m.d.comb += reader.resets.eq(control.reset_state[0])
        return m

    def _reader(self) -> Reader:
        plan, port = self._plan, self._plan.port
        if plan.raw:
            return RawReader(port.frame_words, port.word_bytes, plan.design.dead_zone)
        if plan.sparse:
            return SparseReader(plan.sparse_format, port.signed)
        return FrameReader(port.frame_words, port.signed, port.word_bytes)

    def _loader(self, m: Module, control: Control) -> WeightLoader | None:
        """What loads weights, if the engine can."""
        if self._plan.layout is None:
            return None
        m.submodules.loader = loader = WeightLoader(self._plan.layout, self._plan.design.design_id)
        connect_flat(m, self, WEIGHTS, loader.bus)
        wiring.connect(m, loader.load, self._engine.load)
        m.d.comb += [
            loader.address.eq(control.weights),
            control.weights_id.eq(loader.weights_id),
        ]
        return loader

    def _run_calls(
        self,
        m: Module,
        control: Control,
        reader: Reader,
        writer: ResultWriter,
        loader: WeightLoader | None,
    ) -> None:
        """From AP_START to AP_DONE."""
        loading = loader.busy if loader else Const(0)
        unusable = loader.failed if loader else Const(0)  # the weights
        begins, ends = Signal(), Signal()
        resets = Signal()
        inside = Signal(32)  # frames that the engine has begun and not given a result of
        taken = Signal(32)  # results of this call
        stale: Value = Const(0)  # the state is none to go on from
        if self._plan.contexts > 1:
            stale = self._choose_context(m, control, loader, begins, reader.entered)
        elif loader:
            stale = self._start_loading(m, control, loader, begins, reader.entered)
        m.d.comb += [
            begins.eq(control.start & ~control.running),
            ends.eq(control.running & reader.idle & writer.idle & (inside == 0) & ~loading),
            control.done.eq(ends),
            control.frames_done.eq(writer.written),
            reader.start.eq(begins),
            reader.address.eq(control.frames),
            reader.count.eq(control.frame_count),
            reader.stop.eq(writer.failed | unusable),
            writer.start.eq(begins),
            writer.address.eq(control.results),
            writer.discard.eq(
                writer.failed | unusable | (reader.failed & (taken >= reader.failed_frame))
            ),
            self._engine.reset_state.eq((resets | stale) & reader.first),
        ]
        m.d.sync += [
            inside.eq(inside + reader.entered - writer.taken),
            taken.eq(taken + writer.taken),
        ]
        with m.If(begins):
            m.d.sync += [control.running.eq(1), resets.eq(control.reset_state[0]), taken.eq(0)]
        with m.Elif(ends):
            m.d.sync += control.running.eq(0)

    def _start_loading(
        self, m: Module, control: Control, loader: WeightLoader, begins: Value, entered: Value
    ) -> Signal:
        """Starts the loader; returns whether the state is that of other weights."""
        stale = Signal()
        m.d.comb += loader.start.eq(begins & control.load_weights[0])
        with m.If(loader.start):
            m.d.sync += stale.eq(1)
        with m.Elif(entered):
            m.d.sync += stale.eq(0)
        return stale

    def _choose_context(
        self,
        m: Module,
        control: Control,
        loader: WeightLoader | None,
        begins: Value,
        entered: Value,
    ) -> Value:
        """Keeps a call's context; returns whether its state is none to go on from.

        That is one that no frame had yet, since the reset of the core or since weights were loaded.
        """
        context = Signal.like(self._engine.context)
        stale = Signal(self._plan.contexts, init=-1)
        m.d.comb += self._engine.context.eq(context)
        with m.If(begins):
            m.d.sync += context.eq(control.context)
        with m.If(entered):
            m.d.sync += stale.bit_select(context, 1).eq(0)
        if loader:
            m.d.comb += loader.start.eq(begins & control.load_weights[0])
            with m.If(loader.start):
                m.d.sync += stale.eq(-1)
        return stale.bit_select(context, 1)


def check_port(port: PortPlan) -> None:
    """Refuses a width of the port that reads frames.

    Raises:
        ConfigError: there is no such port, or frames would not start at its words.
    """
    if port.word_bytes not in PORT_BYTES:
        widths = ", ".join(str(8 * width) for width in PORT_BYTES)
        raise ConfigError(
            "is no width of a port",
            field="port bits",
            value=8 * port.word_bytes,
            remedy=f"use {widths}",
        )
    if port.frame_bytes % port.word_bytes:
        raise ConfigError(
            f"does not divide a frame of {port.frame_bytes} bytes; frames start at words",
            field="port bits",
            value=8 * port.word_bytes,
            remedy=f"use {8 * math.gcd(port.frame_bytes, port.word_bytes)}",
        )


def emit_verilog(plan: EnginePlan) -> str:
    """Verilog of the whole core; the same text for the same plan and versions.

    Raises:
        ConfigError: the port does not suit its frames.
        ToolError: Amaranth finds no yosys.
    """
    return verilog_of(Core(plan))


def verilog_of(top: Any, name: str = TOP) -> str:
    """Verilog of an Amaranth component.

    Raises:
        ToolError: Amaranth finds no yosys to write it with.
    """
    from amaranth._toolchain.yosys import YosysError
    from amaranth.back import verilog

    try:
        # Places in our sources would put this machine's paths into the text.
        text: str = verilog.convert(top, name=name, emit_src=False, strip_internal_attrs=True)
    except YosysError as error:
        raise ToolError(
            f"cannot write Verilog ({error})",
            field="amaranth",
            remedy="pip install 'fdht[rtl]'",
        ) from error
    return text
