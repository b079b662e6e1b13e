"""What words pass through between two processes: a queue, a split, and the gearbox for fibres."""

from __future__ import annotations

import math
from typing import Any

from amaranth.hdl import Cat, Module, Mux, Shape, Signal, Value, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from fdht_models.tensor.quantized import WORD_BYTES

#: What a stage says of itself in a clock: it works, waits for a word, or waits for room behind it.
ACTIVITY = ("busy", "starved", "blocked")


def activity(stages: int) -> dict[str, wiring.Member]:
    """Ports that say so, a bit a stage."""
    return {name: Out(stages) for name in ACTIVITY}


class WordQueue(wiring.Component):
    """A small FIFO of words between two processes that need not run in step.

    Its memory is read in the clock in which a word is asked for (distributed RAM), so that a word
    can be worked on where it lies: a process takes it out when it is done with it.

    Args:
        shape: of a word.
        depth: words that it holds.

    Attributes:
        words: stream of words in.
        result: the same words out, a clock later at the earliest.
    """

    def __init__(self, shape: Any, depth: int) -> None:
        self.depth = depth
        self._width = Shape.cast(shape).width
        super().__init__(
            {"words": In(stream.Signature(shape)), "result": Out(stream.Signature(shape))}
        )

    def elaborate(self, platform: Any) -> Module:
        """Builds the logic."""
        module = Module()
        # A memory of one row would have no address; a second row costs nothing.
        rows = max(2, self.depth)
        module.submodules.memory = memory = Memory(shape=unsigned(self._width), depth=rows, init=[])
        write, read = memory.write_port(), memory.read_port(domain="comb")
        level = Signal(range(self.depth + 1))
        put, take = self.words.valid & self.words.ready, self.result.valid & self.result.ready
        module.d.comb += [
            self.words.ready.eq(level != self.depth),
            self.result.valid.eq(level != 0),
            write.en.eq(put),
            write.addr.eq(_position(module, put, self.depth, "tail")),
            write.data.eq(Value.cast(self.words.payload)),
            read.addr.eq(_position(module, take, self.depth, "head")),
            Value.cast(self.result.payload).eq(read.data),
        ]
        module.d.sync += level.eq(level + put - take)
        return module


class Split(wiring.Component):
    """Words that come as one, the first lowest, leave one by one.

    Args:
        shape: of a word.
        count: words that come as one.
        shared: bits above them that each of them leaves with.

    Attributes:
        words: stream of so many words.
        result: stream of words.
    """

    def __init__(self, shape: Any, count: int, shared: int = 0) -> None:
        self.count, self._shared = count, shared
        self._width = Shape.cast(shape).width - shared
        super().__init__(
            {
                "words": In(stream.Signature(unsigned(count * self._width + shared))),
                "result": Out(stream.Signature(shape)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """Builds the logic."""
        module = Module()
        given = self.result.valid & self.result.ready
        number = _position(module, given, self.count, "number")
        word = self.words.payload.word_select(number, self._width)
        if self._shared:
            word = Cat(word, self.words.payload[self.count * self._width :])
        module.d.comb += [
            self.result.valid.eq(self.words.valid),
            Value.cast(self.result.payload).eq(word),
            self.words.ready.eq(given & (number == self.count - 1)),
        ]
        return module


def _position(module: Module, advance: Any, depth: int, name: str) -> Signal:
    position = Signal(range(depth), name=name)
    with module.If(advance):
        module.d.sync += position.eq(Mux(position == depth - 1, 0, position + 1))
    return position


class Gearbox(wiring.Component):
    """Memory words into whole fibres.

    Frames start at a word; fibres start anywhere in one. A word a clock is taken as long as fibres
    are taken, whatever the length of a fibre. Several fibres that are worked on side by side are
    one here.

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
