"""Engine: memory words of frames in, logits out; everything between is one pipeline.

words -> gearbox -> W_x x, a stage a core -> cell with W_h h -> head -> logits

Of sparse frames only words that are not zero come, and a placer stands in the gearbox's place.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from fdht_hls.engine.engine_plan import EnginePlan
from fdht_hls.rtl.arithmetic import code_shape
from fdht_hls.rtl.cell import RecurrentCell
from fdht_hls.rtl.cell_ports import context_port
from fdht_hls.rtl.contraction import PathEngine
from fdht_hls.rtl.head import DenseHead, logits_layout
from fdht_hls.rtl.placer import Placer
from fdht_hls.rtl.places import frame_item
from fdht_hls.rtl.weight_loader import load_port
from fdht_hls.rtl.words import ACTIVITY, Gearbox, WordQueue, activity

#: Words of fibres between gearbox and first stage; frames whose start waits for the cell to see it.
_FIBRES, _FRAMES = 4, 16


class Engine(wiring.Component):
    """The engine of a network.

    Args:
        plan: what it is made of.

    Attributes:
        words: stream of memory words, byte 0 lowest; a frame is `frame_words` of them. Of sparse
            frames it is a stream of `frame_item`.
        reset_state: input, sampled with a frame's first word: it starts from a zero state. The
            first frame after a reset of the core does in any case.
        context: input, where the plan has several: whose state frames go on from. It changes only
            while no frame is under way. The first frame of each needs `reset_state`.
        logits: stream of results, a word a frame.
        names: of the stages that the flags tell of.
        busy: a bit a stage: it works in this clock.
        starved: it waits for something to work on.
        blocked: it waits for room behind it.
        load: port for weights, where some can be loaded.
    """

    def __init__(self, plan: EnginePlan) -> None:
        self.plan, self.names = plan, plan.names
        self._byte = code_shape(plan.input[0].design.source)
        words: Any = data.ArrayLayout(self._byte, plan.port.word_bytes)
        if plan.skips:
            words = frame_item(plan.port.signed, plan.port.word_bytes, plan.port.frame_words)
        super().__init__(
            {
                "words": In(stream.Signature(words)),
                "reset_state": In(1),
                **context_port(plan.cell, In),
                "logits": Out(stream.Signature(logits_layout(plan.head))),
                **activity(len(self.names)),
                **load_port(plan.layout),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """Builds the logic."""
        module, plan = Module(), self.plan
        words, fibres = self._placed(module) if plan.skips else self._cut(module)
        path = PathEngine(plan.input, plan.layout)
        cell, head = RecurrentCell(plan), DenseHead(plan)
        module.submodules.path, module.submodules.cell = path, cell
        module.submodules.head = head
        self._start(module, words, cell)
        wiring.connect(module, fibres, path.words)
        wiring.connect(module, path.result, cell.projected)
        if plan.contexts > 1:
            module.d.comb += cell.context.eq(self.context)
        wiring.connect(module, cell.unit, head.unit)
        wiring.connect(module, head.logits, wiring.flipped(self.logits))
        for part in (path, cell, head) if plan.layout else ():
            wiring.connect(module, wiring.flipped(self.load), part.load)
        module.d.comb += [
            cell.space.eq(head.space),
            head.taken.eq(cell.frame.valid & cell.frame.ready),
        ]
        for name in ACTIVITY:
            flags = Cat(*(getattr(part, name) for part in (path, cell, head)))
            module.d.comb += getattr(self, name).eq(flags)
        return module

    def _cut(self, module: Module) -> tuple[Any, Any]:
        """(what takes words, what gives fibres) where all words come."""
        port, fibre = self.plan.port, self.plan.input[0].design.word_in  # or several, side by side
        count = port.fibres * port.fibre // fibre
        gearbox = Gearbox(fibre, count, self._byte, port.word_bytes)
        fibres = WordQueue(gearbox.result.payload.shape(), _FIBRES)
        module.submodules.gearbox, module.submodules.fibres = gearbox, fibres
        wiring.connect(module, gearbox.result, fibres.words)
        return gearbox.words, fibres.result

    def _placed(self, module: Module) -> tuple[Any, Any]:
        """The same where words that are not zero come."""
        module.submodules.placer = placer = Placer(self.plan)
        return placer.items, placer.words

    def _start(self, module: Module, words: Any, cell: RecurrentCell) -> None:
        """Lets words in, and tells the cell of each frame that starts."""
        module.submodules.frames = frames = WordQueue(unsigned(1), _FRAMES)
        wiring.connect(module, frames.result, cell.frame)
        if self.plan.skips:
            first: Value = Signal(init=1)
        else:
            position = Signal(range(self.plan.port.frame_words))
            first = position == 0
        allowed = ~first | frames.words.ready
        taken = self.words.valid & self.words.ready
        module.d.comb += [
            words.payload.eq(self.words.payload),
            words.valid.eq(self.words.valid & allowed),
            self.words.ready.eq(words.ready & allowed),
            frames.words.payload.eq(self.reset_state),
            frames.words.valid.eq(taken & first),
        ]
        with module.If(taken):
            if self.plan.skips:
                module.d.sync += first.eq(self.words.payload.last)
            else:
                last = position == self.plan.port.frame_words - 1
                module.d.sync += position.eq(Mux(last, 0, position + 1))
