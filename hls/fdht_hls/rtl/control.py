"""The control port: an AXI4-Lite slave with the register map of `fdht_hls.registers`.

Behaves as the slave that Vitis HLS makes for `ap_ctrl_hs` (UG1399, "S_AXILITE Control Register
Map"): AP_START stays until the call is done, or for ever with AUTO_RESTART; AP_DONE and AP_READY
clear when they are read; interrupt status toggles where 1 is written. Write addresses and write
data may come in any order. Where there is no register, reads give 0 and writes do nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from fdht_hls.registers import ARGUMENT_REGISTERS, BY_NAME, IDENTITY_REGISTERS, WINDOW, present
from fdht_hls.rtl.bus import Lite

#: Address bits of the window.
ADDRESS_BITS = (WINDOW - 1).bit_length()
#: The identity register that counts; the others are constants.
COUNTER = "frames_done"
#: The one that is told anew at the end of each call of a core that reads sparse frames.
FAULTS = "frame_faults"
#: Those that show whose weights the core holds.
_WEIGHTS_ID = {"weights_id_low": slice(0, 32), "weights_id_high": slice(32, 64)}


def _bit(register: str, field: str) -> int:
    return next(one.low for one in BY_NAME[register].fields if one.name == field)


class Control(wiring.Component):
    """Registers of the core.

    A call begins in a clock in which `start` is 1 and `running` is 0. The core keeps the arguments
    from then on, since the host may write the next ones at once. The call ends with one clock of
    `done`, while `running` is still 1.

    Args:
        identity: what the identity registers other than `frames_done` show after the first call.
        loading: with the registers of cores whose weights can be loaded.
        frames: which the core reads: with the registers that come with them.
        contexts: states that it keeps; several: likewise.

    Attributes:
        bus: the AXI4-Lite port.
        interrupt: level, high while an enabled interrupt is pending.
        start: a call is asked for.
        running: a call is under way.
        done: the call ends in this clock.
        frames_done: the frames of the call that ends, in the clock of `done`.
        frames, results, frame_count, reset_state: the arguments.
        weights, load_weights: further arguments of a core whose weights can be loaded.
        weights_id: whose weights such a core holds.
        call_words: a further argument of a core that reads sparse frames.
        context: a further argument of a core with several contexts.
        frame_faults: what such a core found wrong, in the clock of `done`.
    """

    def __init__(
        self,
        identity: Mapping[str, int],
        *,
        loading: bool = False,
        frames: str = "dense",
        contexts: int = 1,
    ) -> None:
        self._identity = dict(identity)
        kinds: dict[str, Any] = {"loadable": loading, "frames": frames, "contexts": contexts}
        self._arguments = present(ARGUMENT_REGISTERS, **kinds)
        self._shown = present(IDENTITY_REGISTERS, **kinds)
        super().__init__(
            {
                "bus": In(Lite(ADDRESS_BITS)),
                "interrupt": Out(1),
                "start": Out(1),
                "running": In(1),
                "done": In(1),
                COUNTER: In(32),
                **{register.name: Out(register.width) for register in self._arguments},
                **({"weights_id": In(64)} if loading else {}),
                **({FAULTS: In(32)} if BY_NAME[FAULTS] in self._shown else {}),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Amaranth's entry."""
        m = Module()
        writing = self._write_channels(m)
        reading, read_address = self._read_channels(m)
        words = {
            **self._argument_words(m, writing),
            **self._identity_words(m),
            **self._interrupts(m, writing),
            BY_NAME["CTRL"].offset: self._calls(m, writing, reading, read_address),
        }
        with m.If(reading), m.Switch(read_address):
            for offset, value in words.items():
                with m.Case(offset >> 2):
                    m.d.sync += self.bus.RDATA.eq(value)
            with m.Default():
                m.d.sync += self.bus.RDATA.eq(0)
        return m

    def _write_channels(self, m: Module) -> _Write:
        """Address and data wait for each other; the register is written when both are there."""
        bus = self.bus
        write = _Write()
        has_address, has_data = Signal(), Signal()
        m.d.comb += [
            bus.AWREADY.eq(~has_address),
            bus.WREADY.eq(~has_data),
            write.enable.eq(has_address & has_data & ~bus.BVALID),
        ]
        with m.If(bus.AWVALID & bus.AWREADY):
            m.d.sync += [has_address.eq(1), write.address.eq(bus.AWADDR[2:])]
        with m.If(bus.WVALID & bus.WREADY):
            m.d.sync += [has_data.eq(1), write.data.eq(bus.WDATA), write.strobes.eq(bus.WSTRB)]
        with m.If(write.enable):
            m.d.sync += [has_address.eq(0), has_data.eq(0), bus.BVALID.eq(1)]
        with m.Elif(bus.BREADY):
            m.d.sync += bus.BVALID.eq(0)
        return write

    def _read_channels(self, m: Module) -> tuple[Value, Value]:
        """(a word is read in this clock, its address in words)."""
        bus = self.bus
        reading = Signal()
        m.d.comb += [bus.ARREADY.eq(~bus.RVALID), reading.eq(bus.ARVALID & bus.ARREADY)]
        with m.If(reading):
            m.d.sync += bus.RVALID.eq(1)
        with m.Elif(bus.RREADY):
            m.d.sync += bus.RVALID.eq(0)
        return reading, bus.ARADDR[2:]

    def _argument_words(self, m: Module, write: _Write) -> dict[int, Value]:
        words: dict[int, Value] = {}
        for register in self._arguments:
            target = getattr(self, register.name)
            for word in range(register.width // 32):
                offset = register.offset + 4 * word
                part = target[32 * word : 32 * word + 32]
                with m.If(write.to(offset)):
                    m.d.sync += part.eq(write.merged(part))
                words[offset] = part
        return words

    def _identity_words(self, m: Module) -> dict[int, Value]:
        """They read 0 until the end of the first call, as registers that a core writes do."""
        known, counter = Signal(), Signal(32)
        with m.If(self.done):
            m.d.sync += [known.eq(1), counter.eq(counter + getattr(self, COUNTER))]

        def shown(name: str) -> Value:
            if name == COUNTER:
                return counter
            if name in _WEIGHTS_ID:
                return Mux(known, self.weights_id[_WEIGHTS_ID[name]], 0)
            if name == FAULTS:
                found = Signal(32, name=FAULTS)
                with m.If(self.done):
                    m.d.sync += found.eq(self.frame_faults)
                return found
            return Mux(known, Const(self._identity[name], 32), 0)

        return {register.offset: shown(register.name) for register in self._shown}

    def _interrupts(self, m: Module, write: _Write) -> dict[int, Value]:
        """GIER, IP_IER and IP_ISR; a call is done and ready in the same clock."""
        enable, enabled, status = Signal(), Signal(2), Signal(2)
        offsets = {name: BY_NAME[name].offset for name in ("GIER", "IP_IER", "IP_ISR")}
        for name, target in (("GIER", enable), ("IP_IER", enabled)):
            with m.If(write.to(offsets[name]) & write.strobes[0]):
                m.d.sync += target.eq(write.data)
        toggled = Mux(
            write.to(offsets["IP_ISR"]) & write.strobes[0], status ^ write.data[:2], status
        )
        m.d.sync += [
            status.eq(toggled | Mux(self.done, enabled, 0)),
            self.interrupt.eq(enable & status.any()),
        ]
        return {
            offsets["GIER"]: enable,
            offsets["IP_IER"]: enabled,
            offsets["IP_ISR"]: status,
        }

    def _calls(self, m: Module, write: _Write, reading: Value, read_address: Value) -> Value:
        """CTRL."""
        done, ready, again = Signal(), Signal(), Signal()
        control = BY_NAME["CTRL"].offset
        written = write.to(control) & write.strobes[0]
        restart = _bit("CTRL", "AUTO_RESTART")
        with m.If(written):
            m.d.sync += again.eq(write.data[restart])
        with m.If(written & write.data[_bit("CTRL", "AP_START")]):
            m.d.sync += self.start.eq(1)
        with m.Elif(self.done):
            m.d.sync += self.start.eq(again)
        # An end in the clock of a read is for the next read to see.
        with m.If(self.done):
            m.d.sync += [done.eq(1), ready.eq(1)]
        with m.Elif(reading & (read_address == control >> 2)):
            m.d.sync += [done.eq(0), ready.eq(0)]
        idle = ~(self.start | self.running)
        bits = {
            "AP_START": self.start,
            "AP_DONE": done,
            "AP_IDLE": idle,
            "AP_READY": ready,
            "AUTO_RESTART": again,
        }
        shown = Signal(32)
        m.d.comb += [shown[_bit("CTRL", name)].eq(value) for name, value in bits.items()]
        return shown


class _Write:
    """A write to a register: one clock of `enable`."""

    def __init__(self) -> None:
        self.enable = Signal(name="write_enable")
        self.address = Signal(ADDRESS_BITS - 2, name="write_address")
        self.data = Signal(32, name="write_data")
        self.strobes = Signal(4, name="write_strobes")

    def to(self, offset: int) -> Value:
        """1 if it is to the word at a byte offset."""
        return self.enable & (self.address == offset >> 2)

    def merged(self, word: Value) -> Value:
        """What is in `word` after the write: bytes without a strobe stay."""
        pieces = (
            Mux(self.strobes[at], self.data[8 * at : 8 * at + 8], word[8 * at : 8 * at + 8])
            for at in range(4)
        )
        return Cat(*pieces)
