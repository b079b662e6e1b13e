"""Engine: memory words of frames in, logits out; everything between is one pipeline.

words -> gearbox -> W_x x, a stage a core -> cell with W_h h -> head -> logits
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from fdht_hls.engine.engine_plan import EnginePlan
from fdht_hls.rtl.arithmetic import code_shape
from fdht_hls.rtl.cell import RecurrentCell
from fdht_hls.rtl.contraction import PathEngine
from fdht_hls.rtl.head import DenseHead, logits_layout
from fdht_hls.rtl.weight_loader import load_port
from fdht_hls.rtl.words import ACTIVITY, Gearbox, WordQueue, activity

#: Words of fibres between gearbox and first stage; frames whose start waits for the cell to see it.
_FIBRES, _FRAMES = 4, 16


class Engine(wiring.Component):
    """The engine of a network.

    Args:
        plan: what it is made of.

    Attributes:
        words: stream of memory words, byte 0 lowest; a frame is `frame_words` of them.
        reset_state: input, sampled with a frame's first word: it starts from a zero state. The
            first frame after a reset of the core does in any case.
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
        words = data.ArrayLayout(self._byte, plan.port.word_bytes)
        super().__init__(
            {
                "words": In(stream.Signature(words)),
                "reset_state": In(1),
                "logits": Out(stream.Signature(logits_layout(plan.head))),
                **activity(len(self.names)),
                **load_port(plan.layout),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """Builds the logic."""
        module, plan, port = Module(), self.plan, self.plan.port
        fibre = plan.input[0].design.word_in  # or several, side by side
        count = port.fibres * port.fibre // fibre
        gearbox = Gearbox(fibre, count, self._byte, port.word_bytes)
        fibres = WordQueue(gearbox.result.payload.shape(), _FIBRES)
        path = PathEngine(plan.input, plan.layout)
        cell, head = RecurrentCell(plan), DenseHead(plan)
        module.submodules.gearbox, module.submodules.fibres = gearbox, fibres
        module.submodules.path, module.submodules.cell = path, cell
        module.submodules.head = head
        self._start(module, gearbox, cell)
        wiring.connect(module, gearbox.result, fibres.words)
        wiring.connect(module, fibres.result, path.words)
        wiring.connect(module, path.result, cell.projected)
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

    def _start(self, module: Module, gearbox: Gearbox, cell: RecurrentCell) -> None:
        """Lets words in, and tells the cell of each frame that starts."""
        module.submodules.frames = frames = WordQueue(unsigned(1), _FRAMES)
        wiring.connect(module, frames.result, cell.frame)
        words = self.plan.port.frame_words
        position = Signal(range(words))
        first = position == 0
        allowed = ~first | frames.words.ready
        taken = self.words.valid & self.words.ready
        module.d.comb += [
            gearbox.words.payload.eq(self.words.payload),
            gearbox.words.valid.eq(self.words.valid & allowed),
            self.words.ready.eq(gearbox.words.ready & allowed),
            frames.words.payload.eq(self.reset_state),
            frames.words.valid.eq(taken & first),
        ]
        with module.If(taken):
            last = position == words - 1
            module.d.sync += position.eq(Mux(last, 0, position + 1))
