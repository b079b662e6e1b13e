"""WordQueue: a small FIFO of words between two processes that need not run in step.

Its memory is read in the clock in which a word is asked for (distributed RAM), so that a word can
be worked on where it lies: a process takes it out when it is done with it.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Mux, Shape, Signal, Value, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out


class WordQueue(wiring.Component):
    """First in, first out.

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

    Attributes:
        words: stream of so many words.
        result: stream of words.
    """

    def __init__(self, shape: Any, count: int) -> None:
        self.count, self._width = count, Shape.cast(shape).width
        super().__init__(
            {
                "words": In(stream.Signature(unsigned(count * self._width))),
                "result": Out(stream.Signature(shape)),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """Builds the logic."""
        module = Module()
        given = self.result.valid & self.result.ready
        number = _position(module, given, self.count, "number")
        module.d.comb += [
            self.result.valid.eq(self.words.valid),
            Value.cast(self.result.payload).eq(self.words.payload.word_select(number, self._width)),
            self.words.ready.eq(given & (number == self.count - 1)),
        ]
        return module


def _position(module: Module, advance: Any, depth: int, name: str) -> Signal:
    position = Signal(range(depth), name=name)
    with module.If(advance):
        module.d.sync += position.eq(Mux(position == depth - 1, 0, position + 1))
    return position
