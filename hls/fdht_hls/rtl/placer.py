"""From the words of sparse frames to fibres that know where in their frame they lie.

    items -> units -> fibres -------------------------------> queue --> fibres with places
                        |                                                ^
                        +--> number -> coordinates -> ends --> queue ----+

Fibres start anywhere in a word, so words are collected in units that are whole words and whole
fibres. Fibres of a unit that hold something leave one by one. Which sums a fibre is the last one of
is known when the next one's place is; a frame without any becomes one fibre of zeros, behind which
all sums end.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from fdht_hls.engine.engine_plan import EnginePlan
from fdht_hls.rtl.arithmetic import code_shape
from fdht_hls.rtl.places import frame_item, place, placed
from fdht_hls.rtl.words import WordQueue

#: Fibres that wait for their places, which come some clocks later: more than are on their way.
_FIBRES = 16
#: Places that wait for the first stage.
_PLACES = 4


def _number(count: int) -> Any:
    return unsigned(max(1, (count - 1).bit_length()))


def _reciprocal(divisor: int, limit: int) -> tuple[int, int]:
    """(factor, shift): number * factor >> shift is number // divisor for numbers below `limit`."""
    numbers = np.arange(limit, dtype=object)
    for shift in range(2 * limit.bit_length() + divisor.bit_length() + 1):
        factor = -(-(1 << shift) // divisor)
        if np.array_equal(numbers * factor >> shift, numbers // divisor):
            return factor, shift
    raise AssertionError("a reciprocal of enough bits is exact")


def _divided(module: Module, moves: Any, value: Value, divisor: int, limit: int) -> Any:
    """(quotient, remainder) by a constant, `_DIVISION` clocks later; registers move if `moves`."""
    factor, shift = _reciprocal(divisor, limit)
    quotient = Signal(_number(-(-limit // divisor)), name="quotient")
    again, former = Signal.like(quotient), Signal.like(value)
    remainder = Signal(_number(divisor), name="remainder")
    with module.If(moves):
        module.d.sync += [
            quotient.eq(value * factor >> shift),
            former.eq(value),
            again.eq(quotient),
            remainder.eq(former - quotient * divisor),
        ]
    return again, remainder


#: Clocks of `_divided`.
_DIVISION = 2


def _moved(module: Module, moves: Any, value: Any, clocks: int, **attributes: Any) -> Any:
    """A value some moves later."""
    for _ in range(clocks):
        register = Signal(Value.cast(value).shape(), name="moved", **attributes)
        with module.If(moves):
            module.d.sync += register.eq(value)
        value = register
    return value


def _lowest(bits: Value) -> tuple[Value, Value]:
    """(only the lowest bit that is set, the others)."""
    only = bits & (~bits + 1)[: len(bits)]
    return only, bits & ~only


class Units(wiring.Component):
    """Collects words in units, and gives on their fibres that hold something.

    Args:
        fibre: bytes of a fibre.
        fibres: of a frame.
        item: what is read; see `frame_item`.
        word_bytes: bytes of a word.

    Attributes:
        items: stream of words.
        fibres_out: stream of fibres, with their `number` and whether the frame ends with them
            (`last`). Where `present` is 0 it does behind the one before.
    """

    def __init__(self, fibre: int, fibres: int, item: data.StructLayout, word_bytes: int) -> None:
        self.fibre, self.fibres, self.word_bytes = fibre, fibres, word_bytes
        self.unit = math.lcm(fibre, word_bytes)
        byte = item["word"].shape.elem_shape
        super().__init__(
            {
                "items": In(stream.Signature(item)),
                "fibres_out": Out(
                    stream.Signature(
                        data.StructLayout(
                            {
                                "values": data.ArrayLayout(byte, fibre),
                                "number": _number(fibres),
                                "present": 1,
                                "last": 1,
                            }
                        )
                    )
                ),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """Builds the logic."""
        module = Module()
        words = self.unit // self.word_bytes
        moves, taken = Signal(), Signal()
        item, valid = self.items.payload, Signal()
        unit, slot = self._located(module, moves, words)
        word = _moved(module, moves, Value.cast(item.word), _DIVISION, reset_less=True)
        present = _moved(module, moves, item.present, _DIVISION, reset_less=True)
        last = _moved(module, moves, item.last, _DIVISION, reset_less=True)
        there = _moved(module, moves, self.items.valid, _DIVISION)
        module.d.comb += [
            valid.eq(there),
            moves.eq(~valid | taken),
            self.items.ready.eq(moves),
        ]
        # The unit that is being collected.
        held = Signal(8 * self.unit, reset_less=True)
        number, some, ends = Signal.like(unit), Signal(), Signal()
        other = present & some & (number != unit)
        gives, free = Signal(), Signal()
        module.d.comb += [
            # A unit leaves when its frame has ended, or a word of the next one has come.
            gives.eq((ends | (valid & other)) & free),
            taken.eq(valid & (free | ~(ends | other))),
        ]
        with module.If(gives):
            module.d.sync += [some.eq(0), ends.eq(0)]
        with module.If(taken):
            module.d.sync += ends.eq(last)
            with module.If(present):
                module.d.sync += [some.eq(1), number.eq(unit)]
        width = 8 * self.word_bytes
        for at in range(words):
            part = held[width * at : width * (at + 1)]
            with module.If(taken & present & (slot == at)):
                module.d.sync += part.eq(word)
            with module.Elif(gives | ~some):
                module.d.sync += part.eq(0)
        self._give(module, gives, free, held, number, some, ends)
        return module

    def _located(self, module: Module, moves: Any, words: int) -> tuple[Any, Any]:
        """(unit, place in it) of a word, `_DIVISION` clocks later."""
        number = self.items.payload.number
        limit = -(-self.fibres * self.fibre // self.word_bytes)
        if words == 1:
            return _moved(module, moves, number, _DIVISION, reset_less=True), Const(0)
        found: tuple[Any, Any] = _divided(module, moves, number, words, limit)
        return found

    def _give(
        self,
        module: Module,
        gives: Any,
        free: Signal,
        held: Signal,
        number: Signal,
        some: Signal,
        ends: Signal,
    ) -> None:
        """Gives on the fibres of a unit, one a clock."""
        count, out = self.unit // self.fibre, self.fibres_out
        width = 8 * self.fibre
        unit = Signal(len(held), reset_less=True, name="unit")
        base = Signal(range(-(-self.fibres // count) * count), name="base")
        left, last, begun = Signal(count), Signal(), Signal()
        fibres = [held[width * at : width * (at + 1)] for at in range(count)]
        there = [fibre.any() for fibre in fibres]
        if self.fibres % count:
            inside = number != self.fibres // count
            there[self.fibres % count :] = [one & inside for one in there[self.fibres % count :]]
        only, rest = _lowest(left)
        index = sum((Mux(only[at], at, 0) for at in range(1, count)), Const(0))
        empty = left == 0
        # A frame without anything is one fibre of zeros.
        nothing = empty & last & ~begun
        moves = out.valid & out.ready
        module.d.comb += [
            out.valid.eq(~empty | last),
            Value.cast(out.payload.values).eq(
                _one_of([unit[width * at : width * (at + 1)] for at in range(count)], only)
            ),
            out.payload.number.eq(Mux(nothing, 0, base + index)),
            out.payload.present.eq(~empty | nothing),
            out.payload.last.eq(last & (rest == 0)),
            free.eq((empty & ~last) | (moves & (rest == 0))),
        ]
        with module.If(moves):
            module.d.sync += [left.eq(rest), begun.eq(~out.payload.last)]
            with module.If(rest == 0):
                module.d.sync += last.eq(0)
        with module.If(gives):
            module.d.sync += [
                unit.eq(held),
                base.eq(number * count),
                left.eq(Mux(some, Cat(*there), 0)),
                last.eq(ends),
            ]


def _one_of(values: Sequence[Value], only: Value) -> Value:
    """The value whose bit is set; 0 if none is."""
    found: Value = Const(0, len(values[0]))
    for at, value in enumerate(values):
        found = found | Mux(only[at], value, 0)
    return found


class Coordinates(wiring.Component):
    """From the numbers of fibres to their places.

    Args:
        modes: lengths of the modes of which a fibre has a coordinate, the fastest first.

    Attributes:
        numbers: stream of a fibre's `number`, whether there is one (`present`), and whether the
            frame ends with it (`last`).
        places: stream of places; see `place`.
    """

    def __init__(self, modes: tuple[int, ...]) -> None:
        self.modes = modes
        number = {"number": _number(math.prod(modes)), "present": 1, "last": 1}
        super().__init__(
            {
                "numbers": In(stream.Signature(data.StructLayout(number))),
                "places": Out(stream.Signature(place(modes))),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """Builds the logic."""
        module, moves = Module(), Signal()
        given, out = self.numbers.payload, self.places
        found = self._coordinates(module, moves, given.number)
        clocks = _DIVISION * (len(self.modes) - 1)
        present = _moved(module, moves, given.present, clocks)
        last = _moved(module, moves, given.last, clocks)
        there = _moved(module, moves, self.numbers.valid, clocks)
        # One is held until the next is there, or is the frame's last.
        held = [Signal.like(value, name="held") for value in found]
        holds, held_last = Signal(), Signal()
        gives = Signal()
        ended = held_last | ~present  # what comes without a fibre is a frame's end
        differs = [held[at] != value for at, value in enumerate(found)]
        module.d.comb += [
            out.valid.eq(holds & (held_last | there)),
            gives.eq(out.valid & out.ready),
            moves.eq(~there | gives | ~holds),
            self.numbers.ready.eq(moves),
            Value.cast(out.payload.modes).eq(Cat(*held)),
            out.payload.ends.eq(
                Cat(*(ended | Cat(*differs[at + 1 :]).any() for at in range(len(found))))
            ),
        ]
        with module.If(gives):
            module.d.sync += holds.eq(0)
        with module.If(moves & there):
            module.d.sync += [holds.eq(present), held_last.eq(last)]
            module.d.sync += [own.eq(value) for own, value in zip(held, found, strict=True)]
        return module

    def _coordinates(self, module: Module, moves: Any, number: Value) -> list[Any]:
        """A coordinate a mode, two clocks later for each mode but the last."""
        found: list[Any] = []
        left, limit = number, math.prod(self.modes)
        for length in self.modes[:-1]:
            found = [_moved(module, moves, one, _DIVISION, reset_less=True) for one in found]
            left, own = _divided(module, moves, left, length, limit)
            found.append(own)
            limit //= length
        return [*found, left]


class Placer(wiring.Component):
    """Words of sparse frames into fibres with their places.

    Args:
        plan: of a core that reads such frames.

    Attributes:
        items: stream of words; see `frame_item`.
        words: stream of what the first stage reads.
    """

    def __init__(self, plan: EnginePlan) -> None:
        first, self._port = plan.input[0], plan.port
        self._modes = first.coming or ()
        values = data.ArrayLayout(code_shape(first.design.source), first.design.word_in)
        port = plan.port
        self._item = frame_item(port.signed, port.word_bytes, port.frame_words)
        self._values = values
        super().__init__(
            {
                "items": In(stream.Signature(self._item)),
                "words": Out(stream.Signature(placed(values, self._modes))),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """Builds the logic."""
        module, port = Module(), self._port
        count = port.fibres * port.fibre // self._values.length
        units = Units(self._values.length, count, self._item, port.word_bytes)
        waiting = WordQueue(unsigned(8 * self._values.length), _FIBRES)
        module.submodules.units, module.submodules.fibres = units, waiting
        wiring.connect(module, wiring.flipped(self.items), units.items)
        found, present = units.fibres_out, units.fibres_out.payload.present
        numbers_ready: Any = Const(1)
        out = self.words
        if self._modes:
            module.submodules.coordinates = coordinates = Coordinates(self._modes)
            module.submodules.places = places = WordQueue(place(self._modes), _PLACES)
            wiring.connect(module, coordinates.places, places.words)
            numbers, numbers_ready = coordinates.numbers, coordinates.numbers.ready
            module.d.comb += [
                numbers.payload.number.eq(found.payload.number),
                numbers.payload.present.eq(present),
                numbers.payload.last.eq(found.payload.last),
                numbers.valid.eq(found.valid & (waiting.words.ready | ~present)),
                out.valid.eq(waiting.result.valid & places.result.valid),
                Value.cast(out.payload.values).eq(waiting.result.payload),
                Value.cast(out.payload.place).eq(Value.cast(places.result.payload)),
                places.result.ready.eq(out.valid & out.ready),
            ]
        else:
            module.d.comb += [
                out.valid.eq(waiting.result.valid),
                Value.cast(out.payload).eq(waiting.result.payload),
            ]
        module.d.comb += [
            waiting.words.payload.eq(Value.cast(found.payload.values)),
            waiting.words.valid.eq(found.valid & present & numbers_ready),
            waiting.result.ready.eq(out.valid & out.ready),
            found.ready.eq(numbers_ready & (waiting.words.ready | ~present)),
        ]
        return module
