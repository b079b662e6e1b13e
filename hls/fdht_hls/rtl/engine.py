"""Engine: memory words of frames in, logits out; everything between is one pipeline.

words -> gearbox -> W_x x, a stage a core -> cell with W_h h -> head -> logits
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from fdht_hls.rtl.arithmetic import code_shape
from fdht_hls.rtl.cell import RecurrentCell
from fdht_hls.rtl.cell_ports import CellParameters
from fdht_hls.rtl.fibre import Gearbox
from fdht_hls.rtl.head import DenseHead, logits_layout
from fdht_hls.rtl.loading import load_port
from fdht_hls.rtl.path import PathEngine, path_parameters
from fdht_hls.rtl.queue import WordQueue
from fdht_hls.schedule import Schedule, check_schedule
from fdht_hls.weights import weight_layout
from fdht_models.tensor.quantized import WORD_BYTES, QuantizedNetwork

#: Words of fibres between gearbox and first stage; frames whose start waits for the cell to see it.
_FIBRES, _FRAMES = 4, 16


class Engine(wiring.Component):
    """The engine of a network.

    Args:
        network: what it computes.
        schedule: how parallel.
        word_bytes: bytes of a memory word; frames start at a word.

    Attributes:
        words: stream of memory words, byte 0 lowest; a frame is `frame_words` of them.
        reset_state: input, sampled with a frame's first word: it starts from a zero state. The
            first frame after a reset of the core does in any case.
        logits: stream of results, a word a frame.
        stages: names of the stages that the flags tell of.
        busy: a bit a stage: it works in this clock.
        starved: it waits for something to work on.
        blocked: it waits for room behind it.
        layout: of weights that can be loaded, through the port `load`; None if there are none.

    Raises:
        ConfigError: the schedule is not of this network.
        ConversionError: there is no hardware for the network's cell.
    """

    def __init__(
        self, network: QuantizedNetwork, schedule: Schedule, *, word_bytes: int = WORD_BYTES
    ) -> None:
        check_schedule(network.recurrence, schedule)
        recurrence = network.recurrence
        self.network, self.word_bytes = network, word_bytes
        self.frame_words = -(-network.inputs // word_bytes)
        self._input = path_parameters(recurrence, recurrence.input_path, schedule.input)
        self.layout = weight_layout(network, schedule)
        self._own = CellParameters(recurrence, self.layout)
        self._hidden = path_parameters(recurrence, recurrence.hidden_path, schedule.hidden)
        names = [stage.name for stage in (*self._input, *self._hidden)]
        self.stages = (*names, "cell", "head")
        self._byte = code_shape(network.input_format)
        super().__init__(
            {
                "words": In(stream.Signature(data.ArrayLayout(self._byte, word_bytes))),
                "reset_state": In(1),
                "logits": Out(stream.Signature(logits_layout(network))),
                "busy": Out(len(self.stages)),
                "starved": Out(len(self.stages)),
                "blocked": Out(len(self.stages)),
                **load_port(self.layout),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """Builds the logic."""
        module = Module()
        fibre = self._input[0].shape.word_in  # or several, side by side
        gearbox = Gearbox(fibre, self.network.inputs // fibre, self._byte, self.word_bytes)
        fibres = WordQueue(gearbox.result.payload.shape(), _FIBRES)
        path = PathEngine(self._input, layout=self.layout)
        cell, head = RecurrentCell(self._own, self._hidden), DenseHead(self.network, self._own)
        module.submodules.gearbox, module.submodules.fibres = gearbox, fibres
        module.submodules.path, module.submodules.cell = path, cell
        module.submodules.head = head
        self._start(module, gearbox, cell)
        wiring.connect(module, gearbox.result, fibres.words)
        wiring.connect(module, fibres.result, path.words)
        wiring.connect(module, path.result, cell.projected)
        wiring.connect(module, cell.unit, head.unit)
        wiring.connect(module, head.logits, wiring.flipped(self.logits))
        for part in (path, cell, head) if self.layout else ():
            wiring.connect(module, wiring.flipped(self.load), part.load)
        module.d.comb += [
            cell.space.eq(head.space),
            head.taken.eq(cell.frame.valid & cell.frame.ready),
        ]
        for name in ("busy", "starved", "blocked"):
            flags = Cat(*(getattr(part, name) for part in (path, cell, head)))
            module.d.comb += getattr(self, name).eq(flags)
        return module

    def _start(self, module: Module, gearbox: Gearbox, cell: RecurrentCell) -> None:
        """Lets words in, and tells the cell of each frame that starts."""
        module.submodules.frames = frames = WordQueue(unsigned(1), _FRAMES)
        wiring.connect(module, frames.result, cell.frame)
        position = Signal(range(self.frame_words))
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
            last = position == self.frame_words - 1
            module.d.sync += position.eq(Mux(last, 0, position + 1))
