"""What the parts of a cell are made of, and what they say to each other, whatever its kind.

    front -> update -> state, head

A front brings the sums of a unit together, one unit a clock; an update turns them into the unit's
new hidden code, a fixed number of clocks later; the state keeps it for W_h h. None of them can be
stopped: a front issues a unit only when all behind it has room.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Module, Shape, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from fdht_hls.engine.engine_plan import CellPlan
from fdht_hls.rtl.arithmetic import code_shape


def unit_number(cell: CellPlan) -> Shape:
    """A unit's place in the order of updates."""
    return unsigned(max(1, (cell.units - 1).bit_length()))


def unit_sums(cell: CellPlan) -> wiring.Signature:
    """The sums of one unit; with `zero`, its former state and its W_h h count as zero."""
    return wiring.Signature(
        {
            "valid": Out(1),
            "number": Out(unit_number(cell)),
            "last": Out(1),
            "zero": Out(1),
            "projected": Out(data.ArrayLayout(code_shape(cell.projected), cell.gates)),
            "recurrent": Out(data.ArrayLayout(code_shape(cell.recurrent), cell.gates)),
        }
    )


def unit_code(cell: CellPlan) -> wiring.Signature:
    """One unit's new hidden code."""
    return wiring.Signature(
        {
            "valid": Out(1),
            "number": Out(unit_number(cell)),
            "last": Out(1),
            "hidden": Out(code_shape(cell.hidden)),
        }
    )


def context_port(cell: CellPlan, flow: Any) -> dict[str, Any]:
    """The port `context` of a part that has one where there are several; `flow`: In or Out."""
    bits = (cell.contexts - 1).bit_length()
    return {"context": flow(unsigned(bits))} if bits else {}


def sum_words(cell: CellPlan) -> dict[str, data.ArrayLayout]:
    """Words of sums of both paths."""
    lengths = {"projected": int(cell.arrival.shape[1]), "recurrent": cell.recurrent_word}
    return {
        name: data.ArrayLayout(code_shape(getattr(cell, name)), length)
        for name, length in lengths.items()
    }


def front_ports(cell: CellPlan) -> dict[str, Any]:
    """Ports of a front.

    projected, recurrent: streams of words of sums of both paths. frame: a stream with a bit for
    each frame: it starts from a zero state. fresh: there has been no frame, hence no W_h h, yet.
    space: the head has room for a result. sums: what is issued. starved, blocked: why not.
    """
    return {
        **{name: In(stream.Signature(words)) for name, words in sum_words(cell).items()},
        "frame": In(stream.Signature(unsigned(1))),
        "fresh": In(1),
        "space": In(1),
        "sums": Out(unit_sums(cell)),
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
