"""A path: all contraction stages of W_x x or of W_h h, one behind the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Cat, Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from fdht_hls.engine.contractions import StagePlan
from fdht_hls.rtl.contraction import ContractionStage, word_in, word_out
from fdht_hls.rtl.weight_loader import load_port, row_of
from fdht_hls.weight_tables import WeightLayout


class PathEngine(wiring.Component):
    """The stages of a path.

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
        flags = {name: Out(len(stages)) for name in ("busy", "starved", "blocked")}
        super().__init__(
            {
                "words": In(stream.Signature(word_in(stages[0]))),
                "result": Out(stream.Signature(word_out(stages[-1]))),
                **flags,
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
            if self.layout and own.table:
                ports = (part.load_enable, part.load_row, part.load_weights)
                row = row_of(self.load, self.layout, own.table)
                module.d.comb += [port.eq(value) for port, value in zip(ports, row, strict=True)]
            wiring.connect(module, running, part.words)
            running = part.result
            parts.append(part)
        wiring.connect(module, running, wiring.flipped(self.result))
        for name in ("busy", "starved", "blocked"):
            flags = Cat(*(getattr(part, name) for part in parts))
            module.d.comb += getattr(self, name).eq(flags)
        return module
