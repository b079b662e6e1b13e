"""The recurrent cell with W_h h: sums of W_x x in, hidden codes out, one unit a clock.

    W_x x --> front --> update --> units
                ^                    |
              W_h h <-- state <------+

W_h h of the next frame starts as soon as h is complete, while the next frame still streams in, and
its sums wait in the queue of its last stage: the recurrence is off the critical path.

Where there are several contexts, the sums that wait may be of another than the next frame's. They
are then taken out, and h of the frame's context is sent through W_h while the frame streams in.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from fdht_hls.engine import CellPlan, EnginePlan
from fdht_hls.rtl.arithmetic import code_shape, delay, packed
from fdht_hls.rtl.cell_ports import context_port, rom, sum_words, unit_code
from fdht_hls.rtl.contraction import PathEngine
from fdht_hls.rtl.fronts import CollectedFront, DirectFront
from fdht_hls.rtl.update import UnitUpdate
from fdht_hls.rtl.weight_loader import load_port
from fdht_hls.rtl.words import activity


class RecurrentCell(wiring.Component):
    """A cell.

    Args:
        own: the plan that it is part of.

    Attributes:
        projected: stream of words of sums of W_x x.
        frame: stream with a bit for each frame: it starts from a zero state.
        space: input: the head has room for a result.
        context: see `Engine`.
        unit: units with their new hidden codes.
        busy: a bit for each stage of W_h h and, highest, one for the cell itself.
        starved: likewise.
        blocked: likewise.
    """

    def __init__(self, own: EnginePlan) -> None:
        self.own = own
        projected = sum_words(own.cell)["projected"]
        super().__init__(
            {
                "projected": In(stream.Signature(projected)),
                "frame": In(stream.Signature(unsigned(1))),
                "space": In(1),
                "unit": Out(unit_code(own.cell)),
                **context_port(own.cell, In),
                **activity(len(own.hidden) + 1),
                **load_port(own.layout),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """Builds the logic."""
        own, module = self.own, Module()
        front = CollectedFront(own.cell) if own.cell.collects else DirectFront(own.cell)
        update, state = UnitUpdate(own), HiddenState(own.cell, own.hidden[0].design.word_in)
        path = PathEngine(own.hidden, own.layout)
        module.submodules.front, module.submodules.update = front, update
        module.submodules.state, module.submodules.path = state, path
        wiring.connect(module, wiring.flipped(self.projected), front.projected)
        frame, recurrent = wiring.flipped(self.frame), path.result
        if own.contexts > 1:
            frame, recurrent = self._switch(module, front, update, state, path)
        wiring.connect(module, frame, front.frame)
        wiring.connect(module, front.sums, update.sums)
        wiring.connect(module, state.words, path.words)
        wiring.connect(module, recurrent, front.recurrent)
        for part in (update, path) if own.layout else ():
            wiring.connect(module, wiring.flipped(self.load), part.load)
        for member in unit_code(own.cell).members:
            source = getattr(update.unit, member)
            module.d.comb += [
                getattr(self.unit, member).eq(source),
                getattr(state.unit, member).eq(source),
            ]
        fresh = Signal(init=1)
        with module.If(front.frame.valid & front.frame.ready):
            module.d.sync += fresh.eq(0)
        module.d.comb += [front.fresh.eq(fresh), front.space.eq(self.space)]
        busy = ~front.starved & ~front.blocked
        for name, flag in (("busy", busy), ("starved", front.starved), ("blocked", front.blocked)):
            flags = getattr(self, name)
            module.d.comb += [flags[:-1].eq(getattr(path, name)), flags[-1].eq(flag)]
        return module

    def _switch(
        self,
        module: Module,
        front: Any,
        update: UnitUpdate,
        state: HiddenState,
        path: PathEngine,
    ) -> tuple[Any, Any]:
        """What lets only frames of one context on, and makes it that of the next frame.

        Returns:
            Streams of frames and of words of sums of W_h h, as the front may take them.
        """
        module.submodules.switch = switch = ContextSwitch(self.own.cell)
        wiring.connect(module, wiring.flipped(self.frame), switch.frame)
        wiring.connect(module, path.result, switch.recurrent)
        module.d.comb += [
            switch.context.eq(self.context),
            switch.sent.eq(state.sent),
            switch.fresh.eq(front.fresh),
            state.again.eq(switch.again),
            state.context.eq(switch.present),
            update.context.eq(switch.present),
        ]
        return switch.frame_on, switch.recurrent_on


class ContextSwitch(wiring.Component):
    """Brings W_h h in order where the next frame is of another context than the one before.

    Args:
        own: the cell.

    Attributes:
        context: input: of the frames that come.
        frame, recurrent: streams as they come: of frames, and of words of sums of W_h h.
        frame_on, recurrent_on: as they go on to the front, of one context.
        fresh: input: there has been no frame, hence no W_h h, yet.
        sent: input: all of h has been sent through W_h.
        again: h of `present` is to be sent, from the next clock on.
        present: context of all that is behind.
    """

    def __init__(self, own: CellPlan) -> None:
        self.own = own
        words = stream.Signature(sum_words(own)["recurrent"])
        frames = stream.Signature(unsigned(1))
        super().__init__(
            {
                **context_port(own, In),
                "frame": In(frames),
                "recurrent": In(words),
                "frame_on": Out(frames),
                "recurrent_on": Out(words),
                "fresh": In(1),
                "sent": In(1),
                "again": Out(1),
                "present": context_port(own, Out)["context"],
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """Builds the logic."""
        module, own = Module(), self.own
        words = own.arrival.size // own.recurrent_word
        left = Signal(range(words + 1))  # words to be taken out
        fits, changes = Signal(), Signal()
        module.d.comb += [
            fits.eq((self.context == self.present) & (left == 0)),
            # All sums of the frame before are then on their way, and nothing else is.
            changes.eq(self.frame.valid & (self.context != self.present) & self.sent),
            self.again.eq(changes & ~self.fresh),
            self.frame_on.payload.eq(self.frame.payload),
            self.frame_on.valid.eq(self.frame.valid & fits),
            self.frame.ready.eq(self.frame_on.ready & fits),
            self.recurrent_on.payload.eq(self.recurrent.payload),
            # A front that collects sums takes them only for a frame that is there.
            self.recurrent_on.valid.eq(self.recurrent.valid & self.frame_on.valid),
            self.recurrent.ready.eq(
                Mux(left == 0, self.recurrent_on.ready & self.frame_on.valid, 1)
            ),
        ]
        with module.If(changes):
            module.d.sync += self.present.eq(self.context)
        with module.If(self.again):
            module.d.sync += left.eq(words)
        with module.Elif((left != 0) & self.recurrent.valid):
            module.d.sync += left.eq(left - 1)
        return module


class HiddenState(wiring.Component):
    """Keeps h and sends it through W_h as soon as it is complete.

    The next frame's update waits for W_h h, which waits for all of h, so that one copy is enough.

    Args:
        own: the cell.
        fibre: hidden units in a word of what the first stage of W_h h reads.

    Attributes:
        unit: units with their new hidden code.
        words: stream of what the first stage of W_h h reads.
        context: input, where there are several: whose state is kept and sent. It changes only while
            none is.
        again: likewise: the state of the context in the next clock is to be sent.
        sent: output, likewise: all of h has been sent, of every frame that was updated.
    """

    def __init__(self, own: CellPlan, fibre: int) -> None:
        self.own, self.fibre = own, fibre
        hidden = code_shape(own.hidden)
        self.layout = data.ArrayLayout(hidden, self.fibre)
        several = {**context_port(own, In), "again": In(1), "sent": Out(1)}
        super().__init__(
            {
                "unit": In(unit_code(own)),
                "words": Out(stream.Signature(self.layout)),
                **(several if own.contexts > 1 else {}),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """Builds the logic."""
        module = Module()
        rows = self.own.units // self.fibre
        row, place = self._position(module, rows)
        hidden = delay(module, self.unit.hidden, 1)
        valid = delay(module, self.unit.valid, 1, init=0)
        complete = delay(module, self.unit.valid & self.unit.last, 1, init=0)
        several, bits = self.own.contexts > 1, (rows - 1).bit_length()
        depth = self.own.contexts << bits if several else max(2, rows)
        memory = Memory(shape=self._bits(), depth=depth, init=[])
        module.submodules.memory = memory
        write = memory.write_port(granularity=1)
        read = memory.read_port(domain="comb")
        next_row = Signal(range(rows))
        module.d.comb += [
            write.addr.eq(Cat(row[:bits], self.context) if several else row),
            write.en.eq(Mux(valid, 1 << place, 0)),
            read.addr.eq(Cat(next_row, self.context) if several else next_row),
            Value.cast(self.words.payload).eq(Value.cast(read.data)),
        ]
        module.d.comb += [entry.eq(hidden) for entry in write.data]
        sent = self.words.valid & self.words.ready
        with module.If(sent):
            last = next_row == rows - 1
            module.d.sync += next_row.eq(Mux(last, 0, next_row + 1))
            with module.If(last):
                module.d.sync += self.words.valid.eq(0)
        with module.If(complete | self.again if several else complete):
            module.d.sync += self.words.valid.eq(1)
        if several:
            self._tell_sent(module, complete)
        return module

    def _tell_sent(self, module: Module, complete: Any) -> None:
        """Between a frame's first unit and its last one h is incomplete, and not sent."""
        updating = Signal()
        with module.If(complete):
            module.d.sync += updating.eq(0)
        with module.Elif(self.unit.valid):
            module.d.sync += updating.eq(1)
        module.d.comb += self.sent.eq(~updating & ~self.words.valid)

    def _bits(self) -> data.ArrayLayout:
        width = self.own.hidden.width
        return data.ArrayLayout(unsigned(width), self.fibre)

    def _position(self, module: Module, rows: int) -> tuple[Any, Any]:
        """(row, place in it) of a unit, a clock after it came."""
        width = max(1, (max(rows, self.fibre) - 1).bit_length())
        units = self.own.order
        table = packed(list(zip(units // self.fibre, units % self.fibre, strict=True)), width)
        layout = data.ArrayLayout(unsigned(width), 2)
        found = rom(module, "position", table, layout, self.unit.number)
        return found[0], found[1]
