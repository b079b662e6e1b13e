"""The walk of a stage over its beats: nested counters, and the addresses that follow from them.

No multiplier is needed for an address: each is a sum of registers that advance by a fixed step
when their loop does.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Array, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from fdht_hls.engine.contractions import Loops


class Walk(wiring.Component):
    """Counts beats.

    Args:
        loops: what they are.
        placed: not every value of the mode arrives; its words say which they are.

    Attributes:
        advance: input: the beat is done.
        mode: input, if placed: the value of the mode.
        ends: input, if placed: it is the last one that arrives for the sums over it.
        slice: which part of the word is multiplied.
        weight: row of weights.
        row: row of sums.
        slot: place in what a series of turns completes.
        first: sums start here.
        last: sums are complete.
        word_last: the word of input is used up.
        completes: words of output are complete.
    """

    def __init__(self, loops: Loops, *, placed: bool = False) -> None:
        # A mode of one value always arrives whole.
        self.loops, self.placed = loops, placed and loops.mode > 1
        super().__init__(
            {
                "advance": In(1),
                **({"mode": In(range(loops.mode)), "ends": In(1)} if self.placed else {}),
                "slice": Out(range(loops.slices)),
                "weight": Out(range(loops.weight_rows)),
                "row": Out(range(max(1, loops.sum_rows))),
                "slot": Out(range(loops.slots)),
                "first": Out(1),
                "last": Out(1),
                "word_last": Out(1),
                "completes": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """Builds the logic."""
        own, module = self.loops, Module()
        nest = _Nest(module, self.advance)
        part, part_end, part_last = nest.loop("part", own.parts)
        piece, turn_end, piece_last = nest.loop("piece", own.pieces)
        _, near_end, near_last = nest.loop("lane", own.bank_stride)
        _, bank_end, bank_last = nest.loop("bank", own.banks)
        _, lanes_end, far_last = nest.loop("far_lane", own.lanes // own.bank_stride // own.banks)
        lanes_last = part_last & piece_last & near_last & bank_last & far_last
        _, word_end, inner_last = nest.loop("inner", own.inner)
        _, slab_end, _ = nest.loop("group", own.groups)
        step = own.banks * own.beats
        first, mode_last, base = self._mode(module, nest, slab_end, step)

        beat = nest.total("beat", own.beats, 1, self.advance, turn_end)
        bank = nest.total("bank_base", own.banks * own.beats, own.beats, near_end, bank_end)
        rows = own.groups * own.inner * own.slots if own.mode > 1 else 1
        row = nest.total("row_base", rows, own.parts, turn_end, slab_end)
        slot = nest.total("slot_base", own.slots, own.parts, turn_end, lanes_end)
        module.d.comb += [
            self.slice.eq(nest.total("slice", own.slices, 1, part_end, word_end)),
            self.weight.eq(base + bank + beat),
            self.row.eq(row + part if own.sum_rows else 0),
            self.slot.eq(slot + part),
            self.first.eq(first & (piece == 0)),
            self.last.eq(mode_last & piece_last),
            self.word_last.eq(lanes_last & inner_last),
            self.completes.eq(lanes_last & mode_last),
        ]
        return module

    def _mode(self, module: Module, nest: _Nest, slab_end: Any, step: int) -> tuple[Any, Any, Any]:
        """(sums start with this value of the mode, they end with it, its first row of weights)."""
        own = self.loops
        if not self.placed:
            mode, mode_end, last = nest.loop("mode", own.mode)
            base = nest.total("mode_base", own.mode * step, step, slab_end, mode_end)
            return mode == 0, last, base
        first = Signal(init=1, name="mode_first")
        with module.If(slab_end):
            module.d.sync += first.eq(self.ends)
        bases = Array(Const(value * step, range(own.mode * step)) for value in range(own.mode))
        return first, self.ends, bases[self.mode]


class _Nest:
    """Loops from the innermost outwards."""

    def __init__(self, module: Module, advance: Any) -> None:
        self.module, self.advance = module, advance

    def loop(self, name: str, size: int) -> tuple[Any, Any, Any]:
        """(its value, it ends in this clock, it is at its last value)."""
        if size == 1:
            return Const(0), self.advance, Const(1)
        value, last, end = Signal(range(size), name=name), Signal(name=f"{name}_last"), Signal()
        self.module.d.comb += [last.eq(value == size - 1), end.eq(self.advance & last)]
        with self.module.If(self.advance):
            self.module.d.sync += value.eq(Mux(last, 0, value + 1))
        self.advance = end
        return value, end, last

    def total(self, name: str, size: int, step: int, advance: Any, restart: Any) -> Any:
        """A register below `size` that grows by `step` and starts again at 0."""
        if size <= step:
            return Const(0)
        value = Signal(range(size), name=name)
        with self.module.If(restart):
            self.module.d.sync += value.eq(0)
        with self.module.Elif(advance):
            self.module.d.sync += value.eq(value + step)
        return value
