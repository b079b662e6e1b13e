"""What the parts of a cell are made of, and what they say to each other, whatever its kind.

    front -> update -> state, head

A front brings the sums of a unit together, one unit a clock; an update turns them into the unit's
new hidden code, a fixed number of clocks later; the state keeps it for W_h h. None of them can be
stopped: a front issues a unit only when all behind it has room.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Module, Shape, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from fdht_hls.engine.engine_plan import CellPlan
from fdht_hls.rtl.arithmetic import code_shape, packed
from fdht_hls.weight_tables import WeightLayout


@dataclass(frozen=True, eq=False)
class CellParameters:
    """What all parts of a cell are made of.

    Args:
        plan: the cell.
        layout: of weights that can be loaded, the bias among them.
    """

    plan: CellPlan
    layout: WeightLayout | None = None

    @property
    def gates(self) -> int:
        """Sums of a unit."""
        return self.plan.gates

    @property
    def units(self) -> int:
        """Hidden units H."""
        return self.plan.units

    @property
    def number(self) -> Shape:
        """A unit's place in the order of updates."""
        return unsigned(max(1, (self.units - 1).bit_length()))

    @property
    def sums(self) -> wiring.Signature:
        """The sums of one unit; with `zero`, its former state and its W_h h count as zero."""
        layouts = {
            name: Out(data.ArrayLayout(code_shape(form), self.gates))
            for name, form in (
                ("projected", self.plan.projected),
                ("recurrent", self.plan.recurrent),
            )
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
                "hidden": Out(code_shape(self.plan.hidden)),
            }
        )

    @property
    def sum_words(self) -> dict[str, data.ArrayLayout]:
        """Words of sums of both paths."""
        plan = self.plan
        lengths = {"projected": plan.arrival.shape[1], "recurrent": plan.recurrent_word}
        return {
            name: data.ArrayLayout(code_shape(getattr(plan, name)), int(length))
            for name, length in lengths.items()
        }

    def bias_rows(self) -> list[int]:
        """The bias of all gates of each unit, in the order of updates, as words."""
        rows = self.plan.bias
        return packed(rows.codes[self.plan.order], rows.format.width)


def front_ports(own: CellParameters) -> dict[str, Any]:
    """Ports of a front.

    projected, recurrent: streams of words of sums of both paths. frame: a stream with a bit for
    each frame: it starts from a zero state. fresh: there has been no frame, hence no W_h h, yet.
    space: the head has room for a result. sums: what is issued. starved, blocked: why not.
    """
    return {
        **{name: In(stream.Signature(words)) for name, words in own.sum_words.items()},
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
