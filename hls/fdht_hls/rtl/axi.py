"""The memory side: frames read and results written over AXI4, in bursts that also suit AXI3.

An error response (SLVERR, DECERR) never stops a bus: all words that were asked for still arrive,
and the frame that they belong to is completed, so that the engine stays at a frame's boundary.
Frames behind it are dropped; `core` then ends the call.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from fdht_hls.rtl.bus import ADDRESS_BITS, MAX_BURST, Full, burst_length, drive_burst_kind, is_error
from fdht_models.tensor.quantized import WORD_BYTES

#: Words that may be asked for and not yet used: 16 bursts, which one 36 kbit memory block holds for
#: each 64 bits of a word and which cover a latency of about 240 clocks.
READ_AHEAD = 256
#: Bursts of results whose response may be outstanding.
_WRITES_AHEAD = 8
COUNT_BITS = 32


def memory_word(is_signed: bool, word_bytes: int = WORD_BYTES) -> data.ArrayLayout:
    """A word of input: a value a byte, the lowest byte first."""
    return data.ArrayLayout(signed(8) if is_signed else unsigned(8), word_bytes)


def _low_bits(bus: wiring.PureInterface) -> int:
    """Bits of an address below that of a word."""
    return (len(bus.WSTRB) - 1).bit_length()


def reader_ports(word: Any, word_bytes: int) -> dict[str, wiring.Member]:
    """What a reader of frames has; see `FrameReader`.

    Args:
        word: that it hands on.
        word_bytes: bytes of a memory word.
    """
    return {
        "bus": Out(Full(word_bytes)),
        "words": Out(stream.Signature(word)),
        "start": In(1),
        "address": In(ADDRESS_BITS),
        "count": In(COUNT_BITS),
        "stop": In(1),
        "first": Out(1),
        "entered": Out(1),
        "failed": Out(1),
        "failed_frame": Out(COUNT_BITS),
        "idle": Out(1),
    }


def first_word(reader: Any) -> Value:
    """The address of a call, in words."""
    return Value.cast(reader.address[_low_bits(reader.bus) :])


def read_ahead(m: Module, bus: wiring.PureInterface) -> fifo.SyncFIFOBuffered:
    """The queue of what the memory delivers: a word, and whether it came with an error."""
    m.submodules.ahead = ahead = fifo.SyncFIFOBuffered(width=len(bus.RDATA) + 1, depth=READ_AHEAD)
    m.d.comb += [
        ahead.w_data.eq(Cat(bus.RDATA, is_error(bus.RRESP))),
        ahead.w_en.eq(bus.RVALID),
        # Room was reserved before the words were asked for.
        bus.RREADY.eq(1),
    ]
    return ahead


def ask_bursts(
    m: Module,
    bus: wiring.PureInterface,
    words: Signal,
    next_words: int,
    wanted: Value,
    left: Value,
) -> tuple[Signal, Signal, Signal, Signal]:
    """Asks for bursts of words that there is room for.

    Args:
        m: gets the logic.
        bus: that reads.
        words: still to be asked for.
        next_words: what they are when all were.
        wanted: whether to ask.
        left: a word leaves the queue.

    Returns:
        (a burst is asked for, it is the last one of `words`, its position in words, which is to be
        set before the first one, words that there is room for).
    """
    drive_burst_kind(m, bus, "AR")
    low = _low_bits(bus)
    position = Signal(ADDRESS_BITS - low)  # of the next burst, in words
    free = Signal(range(READ_AHEAD + 1), init=READ_AHEAD)
    length, asks = Signal(range(MAX_BURST + 1)), Signal()
    ends = Signal()
    m.d.comb += [
        length.eq(burst_length(position, words)),
        asks.eq(wanted & (free >= MAX_BURST) & (~bus.ARVALID | bus.ARREADY)),
        ends.eq(words == length),
    ]
    m.d.sync += free.eq(free + left - Mux(asks, length, 0))
    with m.If(bus.ARREADY):
        m.d.sync += bus.ARVALID.eq(0)
    with m.If(asks):
        m.d.sync += [
            bus.ARVALID.eq(1),
            bus.ARADDR[low:].eq(position),
            bus.ARLEN.eq(length - 1),
            position.eq(position + length),
            words.eq(Mux(ends, next_words, words - length)),
        ]
    return asks, ends, position, free


def held_word(m: Module, ahead: fifo.SyncFIFOBuffered) -> tuple[Signal, Signal, Signal]:
    """The word that is to leave the queue next.

    A register of its own: what comes out of a memory block is late in its clock, and the open tools
    do not time it at all.

    Returns:
        (the word with its error, it is there, it leaves: to be driven).
    """
    held, there, leaves = Signal.like(ahead.r_data), Signal(), Signal()
    m.d.comb += ahead.r_en.eq(~there | leaves)
    with m.If(ahead.r_en):
        m.d.sync += [held.eq(ahead.r_data), there.eq(ahead.r_rdy)]
    return held, there, leaves


class FrameReader(wiring.Component):
    """Reads frames that lie one behind the other; asks ahead across frames.

    Args:
        frame_words: memory words of a frame.
        is_signed: values are signed.
        word_bytes: bytes of a memory word, which the bus moves in a clock.

    Attributes:
        bus: the AXI4 port; its write channels stay silent.
        words: the frames' words, whole frames only.
        start: reads `count` frames at `address` (a multiple of `word_bytes`); given while `idle`.
        stop: hand on no frame that has not begun yet.
        first: the word that `words` offers is of the first frame since `start`.
        entered: the first word of a frame is handed on in this clock.
        failed: a word of frame `failed_frame` came with an error; until the next `start`.
        failed_frame: number of the first such frame, from 0.
        idle: nothing is asked for, and nothing is left to hand on.
    """

    def __init__(self, frame_words: int, is_signed: bool, word_bytes: int = WORD_BYTES) -> None:
        self._frame_words, self._word_bytes = frame_words, word_bytes
        super().__init__(reader_ports(memory_word(is_signed, word_bytes), word_bytes))

    def elaborate(self, platform: object) -> Module:
        """Amaranth's entry."""
        m = Module()
        left = Signal()
        waiting = self._ask(m, left)
        ahead = read_ahead(m, self.bus)
        m.d.comb += self.idle.eq(~waiting)
        m.d.comb += left.eq(self._hand_on(m, ahead))
        return m

    def _ask(self, m: Module, left: Value) -> Value:
        """The address channel; returns whether anything is to be asked for or outstanding."""
        frames = Signal(COUNT_BITS)
        words = Signal(range(self._frame_words + 1), init=self._frame_words)  # of this frame
        asks, ends, position, free = ask_bursts(
            m, self.bus, words, self._frame_words, frames != 0, left
        )
        stopping = self.failed | self.stop
        begun = words != self._frame_words
        with m.If(asks & ends):
            m.d.sync += frames.eq(Mux(stopping, 0, frames - 1))
        with m.Elif(stopping & ~begun & ~asks):
            m.d.sync += frames.eq(0)
        with m.If(self.start):
            m.d.sync += [position.eq(first_word(self)), frames.eq(self.count)]
        return (frames != 0) | (free != READ_AHEAD)

    def _hand_on(self, m: Module, ahead: fifo.SyncFIFOBuffered) -> Value:
        """From the memory block to the engine, or to nowhere behind an error.

        Returns:
            A word goes to either.
        """
        held, there, leaves = held_word(m, ahead)
        word, error = held[:-1], held[-1]
        position = Signal(range(self._frame_words))
        frame = Signal(COUNT_BITS)
        at_start = position == 0
        # What was offered stays offered, whatever happens in the meantime.
        offered, drops = Signal(), Signal()
        moves, last = Signal(), Signal()
        m.d.sync += offered.eq(self.words.valid & ~self.words.ready)
        m.d.comb += [
            drops.eq(at_start & ~offered & (self.failed | self.stop)),
            Value.cast(self.words.payload).eq(word),
            self.words.valid.eq(there & ~drops),
            leaves.eq(self.words.ready | drops),
            moves.eq(self.words.valid & self.words.ready),
            last.eq(position == self._frame_words - 1),
            self.first.eq(frame == 0),
            self.entered.eq(moves & at_start),
        ]
        with m.If(moves):
            m.d.sync += [
                position.eq(Mux(last, 0, position + 1)),
                frame.eq(frame + last),
            ]
        with m.If(moves & error & ~self.failed):
            m.d.sync += [self.failed.eq(1), self.failed_frame.eq(frame)]
        with m.If(self.start):
            m.d.sync += [frame.eq(0), self.failed.eq(0)]
        return there & leaves


class ResultWriter(wiring.Component):
    """Writes logits, a result behind the other: 32 bits each, two a word, the rest zero.

    Args:
        classes: logits of a result.
        result_words: memory words of a result.

    Attributes:
        bus: the AXI4 port; its read channels stay silent.
        logits: a result; taken while `taken`.
        start: writes to `address` (bytes, a multiple of 8) and behind it; given while `idle`.
        discard: do not write the result that is taken.
        taken: a result is taken in this clock.
        failed: the memory refused a result; until the next `start`.
        written: results since `start` that the memory confirmed, up to the first that it refused.
        idle: every result that was taken is confirmed, refused or discarded.
    """

    def __init__(self, classes: int, result_words: int) -> None:
        self._result_words = result_words
        super().__init__(
            {
                "bus": Out(Full()),
                "logits": In(stream.Signature(data.ArrayLayout(signed(32), classes))),
                "start": In(1),
                "address": In(ADDRESS_BITS),
                "discard": In(1),
                "taken": Out(1),
                "failed": Out(1),
                "written": Out(COUNT_BITS),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Amaranth's entry."""
        m = Module()
        bits = 8 * WORD_BYTES
        rest = Signal(bits * self._result_words)  # words still to be sent, the next one lowest
        words = Signal(range(self._result_words + 1))  # that no burst has been asked for
        busy = Signal()
        open_bursts = self._confirm(m)
        begins, length = self._send(m, rest, words, open_bursts.w_rdy)
        m.d.comb += [
            busy.eq((words != 0) | self.bus.AWVALID | self.bus.WVALID),
            self.logits.ready.eq(~busy),
            self.taken.eq(self.logits.valid & self.logits.ready),
            # The last burst of a result is marked in the queue of open bursts.
            open_bursts.w_en.eq(begins),
            open_bursts.w_data.eq(words == length),
            self.idle.eq(~busy & (open_bursts.level == 0)),
        ]
        with m.If(self.taken & ~self.discard):
            m.d.sync += [rest.eq(Value.cast(self.logits.payload)), words.eq(self._result_words)]
        return m

    def _send(
        self, m: Module, rest: Signal, words: Signal, may_begin: Value
    ) -> tuple[Value, Value]:
        """The address and data channels; returns (a burst begins, its length)."""
        bus = self.bus
        drive_burst_kind(m, bus, "AW")
        low = _low_bits(bus)
        position = Signal(ADDRESS_BITS - low)  # of the next burst, in words
        beats = Signal(range(MAX_BURST + 1))  # of this burst that are left
        begins, length = Signal(), Signal(range(MAX_BURST + 1))
        m.d.comb += [
            length.eq(burst_length(position, words)),
            begins.eq((words != 0) & ~bus.AWVALID & ~bus.WVALID & may_begin),
            bus.WDATA.eq(rest[: 8 * WORD_BYTES]),
            bus.WSTRB.eq(~0),
            bus.WVALID.eq(beats != 0),
            bus.WLAST.eq(beats == 1),
        ]
        with m.If(bus.AWREADY):
            m.d.sync += bus.AWVALID.eq(0)
        with m.If(bus.WVALID & bus.WREADY):
            m.d.sync += [beats.eq(beats - 1), rest.eq(rest >> (8 * WORD_BYTES))]
        with m.If(begins):
            m.d.sync += [
                bus.AWVALID.eq(1),
                bus.AWADDR[low:].eq(position),
                bus.AWLEN.eq(length - 1),
                beats.eq(length),
                position.eq(position + length),
                words.eq(words - length),
            ]
        with m.If(self.start):
            m.d.sync += position.eq(self.address[low:])
        return begins, length

    def _confirm(self, m: Module) -> fifo.SyncFIFO:
        """The response channel; returns the queue of bursts without a response."""
        bus = self.bus
        m.submodules.open_bursts = open_bursts = fifo.SyncFIFO(width=1, depth=_WRITES_AHEAD)
        m.d.comb += [bus.BREADY.eq(1), open_bursts.r_en.eq(bus.BVALID)]
        refused = is_error(bus.BRESP)
        with m.If(bus.BVALID & refused):
            m.d.sync += self.failed.eq(1)
        with m.If(bus.BVALID & open_bursts.r_data & ~refused & ~self.failed):
            m.d.sync += self.written.eq(self.written + 1)
        with m.If(self.start):
            m.d.sync += [self.failed.eq(0), self.written.eq(0)]
        return open_bursts
