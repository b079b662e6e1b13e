"""The feature motion_energy on the chip: raw frames in, words of differences out.

|frame - frame before|, byte by byte; differences up to the dead zone count as none. The frame
before lies in block RAM, a word a row, and stays there from call to call. Of the differences only
words that are not zero go on, as from a reader of sparse frames. It is
`fdht_models.features.motion_energy`, integer for integer.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from fdht_hls.rtl.places import frame_item


class MotionEnergy(wiring.Component):
    """The feature of a stream of frames.

    Args:
        frame_words: words of a frame.
        word_bytes: bytes of a word.
        dead_zone: largest difference that counts as none.

    Attributes:
        words: stream of raw words, a byte a value; a frame is `frame_words` of them.
        begins: input, sampled with a frame's first word: a sequence begins with it. It has no frame
            before it, so that it gives no feature and is only kept.
        items: stream of `frame_item`; a word a clock.
        entered: the first word of a frame that gives a feature is taken in this clock.
    """

    def __init__(self, frame_words: int, word_bytes: int, dead_zone: int) -> None:
        self.frame_words, self.word_bytes, self.dead_zone = frame_words, word_bytes, dead_zone
        super().__init__(
            {
                "words": In(stream.Signature(data.ArrayLayout(unsigned(8), word_bytes))),
                "begins": In(1),
                "items": Out(stream.Signature(frame_item(False, word_bytes, frame_words))),
                "entered": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """Builds the logic."""
        module, out = Module(), self.items
        width = 8 * self.word_bytes
        module.submodules.before = memory = Memory(
            shape=unsigned(width), depth=max(2, self.frame_words), init=[]
        )
        read, write = memory.read_port(), memory.write_port()
        # All registers move together: where a word waits behind them, none does.
        moves, taken = Signal(), Signal()
        number = Signal(range(self.frame_words))
        only_kept = Signal()  # the frame gives no feature
        starts = number == 0
        last = number == self.frame_words - 1
        kept = Mux(starts, self.begins, only_kept)
        module.d.comb += [
            self.words.ready.eq(moves),
            taken.eq(self.words.valid & moves),
            self.entered.eq(taken & starts & ~self.begins),
            read.addr.eq(number),
            read.en.eq(moves),
        ]
        with module.If(taken):
            module.d.sync += [number.eq(Mux(last, 0, number + 1)), only_kept.eq(kept)]
        # A clock later the word before is there, and this one takes its place.
        word = Signal(width, reset_less=True)
        place, ends = Signal.like(number), Signal()
        there, gives = Signal(), Signal()
        with module.If(moves):
            module.d.sync += [
                word.eq(Value.cast(self.words.payload)),
                place.eq(number),
                ends.eq(last),
                there.eq(taken),
                gives.eq(taken & ~kept),
            ]
        module.d.comb += [
            write.addr.eq(place),
            write.data.eq(word),
            write.en.eq(there & moves),
        ]
        # The word before in a register of its own, since it comes from a memory block.
        former, latter = Signal(width, reset_less=True), Signal(width, reset_less=True)
        self._leave(module, moves, gives, place, ends, former, latter)
        with module.If(moves):
            module.d.sync += [former.eq(read.data), latter.eq(word)]
        module.d.comb += moves.eq(~out.valid | out.ready)
        return module

    def _leave(
        self,
        module: Module,
        moves: Signal,
        gives: Signal,
        place: Signal,
        ends: Signal,
        former: Signal,
        latter: Signal,
    ) -> None:
        """The differences of a word, two clocks after the memory gave the one before."""
        out = self.items
        found = Cat(
            *(
                self._difference(former[8 * at : 8 * at + 8], latter[8 * at : 8 * at + 8])
                for at in range(self.word_bytes)
            )
        )
        waits, number, last = Signal(), Signal.like(place), Signal()
        ready, its_number, its_end = Signal(), Signal.like(place), Signal()
        word = Signal(len(found), reset_less=True, name="difference")
        with module.If(moves):
            module.d.sync += [
                waits.eq(gives),
                number.eq(place),
                last.eq(ends),
                ready.eq(waits),
                its_number.eq(number),
                its_end.eq(last),
                word.eq(found),
            ]
        module.d.comb += [
            Value.cast(out.payload.word).eq(word),
            out.payload.number.eq(its_number),
            out.payload.present.eq(word.any()),
            out.payload.last.eq(its_end),
            out.valid.eq(ready & (word.any() | its_end)),
        ]

    def _difference(self, one: Value, other: Value) -> Value:
        """|one - other|; 0 up to the dead zone."""
        difference = one - other  # 9 bits with a sign
        size = Mux(difference[-1], -difference, difference)[:8]
        return Mux(size > self.dead_zone, size, 0)
