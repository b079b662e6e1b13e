"""The blocks of the chip: DDR memory, the core `fdht_lstm` and the clock registers.

The control register follows `ap_ctrl_hs` as Vitis HLS implements it (UG1399, "S_AXILITE Control
Register Map"): AP_DONE and AP_READY clear on read, interrupt status toggles on write, arguments
are latched at AP_START. A call lasts frames x cycles / clock of virtual time; memory is read and
written when it ends, so that a host that touches its buffers too early gets wrong data, as it may
on hardware.

Ctrl-C ends a program, and leaves the programmable logic at what it does: it is held back while a
call begins or ends here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from fdht_hls.csimulation import Identity
from fdht_hls.registers import (
    AP_DONE,
    AP_IDLE,
    AP_READY,
    AP_START,
    ARGUMENT_REGISTERS,
    AUTO_RESTART,
    BY_NAME,
    IDENTITY_REGISTERS,
    WINDOW,
    present,
)
from fdht_host.clocks import NANOSECONDS, ActivityLog, VirtualClock
from fdht_models.errors import DeviceError
from fdht_models.interruption import interrupts_held_back
from fdht_models.tensor.quantized import WORD_BYTES
from fdht_overlays.manifest import OverlayManifest

Bytes = npt.NDArray[np.uint8]
#: Virtual time of a call beside its frames: start, pipeline fill and the identity registers.
_CALL_OVERHEAD_NS = 1_000
_CONTROL, _GLOBAL_ENABLE = BY_NAME["CTRL"].offset, BY_NAME["GIER"].offset
_INTERRUPT_ENABLE, _INTERRUPT_STATUS = BY_NAME["IP_IER"].offset, BY_NAME["IP_ISR"].offset
#: Time of a word of weights: modelled, a word a clock at 100 MHz.
_WEIGHT_WORD_NS = 10
#: Physical address of the first byte that buffers are taken from.
BASE = 0x1000_0000
#: Contiguous memory comes in pages.
PAGE = 4096
#: Fresh memory holds this, not zero: who reads what nobody wrote should notice.
_POISON = 0xA5


class CoreComputation(Protocol):
    """One core's computation and its LSTM state; `fdht_hls.csimulation.CSimulation` is one.

    Attributes:
        weight_words: 64-bit words of weights that it can load; 0: it holds them for good.
        sparse: does it read sparse frames?
        frames_before: frames that a sequence begins with before the first that gives a result.
    """

    weight_words: int
    sparse: bool
    frames_before: int

    def run(
        self,
        frames: Bytes,
        results: Bytes,
        count: int,
        reset: bool,
        words: int = 0,
        context: int = 0,
    ) -> Identity:
        """Processes `count` frames as the core would; 0 only tells the identity.

        Args:
            frames: uint8[count * frame_bytes], as in memory; sparse ones uint8[8 * words]; of raw
                ones one more where a sequence begins.
            results: uint8[count * result_bytes], to be written.
            count: frames.
            reset: start from a zero state.
            words: that sparse frames take.
            context: what the register holds; given to those alone that say they have several.
        """

    def load_weights(self, words: npt.NDArray[np.uint64]) -> None:
        """Loads weights, uint64[weight_words]; the next frame starts from a zero state."""

    def close(self) -> None:
        """Releases what it holds; it cannot run any more."""


class Memory:
    """Memory with the buffers allocated in it.

    Args:
        size: bytes, at most 2**30.
    """

    def __init__(self, size: int) -> None:
        self._bytes = np.zeros(size, np.uint8)
        self._buffers: dict[int, int] = {}

    def allocate(self, size: int) -> int:
        """Takes `size` bytes; returns their physical address, a multiple of the page size.

        Raises:
            MemoryError: no gap is large enough.
        """
        pages = max(PAGE, -(-size // PAGE) * PAGE)
        start = BASE
        for taken, length in sorted(self._buffers.items()):
            if taken - start >= pages:
                break
            start = taken + length
        if start + pages > BASE + len(self._bytes):
            raise MemoryError(
                f"no {pages} bytes are left of the simulated board's {len(self._bytes)}"
            )
        self._buffers[start] = pages
        self.view(start, pages)[:] = _POISON
        return start

    def free(self, address: int) -> None:
        """Gives a buffer back; one that is not allocated is ignored."""
        self._buffers.pop(address, None)

    def contains(self, address: int, size: int) -> bool:
        """True if the range lies within one allocated buffer."""
        return any(
            start <= address and address + size <= start + length
            for start, length in self._buffers.items()
        )

    def view(self, address: int, size: int) -> npt.NDArray[np.uint8]:
        """The bytes of a range, shared with the memory; the range has been checked."""
        return self._bytes[address - BASE : address - BASE + size]


@dataclass
class Faults:
    """Faults to inject, for tests of what drives the board; they act on calls from then on.

    Args:
        hang: calls never end.
        dropped_results: so many results at the end of each call do not reach the memory, and are
            not counted as done.
        design_id_mask: bits to flip in the design id that the core shows.
        flipped_bit: bit of the first result of each call that is inverted in memory.
    """

    hang: bool = False
    dropped_results: int = 0
    design_id_mask: int = 0
    flipped_bit: int | None = None


@dataclass(frozen=True)
class _Call:
    frames: int
    results: int
    count: int
    reset: bool
    #: Words that sparse frames take; of a core of dense ones 0.
    words: int
    #: What the register holds; of a core with a single context 0.
    context: int
    #: Address of weights to load; None: none.
    weights: int | None
    #: Virtual time at which it ends; None: it hangs.
    end_ns: int | None


class SimulatedCore:
    """The core.

    Args:
        base: its physical address.
        computation: what computes.
        memory: what its AXI ports see.
        clock: virtual time.
        activity: is told of each call.
        manifest: of the overlay: how many clocks calls take.
        mhz: its clock, which is read when a call starts.
        faults: read at every call.
    """

    def __init__(
        self,
        base: int,
        computation: CoreComputation,
        memory: Memory,
        clock: VirtualClock,
        activity: ActivityLog,
        manifest: OverlayManifest,
        mhz: Callable[[], float],
        faults: Faults,
    ) -> None:
        self.base, self.size = base, WINDOW
        self._computation, self._memory, self._clock = computation, memory, clock
        self._activity, self._manifest, self._mhz = activity, manifest, mhz
        self._faults = faults
        self._words: dict[int, int] = {}
        self._status = AP_IDLE
        self._call: _Call | None = None
        self._dropped = 0
        nothing = np.zeros(8, np.uint8)
        self._layout = computation.run(nothing, nothing, 0, False)
        self._writable = {
            offset
            for register in present(
                ARGUMENT_REGISTERS,
                loadable=bool(computation.weight_words),
                frames="sparse" if computation.sparse else "dense",
                contexts=self._layout.contexts,
            )
            for offset in register.words
        }
        #: Why the core hangs, for a person who debugs; a real board would not say.
        self.hang_reason: str | None = None

    @property
    def interrupt(self) -> bool:
        """Level of the interrupt line."""
        self._settle()
        status = self._words.get(_INTERRUPT_STATUS, 0)
        return bool(self._words.get(_GLOBAL_ENABLE, 0) & 1 and status)

    def read(self, offset: int) -> int:
        """The word at a byte offset; 0 where no register is."""
        self._settle()
        if offset != _CONTROL:
            return self._words.get(offset, 0)
        value = self._status
        self._status &= ~(AP_DONE | AP_READY)
        return value

    def write(self, offset: int, value: int) -> None:
        """Writes a word; read-only registers and places without one ignore it.

        Raises:
            DeviceError: AUTO_RESTART, which this core's host must not use, or a call with
                misaligned addresses.
        """
        self._settle()
        if offset == _CONTROL:
            self._control(value)
        elif offset == _GLOBAL_ENABLE:
            self._words[offset] = value & 1
        elif offset == _INTERRUPT_ENABLE:
            self._words[offset] = value & 3
        elif offset == _INTERRUPT_STATUS:
            self._words[offset] = self._words.get(offset, 0) ^ (value & 3)
        elif offset in self._writable:
            self._words[offset] = value

    def _control(self, value: int) -> None:
        if value & AUTO_RESTART:
            raise DeviceError(
                "would process the same frames for ever",
                field="CTRL.AUTO_RESTART",
                value=1,
                remedy="start each call by AP_START",
            )
        # AP_START reads as 1 while a call runs; writing it again changes nothing.
        if value & AP_START and self._call is None:
            with interrupts_held_back():
                self._start()

    def _argument(self, name: str) -> int:
        words = (self._words.get(offset, 0) for offset in BY_NAME[name].words)
        return sum(word << (32 * place) for place, word in enumerate(words))

    def _start(self) -> None:
        frames, results = self._argument("frames"), self._argument("results")
        count = self._argument("frame_count")
        weights = self._argument("weights") if self._argument("load_weights") & 1 else None
        for name, address, used in (
            ("frames", frames, count),
            ("results", results, count),
            ("weights", weights or 0, 1),
        ):
            if used and address % 8:
                raise DeviceError(
                    "must be a multiple of 8; the core would drop the low bits",
                    field=f"register {name}",
                    value=hex(address),
                )
        # A core without such a register reads 0 there.
        words, context = self._argument("call_words"), self._argument("context")
        reset = bool(self._argument("reset_state"))
        call = _Call(frames, results, count, reset, words, context, weights, None)
        self.hang_reason = self._obstacle(call)
        now = self._clock.monotonic_ns()
        cycles = self._manifest.call_cycles(self._read(count, reset), words)
        duration = round(cycles / (self._mhz() * 1e6) * NANOSECONDS)
        if weights is not None:
            duration += self._computation.weight_words * _WEIGHT_WORD_NS
        end = None if self.hang_reason else now + _CALL_OVERHEAD_NS + duration
        self._call = replace(call, end_ns=end)
        self._status = AP_START
        pace = self._manifest.sparse_pace
        self._activity.begin(now, end, pace.activity(count, words) if pace else 1.0)

    def _frame_bytes(self, call: _Call) -> int:
        """Bytes that a call's frames take."""
        if self._computation.sparse:
            return WORD_BYTES * call.words
        return self._read(call.count, call.reset) * self._layout.frame_bytes

    def _read(self, count: int, reset: bool) -> int:
        """Frames that a call of so many results reads."""
        return count + self._computation.frames_before if reset and count else count

    def _obstacle(self, call: _Call) -> str | None:
        """Why a call would never end: an AXI decode error leaves the core waiting."""
        if self._faults.hang:
            return "injected fault"
        weights = call.weights
        for name, address, size in (
            ("frames", call.frames, self._frame_bytes(call)),
            ("results", call.results, call.count * self._layout.result_bytes),
            ("weights", weights or 0, 0 if weights is None else 8 * self._computation.weight_words),
        ):
            if size and not self._memory.contains(address, size):
                return f"{name}: no buffer holds {size} bytes at {address:#x} (DECERR)"
        return None

    def _settle(self) -> None:
        """Ends the running call if its time has come."""
        call = self._call
        if call is None or call.end_ns is None or self._clock.monotonic_ns() < call.end_ns:
            return
        with interrupts_held_back():
            self._end(call)

    def _end(self, call: _Call) -> None:
        self.hang_reason = self._obstacle(call)
        if self.hang_reason:
            # A buffer was freed under the running call.
            self._call = replace(call, end_ns=None)
            return
        self._call = None
        self._status = AP_DONE | AP_READY | AP_IDLE
        enabled = self._words.get(_INTERRUPT_ENABLE, 0)
        self._words[_INTERRUPT_STATUS] = self._words.get(_INTERRUPT_STATUS, 0) | enabled
        self._show(self._execute(call))

    def _execute(self, call: _Call) -> Identity:
        if call.weights is not None:
            words = self._memory.view(call.weights, 8 * self._computation.weight_words)
            self._computation.load_weights(words.view(np.uint64).copy())
        result_bytes, size = self._layout.result_bytes, self._frame_bytes(call)
        results = np.zeros(call.count * result_bytes, np.uint8)
        frames = self._memory.view(call.frames, size) if size else np.zeros(0, np.uint8)
        chosen = [call.context] if self._layout.contexts else []
        identity = self._computation.run(
            frames, results, call.count, call.reset, call.words, *chosen
        )
        if self._faults.flipped_bit is not None and call.count:
            results[self._faults.flipped_bit // 8] ^= 1 << (self._faults.flipped_bit % 8)
        dropped = min(self._faults.dropped_results, call.count)
        self._dropped += dropped
        written = (call.count - dropped) * result_bytes
        if written:
            self._memory.view(call.results, written)[:] = results[:written]
        return identity

    def _show(self, identity: Identity) -> None:
        mask = self._faults.design_id_mask
        shown = identity._replace(
            design_id_low=identity.design_id_low ^ (mask & 0xFFFF_FFFF),
            design_id_high=identity.design_id_high ^ (mask >> 32),
            frames_done=(identity.frames_done - self._dropped) & 0xFFFF_FFFF,
        )
        for register, value in zip(IDENTITY_REGISTERS, shown, strict=True):
            self._words[register.offset] = value


class ClockRegisters:
    """The part of the Zynq-7000's SLCR that `pynq.Clocks` uses (UG585, appendix B.28)."""

    base, size = 0xF800_0000, 0x1000
    _REFERENCE_MHZ = 50.0
    _ARM_PLL, _DDR_PLL, _IO_PLL, _ARM_CLOCK = 0x100, 0x104, 0x108, 0x120
    _FABRIC_CLOCK = 0x170
    # By SRCSEL of a fabric clock.
    _SOURCES = (_IO_PLL, _IO_PLL, _ARM_PLL, _DDR_PLL)

    def __init__(self) -> None:
        self._words = {
            self._ARM_PLL: 26 << 12,
            self._DDR_PLL: 21 << 12,
            self._IO_PLL: 20 << 12,
            self._ARM_CLOCK: 2 << 8,
        }
        for index in range(4):
            self._words[self._FABRIC_CLOCK + 16 * index] = (1 << 20) | (10 << 8)

    def read(self, offset: int) -> int:
        """The word at a byte offset."""
        return self._words.get(offset, 0)

    def write(self, offset: int, value: int) -> None:
        """Writes a word."""
        self._words[offset] = value

    def fabric_mhz(self, index: int) -> float:
        """Frequency of fabric clock `index`, 0 to 3."""
        word = self._words[self._FABRIC_CLOCK + 16 * index]
        pll = self._words[self._SOURCES[(word >> 4) & 3]] >> 12 & 0x7F
        divisors = ((word >> 8) & 0x3F) * ((word >> 20) & 0x3F)
        if not divisors:
            raise DeviceError("is switched off by a divisor of 0", field=f"FCLK{index}")
        return self._REFERENCE_MHZ * pll / divisors


#: A range of addresses that answers register accesses.
Block = SimulatedCore | ClockRegisters
