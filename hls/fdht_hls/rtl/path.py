"""A path: all contraction stages of W_x x or of W_h h, one behind the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Cat, Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from fdht_hls.rtl.contraction import (
    QUEUE_DEPTH,
    ContractionStage,
    StageParameters,
    stage_parameters,
)
from fdht_hls.rtl.loading import load_port, row_of
from fdht_hls.schedule import StageSchedule
from fdht_hls.weight_tables import WeightLayout
from fdht_models.tensor.quantized import ContractionPath, QuantizedRecurrence


def path_parameters(
    recurrence: QuantizedRecurrence, path: ContractionPath, schedule: Sequence[StageSchedule]
) -> tuple[StageParameters, ...]:
    """What the stages of a path are made of."""
    return tuple(
        stage_parameters(recurrence, path, position, own, schedule[0].vectors)
        for position, own in enumerate(schedule)
    )


class PathEngine(wiring.Component):
    """The stages of a path.

    Args:
        stages: what they are made of.
        depth: words of output that the last one holds.
        label: "input" or "hidden".
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
        stages: Sequence[StageParameters],
        depth: int = QUEUE_DEPTH,
        label: str = "input",
        layout: WeightLayout | None = None,
    ) -> None:
        self.stages, self.label, self.layout = tuple(stages), label, layout
        self.depth = max(depth, QUEUE_DEPTH)
        flags = {name: Out(len(stages)) for name in ("busy", "starved", "blocked")}
        super().__init__(
            {
                "words": In(stream.Signature(stages[0].word_in)),
                "result": Out(stream.Signature(stages[-1].word_out)),
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
            depth = self.depth if own is self.stages[-1] else QUEUE_DEPTH
            table = self.layout.table(f"{self.label}.{position}") if self.layout else None
            part = ContractionStage(own, depth, loadable=table is not None)
            module.submodules[f"stage_{position}"] = part
            if self.layout and table:
                ports = (part.load_enable, part.load_row, part.load_weights)
                module.d.comb += [
                    port.eq(value)
                    for port, value in zip(
                        ports, row_of(self.load, self.layout, table), strict=True
                    )
                ]
            wiring.connect(module, running, part.words)
            running = part.result
            parts.append(part)
        wiring.connect(module, running, wiring.flipped(self.result))
        for name in ("busy", "starved", "blocked"):
            flags = Cat(*(getattr(part, name) for part in parts))
            module.d.comb += getattr(self, name).eq(flags)
        return module
