"""What a core takes for the frames of clips, beside a full frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from fdht_hls.frame_profile import Spread

#: What a frame's clocks and its latency are called beside processes.
FRAME, LATENCY = "frame", "last word to result"


@dataclass(frozen=True)
class FrameFigures:
    """What a process takes for a frame. All figures are estimated.

    Args:
        spread: over the frames of the clips.
        full: of a frame without any zero.
        limits: share of the clips' frames for which nothing is slower; None: of what is no process.
    """

    spread: Spread
    full: int
    limits: float | None


@dataclass(frozen=True)
class ClipClocks:
    """What a core takes for the frames of clips.

    Args:
        clips: training clips that the frames are of; None: they are of others.
        frames: how many.
        mean_words: that the port reads of one, counted.
        limited_by: the process that is the slowest for most of them.
        clocks: of each process; of all of them, `FRAME`; and from last word to result, `LATENCY`.
        kind: of the clocks.
    """

    clips: int | None
    frames: int
    mean_words: float
    limited_by: str
    clocks: Mapping[str, FrameFigures]
    kind: Literal["estimated"] = "estimated"

    @property
    def frame(self) -> FrameFigures:
        """From one result to the next."""
        return self.clocks[FRAME]

    @property
    def whose(self) -> str:
        """Of which frames, in words."""
        of = "" if self.clips is None else f" of {self.clips:,} training clips"
        return f"{self.frames:,} frames{of}"

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return asdict(self)
