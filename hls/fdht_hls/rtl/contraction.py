"""A contraction stage, one core of a path at the parallelism of its schedule; and a whole path.

The model is fdht_contraction.h: sums accumulate in the order in which data arrive and are rounded
once, when the mode has passed. A beat is issued every clock in which a word waits and there is
room for what it completes; behind that, the pipeline never stops:

    issue -> operands, weights -> products -> sum over the vector -> sum over the mode -> rounding

so that no clock enable has to reach every register. Sums over the mode lie in a memory that is
read, added to and written in the same clock, so that a beat may take up what the one before left.

Where only words that are not zero arrive, each carries its place (`places`): a stage takes the
value of its mode from it instead of counting, starts sums anew behind a word that ended them, and
hands the rest of the place on with what it completes. What nothing reached is never emitted. That
is exact, because a sum of nothing rounds to zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Shape, Signal, Value, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from fdht_hls.engine.contractions import StagePlan
from fdht_hls.engine.pairs import pair_bits, pair_codes
from fdht_hls.rtl.arithmetic import (
    add_constants,
    bounded,
    code_shape,
    delay,
    packed,
    pipelined_sum,
    product,
    round_saturate,
    tree_clocks,
)
from fdht_hls.rtl.pairs import pair_clocks, pair_sums
from fdht_hls.rtl.places import place, placed
from fdht_hls.rtl.walk import Walk
from fdht_hls.rtl.weight_loader import load_port, row_of
from fdht_hls.rtl.words import ACTIVITY, Split, WordQueue, activity
from fdht_hls.schedule import StageSchedule
from fdht_hls.shapes import StageShape
from fdht_hls.weight_tables import WeightLayout


def word_in(stage: StagePlan) -> Any:
    """A word of input, with its place where that is needed; see `placed`."""
    values = data.ArrayLayout(code_shape(stage.design.source), stage.design.word_in)
    return placed(values, stage.coming)


def word_out(stage: StagePlan) -> Any:
    """A word of output, or several that leave as one, likewise."""
    values = data.ArrayLayout(code_shape(stage.design.result), stage.design.word_out)
    return placed(values, stage.leaving)


class ContractionStage(wiring.Component):
    """A contraction stage.

    Args:
        own: what it is made of. With a table of loadable weights they can be written at run time,
            through `load_enable`, `load_row` and `load_weights` (a row of `own.rows`, the first in
            the lowest bits).

    Attributes:
        words: stream of words of input, `word_in`.
        result: stream of words of output, `word_out`.
        busy: a beat is issued.
        starved: no word waits.
        blocked: a word waits, but there is no room for what it completes.
    """

    def __init__(self, own: StagePlan) -> None:
        self.own, self.loadable = own, own.table is not None
        self.loops = own.loops
        ports = {
            "words": In(stream.Signature(word_in(own))),
            "result": Out(stream.Signature(word_out(own))),
            **activity(1),
        }
        if self.loadable:
            width = own.rows.format.width * own.schedule.weights_in_beat
            ports |= {
                "load_enable": In(1),
                "load_row": In(range(self.loops.weight_rows)),
                "load_weights": In(width),
            }
        super().__init__(ports)

    def elaborate(self, platform: Any) -> Module:
        """Builds the logic."""
        module = Module()
        module.submodules.walk = walk = Walk(self.loops, placed=bool(self.own.coming))
        # Words that are completed at once share a place in the queue. Those that also leave as one
        # count as one: a stage may complete them every clock.
        places, freed = -(-self.own.queue_words // self.own.words_split), Signal()
        self._issue(module, walk, places, freed)
        sums = self._multiply(module, walk)
        # Products are a register each; adders have registers of their own.
        adders = self.own.adders
        vector = self.own.schedule.vector
        plain = pair_clocks(vector) if self.own.paired else 1 + tree_clocks(vector)
        behind = adders.clocks if adders else plain
        clocks = self._read_clocks + behind
        totals = self._accumulate(module, walk, sums, clocks)
        queue = self._emit(module, walk, totals, clocks + 1, places)
        module.d.comb += freed.eq(queue.valid & queue.ready)
        self._give(module, queue)
        return module

    def _issue(self, module: Module, walk: Walk, places: int, freed: Signal) -> None:
        """Issues a beat when it can; counts the completed turns that there is room for."""
        if walk.placed:
            place = self.words.payload.place
            module.d.comb += [walk.mode.eq(place.modes["0"]), walk.ends.eq(place.ends[0])]
        space = Signal(range(places + 1), init=places)
        room = ~walk.completes | (space != 0)
        module.d.comb += [
            walk.advance.eq(self.words.valid & room),
            self.words.ready.eq(walk.advance & walk.word_last),
            self.busy.eq(walk.advance),
            self.starved.eq(~self.words.valid),
            self.blocked.eq(self.words.valid & ~room),
        ]
        taken = walk.advance & walk.completes
        module.d.sync += space.eq(space - taken + freed)

    def _multiply(self, module: Module, walk: Walk) -> list[Any]:
        """Sums over the values of a beat, one an output of each vector."""
        own, outputs = self.own, self.own.schedule.outputs
        weights = self._weights(module, walk)
        word = self.words.payload.values if own.coming else self.words.payload
        vectors = [
            [Signal(code_shape(own.design.source), reset_less=True, name="operand") for _ in places]
            for places in own.operands(0)
        ]
        with module.Switch(walk.slice):
            for at in range(self.loops.slices):
                with module.Case(at):
                    for values, places in zip(vectors, own.operands(at), strict=True):
                        module.d.sync += [
                            value.eq(word[place])
                            for value, place in zip(values, places, strict=True)
                        ]
        vectors = [
            [delay(module, value, self._read_clocks - 1) for value in values] for values in vectors
        ]
        if own.adders:
            return [
                total for values in vectors for total in add_constants(module, own.adders, values)
            ]
        if own.paired:
            return [
                total
                for values in vectors
                for at in range(outputs // 2)
                for total in pair_sums(module, own, values, weights[at :: outputs // 2])
            ]
        return [
            self._dot(module, values, weights[output::outputs])
            for values in vectors
            for output in range(outputs)
        ]

    def _dot(self, module: Module, values: list[Signal], weights: list[Any]) -> Any:
        """The sum over the values of a beat for one output."""
        own = self.own
        products = [
            bounded(
                module, product(value, weight, own.schedule.multipliers), own.design.total.width
            )
            for value, weight in zip(values, weights, strict=True)
        ]
        return pipelined_sum(module, products, own.design.total.width)

    @property
    def _read_clocks(self) -> int:
        """Clocks from a beat's issue to its operands and weights.

        Weights may come from a memory block, and then registers are all that is at its ports.
        """
        constant = self.own.adders or (len(self.own.rows.codes) == 1 and not self.loadable)
        return 1 if constant else 3

    def _weights(self, module: Module, walk: Walk) -> list[Any]:
        """The weights of a beat, or pairs of them, `_read_clocks` after it was issued."""
        own, shape = self.own, code_shape(self.own.rows.format)
        rows, width = own.rows.codes, own.rows.format.width
        if len(rows) == 1 and not self.loadable:
            return [Const(int(code), shape) for code in rows[0]]
        if own.paired:
            rows, width = pair_codes(own.rows), pair_bits(own.design)
            shape = unsigned(width)
        layout = data.ArrayLayout(shape, rows.shape[1])
        module.submodules.weights = memory = Memory(
            shape=unsigned(layout.size),
            depth=max(2, len(rows)),
            init=packed(rows, width),
        )
        if self.loadable:
            write = memory.write_port()
            module.d.comb += [
                write.en.eq(self.load_enable),
                write.addr.eq(self.load_row),
                write.data.eq(self.load_weights),
            ]
        read = memory.read_port()
        module.d.comb += read.addr.eq(delay(module, walk.weight, 1))
        return list(layout(delay(module, read.data, 1)))

    def _accumulate(self, module: Module, walk: Walk, sums: list[Any], clocks: int) -> list[Signal]:
        """Sums over the mode, one clock later; `sums` come `clocks` after their beat."""
        shape = signed(self.own.design.total.width)
        totals = [Signal(shape, name="total") for _ in sums]
        before: list[Any] = [Const(0, shape)] * len(sums)
        if self.loops.sum_rows:
            layout = data.ArrayLayout(shape, len(sums))
            word = Signal(layout, name="word")
            module.d.comb += [word[place].eq(total) for place, total in enumerate(totals)]
            former = self._keep(module, walk, Value.cast(word), clocks)
            first = delay(module, walk.first, clocks)
            before = [Mux(first, 0, entry) for entry in layout(former)]
        kept = []
        for total, entry, summand in zip(totals, before, sums, strict=True):
            module.d.comb += total.eq(entry + summand)
            register = Signal(shape, reset_less=True, name="kept")
            module.d.sync += register.eq(total)
            kept.append(register)
        return kept

    def _keep(self, module: Module, walk: Walk, word: Value, clocks: int) -> Value:
        """Puts a beat's sums in their row; what lay there before, in the same clock."""
        enable = delay(module, walk.advance, clocks, init=0)
        if self.loops.sum_rows == 1:
            register = Signal(len(word), reset_less=True, name="sums")
            with module.If(enable):
                module.d.sync += register.eq(word)
            return register
        module.submodules.sums = memory = Memory(
            shape=unsigned(len(word)), depth=self.loops.sum_rows, init=[]
        )
        write, read = memory.write_port(), memory.read_port(domain="comb")
        row = delay(module, walk.row, clocks)
        module.d.comb += [
            read.addr.eq(row),
            write.addr.eq(row),
            write.en.eq(enable),
            write.data.eq(word),
        ]
        return read.data

    def _emit(
        self, module: Module, walk: Walk, totals: list[Signal], clocks: int, places: int
    ) -> Any:
        """Rounds sums, `clocks` after their beat, and puts them into words in a queue."""
        own, design = self.own, self.own.design
        results = totals
        if not design.exact:
            results = []
            for total in totals:
                register = Signal(code_shape(own.design.result), reset_less=True, name="code")
                rounded = round_saturate(
                    module, total, own.design.total.fraction, own.design.result
                )
                module.d.sync += register.eq(rounded)
                results.append(register)
            clocks += 1
        layout = data.ArrayLayout(
            code_shape(own.design.result), own.words_at_once * own.shape.word_out
        )
        word = Signal(layout, name="words")
        words = Cat(Value.cast(word), self._leaving(module, clocks))
        module.submodules.queue = queue = WordQueue(unsigned(len(words)), places)
        done = delay(module, walk.advance & walk.last, clocks, init=0)
        slot = delay(module, walk.slot, clocks)
        for position, (at, output) in enumerate(placement(own.shape, own.schedule)):
            entry: Any = results[output]
            if at < self.loops.slots - 1:
                entry = Signal(code_shape(design.result), reset_less=True, name="placed")
                with module.If(done & (slot == at)):
                    module.d.sync += entry.eq(results[output])
            module.d.comb += word[position].eq(entry)
        complete = walk.advance & walk.completes
        module.d.comb += queue.words.payload.eq(words)
        module.d.comb += queue.words.valid.eq(delay(module, complete, clocks, init=0))
        return queue.result

    def _leaving(self, module: Module, clocks: int) -> Value:
        """The place of what a beat completes, `clocks` after it; nothing where there is none."""
        if not self.own.leaving:
            return Const(0, 0)
        found = self.words.payload.place
        if self.own.shape.fibre:
            return delay(module, Value.cast(found), clocks)
        rest = place(self.own.leaving)
        own = Value.cast(found.modes["0"])
        modes = Value.cast(found.modes)[len(own) :]
        assert len(modes) == rest["modes"].width
        return delay(module, Cat(modes, found.ends[1:]), clocks)

    def _give(self, module: Module, queue: Any) -> None:
        """Gives on what is in the queue, a word a clock, or those that leave as one."""
        if self.own.words_split > 1:
            shared = Shape.cast(place(self.own.leaving)).width if self.own.leaving else 0
            module.submodules.split = split = Split(
                word_out(self.own), self.own.words_split, shared
            )
            wiring.connect(module, queue, split.words)
            queue = split.result
        module.d.comb += [
            self.result.valid.eq(queue.valid),
            Value.cast(self.result.payload).eq(Value.cast(queue.payload)),
            queue.ready.eq(self.result.ready),
        ]


def placement(shape: StageShape, schedule: StageSchedule) -> list[tuple[int, int]]:
    """For each place in a word of output: (slot in which it is filled, which sum of that beat).

    Words that are completed at once come one behind the other.

    Bonds that live longer come first in a word, so that those which the next stage sums are the
    innermost; see `place` in fdht_contraction.h.
    """
    found: dict[int, tuple[int, int]] = {}
    high, parts = shape.lanes // shape.low, shape.outputs // schedule.outputs
    words = schedule.words_at_once(shape)
    for vector in range(words * shape.lanes):
        word, lane = divmod(vector, shape.lanes)
        turn, number = divmod(vector, schedule.vectors)
        for output in range(shape.outputs):
            mode, opened = divmod(output, shape.opened)
            bond = (mode * high + lane // shape.low) * shape.opened + opened
            part, within = divmod(output, schedule.outputs)
            place = word * shape.word_out + bond * shape.low + lane % shape.low
            found[place] = (turn * parts + part, number * schedule.outputs + within)
    return [found[place] for place in range(words * shape.word_out)]


class PathEngine(wiring.Component):
    """All stages of W_x x or of W_h h, one behind the other.

    Args:
        stages: what they are made of.
        layout: of weights that can be loaded; then there is a port `load`.

    Attributes:
        words: stream of vectors of the last mode, as many in a word as the first stage takes.
        result: stream of words of exact sums.
        busy: a bit a stage; see `ContractionStage`.
        starved: likewise.
        blocked: likewise.
    """

    def __init__(
        self,
        stages: Sequence[StagePlan],
        layout: WeightLayout | None = None,
    ) -> None:
        self.stages, self.layout = tuple(stages), layout
        super().__init__(
            {
                "words": In(stream.Signature(word_in(stages[0]))),
                "result": Out(stream.Signature(word_out(stages[-1]))),
                **activity(len(stages)),
                **load_port(layout),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """Builds the logic."""
        module = Module()
        parts = []
        running = wiring.flipped(self.words)
        for position, own in enumerate(self.stages):
            part = ContractionStage(own)
            module.submodules[f"stage_{position}"] = part
            row = row_of(self, self.layout, own.name)
            if row is not None:
                ports = (part.load_enable, part.load_row, part.load_weights)
                module.d.comb += [port.eq(value) for port, value in zip(ports, row, strict=True)]
            wiring.connect(module, running, part.words)
            running = part.result
            parts.append(part)
        wiring.connect(module, running, wiring.flipped(self.result))
        for name in ACTIVITY:
            flags = Cat(*(getattr(part, name) for part in parts))
            module.d.comb += getattr(self, name).eq(flags)
        return module
