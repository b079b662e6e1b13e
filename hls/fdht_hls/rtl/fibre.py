"""Gearbox: memory words into whole fibres.

Frames start at a word; fibres start anywhere in one. A word a clock is taken as long as fibres are
taken, whatever the length of a fibre. Several fibres that are worked on side by side are one here.
"""

from __future__ import annotations

import math
from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from fdht_models.tensor.quantized import WORD_BYTES


class Gearbox(wiring.Component):
    """Takes bytes out of words.

    Words shift through a register, the newest at its top. `level` bytes of it have not been used;
    they lie at its top, so that a fibre begins `level` bytes below it. Of those places there are
    at most as many as bytes in a word.

    Args:
        fibre: bytes of a fibre.
        fibres: of a frame, behind which the rest of a word is padding.
        shape: of a byte.
        word_bytes: bytes of a word.

    Attributes:
        words: stream of memory words, byte 0 lowest.
        result: stream of fibres.
    """

    def __init__(self, fibre: int, fibres: int, shape: Any, word_bytes: int = WORD_BYTES) -> None:
        self.fibre, self.fibres, self.word_bytes = fibre, fibres, word_bytes
        super().__init__(
            {
                "words": In(stream.Signature(data.ArrayLayout(shape, word_bytes))),
                "result": Out(stream.Signature(data.ArrayLayout(shape, fibre))),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """Builds the logic."""
        module = Module()
        step = math.gcd(self.fibre, self.word_bytes)
        # A word is taken when less than a fibre is left.
        most = self.fibre - step + self.word_bytes
        held = -(-most // self.word_bytes)
        bytes_held = Signal(unsigned(8 * held * self.word_bytes), reset_less=True)
        level, number = Signal(range(most + 1)), Signal(range(self.fibres))
        take, give = self.words.valid & self.words.ready, self.result.valid & self.result.ready
        last, left = number == self.fibres - 1, Signal(range(most + 1))
        module.d.comb += [
            left.eq(Mux(give, Mux(last, 0, level - self.fibre), level)),
            self.words.ready.eq(left < self.fibre),
            self.result.valid.eq(level >= self.fibre),
        ]
        module.d.sync += level.eq(left + Mux(take, self.word_bytes, 0))
        with module.If(give):
            module.d.sync += number.eq(Mux(last, 0, number + 1))
        with module.If(take):
            module.d.sync += bytes_held.eq(
                Cat(bytes_held, Value.cast(self.words.payload))[8 * self.word_bytes :]
            )
        self._select(module, bytes_held, level, range(self.fibre, most + 1, step))
        return module

    def _select(self, module: Module, held: Signal, level: Signal, levels: range) -> None:
        """The oldest unused bytes."""
        with module.Switch(level):
            for unused in levels:
                start = len(held) - 8 * unused
                with module.Case(unused):
                    fibre = held[start : start + 8 * self.fibre]
                    module.d.comb += Value.cast(self.result.payload).eq(fibre)
