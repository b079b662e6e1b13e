"""Weights from memory into the tables of stages, bias and head; see `fdht_hls.weights`.

One word a clock: words shift through a register that holds the longest row. When a row is whole,
one clock of the enable of its table stores it; each table takes its codes from that register.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Shape, Signal, Value, unsigned
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from fdht_hls.rtl.arithmetic import delay
from fdht_hls.rtl.axi import FrameReader
from fdht_hls.rtl.bus import ADDRESS_BITS, Full
from fdht_hls.rtl.cell_ports import rom
from fdht_hls.weight_tables import WeightLayout
from fdht_models.tensor.quantized import WORD_BYTES

_WORD_BITS = 8 * WORD_BYTES


class LoadBus(wiring.Signature):
    """From the loader to all tables.

    Members:
        enable: a bit a table: store a row.
        row: its number.
        words: the last words that were read, the newest highest.
    """

    def __init__(self, layout: WeightLayout) -> None:
        longest = max(table.row_words for table in layout.tables)
        super().__init__(
            {
                "enable": Out(len(layout.tables)),
                "row": Out(range(max(2, *(table.rows for table in layout.tables)))),
                "words": Out(_WORD_BITS * longest),
            }
        )


def load_port(layout: WeightLayout | None) -> dict[str, Any]:
    """The port `load` of what holds tables, or of what holds such parts; none without a layout."""
    return {"load": In(LoadBus(layout))} if layout else {}


def row_of(part: Any, layout: WeightLayout | None, name: str) -> tuple[Value, Value, Value] | None:
    """(store a row, its number, its codes with the first in the lowest bits); None if constant.

    Args:
        part: with a port `load`, if there is a layout.
        layout: of weights that can be loaded.
        name: of a table.
    """
    table = layout.table(name) if layout else None
    if layout is None or table is None:
        return None
    bus = part.load
    start = len(bus.words) - _WORD_BITS * table.row_words
    used = table.codes_a_word * table.width
    places = range(start, len(bus.words), _WORD_BITS)
    codes = Cat(*(bus.words[place : place + used] for place in places))
    return (
        bus.enable[layout.tables.index(table)],
        bus.row[: max(1, (table.rows - 1).bit_length())],
        codes[: table.width * table.columns],
    )


def unit_rows(
    module: Module,
    name: str,
    rows: Sequence[int],
    shape: Any,
    address: Value,
    order: Sequence[int],
    load: tuple[Value, Value, Value] | None,
) -> Any:
    """A memory with a row a hidden unit, read in a clock; it may be loaded.

    Args:
        module: gets the memory.
        name: of the memory.
        rows: its contents, in the order of updates.
        shape: of a row.
        address: a unit's place in that order.
        order: the units in that order; loaded rows come in the natural one.
        load: see `row_of`; None if the rows are constants.
    """
    if load is None:
        return rom(module, name, list(rows), shape, address)
    memory = Memory(shape=unsigned(Shape.cast(shape).width), depth=max(2, len(rows)), init=rows)
    module.submodules[name] = memory
    read, write = memory.read_port(), memory.write_port()
    enable, unit, codes = load
    places = [0] * len(rows)
    for place, natural in enumerate(order):
        places[natural] = place
    number = unsigned(max(1, (len(rows) - 1).bit_length()))
    module.d.comb += [
        read.addr.eq(address),
        write.en.eq(delay(module, enable, 1, init=0)),
        write.addr.eq(rom(module, f"{name}_place", places, number, unit)),
        write.data.eq(delay(module, codes, 1)),
    ]
    return shape(read.data)


class WeightLoader(wiring.Component):
    """Reads a buffer of weights.

    Args:
        layout: of the buffer.
        built_in: whose weights the core has before any are loaded.

    Attributes:
        bus: the AXI4 port; its write channels stay silent.
        load: to the tables.
        start: reads the buffer at `address` (bytes, a multiple of 8); given while not `busy`.
        busy: rows may still be stored.
        failed: the memory answered with an error, so that the tables hold no network's weights;
            until the next `start`.
        weights_id: whose weights the tables hold; 0 while they hold no network's.
    """

    def __init__(self, layout: WeightLayout, built_in: int) -> None:
        self._layout, self._built_in = layout, built_in
        super().__init__(
            {
                "bus": Out(Full()),
                "load": Out(LoadBus(layout)),
                "start": In(1),
                "address": In(ADDRESS_BITS),
                "busy": Out(1),
                "failed": Out(1),
                "weights_id": Out(_WORD_BITS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Amaranth's entry."""
        m = Module()
        m.submodules.reader = reader = FrameReader(self._layout.words, False)
        wiring.connect(m, reader.bus, wiring.flipped(self.bus))
        word, valid = Value.cast(reader.words.payload), reader.words.valid
        m.d.comb += [
            reader.words.ready.eq(1),
            reader.address.eq(self.address),
            reader.count.eq(1),
            reader.start.eq(self.start),
            self.failed.eq(reader.failed),
        ]
        m.d.sync += self.load.enable.eq(0)
        with m.If(valid):
            m.d.sync += self.load.words.eq(Cat(self.load.words, word)[_WORD_BITS:])
        header = self._sort(m, word, valid)
        # Tables keep their contents in a reset, and so does what says whose they are.
        known = Signal(_WORD_BITS, init=self._built_in, reset_less=True)
        m.d.comb += self.weights_id.eq(known)
        with m.If(self.start):
            m.d.sync += [self.busy.eq(1), known.eq(0)]
        with m.Elif(self.busy & reader.idle):
            m.d.sync += [self.busy.eq(0), known.eq(Mux(reader.failed, 0, header))]
        return m

    def _sort(self, m: Module, word: Value, valid: Value) -> Signal:
        """Tells tables of whole rows; returns whose weights they are."""
        tables = self._layout.tables
        header = Signal(_WORD_BITS, reset_less=True)
        table = Signal(range(len(tables) + 1))  # 0: the header
        position = Signal(range(max(one.row_words for one in tables)))
        row = Signal.like(self.load.row)
        with m.If(valid), m.Switch(table):
            with m.Case(0):
                m.d.sync += [header.eq(word), table.eq(1)]
            for number, one in enumerate(tables):
                ends, last = position == one.row_words - 1, row == one.rows - 1
                following = Const((number + 2) % (len(tables) + 1), table.shape())
                with m.Case(number + 1):
                    m.d.sync += position.eq(Mux(ends, 0, position + 1))
                    with m.If(ends):
                        m.d.sync += [
                            self.load.enable[number].eq(1),
                            self.load.row.eq(row),
                            row.eq(Mux(last, 0, row + 1)),
                            table.eq(Mux(last, following, table)),
                        ]
        return header
