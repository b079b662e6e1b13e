"""The memory side of sparse frames: words as they lie in memory in, words with their number out.

The format is in `fdht_models.tensor.sparse_frames`. Each word of memory takes a clock: a header or
a bitmap gives nothing on, a word that follows is given on with its number.

Whatever the words hold, exactly `call_words` of them are read, and each frame that was begun is
completed, so that the engine stays at a frame's boundary. Behind what is wrong no frame is begun.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from fdht_hls.rtl.axi import (
    COUNT_BITS,
    ask_bursts,
    first_word,
    held_word,
    read_ahead,
    reader_ports,
)
from fdht_hls.rtl.places import frame_item
from fdht_hls.rtl.words import WordQueue
from fdht_models.tensor.sparse_frames import FrameFault, FrameKind, SparseFormat

#: Items between parser and engine: so that neither waits for the other within a clock.
_ITEMS = 2
#: Bits of a bitmap among which the lowest is looked for at once.
_GROUP = 8
_FAULT_BITS = max(FrameFault).bit_length()
#: What parser and reader are told alike.
_CALL = ("start", "count", "call_words", "stop")


class SparseReader(wiring.Component):
    """Reads sparse frames that lie one behind the other; asks ahead across frames.

    Args:
        form: the format.
        is_signed: values are signed.

    Attributes:
        words: the frames' items, see `frame_item`; whole frames only.
        call_words: words of memory that `count` frames take; given with `start`.
        failed: frame `failed_frame` could not be read as it is, because of an error or a fault.
        faults: bits of `FrameFault`; until the next `start`. The first that is found in a frame is
            told.
        others: as those of `FrameReader`.
    """

    def __init__(self, form: SparseFormat, is_signed: bool) -> None:
        self._form = form
        self._item = frame_item(is_signed, form.word_bytes, form.frame_words)
        super().__init__(
            {
                **reader_ports(self._item, form.word_bytes),
                "call_words": In(COUNT_BITS),
                "faults": Out(_FAULT_BITS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Amaranth's entry."""
        m = Module()
        left = Signal()
        self._ask(m, left)
        ahead = read_ahead(m, self.bus)
        held, there, leaves = held_word(m, ahead)
        m.submodules.parser = parser = FrameParser(self._form, self._item)
        m.submodules.items = items = WordQueue(self._item, _ITEMS)
        wiring.connect(m, parser.items, items.words)
        wiring.connect(m, items.result, wiring.flipped(self.words))
        m.d.comb += [
            parser.word.eq(held[:-1]),
            parser.error.eq(held[-1]),
            parser.there.eq(there),
            leaves.eq(parser.leaves),
            left.eq(there & leaves),
            *(getattr(parser, name).eq(getattr(self, name)) for name in _CALL),
            self.failed.eq(parser.failed),
            self.failed_frame.eq(parser.failed_frame),
            self.faults.eq(parser.faults),
            self.idle.eq(parser.idle & ~items.result.valid),
        ]
        tell_frames(m, self)
        return m

    def _ask(self, m: Module, left: Value) -> None:
        """The address channel."""
        words = Signal(COUNT_BITS)
        _, _, position, _ = ask_bursts(m, self.bus, words, 0, words != 0, left)
        with m.If(self.start):
            m.d.sync += [position.eq(first_word(self)), words.eq(self.call_words)]


def tell_frames(m: Module, reader: Any) -> Signal:
    """Drives `entered` and `first` of a reader of items; returns: a frame's last item leaves."""
    at_start, moves, leaves = Signal(init=1), Signal(), Signal()
    m.d.comb += [
        moves.eq(reader.words.valid & reader.words.ready),
        leaves.eq(moves & reader.words.payload.last),
        reader.entered.eq(moves & at_start),
    ]
    with m.If(moves):
        m.d.sync += at_start.eq(reader.words.payload.last)
    with m.If(reader.start):
        m.d.sync += reader.first.eq(1)
    with m.Elif(leaves):
        m.d.sync += reader.first.eq(0)
    return leaves


class _State(IntEnum):
    """What the next word of memory is.

    REST: behind the call's frames. DRAIN: of no use.
    """

    IDLE = 0
    HEADER = 1
    BITMAP = 2
    WORD = 3
    REST = 4
    DRAIN = 5


@dataclass(frozen=True)
class _Step:
    """What becomes of a bitmap's or word's clock.

    Args:
        broken: the frame cannot go on.
        fault: bits of `FrameFault`.
        ends: the frame ends, well or broken.
        gives: an item is given on.
    """

    broken: Signal
    fault: Signal
    ends: Signal
    gives: Signal


class FrameParser(wiring.Component):
    """Words of memory -> items; see `SparseReader`.

    Args:
        form: the format.
        item: what it gives on; see `frame_item`.

    Attributes:
        word, error, there: the next word of memory, whether it came with an error, whether it is
            there.
        leaves: it is used up in this clock, if it is there.
        items: what is given on.
        idle: every word was used up, and every item given on.
        others: see `SparseReader`.
    """

    def __init__(self, form: SparseFormat, item: data.StructLayout) -> None:
        self._form = form
        super().__init__(
            {
                "word": In(8 * form.word_bytes),
                "error": In(1),
                "there": In(1),
                "leaves": Out(1),
                "start": In(1),
                "count": In(COUNT_BITS),
                "call_words": In(COUNT_BITS),
                "stop": In(1),
                "items": Out(stream.Signature(item)),
                "failed": Out(1),
                "failed_frame": Out(COUNT_BITS),
                "faults": Out(_FAULT_BITS),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Amaranth's entry."""
        m, form = Module(), self._form
        self._state = state = Signal(_State)
        self._bits = Signal(form.block_words)  # of words of this block that are to come
        self._block = Signal(range(max(2, form.blocks)))
        self._left = Signal(range(form.most_words + form.blocks))  # words of this frame
        self._rest = Signal(COUNT_BITS)  # words of this call
        self._frames = Signal(COUNT_BITS)  # of this call, this one among them
        self._frame = Signal(COUNT_BITS)  # number of this one
        self._dense, self._begun = Signal(), Signal()
        lowest, cleared, single = lowest_bit(m, self._bits)
        step = self._judge(m, single)
        free = self._give(m, step, lowest)
        with m.Switch(state):
            with m.Case(_State.HEADER):
                self._read_header(m)
            with m.Case(_State.BITMAP, _State.WORD):
                m.d.comb += self.leaves.eq(free)
                with m.If(free & self.there):
                    self._go_on(m, step, cleared, single)
            with m.Case(_State.REST):
                m.d.comb += self.leaves.eq(1)
                with m.If(self.there):
                    m.d.sync += [self.faults.eq(FrameFault.LONG), state.eq(_State.DRAIN)]
                with m.Elif(self._rest == 0):
                    m.d.sync += state.eq(_State.IDLE)
            with m.Case(_State.DRAIN):
                m.d.comb += self.leaves.eq(1)
                with m.If(self._rest == 0):
                    m.d.sync += state.eq(_State.IDLE)
        with m.If(self.there & self.leaves):
            m.d.sync += self._rest.eq(self._rest - 1)
        with m.If(self.start):
            m.d.sync += [
                self._rest.eq(self.call_words),
                self._frames.eq(self.count),
                self._frame.eq(0),
                self.failed.eq(0),
                self.faults.eq(0),
                state.eq(Mux(self.count == 0, _State.REST, _State.HEADER)),
            ]
        m.d.comb += self.idle.eq((state == _State.IDLE) & ~self.items.valid)
        return m

    def _last_block(self) -> Value:
        return self._block == self._form.blocks - 1

    def _ones(self, block: Value, following: int) -> Value:
        """The bitmap of a block all of whose words come: of `block` + `following`."""
        form = self._form
        tail = form.frame_words - (form.blocks - 1) * form.block_words
        every, some = (
            Const((1 << words) - 1, form.block_words) for words in (form.block_words, tail)
        )
        last = form.blocks - 1 - following
        return Mux(block == last, some, every) if last >= 0 else every

    def _fail(self, m: Module, fault: Value) -> None:
        m.d.sync += [
            self.failed.eq(1),
            self.failed_frame.eq(self._frame),
            self.faults.eq(fault),
            self._state.eq(_State.DRAIN),
        ]

    def _read_header(self, m: Module) -> None:
        form, state = self._form, self._state
        words, kind = self.word[:32], self.word[32:64]
        dense, sparse, good = Signal(), Signal(), Signal()
        least, most = form.blocks, form.blocks + form.frame_words
        m.d.comb += [
            dense.eq((kind == int(FrameKind.DENSE)) & (words == form.frame_words)),
            sparse.eq((kind == int(FrameKind.SPARSE)) & (words >= least) & (words <= most)),
            good.eq(dense | sparse),
            self.leaves.eq(1),
        ]
        m.d.sync += [
            self._left.eq(words),
            self._dense.eq(dense),
            self._begun.eq(0),
            self._block.eq(0),
            self._bits.eq(self._ones(Const(0), 0)),
        ]
        with m.If(self.stop):
            m.d.sync += state.eq(_State.DRAIN)
        with m.Elif(self._rest == 0):
            self._fail(m, Const(FrameFault.SHORT))
        with m.Elif(self.there & self.error):
            self._fail(m, Const(0))
        with m.Elif(self.there & ~good):
            self._fail(m, Const(FrameFault.HEADER))
        with m.Elif(self.there & (words >= self._rest)):
            # Not begun: what is here of it would be of no use.
            self._fail(m, Const(FrameFault.SHORT))
        with m.Elif(self.there):
            m.d.sync += state.eq(Mux(dense, _State.WORD, _State.BITMAP))

    def _judge(self, m: Module, single: Value) -> _Step:
        """What a bitmap or a word of the frame says of it."""
        form = self._form
        is_word = self._state == _State.WORD
        step = _Step(Signal(), Signal(_FAULT_BITS), Signal(), Signal())
        spent, by_bits, by_count, behind = Signal(), Signal(), Signal(), Signal()
        tail = form.frame_words - (form.blocks - 1) * form.block_words
        m.d.comb += [
            # Of this block no further word comes.
            spent.eq(Mux(is_word, single, self.word == 0)),
            by_bits.eq(spent & self._last_block()),
            by_count.eq(self._left == 1),
            behind.eq(~is_word & self._last_block() & self.word[tail:].any()),
            step.ends.eq(by_count | step.broken),
            step.gives.eq(is_word | (step.ends & (self._begun | ~step.broken))),
        ]
        causes = (
            (self.error, FrameFault(0)),
            (behind, FrameFault.BEHIND),
            (by_bits != by_count, FrameFault.COUNT),
        )
        for cause, fault in reversed(causes):
            with m.If(cause):
                m.d.comb += [step.broken.eq(1), step.fault.eq(fault)]
        return step

    def _go_on(self, m: Module, step: _Step, cleared: Value, single: Value) -> None:
        """To what the next word of memory is."""
        state, block = self._state, self._block
        m.d.sync += self._left.eq(self._left - 1)
        with m.If(step.gives):
            m.d.sync += self._begun.eq(1)
        with m.If(step.broken):
            self._fail(m, step.fault)
        with m.Elif(step.ends):
            m.d.sync += [
                self._frames.eq(self._frames - 1),
                self._frame.eq(self._frame + 1),
                state.eq(Mux(self._frames == 1, _State.REST, _State.HEADER)),
            ]
        with m.Elif(state == _State.BITMAP):
            m.d.sync += self._bits.eq(self.word)
            with m.If(self.word == 0):
                m.d.sync += block.eq(block + 1)
            with m.Else():
                m.d.sync += state.eq(_State.WORD)
        with m.Elif(single):
            m.d.sync += [block.eq(block + 1), self._bits.eq(self._ones(block, 1))]
            with m.If(~self._dense):
                m.d.sync += state.eq(_State.BITMAP)
        with m.Else():
            m.d.sync += self._bits.eq(cleared)

    def _give(self, m: Module, step: _Step, lowest: Value) -> Value:
        """The register of items; returns whether it can take one.

        The number of a word is told from its bit a clock later.
        """
        items, state = self.items, self._state
        bit, block = Signal(len(lowest)), Signal.like(self._block)
        word, free, reads = Signal(len(self.word)), Signal(), Signal()
        m.d.comb += [
            free.eq(~items.valid | items.ready),
            reads.eq((state == _State.BITMAP) | (state == _State.WORD)),
            Value.cast(items.payload.word).eq(word),
            items.payload.number.eq(Cat(encode(bit), block)),
        ]
        with m.If(free):
            m.d.sync += [
                items.valid.eq(reads & self.there & step.gives),
                items.payload.present.eq(state == _State.WORD),
                items.payload.last.eq(step.ends),
                word.eq(self.word),
                bit.eq(lowest),
                block.eq(self._block),
            ]
        return free


def lowest_bit(m: Module, bits: Value) -> tuple[Value, Value, Value]:
    """(the lowest bit that is set, alone; the others; there are none).

    Groups are looked through side by side, so that the longest chain of carries is that over the
    groups.

    Args:
        m: gets the logic.
        bits: a whole number of groups.
    """
    groups = [bits[at : at + _GROUP] for at in range(0, len(bits), _GROUP)]
    some, first = Signal(len(groups)), Signal(len(groups))
    lowest, single = Signal(len(bits)), Signal()

    def alone(value: Value) -> Value:
        return value & (~value + 1)[: len(value)]

    m.d.comb += [
        some.eq(Cat(group.any() for group in groups)),
        first.eq(alone(some)),
        lowest.eq(
            Cat(Mux(first[at], alone(group), Const(0, _GROUP)) for at, group in enumerate(groups))
        ),
        single.eq((some == first) & Cat(group == alone(group) for group in groups).all()),
    ]
    return lowest, bits & ~lowest, single


def encode(bit: Value) -> Value:
    """The number of the one bit that is set; bits are a power of two."""
    width = (len(bit) - 1).bit_length()
    return Cat(
        Cat(bit[at] for at in range(len(bit)) if at >> place & 1).any() for place in range(width)
    )
