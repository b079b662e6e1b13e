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
from fdht_hls.schedule import StageSchedule
from fdht_models.tensor.quantized import ContractionPath, QuantizedRecurrence


def path_parameters(
    recurrence: QuantizedRecurrence, path: ContractionPath, schedule: Sequence[StageSchedule]
) -> tuple[StageParameters, ...]:
    """What the stages of a path are made of."""
    return tuple(
        stage_parameters(recurrence, path, position, own) for position, own in enumerate(schedule)
    )


class PathEngine(wiring.Component):
    """The stages of a path.

    Args:
        stages: what they are made of.
        depth: words of output that the last one holds.

    Attributes:
        words: stream of vectors of the last mode.
        result: stream of words of exact sums.
        busy: a bit a stage; see `ContractionStage`.
        starved: likewise.
        blocked: likewise.
    """

    def __init__(self, stages: Sequence[StageParameters], depth: int = QUEUE_DEPTH) -> None:
        self.stages = tuple(stages)
        self.depth = max(depth, QUEUE_DEPTH)
        flags = {name: Out(len(stages)) for name in ("busy", "starved", "blocked")}
        super().__init__(
            {
                "words": In(stream.Signature(stages[0].word_in)),
                "result": Out(stream.Signature(stages[-1].word_out)),
                **flags,
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """Builds the logic."""
        module = Module()
        parts = []
        running = wiring.flipped(self.words)
        for position, own in enumerate(self.stages):
            depth = self.depth if own is self.stages[-1] else QUEUE_DEPTH
            part = ContractionStage(own, depth)
            module.submodules[f"stage_{position}"] = part
            wiring.connect(module, running, part.words)
            running = part.result
            parts.append(part)
        wiring.connect(module, running, wiring.flipped(self.result))
        for name in ("busy", "starved", "blocked"):
            flags = Cat(*(getattr(part, name) for part in parts))
            module.d.comb += getattr(self, name).eq(flags)
        return module
