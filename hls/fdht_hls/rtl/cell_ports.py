"""What the parts of a cell are made of, and what they say to each other, whatever its kind.

    front -> update -> state, head

A front brings the sums of a unit together, one unit a clock; an update turns them into the unit's
new hidden code, a fixed number of clocks later; the state keeps it for W_h h. None of them can be
stopped: a front issues a unit only when all behind it has room.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from amaranth.hdl import Module, Shape, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from fdht_hls.rtl.arithmetic import code_shape, packed
from fdht_hls.shapes import collects, emission_order, update_order
from fdht_hls.weight_tables import WeightLayout
from fdht_hls.weights import bias_rows
from fdht_models.errors import ConversionError
from fdht_models.tensor.fixedpoint import Codes, FixedPoint
from fdht_models.tensor.quantized import ContractionPath, QuantizedRecurrence


@dataclass(frozen=True, eq=False)
class CellParameters:
    """What all parts of a cell are made of.

    Args:
        recurrence: the layer.
        layout: of weights that can be loaded, the bias among them.

    Raises:
        ConversionError: its two paths emit their sums in different orders.
    """

    recurrence: QuantizedRecurrence
    layout: WeightLayout | None = None

    def __post_init__(self) -> None:
        other = emission_order(self.recurrence.hidden_path)
        if not np.array_equal(self.arrival.ravel(), other.ravel()):
            raise ConversionError(
                "emits its sums in another order than W_x x",
                field="W_h h",
                remedy="plan both contractions alike",
            )

    @property
    def gates(self) -> int:
        """Sums of a unit."""
        return len(self.recurrence.cell.gates)

    @property
    def units(self) -> int:
        """Hidden units H."""
        return self.recurrence.units

    @property
    def projected(self) -> FixedPoint:
        """Exact format of W_x x."""
        return self.recurrence.accumulator_format(self.recurrence.input_path, -1)

    @property
    def recurrent(self) -> FixedPoint:
        """Exact format of W_h h."""
        return self.recurrence.accumulator_format(self.recurrence.hidden_path, -1)

    @cached_property
    def collects(self) -> bool:
        """Are sums collected before units are updated?"""
        return collects(self.recurrence)

    @cached_property
    def arrival(self) -> Codes:
        """Rows of W in the order in which both paths emit their sums: [words, word of W_x x]."""
        return emission_order(self.recurrence.input_path)

    @property
    def units_in_word(self) -> int:
        """Units in a word of sums that holds all their gates."""
        return int(self.arrival.shape[1]) // self.gates

    @cached_property
    def order(self) -> Codes:
        """Hidden units in the order in which they are updated."""
        return update_order(self.recurrence)

    @property
    def number(self) -> Shape:
        """A unit's place in the order of updates."""
        return unsigned(max(1, (self.units - 1).bit_length()))

    @property
    def sums(self) -> wiring.Signature:
        """The sums of one unit; with `zero`, its former state and its W_h h count as zero."""
        layouts = {
            name: Out(data.ArrayLayout(code_shape(form), self.gates))
            for name, form in (("projected", self.projected), ("recurrent", self.recurrent))
        }
        return wiring.Signature(
            {
                "valid": Out(1),
                "number": Out(self.number),
                "last": Out(1),
                "zero": Out(1),
                **layouts,
            }
        )

    @property
    def unit(self) -> wiring.Signature:
        """One unit's new hidden code."""
        return wiring.Signature(
            {
                "valid": Out(1),
                "number": Out(self.number),
                "last": Out(1),
                "hidden": Out(code_shape(self.recurrence.cell.hidden)),
            }
        )

    def sum_words(self, path: ContractionPath) -> data.ArrayLayout:
        """A word of sums of a path."""
        form = self.recurrence.accumulator_format(path, -1)
        return data.ArrayLayout(code_shape(form), emission_order(path).shape[1])

    def bias_rows(self) -> list[int]:
        """The bias of all gates of each unit, in the order of updates, as words."""
        rows = bias_rows(self.recurrence)
        return packed(rows.codes[self.order], rows.format.width)


def front_ports(own: CellParameters) -> dict[str, Any]:
    """Ports of a front.

    projected, recurrent: streams of words of sums of both paths. frame: a stream with a bit for
    each frame: it starts from a zero state. fresh: there has been no frame, hence no W_h h, yet.
    space: the head has room for a result. sums: what is issued. starved, blocked: why not.
    """
    recurrence = own.recurrence
    return {
        "projected": In(stream.Signature(own.sum_words(recurrence.input_path))),
        "recurrent": In(stream.Signature(own.sum_words(recurrence.hidden_path))),
        "frame": In(stream.Signature(unsigned(1))),
        "fresh": In(1),
        "space": In(1),
        "sums": Out(own.sums),
        "starved": Out(1),
        "blocked": Out(1),
    }


def rom(module: Module, name: str, rows: list[int], shape: Any, address: Any) -> Any:
    """A constant memory, read in a clock: the row of `address`, a clock later."""
    memory = Memory(shape=unsigned(Shape.cast(shape).width), depth=max(2, len(rows)), init=rows)
    module.submodules[name] = memory
    read = memory.read_port()
    module.d.comb += read.addr.eq(address)
    return seen_as(shape, read.data)


def seen_as(shape: Any, bits: Any) -> Any:
    """Bits of a memory as what they stand for."""
    if isinstance(shape, Shape):
        return bits.as_signed() if shape.signed else bits
    return shape(bits)
