"""An engine that is simple enough to be foreseen: sums of a frame's values, and a running sum."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from fdht_hls.rtl.axi import memory_word
from fdht_models.tensor.quantized import WORD_BYTES, QuantizedNetwork


class ChecksumEngine(wiring.Component):
    """Logit k of a frame: its sum + k + the logit 0 of the frame before, which is its state."""

    names = ("sum", "state")

    def __init__(self, network: QuantizedNetwork, word_bytes: int = WORD_BYTES) -> None:
        self.word_bytes = word_bytes
        self._words = network.frame_bytes // word_bytes
        self._classes = len(network.classes)
        super().__init__(
            {
                "words": In(stream.Signature(memory_word(network.input_format.signed, word_bytes))),
                "logits": Out(stream.Signature(data.ArrayLayout(signed(32), self._classes))),
                "reset_state": In(1),
                "busy": Out(2),
                "starved": Out(2),
                "blocked": Out(2),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        position, total, state = Signal(range(self._words)), Signal(signed(32)), Signal(signed(32))
        zero = Signal()
        word = sum((self.words.payload[at] for at in range(self.word_bytes)), start=Value.cast(0))
        first = position == 0
        moves = Signal()
        m.d.comb += [
            # One result at a time: the last word waits until the one before is gone.
            self.words.ready.eq(~self.logits.valid | (position != self._words - 1)),
            moves.eq(self.words.valid & self.words.ready),
            self.busy.eq(Cat(moves, self.logits.valid & self.logits.ready)),
            self.starved.eq(Cat(~self.words.valid, ~self.logits.valid)),
            self.blocked.eq(Cat(self.words.valid & ~moves, self.logits.valid & ~self.logits.ready)),
        ]
        sums = Signal(signed(32))
        former = Signal(signed(32))
        m.d.comb += [
            sums.eq(Mux(first, 0, total) + word),
            former.eq(Mux(Mux(first, self.reset_state, zero), 0, state)),
        ]
        with m.If(self.logits.ready):
            m.d.sync += self.logits.valid.eq(0)
        with m.If(moves):
            m.d.sync += [total.eq(sums), position.eq(position + 1)]
            with m.If(first):
                m.d.sync += zero.eq(self.reset_state)
            with m.If(position == self._words - 1):
                m.d.sync += [position.eq(0), self.logits.valid.eq(1), state.eq(sums + former)]
                m.d.sync += [
                    self.logits.payload[k].eq(sums + former + k) for k in range(self._classes)
                ]
        return m
